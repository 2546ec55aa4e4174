"""The lab's CODESYS controllers: their frames, their answers, and what they do with a write."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from lab.devices.codesys_device import answer_of, runtime_reply
from lab.frames import Seen, Stream, classify_datagram
from tests.lab.conftest import OFFSET, address
from tests.probes.codesys_replies import PFC200

RESOLVE = bytes.fromhex("c5744003001012340009000002c2000478563412")
WHO = bytes.fromhex("bbbb0100000001")
WHO_BIG = bytes.fromhex("bbbb0100000101")
STOP = bytes.fromhex("cccc01000e00000000000000000000000100000023090000920000000073746f7000")
NAMED = {
    "protocol": "codesys", "node_name": "PFC200-438F4C", "device_name": PFC200, "vendor": "WAGO",
    "serial": "0030DE438F4C", "target_id": 0x10061204, "target_version": "5.15.4.0",
}  # fmt: skip


def test_a_name_service_request_is_read_and_a_channel_is_a_write() -> None:
    assert classify_datagram("codesys", RESOLVE) == Seen(
        kind="request", function="name service c202"
    )
    assert classify_datagram("codesys", RESOLVE[:3] + b"\x40" + RESOLVE[4:]).write
    assert classify_datagram("codesys", RESOLVE[:12] + b"\x01" + RESOLVE[13:]).write
    assert classify_datagram("codesys", RESOLVE[:11]).kind == "malformed"
    assert classify_datagram("codesys", b"GET / HTTP/1.1").kind == "foreign"


def test_a_question_to_a_runtime_is_read_and_a_command_is_a_write() -> None:
    seen = Stream("codesys2").feed(WHO + WHO_BIG + STOP)

    assert [(each.function.split()[0], each.write) for each in seen] == [
        ("who,", False) if n else ("who", False) for n in range(2)
    ] + [("command", True)]
    assert Stream("codesys2").feed(b"SSH-2.0-x\r\n")[0].kind == "foreign"
    assert Stream("codesys2").feed(b"\xbb\xbb\xff\xff\xff\xff\x01")[0].kind == "malformed"
    assert Stream("codesys2").feed(WHO[:5]) == []


def test_an_answer_is_laid_out_as_published() -> None:
    """A. Galauner's codesys3: header of 3 words, addresses, padding; 48 fixed bytes; the names."""
    reply = answer_of(NAMED, RESOLVE)

    assert reply is not None
    assert reply[:12] == bytes.fromhex("c57340040011000900010000")
    content = reply[12:]
    assert content[:8] == bytes.fromhex("80c2000478563412")
    assert content[12:20] == bytes.fromhex("0000") + bytes([13, 0, len(PFC200), 0, 4, 0])
    assert content[20:32] == bytes.fromhex("001000000412061000040f05")
    assert content[48:].startswith("PFC200-438F4C\0WAGO 750-8206".encode("utf-16-le"))
    assert content.endswith("WAGO\0".encode("utf-16-le") + b"0030DE438F4C\0")
    assert answer_of(NAMED, RESOLVE[:12] + b"\x01" + RESOLVE[13:]) is None


def test_a_runtime_s_names_stand_where_the_scanner_looks_for_them() -> None:
    reply = runtime_reply({"system": "Nucleus PLUS", "system_version": "1", "product": "x" * 40})

    assert (reply[:2], reply[64:77], reply[96:98]) == (b"\xbb\xbb", b"Nucleus PLUS\0", b"1\0")
    assert reply[128:160] == b"x" * 31 + b"\0"


async def test_a_channel_is_counted_and_stays_unanswered(begin) -> None:
    plant = await begin({"services": [NAMED]})

    def client() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.connect((address(1), 1740 + OFFSET))
            sock.send(RESOLVE[:3] + b"\x40" + RESOLVE[4:])
            sock.send(RESOLVE)
            return sock.recv(4096)

    assert (await asyncio.to_thread(client))[12:14] == b"\x80\xc2"
    assert plant.ledgers["D1"].writes == {"codesys channel": 1}


@pytest.mark.parametrize(("big", "asked"), [(False, WHO), (True, WHO_BIG)])
async def test_a_runtime_hangs_up_on_commands_and_on_the_wrong_order(
    begin, dial: Callable[[int, int], socket.socket], big: bool, asked: bytes
) -> None:
    service = {"protocol": "codesys2", "system": "VxWorks", "product": "P", "big_endian": big}
    plant = await begin({"services": [service]})

    def client(request: bytes) -> bytes:
        with dial(1, 1200) as sock:
            sock.sendall(request)
            return sock.recv(4096)

    assert len(await asyncio.to_thread(client, asked)) == 164
    assert await asyncio.to_thread(client, WHO if big else WHO_BIG) == b""
    assert await asyncio.to_thread(client, STOP) == b""
    assert sum(plant.ledgers["D1"].writes.values()) == 1
