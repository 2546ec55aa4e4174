"""The HART-IP emulator gives a recorded gateway's bytes, and its ledger shows what was written."""

from __future__ import annotations

import asyncio
import json
import socket
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import pytest

from lab.frames import Stream
from tests.lab.conftest import OFFSET, address

pytestmark = pytest.mark.lab

PORT = 5094
GATEWAY: dict[str, Any] = {
    "protocol": "hartip", "manufacturer": 0x26, "expanded_type": 0x264E, "device_id": "0000d2",
    "device_revision": 4, "software_revision": 1, "profile": 132, "long_tag": "wihartgw",
}  # fmt: skip


def message(number: int, body: bytes = b"") -> bytes:
    return bytes([1, 0, number, 0, 0, 7]) + (8 + len(body)).to_bytes(2, "big") + body


def command(number: int, data: bytes = b"") -> bytes:
    frame = bytes.fromhex("82264e0000d2") + bytes([number, len(data)]) + data
    return message(3, frame + bytes([reduce(xor, frame)]))


OPEN = message(0, bytes.fromhex("0100007530"))
CLOSE = message(1)


async def over_tcp(dial, *requests: bytes) -> list[bytes]:
    def client() -> list[bytes]:
        replies = []
        with dial(1, PORT) as sock:
            for request in requests:
                sock.sendall(request)
                reply = b""
                while len(reply) < 8 or len(reply) < int.from_bytes(reply[6:8], "big"):
                    reply += sock.recv(4096)
                replies.append(reply)
        return replies

    return await asyncio.to_thread(client)


async def test_the_recorded_gateway_answers_with_its_recorded_bytes(
    begin, dial, captures: Path
) -> None:
    await begin({"services": [{**GATEWAY, "hardware_revision": 1}]})
    path = captures / "hart-ip__hart-ip_wirelesshart_gateway_wihartgw.json"
    exchanges = json.loads(path.read_text())["exchanges"]
    known = {bytes.fromhex(e["request_hex"]): bytes.fromhex(e["response_hex"]) for e in exchanges}
    asked = [r for r in known if r[2] != 3 or r[14 if r[8] & 0x80 else 10] in (0, 20, 48)]

    replies = await over_tcp(dial, *asked)

    assert len(asked) == 6
    assert replies == [known[request] for request in asked]


async def test_a_device_behind_is_told_by_its_index(begin, dial) -> None:
    one = {
        "card": 1, "channel": 2, "manufacturer": 0x11, "expanded_type": 0x11CB,
        "device_id": "010203", "long_tag": "TT-1",
    }  # fmt: skip
    await begin({"services": [{**GATEWAY, "behind": [one]}]})

    _, size, found, none, _ = await over_tcp(
        dial, OPEN, command(74), command(84, b"\x00\x01"), command(84, b"\x00\x02"), CLOSE
    )

    assert size[16:-1] == bytes([0, 0xD0, 1, 8, 1, 0, 2, 2, 1, 3])
    assert found[18:34].hex() == "000101020011" + "11cb" + "010203" + "07" + b"TT-1".hex()
    assert none[16] == 2


@pytest.mark.parametrize("number", [6, 22, 42, 71])
async def test_a_write_is_refused_and_counted(begin, dial, number: int) -> None:
    running = await begin({"services": [GATEWAY]})

    _, told, _ = await over_tcp(dial, OPEN, command(number), CLOSE)

    assert told[16] == 7
    assert running.ledgers["D1"].writes == {f"hartip command {number}": 1}


async def test_a_session_too_many_is_refused_and_one_left_open_is_counted(begin, dial) -> None:
    running = await begin({"services": [{**GATEWAY, "sessions": 1}]})

    def two() -> int:
        with dial(1, PORT) as one, dial(1, PORT) as other:
            one.sendall(OPEN)
            one.recv(64)
            other.sendall(OPEN)
            return other.recv(64)[3]

    status = await asyncio.to_thread(two)
    for _ in range(100):
        if running.ledgers["D1"].leaked_sessions:
            break
        await asyncio.sleep(0.02)

    assert status == 15
    assert running.ledgers["D1"].leaked_sessions == 1


async def test_datagrams_are_answered_within_a_session_only(begin) -> None:
    await begin({"services": [GATEWAY]})

    def client() -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.connect((address(1), PORT + OFFSET))
            replies = []
            for request in (command(20), OPEN, command(20), CLOSE):
                sock.send(request)
                try:
                    replies.append(sock.recv(4096))
                except TimeoutError:
                    replies.append(b"")
            return replies

    nothing, opened, tag, closed = await asyncio.to_thread(client)

    assert nothing == b""
    assert (opened[3], closed[2]) == (0, 1)
    assert tag[18:26] == b"wihartgw"


def test_what_is_no_hart_is_told_apart() -> None:
    for data, kind in (
        (b"GET / HTTP/1.1\r\n\r\n", "foreign"),
        (message(0)[:6] + b"\x00\x02", "malformed"),
        (command(20)[:-1] + b"\x00", "malformed"),
    ):
        (seen,) = Stream("hartip").feed(data)
        assert seen.kind == kind
