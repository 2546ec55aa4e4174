"""The door to layer 2: one frame, guarded, planned, counted and on record before it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from probes import dcp
from scanner import plan, site
from scanner.engine import _Visit
from scanner.errors import (
    BadReply,
    BudgetSpent,
    GuardRefused,
    Halted,
    OutsideWindow,
    Silent,
    SiteErrors,
    ToolBug,
    Withheld,
)
from scanner.facts import DeviceIdentity
from scanner.governor import Governor
from scanner.link import Reply
from scanner.model import Observation, Outcome, Tier, Transport
from scanner.plan import build, cost
from scanner.spec import Probe, Question
from scanner.windows import Permission
from tests.conftest import NOON, MemoryEvidence, real_clock
from tests.probes.test_dcp import block, reply

STATION = "10.1.0.5"
PROBE = Probe(
    name="dcp",
    protocol="dcp",
    transport=Transport.LINK,
    ports=(dcp.ETHERTYPE,),
    tier=Tier.IDENTIFY,
    run=dcp.run,
    questions=(Question(label="DCP Identify", sample=dcp.encode_identify(xid=1)),),
    for_controllers=True,
)
ADDRESS = block(1, 2, bytes([10, 1, 0, 5, 255, 255, 255, 0, 0, 0, 0, 0]))
Answer = Callable[[bytes], Awaitable[bytes | None]]


class Helper:
    """In place of scanner.link.Helper: a station that answers, and what was sent to it."""

    def __init__(self, answer: Answer, *, refuses: str = "", evidence: MemoryEvidence) -> None:
        self.answer = answer
        self.refuses = refuses
        self.evidence = evidence
        self.sent: list[tuple[str, bytes]] = []

    async def send(self, address: str, frame: bytes, wait_s: float) -> asyncio.Future[Reply | None]:
        assert len(self.evidence.intents) == 1, "it leaves before it is on record"
        assert not self.evidence.ends
        if self.refuses:
            raise Withheld(f"layer 2: {self.refuses}")
        self.sent.append((address, frame))

        async def come() -> Reply | None:
            raw = await self.answer(frame)
            return None if raw is None else Reply(frame=raw, came_ns=0)

        return asyncio.ensure_future(come())


async def tells(frame: bytes) -> bytes:
    return reply(ADDRESS, block(2, 1, b"S7-300EC"), xid=int.from_bytes(frame[4:8], "big"))


async def nothing(frame: bytes) -> None:
    return None


async def never(frame: bytes) -> None:
    await asyncio.Event().wait()


def opened(governed, answer: Answer = tells, *, refuses: str = "", **more: object):
    evidence = MemoryEvidence()
    helper = Helper(answer, refuses=refuses, evidence=evidence)
    context = governed(
        PROBE, dcp.ETHERTYPE, address=STATION, link=helper, evidence=evidence, **more
    )
    return context, helper, evidence


async def test_one_frame_leaves_and_its_answer_is_kept(governed) -> None:
    context, helper, evidence = opened(governed)
    async with context as session:
        facts = await dcp.run(session)
        figures = session.device.figures

    assert DeviceIdentity(model="S7-300EC") in facts
    ((address, frame),) = helper.sent
    assert (address, frame[:4], len(frame)) == (STATION, b"\xfe\xfe\x05\0", 16)
    assert (figures.packets, figures.connections, figures.exchanges) == (1, 0, 1)
    (intent,) = evidence.intents
    (end,) = evidence.ends.values()
    assert intent["request"] == frame
    assert intent["target"].transport is Transport.LINK
    assert (end["outcome"], end["wire_out"]) == (Outcome.ANSWERED, 16)


@pytest.mark.parametrize("answer", [nothing, never])
async def test_silence_costs_one_frame_and_is_told(governed, answer: Answer) -> None:
    context, helper, evidence = opened(governed, answer)
    async with context as session:
        with pytest.raises(Silent):
            await session.exchange(
                dcp.encode_identify(xid=9), len, label="DCP Identify", deadline_s=0.05
            )
        packets = session.device.figures.packets

    assert (len(helper.sent), packets) == (1, 1)
    assert [end["outcome"] for end in evidence.ends.values()] == [Outcome.SILENT]


async def test_what_the_helper_refuses_is_withheld_and_costs_nothing(governed) -> None:
    context, helper, evidence = opened(governed, refuses="10.1.0.5 is no neighbour")
    async with context as session:
        with pytest.raises(Withheld, match="no neighbour"):
            await dcp.run(session)
        packets = session.device.figures.packets

    assert (helper.sent, packets) == ([], 0)
    assert [end["outcome"] for end in evidence.ends.values()] == [Outcome.WITHHELD]


async def test_without_a_helper_nothing_is_asked(governed) -> None:
    async with governed(PROBE, dcp.ETHERTYPE, address=STATION) as session:
        with pytest.raises(Withheld, match="CAP_NET_RAW"):
            await dcp.run(session)


async def test_what_the_guard_refuses_never_comes_to_the_helper(governed) -> None:
    context, helper, evidence = opened(governed)
    setting = bytes.fromhex("fefd0400 00000001 0000 0008 02020004 00016161")
    async with context as session:
        with pytest.raises(GuardRefused, match="Set"):
            await session.exchange(setting, len, label="x")

    assert (helper.sent, evidence.intents) == ([], [])


async def test_a_second_frame_is_a_bug(governed) -> None:
    context, helper, _ = opened(governed)
    async with context as session:
        await dcp.run(session)
        with pytest.raises(ToolBug, match="one frame"):
            await dcp.run(session)

    assert len(helper.sent) == 1


async def test_a_plan_without_packets_sends_none(governed) -> None:
    context, helper, _ = opened(governed, budget=0)
    async with context as session:
        with pytest.raises(BudgetSpent):
            await dcp.run(session)

    assert helper.sent == []


async def test_a_window_that_ends_while_it_waits_for_its_turn_keeps_it_back(governed) -> None:
    closed = False
    governor = Governor(
        real_clock(),
        lambda zone, now: Permission(allowed=not closed, until=None, reason="it has ended"),
        lambda zone, address: True,
    )
    reserve = governor.reserve

    async def slowly(*given: object, **more: object) -> object:
        nonlocal closed
        turn = await reserve(*given, **more)
        closed = True
        return turn

    governor.reserve = slowly
    context, helper, _ = opened(governed, governor=governor)
    async with context as session:
        with pytest.raises(OutsideWindow):
            await dcp.run(session)
        packets = session.device.figures.packets

    assert (helper.sent, packets) == ([], 0)


async def test_a_stop_ends_the_wait(governed) -> None:
    context, helper, _ = opened(governed, never)
    async with context as session:
        asking = asyncio.ensure_future(dcp.run(session))
        while not helper.sent:
            await asyncio.sleep(0)
        session.governor.halt("stop", rule="halt")
        with pytest.raises(Halted):
            await asking

    assert len(helper.sent) == 1


async def test_an_answer_from_another_station_is_not_believed(governed) -> None:
    async def other(frame: bytes) -> bytes:
        return (await tells(frame)).replace(bytes([10, 1, 0, 5]), bytes([10, 1, 0, 6]))

    context, _, _ = opened(governed, other)
    async with context as session:
        with pytest.raises(BadReply, match=r"10\.1\.0\.6"):
            await dcp.run(session)


# --- the plan -----------------------------------------------------------------------------------

SITE = """
site: Test
zones:
  - id: z
    networks: [10.1.0.0/29]
    sl_t: 1
    assets:
      - {name: A, address: 10.1.0.5, consent: [CONSENT]}
      - {name: B, address: 10.1.0.6}
