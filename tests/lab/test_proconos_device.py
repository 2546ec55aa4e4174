"""The lab's ProConOS controller: where its names stand, and what it does with start and stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from lab.devices.proconos_device import information
from lab.frames import Stream
from tests.probes import proconos_replies

INFORMATION = bytes.fromhex("cc01000b4002000047ee")
STOP = bytes.fromhex("cc010001400e00004c07")
MONITOR = bytes.fromhex(
    "cc01005b40031c00010000001c0000000100000002000000000000000000000000000000d79a"
)
ADAM = {
    "runtime": "ProConOS V3.0.1040 Oct 29 2002", "plc_type": "ADAM5510KW 1.24 Build 005",
    "project": "510-projec", "boot_project": "510-projec", "source": "Exist",
}  # fmt: skip


def test_its_names_stand_where_the_public_script_reads_them() -> None:
    reply = information(ADAM)

    assert reply[12:] == proconos_replies.answer(behind=b"\0\0")[12:]
    assert int.from_bytes(reply[6:8], "little") == len(reply) - 10
    assert len(information({**ADAM, "plc_type": "x" * 99})) == len(information(ADAM))


def test_requests_are_classified() -> None:
    seen = Stream("proconos").feed(INFORMATION + STOP + MONITOR)

    assert [(each.function, each.write) for each in seen] == [
        ("function 000b", False), ("function 0001", True), ("function 005b", True),
    ]  # fmt: skip
    assert Stream("proconos").feed(b"SSH-2.0-x\r\n")[0].kind == "foreign"
    assert Stream("proconos").feed(b"\xcc\x01\0\x0b\0\0\xff\xff\0\0")[0].kind == "malformed"


async def test_a_stop_is_counted_as_a_write_and_not_obeyed(
    begin, dial: Callable[[int, int], socket.socket]
) -> None:
    plant = await begin({"services": [{"protocol": "proconos", **ADAM}]})

    def client(request: bytes) -> bytes:
        with dial(1, 20547) as sock:
            sock.sendall(request)
            return sock.recv(4096)

    assert await asyncio.to_thread(client, INFORMATION) == information(ADAM)
    assert await asyncio.to_thread(client, STOP) == b""
    assert plant.ledgers["D1"].writes == {"proconos function 0001": 1}
