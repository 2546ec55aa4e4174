"""The BACnet emulator answers as recorded devices do, and shows in the ledger what was written."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from lab.frames import classify_datagram
from tests.lab.conftest import address

pytestmark = pytest.mark.lab

PORT = 47808
"""With the offset of the tests it would leave the range, so it stays."""
SERVICE: dict[str, Any] = {
    "protocol": "bacnet", "instance": 29, "vendor_id": 42, "vendor_name": "Lithonia Lighting, Inc.",
    "model": "SYSC MLX", "firmware": "2.62", "application": "16-Dec-2004", "name": "112E1",
}  # fmt: skip


def bvlc(function: int, body: str) -> bytes:
    data = bytes.fromhex(body)
    return bytes([0x81, function]) + (4 + len(data)).to_bytes(2, "big") + data


def confirmed(service: int, body: str, *, invoke: int = 0x11) -> bytes:
    return bvlc(0x0A, f"0104 0005 {invoke:02x} {service:02x} {body}")


async def ask(request: bytes, device: int = 1) -> bytes | None:
    def client() -> bytes | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.connect((address(device), PORT))
            sock.send(request)
            try:
                return sock.recv(4096)
            except TimeoutError:
                return None

    return await asyncio.to_thread(client)


async def test_single_reads_are_answered_as_the_recorded_device_does(begin, captures: Path) -> None:
    await begin({"services": [SERVICE]})
    capture = json.loads((captures / "bacnet__lithonia_sysc_mlx.json").read_text())
    compared = 0
    for exchange in capture["exchanges"]:
        request, reply = (bytes.fromhex(exchange[f"{e}_hex"]) for e in ("request", "response"))
        if request[-2:-1] != b"\x19" or request[-1] not in (12, 44, 70, 75, 77, 120, 121, 112, 116):
            continue
        # the recorded one stands behind a router; the rest of both frames is the same
        direct = bvlc(0x0A, "0104" + request[11:].hex())
        told = await ask(direct)
        assert told is not None
        assert told[6:] == reply[10:], exchange["label"]
        compared += 1
    assert compared == 9


@pytest.mark.parametrize(
    ("request_", "function", "reply"),
    [
        (confirmed(15, "0c00800001 1955 3e 4442280000 3f"), "WriteProperty", "20110f"),
        (confirmed(17, "0905 1901"), "DeviceCommunicationControl", "601109"),
        (confirmed(20, "0901"), "ReinitializeDevice", "601109"),
        (bvlc(0x01, "0a4d0101bac0ffffffff"), "Write-BDT", None),
        (bvlc(0x05, "003c"), "Register-Foreign-Device", None),
        (bvlc(0x0B, "0120 ffff00ff 1008"), "broadcast", None),
    ],
)
async def test_a_write_is_carried_out_or_refused_and_always_counted(
    begin, request_: bytes, function: str, reply: str | None
) -> None:
    running = await begin({"services": [SERVICE]})

    told = await ask(request_)

    assert sum(running.ledgers["D1"].writes.values()) == 1
    assert classify_datagram("bacnet", request_).function == function
    if reply is not None:
        assert told is not None
        assert told[6:].hex() == reply


async def test_reads_are_no_writes(begin) -> None:
    running = await begin({"services": [{**SERVICE, "broadcast_table": ["10.1.2.3:47808"]}]})

    assert await ask(confirmed(12, "0c 023fffff 194b"))
    assert await ask(confirmed(14, "0c 0200001d 1e 0979 1f"))
    assert await ask(b"\x81\x02\x00\x04") == bvlc(0x03, "0a010203 bac0 ffffffff")
    ledger = running.ledgers["D1"]
    assert not ledger.writes
    assert not ledger.malformed
    assert not ledger.foreign


async def test_a_device_behind_a_router_answers_with_its_network_and_station(begin) -> None:
    behind = {**SERVICE, "network": 3, "station": 29}
    await begin({"services": [{**SERVICE, "instance": 7, "name": "R", "behind": [behind]}]})

    told = await ask(bvlc(0x0A, "0124 0003 01 1d ff 0005110c 0c 0200001d 1979"))
    nowhere = await ask(bvlc(0x0A, "0124 0004 01 1d ff 0005110c 0c 0200001d 1979"))

    assert told is not None
    assert told[4:13].hex() == "01080003011d30110c"
    assert nowhere is None


async def test_two_devices_stand_on_one_port(begin) -> None:
    other = {**SERVICE, "instance": 30, "name": "112E2", "multiple": False}
    await begin({"services": [SERVICE]}, {"services": [other]})

    both = [await ask(confirmed(12, "0c 023fffff 194b"), device) for device in (1, 2)]
    refused = await ask(confirmed(14, "0c 0200001e 1e 0979 1f"), 2)

    assert [told[-5:-1].hex() if told else None for told in both] == ["0200001d", "0200001e"]
    assert refused is not None
    assert refused[6:8].hex() == "6011"


def test_what_is_no_bacnet_is_told_apart() -> None:
    assert classify_datagram("bacnet", b"GET / HTTP/1.1\r\n\r\n").kind == "foreign"
    assert classify_datagram("bacnet", b"\x81\x0a\x00\x20\x01\x04").kind == "malformed"
    assert classify_datagram("bacnet", bvlc(0x0A, "0104")).kind == "malformed"
    assert classify_datagram("bacnet", bvlc(0x0A, "0180 06 00")).write