"""


def written(tmp_path: Path, consent: str) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("CONSENT", consent))
    return path


def modbus() -> Probe:
    return Probe(
        name="modbus", protocol="modbus", transport=Transport.TCP, ports=(502,),
        tier=Tier.IDENTIFY, run=dcp.run, questions=(),
    )  # fmt: skip


def test_no_site_file_of_today_plans_a_frame(tmp_path: Path) -> None:
    planned = build(site.load(written(tmp_path, "cleartext")), (PROBE, modbus()))

    asked = {q.service for device in planned.devices for q in device.questions}
    assert asked == {"modbus"}
    with pytest.raises(SiteErrors, match="'layer2' is not known here"):
        site.load(written(tmp_path, "layer2"))


def test_with_consent_one_frame_is_planned_after_everything_over_ip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LAYER_2", "cleartext")  # what the site file knows to consent to

    planned = build(site.load(written(tmp_path, "cleartext")), (PROBE, modbus()))

    assert cost(PROBE) == (1, 1)
    services = {d.name: [q.service for q in d.questions] for d in planned.devices if d.name}
    assert services == {"A": ["modbus", "dcp"], "B": ["modbus"]}


def test_flows_and_services_are_over_ip(tmp_path: Path) -> None:
    path = written(tmp_path, "cleartext")
    path.write_text(
        path.read_text() + "services: [{id: db, kind: database, address: 10.9.0.1, "
        "transport: link, port: 5432}]\n"
    )

    with pytest.raises(SiteErrors, match="'link' is not known here"):
        site.load(path)


def test_a_canary_is_never_a_second_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LAYER_2", "cleartext")
    planned = build(site.load(written(tmp_path, "cleartext")), (PROBE, modbus()))
    (device,) = [one for one in planned.devices if one.name == "A"]
    visit = _Visit(device, None)  # type: ignore[arg-type]  # no word is said to the governor

    for question in reversed(device.questions):
        visit.note(
            Observation(
                id="o1", zone="z", address=STATION, port=question.target.port,
                transport=question.target.transport, protocol=question.service,
                probe=question.probe.name, tier=Tier.IDENTIFY, outcome=Outcome.ANSWERED,
                reason="", started_at=NOON, finished_at=NOON, facts=(), exchanges=(),
            )
        )  # fmt: skip
        first = visit.first_answered
        assert (first is None) == (question.service == "dcp")

    assert visit.first_answered is not None
    assert visit.first_answered.service == "modbus"
