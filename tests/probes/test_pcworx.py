"""PC Worx: what a recorded controller tells, and what is no answer of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import pcworx
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from tests.probes import pcworx_replies as replies

PUBLISHED = "published test vectors of real controllers"

OPEN = bytes.fromhex("0101001a0000000078800003000c494245544830314e305f4d00")


async def test_a_recorded_controller_tells_type_order_number_and_firmware(replay) -> None:
    session = replay(pcworx.PROBE, replies.answer)

    access, said, known = await pcworx.run(session)

    assert session.sent == [
        OPEN,
        bytes.fromhex("01050016000100007880004c00000006000402950000"),
        bytes.fromhex("0106000e000200000000004c0400"),
    ]
    assert session.connections == 1
    assert access == ServiceAccess(
        protocol="pcworx",
        answers_without_login=True,
        encrypted=False,
        details=(("firmware built", "09/28/15 14:35:01"),),
    )
    assert said == DeviceIdentity(model="ILC 151 ETH", order_number="2700974", firmware="4.41")
    assert known == DeviceIdentity(vendor="Phoenix Contact", device_class="plc", basis="table")


async def test_names_as_other_controllers_are_known_to_tell_them(replay) -> None:
    """An ILC 330 ETH, from the sample output of nmap's pcworx-info."""
    told = replies.told(
        at30=b"ILC 330 ETH", at66=b"3.95T", at79=b"Mar  2 2012", at91=b"09:39:02", at152=b"2737193"
    )

    def answer(request: bytes | None) -> bytes:
        return told if request is not None and request[1] == 6 else replies.answer(request)

    access, said, _ = await pcworx.run(replay(pcworx.PROBE, answer))

    assert said == DeviceIdentity(model="ILC 330 ETH", order_number="2737193", firmware="3.95T")
    assert access.details == (("firmware built", "Mar  2 2012 09:39:02"),)


async def test_the_session_number_is_the_controller_s(replay) -> None:
    greeted = replies.GREETED[:16] + b"\x12\x34" + replies.GREETED[18:]

    def answer(request: bytes | None) -> bytes:
        return greeted if request == OPEN else replies.answer(request)

    session = replay(pcworx.PROBE, answer)
    await pcworx.run(session)

    assert [frame[10:12] for frame in session.sent[1:]] == [b"\x12\x34"] * 2


def at(service: int, reply: Callable[[bytes], bytes]) -> Callable[[bytes | None], bytes]:
    """The recorded controller, but for one of its answers."""

    def answer(request: bytes | None) -> bytes:
        good = replies.answer(request)
        return reply(good) if request is not None and request[1] == service else good

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request,  # an echo
        at(1, lambda good: b"\x81\x05" + good[2:]),
        at(1, lambda good: b"\x81\x01\x00\x0c" + good[4:12]),  # no session number
        at(5, lambda good: good[:4] + b"\x00\x07" + good[6:]),  # to another request
        at(6, lambda good: good[:4] + b"\x00\x01" + good[6:]),
        at(6, lambda good: replies.told(at30=b"")),
        at(6, lambda good: b"\x81\x06\x00\x14" + good[4:20]),
        at(6, lambda good: b"\x81\x06\xff\xff" + good[4:]),
        at(1, lambda good: b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        at(1, lambda good: b"\x81\x01\x00\x02" + good[4:]),
    ],
)
async def test_what_is_no_answer_identifies_nobody(replay, answer) -> None:
    with pytest.raises(BadReply):
        await pcworx.run(replay(pcworx.PROBE, answer))


async def test_an_answer_that_is_cut_off_is_waited_for(replay) -> None:
    for size in (1, 3, 19):
        with pytest.raises(Silent):
            await pcworx.run(replay(pcworx.PROBE, at(1, lambda good, size=size: good[:size])))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
@pytest.mark.parametrize("service", [1, 5, 6])
async def test_trouble_ends_the_conversation(
    replay, service: int, trouble: type[Exception]
) -> None:
    def fails(good: bytes) -> bytes:
        raise trouble("made up")

    session = replay(pcworx.PROBE, at(service, fails))

    with pytest.raises(trouble):
        await pcworx.run(session)
    assert session.sent[-1][1] == service


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    for candidate in (value, b"\x81\x06" + value, replies.TOLD[:30] + value):
        for decode in (
            pcworx.decode_session,
            pcworx.decode_info,
            pcworx.reply_length(6),
            lambda data: pcworx.decode_reply(data, 5, 1),
        ):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, pcworx.ControllerInfo):
                assert found.plc_type.isprintable()
                assert pcworx.facts(found)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for question in pcworx.PROBE.questions:
        assert open_guard("pcworx").judge(question.sample, pcworx.PROBE.tier) is None


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed) -> None:
    ended: list[bytes] = []

    async def controller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in (26, 22, 14):
            writer.write(replies.answer(await reader.readexactly(size)))
        ended.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(controller, "127.0.0.1", 0)
    async with server, governed(pcworx.PROBE, server.sockets[0].getsockname()[1]) as session:
        _, said, _ = await pcworx.run(session)
        await session.finish()

    assert said.model == "ILC 151 ETH"
    assert ended == [b""]
    assert session.device.figures.connections == 1
