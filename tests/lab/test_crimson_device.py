"""The lab's Red Lion panel: its answers, and what it does with other registers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from lab.devices.crimson_device import answer
from lab.frames import Stream

MANUFACTURER, MODEL = bytes.fromhex("0004012b1b00"), bytes.fromhex("0004012a1a00")
PANEL = {"manufacturer": "Red Lion Controls", "model": "G306a"}


def test_its_answers_have_the_recorded_form() -> None:
    assert answer(PANEL, MANUFACTURER) == b"\x00\x16\x01\x2b\x03\x00Red Lion Controls\0"
    assert answer(PANEL, MODEL) == b"\x00\x0a\x01\x2a\x03\x00G306a\0"
    assert answer(PANEL, bytes.fromhex("0004012c1c00")) is None


def test_requests_are_classified() -> None:
    seen = Stream("crimson").feed(MANUFACTURER + MODEL + bytes.fromhex("0004012c1c00"))

    assert [(each.function, each.write) for each in seen] == [
        ("register 012b", False), ("register 012a", False), ("register 012c", True),
    ]  # fmt: skip
    assert Stream("crimson").feed(MODEL[:4] + b"\x1b\x00")[0].write
    assert Stream("crimson").feed(b"SSH-2.0-x\r\n")[0].kind == "foreign"
    assert Stream("crimson").feed(b"\x00\x00\x01\x2b")[0].kind == "malformed"


async def test_another_register_is_counted_as_a_write(
    begin, dial: Callable[[int, int], socket.socket]
) -> None:
    plant = await begin({"services": [{"protocol": "crimson", **PANEL}]})

    def client(request: bytes) -> bytes:
        with dial(1, 789) as sock:
            sock.sendall(request)
            return sock.recv(4096)

    assert await asyncio.to_thread(client, MODEL) == b"\x00\x0a\x01\x2a\x03\x00G306a\0"
    assert await asyncio.to_thread(client, bytes.fromhex("0004012c1c00")) == b""
    assert plant.ledgers["D1"].writes == {"crimson register 012c": 1}
