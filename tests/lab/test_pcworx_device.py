"""The lab's PC Worx controller: answers as recorded, and what it does with other requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from lab.devices.pcworx_device import Conversation
from lab.frames import Stream
from tests.probes import pcworx_replies as recorded

OPEN = bytes.fromhex("0101001a0000000078800003000c494245544830314e305f4d00")
ASK = bytes.fromhex("01050016000100007880004c00000006000402950000")
FETCH = bytes.fromhex("0106000e000200000000004c0400")
ILC = {
    "plc_type": "ILC 151 ETH", "version": "4.41", "built_date": "09/28/15",
    "built_time": "14:35:01", "order_number": "2700974",
}  # fmt: skip


def test_its_answers_are_the_recorded_ones() -> None:
    conversation = Conversation(ILC, 0x4C)

    assert conversation.answer(OPEN) == recorded.GREETED
    assert conversation.answer(ASK) == recorded.ASKED
    told = conversation.answer(FETCH)
    assert told is not None
    assert len(told) == len(recorded.TOLD)
    for start, end in ((0, 79), (79, 100), (152, 160)):  # what lies between is not understood
        assert told[start:end] == recorded.TOLD[start:end]


def test_what_is_asked_out_of_turn_or_in_another_session_ends_it() -> None:
    assert Conversation(ILC, 0x4C).answer(ASK) is None
    conversation = Conversation(ILC, 0x4C)
    conversation.answer(OPEN)
    assert conversation.answer(FETCH) is None
    assert conversation.answer(ASK[:10] + b"\0\x4d" + ASK[12:]) is None


def test_requests_are_classified() -> None:
    other = ASK[:18] + b"\x02\xb0" + ASK[20:]

    seen = Stream("pcworx").feed(OPEN + ASK + FETCH + other + b"\x01\x02\0\x0c" + bytes(8))

    assert [(each.function, each.write) for each in seen] == [
        ("open", False), ("question 0295", False), ("fetch", False), ("question 02b0", True),
        ("service 0x02", True),
    ]  # fmt: skip
    assert Stream("pcworx").feed(b"GET / HTTP/1.1")[0].kind == "foreign"
    assert Stream("pcworx").feed(b"\x01\x06\0\0")[0].kind == "malformed"


async def test_another_question_is_counted_as_a_write(
    begin, dial: Callable[[int, int], socket.socket]
) -> None:
    plant = await begin({"services": [{"protocol": "pcworx", **ILC}]})

    def client() -> bytes:
        with dial(1, 1962) as sock:
            sock.sendall(OPEN)
            assert sock.recv(4096) == recorded.GREETED
            sock.sendall(ASK[:18] + b"\x02\xb0" + ASK[20:])
            return sock.recv(4096)

    assert await asyncio.to_thread(client) == b""
    assert plant.ledgers["D1"].writes == {"pcworx question 02b0": 1}
