"""The engine: order, resume, the stop rule, canaries, and what ends a scan."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import site
from scanner.engine import Engine
from scanner.errors import BadReply, Silent, StoreError
from scanner.facts import DeviceIdentity, Fact, ModbusAccess, S7Access
from scanner.governor import SILENT_PORTS, Clock, Governor
from scanner.guards import specs
from scanner.model import Observation, Outcome, Tier, Transport
from scanner.plan import build
from scanner.session import Grant
from scanner.spec import DefaultCredential, Probe, Question, Secret
from scanner.windows import Permission

SITE = """
site: Test
zones:
  - {id: z, networks: [127.30.7.0/30], sl_t: 1, tier: %s, profile: lab}
"""
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Journal:
    def __init__(self) -> None:
        self.started: list[str] = []
        self.kept: list[Observation] = []
        self.full = False

    async def intent(self, **row: object) -> str:
        return "x1"

    async def ended(self, exchange_id: str, **row: object) -> None:
        return None

    async def question_started(self, key: str, *, protocol: str, at: datetime) -> None:
        self.started.append(key)

    async def question_finished(self, observation: Observation) -> Observation:
        if self.full:
            raise StoreError("database or disk is full")
        observation = replace(observation, id=f"o{len(self.kept) + 1}")
        self.kept.append(observation)
        return observation

    def outcomes(self, address: str) -> list[tuple[str, str, str]]:
        return [(o.probe, o.tier, o.outcome) for o in self.kept if o.address == address]


class NoAttempts:
    async def begin(self, service: str, account: str) -> str | None:
        return "ledger"

    async def ended(self, *args: object, **row: object) -> None:
        return None

    async def not_made(self, service: str, account: str) -> None:
        return None


Run = Callable[[object], object]


def probe(name: str, run, **changes: object) -> Probe:
    given: dict[str, object] = {
        "name": name,
        "protocol": "modbus",
        "transport": Transport.TCP,
        "ports": (502,),
        "tier": Tier.IDENTIFY,
        "run": run,
        "questions": (Question(label="ask"),),
    }
    return Probe(**given | changes)


def answering(*facts: Fact):
    async def run(session) -> tuple[Fact, ...]:
        return facts

    return run


def failing(error: Exception):
    async def run(session) -> tuple[Fact, ...]:
        raise error

    return run


PLC = DeviceIdentity(vendor="Siemens", device_class="plc")


async def scan(
    tmp_path: Path,
    probes: tuple[Probe, ...],
    *,
    tier: str = "identify",
    journal: Journal | None = None,
    defaults: tuple[DefaultCredential, ...] = (),
    finished: tuple[str, ...] = (),
    earlier: tuple[Observation, ...] = (),
    governor: Governor | None = None,
) -> tuple[Journal, Engine, Governor]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % tier)
    journal = journal or Journal()
    governor = governor or Governor(
        Clock(monotonic=lambda: 0.0, wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )
    with ThreadPoolExecutor(1) as executor:
        engine = Engine(
            plan=build(site.load(path), probes, only=("127.30.7.1",)),
            governor=governor,
            journal=journal,
            lend=lambda device, question, known: Grant(
                known=known,
                default_credentials=defaults,
                attempts=NoAttempts(),
                fingerprint_key=bytes(32),
            ),
            executor=executor,
            finished=finished,
            earlier=earlier,
        )
        await engine.run()
    return journal, engine, governor


async def test_the_guards_are_loaded_before_a_device_waits_for_them(tmp_path: Path) -> None:
    loaded: list[int] = []

    async def run(session) -> tuple[Fact, ...]:
        loaded.append(specs.cache_info().currsize)
        return ()

    specs.cache_clear()
    await scan(tmp_path, (probe("modbus", run),))

    assert loaded == [1]


@pytest.mark.parametrize(("long_s", "grows"), [(0.0, True), (60.0, False)])
async def test_what_made_a_garbage_collection_long_is_not_gone_through_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_s: float, grows: bool
) -> None:
    monkeypatch.setattr("scanner.engine.LONG_PAUSE_S", long_s)
    frozen: list[int] = []
    kept: list[list[object]] = []

    async def run(session) -> tuple[Fact, ...]:
        frozen.append(gc.get_freeze_count())
        kept.extend([[each] for each in range(1000)])
        gc.collect()
        await asyncio.sleep(0)
        frozen.append(gc.get_freeze_count())
        return ()

    before = list(gc.callbacks)
    await scan(tmp_path, (probe("modbus", run),))

    assert (frozen[1] >= frozen[0] + 1000) is grows
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
    assert gc.callbacks == before


async def test_every_question_becomes_one_observation(tmp_path: Path) -> None:
    probes = (probe("modbus", answering(PLC)), probe("s7", answering(), for_controllers=True))

    journal, engine, _ = await scan(tmp_path, probes)

    assert journal.outcomes("127.30.7.1") == [
        ("modbus", "identify", "answered"),
        ("s7", "identify", "answered"),
    ]
    assert engine.progress.devices_done == 1
    assert engine.progress.found == {"z/127.30.7.1"}


async def test_a_broken_probe_costs_one_observation_and_tells_no_secret(tmp_path: Path) -> None:
    probes = (
        probe("modbus", failing(KeyError("password=hunter2"))),
        probe("s7", answering()),
    )

    journal, *_ = await scan(tmp_path, probes)

    assert [o.outcome for o in journal.kept] == [Outcome.BUG, Outcome.ANSWERED]
    assert "hunter2" not in journal.kept[0].reason


async def test_nonsense_from_a_device_is_garbled(tmp_path: Path) -> None:
    journal, *_ = await scan(tmp_path, (probe("modbus", failing(BadReply("short"))),))

    assert journal.kept[0].outcome is Outcome.GARBLED
    assert journal.kept[0].reason == "short"


async def test_finished_questions_are_not_asked_again(tmp_path: Path) -> None:
    key = "z|127.30.7.1|tcp|502|modbus|identify"

    journal, *_ = await scan(tmp_path, (probe("modbus", answering()),), finished=(key,))

    assert not journal.started
    assert not journal.kept


async def test_generic_questions_stop_once_a_controller_is_recognised(tmp_path: Path) -> None:
    probes = (probe("modbus", answering(PLC), for_controllers=True), probe("ssh", answering()))

    journal, *_ = await scan(tmp_path, probes)

    assert [o.outcome for o in journal.kept] == [Outcome.ANSWERED, Outcome.WITHHELD]
    assert "stop rule" in journal.kept[1].reason


async def test_the_stop_rule_also_holds_for_what_an_earlier_sitting_learned(
    tmp_path: Path,
) -> None:
    first, *_ = await scan(tmp_path, (probe("modbus", answering(PLC), for_controllers=True),))
    probes = (
        probe("modbus", answering(PLC), for_controllers=True),
        probe("ssh", answering()),
    )

    second, *_ = await scan(
        tmp_path,
        probes,
        finished=("z|127.30.7.1|tcp|502|modbus|identify",),
        earlier=tuple(first.kept),
    )

    assert [o.outcome for o in second.kept] == [Outcome.WITHHELD]


async def test_controllers_in_the_read_tier_are_asked_everything(tmp_path: Path) -> None:
    probes = (probe("modbus", answering(PLC), for_controllers=True), probe("ssh", answering()))

    journal, *_ = await scan(tmp_path, probes, tier="read")

    assert [o.outcome for o in journal.kept] == [Outcome.ANSWERED, Outcome.ANSWERED]


async def test_what_needs_an_answer_is_asked_only_after_one(tmp_path: Path) -> None:
    deep = probe("modbus", answering(), tier=Tier.READ, needs=frozenset({"answered"}))

    answered, *_ = await scan(tmp_path, (probe("modbus", answering()), deep), tier="read")
    silent, *_ = await scan(tmp_path, (probe("modbus", failing(BadReply("x"))), deep), tier="read")

    assert len(answered.kept) == 2
    assert len(silent.kept) == 1


@pytest.mark.parametrize("over", [Transport.TCP, Transport.UDP])
async def test_what_needs_an_answer_here_is_asked_over_the_transport_that_answered(
    tmp_path: Path, over: Transport
) -> None:
    here = frozenset({"answered_here"})
    probes = (
        probe("fins", answering(), transport=over, ports=(9600,)),
        *(
            probe("fins", answering(), transport=each, ports=(9600,), tier=Tier.READ, needs=here)
            for each in Transport
        ),
    )

    journal, *_ = await scan(tmp_path, probes, tier="read")

    assert [(o.tier, o.transport) for o in journal.kept] == [
        (Tier.IDENTIFY, over), (Tier.READ, over),
    ]  # fmt: skip


async def test_no_default_credential_no_question(tmp_path: Path) -> None:
    login = probe("ssh", answering(), tier=Tier.LOGIN, needs=frozenset({"default_credential"}))
    credential = DefaultCredential(
        id="a", vendor="v", product="p", protocol="ssh", user="u", secret=Secret("s")
    )

    without, *_ = await scan(tmp_path, (login,), tier="login")
    with_one, *_ = await scan(tmp_path, (login,), tier="login", defaults=(credential,))

    assert not without.started
    assert len(with_one.kept) == 1


async def test_a_sign_of_distress_asks_the_first_question_once_more(tmp_path: Path) -> None:
    asked: list[str] = []

    async def identify(session) -> tuple[Fact, ...]:
        asked.append(session.tier)
        return ()

    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "a slow reply"
        return ()

    journal, _, governor = await scan(
        tmp_path, (probe("modbus", identify), probe("s7", distressing))
    )

    assert len(asked) == 2
    assert len(journal.kept) == 2
    (canary,) = governor.devices()[0].health.canaries
    assert canary.healthy


async def test_a_failed_canary_leaves_the_device_alone(tmp_path: Path) -> None:
    calls: list[int] = []

    async def dies(session) -> tuple[Fact, ...]:
        calls.append(1)
        if len(calls) > 1:
            raise BadReply("dead")
        return ()

    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "a slow reply"
        return ()

    journal, *_ = await scan(
        tmp_path,
        (probe("modbus", dies), probe("s7", distressing), probe("ssh", answering())),
    )

    assert [o.outcome for o in journal.kept][-1] is Outcome.WITHHELD
    assert "left alone" in journal.kept[-1].reason


async def test_a_canary_slower_than_before_has_failed(tmp_path: Path) -> None:
    calls: list[int] = []

    async def slows(session) -> tuple[Fact, ...]:
        calls.append(1)
        if len(calls) > 1:
            session._governor._sign(session._device, "answered in 0.90 s after 0.01 s")
        return ()

    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "a slow reply"
        return ()

    journal, _, governor = await scan(
        tmp_path, (probe("modbus", slows), probe("s7", distressing), probe("ssh", answering()))
    )

    assert [o.outcome for o in journal.kept][-1] is Outcome.WITHHELD
    assert not governor.devices()[0].health.canaries[0].healthy


async def test_where_no_canary_can_be_asked_the_device_is_left_alone(tmp_path: Path) -> None:
    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "two silent ports"
        raise BadReply("nothing that counts as an answer")

    journal, _, governor = await scan(
        tmp_path, (probe("s7", distressing), probe("ssh", answering()))
    )

    assert [o.outcome for o in journal.kept] == [Outcome.GARBLED, Outcome.WITHHELD]
    assert "no question was answered" in journal.kept[-1].reason
    assert not governor.devices()[0].health.signs


async def test_when_its_canaries_are_used_up_the_device_is_left_alone(tmp_path: Path) -> None:
    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "two silent ports"
        return ()

    services = ("s7", "snmp", "http", "https", "ssh", "telnet")
    probes = (
        probe("modbus", answering()),
        *(probe(service, distressing) for service in services),
    )
    journal, _, governor = await scan(tmp_path, probes)

    health = governor.devices()[0].health
    assert all(canary.healthy for canary in health.canaries)
    assert len(health.canaries) == 1 + len(probes) // SILENT_PORTS
    assert "no canary is left" in (health.stopped or "")
    assert journal.kept[-1].outcome is Outcome.WITHHELD


async def test_the_canary_behind_a_gateway_asks_the_unit_that_answered(tmp_path: Path) -> None:
    asked: list[object] = []

    async def identify(session) -> tuple[Fact, ...]:
        asked.append(session.options.get("unit_ids"))
        return (ModbusAccess(unit_id=3),)

    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "two silent ports"
        return ()

    await scan(tmp_path, (probe("modbus", identify), probe("s7", distressing)))

    assert asked == [None, (3,)]


async def test_what_a_probe_needs_to_load_is_loaded_once_and_before_the_first_question(
    tmp_path: Path,
) -> None:
    happened: list[str] = []

    async def ask(session) -> tuple[Fact, ...]:
        happened.append("asked")
        return ()

    def load() -> None:
        happened.append("loaded")

    await scan(
        tmp_path, (probe("modbus", ask, prepare=load), probe("s7", answering(), prepare=load))
    )

    assert happened == ["loaded", "asked"]


async def test_a_question_gets_no_more_time_than_its_device_has_left(tmp_path: Path) -> None:
    now = [0.0]
    left: list[float] = []
    governor = Governor(
        Clock(monotonic=lambda: now[0], wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, at: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )

    async def slow(session) -> tuple[Fact, ...]:
        left.append(session._left())
        now[0] += 590.0
        return ()

    await scan(tmp_path, (probe("modbus", slow), probe("s7", slow)), governor=governor)

    assert left == [15.0, 10.0]


async def test_a_canary_that_breaks_our_decoder_costs_the_device_and_not_the_scan(
    tmp_path: Path,
) -> None:
    calls: list[int] = []

    async def breaks(session) -> tuple[Fact, ...]:
        calls.append(1)
        if len(calls) > 1:
            raise IndexError("beyond the reply")
        return ()

    async def distressing(session) -> tuple[Fact, ...]:
        session._device.health.needs_canary = "a slow reply"
        return ()

    journal, _, governor = await scan(
        tmp_path,
        (probe("modbus", breaks), probe("s7", distressing), probe("ssh", answering())),
    )

    assert [o.outcome for o in journal.kept][-1] is Outcome.WITHHELD
    (canary,) = governor.devices()[0].health.canaries
    assert not canary.healthy


async def test_a_device_that_keeps_us_busy_is_left_after_its_minutes(tmp_path: Path) -> None:
    now = [0.0]
    governor = Governor(
        Clock(monotonic=lambda: now[0], wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, at: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )

    async def drips(session) -> tuple[Fact, ...]:
        now[0] += 400.0
        return ()

    async def paced(session) -> tuple[Fact, ...]:
        session._device.waited_s += 400.0
        now[0] += 400.0
        return ()

    journal, *_ = await scan(
        tmp_path,
        (
            probe("modbus", drips),
            probe("s7", paced),
            probe("http", drips),
            probe("ssh", drips),
        ),
        governor=governor,
    )

    assert [o.outcome for o in journal.kept] == [Outcome.ANSWERED] * 3 + [Outcome.WITHHELD]
    assert "10 minutes" in journal.kept[-1].reason


async def test_no_more_devices_of_a_zone_are_under_way_than_its_cap_of_packets(
    tmp_path: Path,
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "site: Test\nzones:\n"
        "  - {id: z, networks: [127.30.7.0/26], sl_t: 1, profile: fragile}\n"
        "  - {id: y, networks: [127.30.8.0/26], sl_t: 1, profile: fragile}\n"
    )
    under_way: dict[str, int] = {"z": 0, "y": 0}
    most = dict(under_way)

    async def slow(session) -> tuple[Fact, ...]:
        zone = session.target.zone
        under_way[zone] += 1
        most[zone] = max(most[zone], under_way[zone])
        await asyncio.sleep(0.01)
        under_way[zone] -= 1
        return ()

    journal = Journal()
    governor = Governor(
        Clock(monotonic=lambda: 0.0, wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )
    with ThreadPoolExecutor(1) as executor:
        await Engine(
            plan=build(site.load(path), (probe("modbus", slow),)),
            governor=governor,
            journal=journal,
            lend=lambda *_: Grant(attempts=NoAttempts(), fingerprint_key=bytes(32)),
            executor=executor,
        ).run()

    assert most == {"z": 20, "y": 20}
    assert len(journal.kept) == 124


async def test_read_sessions_are_followed_by_a_canary(tmp_path: Path) -> None:
    deep = probe("modbus", answering(), tier=Tier.READ)

    _, _, governor = await scan(tmp_path, (probe("modbus", answering()), deep), tier="read")

    assert len(governor.devices()[0].health.canaries) == 1


async def test_a_device_that_is_done_gets_no_canary_in_a_later_sitting(tmp_path: Path) -> None:
    asked = []

    async def run(session) -> tuple[Fact, ...]:
        asked.append(session.target.address)
        return (PLC,)

    probes = (
        probe("modbus", run, for_controllers=True),
        probe("modbus", run, tier=Tier.READ, for_controllers=True),
    )
    journal, _, _ = await scan(tmp_path, probes, tier="read")
    before = len(asked)

    await scan(
        tmp_path,
        probes,
        tier="read",
        finished=tuple(journal.started),
        earlier=tuple(journal.kept),
    )

    assert before == 3  # two questions and the canary
    assert len(asked) == before


async def test_a_halt_leaves_unasked_questions_for_the_resume(tmp_path: Path) -> None:
    async def halts(session) -> tuple[Fact, ...]:
        session._governor.halt("Ctrl-C", rule="stop")
        return ()

    journal, _, governor = await scan(tmp_path, (probe("modbus", halts), probe("s7", answering())))

    assert governor.halted
    assert [o.probe for o in journal.kept] == ["modbus"]
    assert len(journal.started) == 1


async def test_a_closed_window_ends_its_zone(tmp_path: Path) -> None:
    governor = Governor(
        Clock(monotonic=lambda: 0.0, wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, now: Permission(allowed=False, until=None, reason="the window is closed"),
        lambda zone, address: True,
    )

    async def talks(session) -> tuple[Fact, ...]:
        await session.exchange(bytes.fromhex("0001 0000 0005 01 2b0e0100"), len, label="x")
        return ()

    journal, engine, _ = await scan(
        tmp_path, (probe("modbus", talks), probe("s7", talks)), governor=governor
    )

    assert engine.closed_zones == {"z": "the window is closed"}
    assert not journal.kept


async def test_a_store_that_cannot_write_ends_the_scan(tmp_path: Path) -> None:
    journal = Journal()
    journal.full = True

    with pytest.raises(StoreError):
        await scan(tmp_path, (probe("modbus", answering()),), journal=journal)


@pytest.mark.parametrize(
    ("outcome", "asked"),
    [
        (Outcome.SILENT, True),
        (Outcome.REFUSED, True),
        (Outcome.ANSWERED, False),
        (Outcome.INTERRUPTED, False),
        (Outcome.WITHHELD, False),
    ],
)
async def test_a_question_cut_off_over_udp_is_not_repeated_over_tcp(
    tmp_path: Path, outcome: Outcome, asked: bool
) -> None:
    datagram = probe("enip", answering(), transport=Transport.UDP, ports=(44818,))
    stream = probe("enip", answering(), ports=(44818,), needs=frozenset({"udp_silent"}))
    key = "z|127.30.7.1|udp|44818|enip|identify"
    earlier = Observation(
        id="o1",
        zone="z",
        address="127.30.7.1",
        port=44818,
        transport=Transport.UDP,
        protocol="enip",
        probe="enip",
        tier=Tier.IDENTIFY,
        outcome=outcome,
        reason="",
        started_at=NOW,
        finished_at=NOW,
        facts=(),
        exchanges=(),
    )

    journal, *_ = await scan(tmp_path, (datagram, stream), finished=(key,), earlier=(earlier,))

    assert bool(journal.started) is asked


async def test_a_question_that_follows_another_is_asked_only_where_that_was_answered(
    tmp_path: Path,
) -> None:
    later = probe("umas", answering(), follows="modbus", ports=(502,))

    answered, *_ = await scan(tmp_path, (probe("modbus", answering(PLC)), later))
    silent, *_ = await scan(tmp_path, (probe("modbus", failing(Silent("no answer"))), later))

    assert [o.probe for o in answered.kept] == ["modbus", "umas"]
    assert [o.probe for o in silent.kept] == ["modbus"]


async def test_a_question_gives_way_to_the_service_that_was_answered_on_its_port(
    tmp_path: Path,
) -> None:
    later = probe("mms", answering(), unless="s7", ports=(102,))

    answered, *_ = await scan(tmp_path, (probe("s7", answering(PLC), ports=(102,)), later))
    silent, *_ = await scan(
        tmp_path, (probe("s7", failing(Silent("no answer")), ports=(102,)), later)
    )

    assert [o.probe for o in answered.kept] == ["s7"]
    assert [o.probe for o in silent.kept] == ["s7", "mms"]


@pytest.mark.parametrize(("said", "asked"), [(S7Access(), True), (S7Access(tsap=0x302), False)])
async def test_a_refusal_in_words_that_tells_nothing_does_not_take_the_port(
    tmp_path: Path, said: Fact, asked: bool
) -> None:
    """An IED refuses an S7 seat in the words of ISO on TCP, which S7 reports as an answer."""
    first = probe("s7", answering(said), ports=(102,))

    journal, *_ = await scan(
        tmp_path, (first, probe("mms", answering(), unless="s7", ports=(102,)))
    )

    assert [o.probe for o in journal.kept] == (["s7", "mms"] if asked else ["s7"])


@pytest.mark.parametrize(
    ("vendor", "basis", "outcome"),
    [
        ("Siemens AG", "protocol", Outcome.WITHHELD),
        ("Siemens AG", "text", Outcome.ANSWERED),
        ("OMRON", "protocol", Outcome.ANSWERED),
        (None, "protocol", Outcome.ANSWERED),
    ],
)
async def test_what_only_one_vendor_speaks_is_not_asked_of_another(
    tmp_path: Path, vendor: str | None, basis: str, outcome: Outcome
) -> None:
    identity = DeviceIdentity(vendor=vendor, basis=basis)
    native = probe("modbus", answering(identity), for_controllers=True)
    fins = probe("fins", answering(), for_controllers=True, spoken_by="omron")

    journal, *_ = await scan(tmp_path, (native, fins))

    assert [o.outcome for o in journal.kept] == [Outcome.ANSWERED, outcome]
