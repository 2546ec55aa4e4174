"""
Crimson 3: what a panel tells of its maker and model, and what is no answer of one.

The recording of a G303 (4SICS) is not among those at hand; answers are built as it is described:
length of what follows, the register again, code 0300, the text with its zero. The values are those
of a G306a in automayt/ICS-pcap, Red Lion (Crimson v3), notes.txt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import crimson
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

PUBLISHED = "values of a G306a as published (ICS-pcap notes), no recording"

ACCESS = ServiceAccess(protocol="crimson", answers_without_login=True, encrypted=False)
MANUFACTURER, MODEL = bytes.fromhex("0004012b1b00"), bytes.fromhex("0004012a1a00")


def told(register: bytes, text: bytes, code: bytes = b"\x03\x00") -> bytes:
    return (5 + len(text)).to_bytes(2, "big") + register + code + text + b"\0"


def panel(
    maker: bytes = b"Red Lion Controls", model: bytes = b"G306a"
) -> Callable[[bytes | None], bytes]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return told(request[2:4], maker if request == MANUFACTURER else model)

    return answer


async def test_two_requests_on_one_connection_tell_maker_and_model(replay) -> None:
    session = replay(crimson.PROBE, panel())

    found = await crimson.run(session)

    assert session.sent == [MANUFACTURER, MODEL]
    assert session.connections == 1
    assert found == (ACCESS, DeviceIdentity(vendor="Red Lion Controls", model="G306a"))


async def test_an_empty_text_is_not_learned(replay) -> None:
    assert await crimson.run(replay(crimson.PROBE, panel(model=b""))) == (
        ACCESS,
        DeviceIdentity(vendor="Red Lion Controls"),
    )
    assert await crimson.run(replay(crimson.PROBE, panel(b"", b""))) == (ACCESS,)
    assert await crimson.run(replay(crimson.PROBE, panel(b"\x01\x02", b"\xff" * 20))) == (ACCESS,)


async def test_of_a_text_only_what_can_be_printed_is_told(replay) -> None:
    _, said = await crimson.run(replay(crimson.PROBE, panel(model=b"G306a\x1b[2J")))

    assert said.model == "G306a[2J"


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request,  # an echo
        lambda request: b"\x00\x0a" + request[2:] + b"G306a\0",  # an echo that adds something
        lambda request: told(b"\x01\x2c", b"text"),  # of another register
        lambda request: b"\xff\xff" + request[2:],
        lambda request: b"\x00\x02" + request[2:],
        lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda request: bytes.fromhex("0300001611d00005001000c0010ac1020100c2020200"),
    ],
)
async def test_what_is_no_answer_identifies_nobody(replay, answer) -> None:
    with pytest.raises(BadReply):
        await crimson.run(replay(crimson.PROBE, answer))


async def test_the_answer_to_the_first_question_does_not_answer_the_second(replay) -> None:
    with pytest.raises(BadReply):
        await crimson.run(
            replay(crimson.PROBE, lambda request: told(b"\x01\x2b", b"Red Lion Controls"))
        )


async def test_an_answer_that_is_cut_off_is_waited_for(replay) -> None:
    for size in (1, 3, 5, 20):
        with pytest.raises(Silent):
            await crimson.run(
                replay(crimson.PROBE, lambda request, size=size: panel()(request)[:size])
            )


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
@pytest.mark.parametrize("question", [MANUFACTURER, MODEL])
async def test_trouble_ends_the_conversation(
    replay, question: bytes, trouble: type[Exception]
) -> None:
    def answer(request: bytes | None) -> bytes:
        if request == question:
            raise trouble("made up")
        return panel()(request)

    session = replay(crimson.PROBE, answer)

    with pytest.raises(trouble):
        await crimson.run(session)
    assert session.sent[-1] == question


@given(st.binary(max_size=100))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    good = told(b"\x01\x2a", value)
    for candidate in (value, good, good[:6] + value):
        for decode in (
            crimson.reply_length(crimson.MODEL),
            lambda data: crimson.decode_text(data, crimson.MODEL),
        ):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, str):
                assert found.isprintable()
                assert len(found) <= crimson.MAX_TEXT


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for question in crimson.PROBE.questions:
        assert open_guard("crimson").judge(question.sample, crimson.PROBE.tier) is None


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed) -> None:
    ended: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(panel()(await reader.readexactly(6)))
        ended.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, governed(crimson.PROBE, server.sockets[0].getsockname()[1]) as session:
        _, said = await crimson.run(session)
        await session.finish()

    assert said.model == "G306a"
    assert ended == [b""]
