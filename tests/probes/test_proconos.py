"""ProConOS: what runtimes tell of themselves, and what is no answer of one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import proconos
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ControllerState, DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from tests.probes import proconos_replies as replies

PUBLISHED = "published test vectors of real runtimes"

PLC = DeviceIdentity(device_class="plc", basis="table")


async def test_ten_bytes_tell_runtime_type_and_projects(replay) -> None:
    session = replay(proconos.PROBE, lambda request: replies.answer())

    found = await proconos.run(session)

    assert session.sent == [bytes.fromhex("cc01000b4002000047ee")]
    assert found == (
        ServiceAccess(
            protocol="proconos",
            answers_without_login=True,
            encrypted=False,
            version="ProConOS V3.0.1040 Oct 29 2002",
            details=(("boot project", "510-projec"), ("project source", "Exist")),
        ),
        DeviceIdentity(model="ADAM5510KW 1.24 Build 005"),
        ControllerState(project_name="510-projec"),
        PLC,
    )


async def test_a_recorded_controller_tells_its_firmware_in_the_place_of_its_type(replay) -> None:
    found = await proconos.run(replay(proconos.PROBE, lambda request: replies.RECORDED))

    assert found == (
        ServiceAccess(
            protocol="proconos",
            answers_without_login=True,
            encrypted=False,
            version="ProConOS V4.2.0214 Oct 28 2011",
            details=(("boot project", "QuickMix"), ("project source", "n/a")),
        ),
        DeviceIdentity(firmware="3.95A.6"),
        ControllerState(project_name="QuickMix"),
        PLC,
    )


async def test_names_that_are_empty_are_not_learned(replay) -> None:
    """As an exposed Bristol controller answers: automayt/ICS-pcap, PROCONOS/notes.txt."""
    answer = replies.answer(
        runtime=b"ProConOS V4.1.0267 Jul 31 2012", plc_type=b"Bristol: CWM V05:50:00 07/31",
        project=b"trode", boot=b"", source=b"",
    )  # fmt: skip

    access, said, state, _ = await proconos.run(replay(proconos.PROBE, lambda request: answer))

    assert access.details == ()
    assert said == DeviceIdentity(model="Bristol: CWM V05:50:00 07/31")
    assert state == ControllerState(project_name="trode")


async def test_a_runtime_that_tells_nothing_else_is_no_identity_but_a_class(replay) -> None:
    answer = replies.answer(plc_type=b"", project=b"", boot=b"", source=b"")

    found = await proconos.run(replay(proconos.PROBE, lambda request: answer))

    assert found[1:] == (PLC,)


async def test_an_answer_that_was_cut_off_counts_as_far_as_it_came(replay) -> None:
    for size, facts in ((44, 2), (70, 3), (80, 3), (89, 4)):
        answer = replies.answer()[:size]
        found = await proconos.run(replay(proconos.PROBE, lambda request, answer=answer: answer))
        assert len(found) == facts, size


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request,  # an echo
        lambda request: request * 20,
        lambda request: replies.answer(runtime=b"OtherOS V1"),
        lambda request: replies.answer(runtime=b""),
        lambda request: replies.answer()[:43],
        lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda request: b"\xcc" + bytes(200),
    ],
)
async def test_what_is_no_answer_identifies_nobody(replay, answer) -> None:
    with pytest.raises(BadReply):
        await proconos.run(replay(proconos.PROBE, answer))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await proconos.run(replay(proconos.PROBE, answer))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    good = replies.answer()
    for candidate in (value, b"\xcc" + value, good[:20] + value, good[:77] + value):
        for decode in (proconos.decode_info, proconos.reply_length):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, proconos.Loaded):
                assert found.runtime.isprintable()
                assert all(
                    name is None or len(name) <= proconos.LONGEST
                    for name in (found.project, found.boot_project, found.source)
                )
                assert proconos.facts(found)


def test_the_request_of_the_plan_passes_the_guard() -> None:
    (question,) = proconos.PROBE.questions
    assert open_guard("proconos").judge(question.sample, proconos.PROBE.tier) is None


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed) -> None:
    ended: list[bytes] = []

    async def controller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == proconos.REQUEST
        writer.write(replies.answer(behind=b"\x12\x34"))
        ended.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(controller, "127.0.0.1", 0)
    async with server, governed(proconos.PROBE, server.sockets[0].getsockname()[1]) as session:
        found = await proconos.run(session)
        await session.finish()

    assert found[1] == DeviceIdentity(model="ADAM5510KW 1.24 Build 005")
    assert ended == [b""]
