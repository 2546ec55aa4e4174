"""The KNX emulator gives recorded devices' bytes, and its ledger shows who takes a channel."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lab.frames import classify_datagram
from tests.lab.conftest import OFFSET, address

pytestmark = pytest.mark.lab

ENDPOINT = "0801000000000000"
ROUTER: dict[str, Any] = {
    "protocol": "knx", "name": "KNX IP-Router", "individual_address": "4.0.0",
    "serial": "00a615000037", "mac": "00:22:d1:04:00:37", "multicast": "224.0.23.12",
    "families": {
        "core": 2, "device_management": 2, "tunnelling": 2, "routing": 2, "security": 1,
    },
    "secured": {"device_management": 1, "tunnelling": 1, "routing": 1},
    "descriptor": 0x091A, "channels": 1,
}  # fmt: skip


def knx(service: int, body: str) -> bytes:
    data = bytes.fromhex(body)
    return b"\x06\x10" + service.to_bytes(2, "big") + (6 + len(data)).to_bytes(2, "big") + data


async def ask(*requests: bytes) -> list[bytes]:
    def client() -> list[bytes]:
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(1)
            sock.connect((address(1), 3671 + OFFSET))
            for request in requests:
                sock.send(request)
                try:
                    found.append(sock.recv(4096))
                except TimeoutError:
                    found.append(b"")
        return found

    return await asyncio.to_thread(client)


def blocks(body: bytes) -> list[bytes]:
    found = []
    while body:
        found.append(body[: body[0]])
        body = body[body[0] :]
    return found


async def test_the_recorded_router_is_described_in_its_recorded_bytes(
    begin, captures: Path
) -> None:
    running = await begin({"services": [ROUTER]})
    path = captures / "knxnet-ip__jung-ipr-300-sreg-ip-secure-enabled.json"
    exchange = json.loads(path.read_text())["exchanges"][0]
    recorded = {one[1]: one for one in blocks(bytes.fromhex(exchange["response_hex"])[14:])}

    found, described = await ask(knx(0x020B, ENDPOINT), knx(0x0203, ENDPOINT))

    told = {one[1]: one for one in blocks(found[14:])}
    assert told[8][:4] + told[8][6:] == recorded[8][:4] + recorded[8][6:]  # but for the APDU
    for kind in (1, 2, 6):
        assert told[kind] == recorded[kind]
    assert blocks(described[6:]) == [recorded[1], recorded[2]]
    assert not running.ledgers["D1"].writes


async def test_a_channel_is_given_once_and_counted(begin) -> None:
    running = await begin({"services": [ROUTER]})
    connect = knx(0x0205, ENDPOINT + ENDPOINT + "04040200")

    first, second = await ask(connect, connect)

    assert (first[7], second[7]) == (0x00, 0x24)
    assert running.ledgers["D1"].writes == {"knx connect": 2}


async def test_a_write_to_the_bus_is_counted(begin) -> None:
    running = await begin({"services": [ROUTER]})

    await ask(knx(0x0530, "2900bcd0110108010100 81".replace(" ", "")), b"\x06\x10\x02\x03\x00\x09x")

    ledger = running.ledgers["D1"]
    assert ledger.writes == {"knx routing": 1}
    assert sum(ledger.malformed.values()) == 1


async def test_a_device_of_core_version_1_does_not_know_the_extended_search(begin) -> None:
    await begin({"services": [{**ROUTER, "families": {"core": 1}, "secured": {}}]})

    described, nothing = await ask(knx(0x0203, ENDPOINT), knx(0x020B, ENDPOINT))

    assert described
    assert not nothing


def test_what_is_no_knx_is_told_apart() -> None:
    assert classify_datagram("knx", b"GET / HTTP/1.1\r\n\r\n").kind == "foreign"
