"""The emulators of the machine plant answer as recorded devices do, and a write shows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.plant import STANDARD_PORTS, TRANSPORTS
from tests.lab.conftest import OFFSET, address

Dial = Callable[[int, int], socket.socket]

# --- FINS --------------------------------------------------------------------------------------

CP1L: dict[str, Any] = {
    "protocol": "fins", "model": "CP1L-EL20DR-D", "version": "01.00", "internal_version": "01.06",
    "node": 200, "mode": "run",
}  # fmt: skip
FINS = 9600
STOP = bytes.fromhex("80000200000000070007" + "0402ffff")


def datagram(port: int, data: bytes, *, wait_s: float = 3.0) -> bytes:
    """b"": nothing came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait_s)
        sock.connect((address(1), port + OFFSET))
        sock.send(data)
        try:
            return sock.recv(4096)
        except TimeoutError:
            return b""


def recorded(captures: Path, pattern: str) -> list[dict[str, Any]]:
    (file,) = captures.glob(pattern)
    return list(json.loads(file.read_text())["exchanges"])


async def test_a_fins_controller_tells_what_the_recorded_one_does(
    begin, dial: Dial, captures: Path
) -> None:
    running = await begin({"services": [CP1L]})
    nodes, framed, plain = recorded(captures, "fins__omron_cp1l-el20dr-d.json")

    def client() -> tuple[bytes, bytes, bytes]:
        by_datagram = datagram(FINS, bytes.fromhex(plain["request_hex"]))
        with dial(1, FINS) as sock:
            sock.sendall(bytes.fromhex(nodes["request_hex"]))
            told = sock.recv(4096)
            sock.sendall(bytes.fromhex(framed["request_hex"]))
            return by_datagram, told, sock.recv(4096)

    by_datagram, told, by_connection = await asyncio.to_thread(client)

    assert told.hex() == nodes["response_hex"]
    # up to the texts; the memory behind them is another device's
    assert by_datagram[:54].hex() == plain["response_hex"][:108]
    assert by_connection[30:70].hex() == framed["response_hex"][60:140]
    assert running.ledgers["D1"].writes == {}
    assert not running.ledgers["D1"].malformed + running.ledgers["D1"].foreign


async def test_a_stop_by_fins_is_carried_out_and_flagged(begin) -> None:
    running = await begin({"services": [CP1L]})

    reply = await asyncio.to_thread(datagram, FINS, STOP)

    assert reply[10:14].hex() == "04020000"
    assert running.ledgers["D1"].writes == {"fins 0402": 1}


async def test_fins_datagrams_can_be_switched_off(begin) -> None:
    running = await begin({"services": [{**CP1L, "datagrams": False}]})
    ask = bytes.fromhex("80000200000000070007" + "050100")

    assert await asyncio.to_thread(lambda: datagram(FINS, ask, wait_s=0.3)) == b""
    assert running.ledgers["D1"].requests == 1


@pytest.mark.parametrize(("mode", "fatal", "says"), [("run", 0, "0104"), ("run", 128, "0004")])
async def test_a_fatal_error_stops_a_fins_controller(
    begin, mode: str, fatal: int, says: str
) -> None:
    await begin({"services": [{**CP1L, "mode": mode, "fatal": fatal}]})

    reply = await asyncio.to_thread(datagram, FINS, bytes.fromhex("80000200000000070007" + "0601"))

    assert reply[14:18].hex() == says + fatal.to_bytes(2, "big").hex()


# --- SLMP --------------------------------------------------------------------------------------

FX5U: dict[str, Any] = {"protocol": "slmp", "model": "FX5U-32MT/DS", "code": "4A49"}
SLMP = 5000
TYPE_NAME = bytes.fromhex("500000ffff0300" + "0600" + "1000" + "01010000")
DEVICE_WRITE = bytes.fromhex("500000ffff0300" + "0e00" + "1000" + "01140000" + "640000a801003412")
DEVICE_READ = bytes.fromhex("500000ffff0300" + "0c00" + "1000" + "01040000" + "640000a80100")
UNKNOWN = bytes.fromhex("500000ffff0300" + "0600" + "1000" + "99990000")


async def test_an_slmp_controller_tells_its_type_as_the_manual_prints_it(begin, dial: Dial) -> None:
    running = await begin({"services": [FX5U]})

    def client() -> bytes:
        with dial(1, SLMP) as sock:
            sock.sendall(TYPE_NAME)
            return sock.recv(4096)

    reply = await asyncio.to_thread(client)

    assert reply[:11].hex() == "d00000ffff0300" + "1400" + "0000"
    assert reply[11:] == b"FX5U-32MT/DS    " + bytes.fromhex("494a")
    assert running.ledgers["D1"].writes == {}


async def test_an_slmp_write_is_carried_out_and_flagged(begin, dial: Dial) -> None:
    running = await begin({"services": [FX5U]})

    def client() -> list[bytes]:
        with dial(1, SLMP) as sock:
            replies = []
            for frame in (DEVICE_WRITE, DEVICE_READ, UNKNOWN):
                sock.sendall(frame)
                replies.append(sock.recv(4096))
            return replies

    wrote, told, refused = await asyncio.to_thread(client)

    assert wrote[7:].hex() == "0200" + "0000"
    assert told[11:].hex() == "3412"
    assert refused[7:].hex() == "0b00" + "59c0" + "00ffff0300" + "99990000"
    assert running.ledgers["D1"].writes == {"slmp command 1401": 1, "slmp command 9999": 1}


# --- MELSOFT -----------------------------------------------------------------------------------

Q_CPU: dict[str, Any] = {"protocol": "melsoft", "model": "Q03UDECPU", "code": "0268"}
MELSOFT = 5007
CPU_NAME = bytes.fromhex(
    "57000000001111070000ffff030000fe03000014001c080a0800000000000000040101010000000001"
)
TOLD = (
    "d700c80000111107000000e40300ffff03000038009c000c0800000000100400000000010101000000513033"
    "5544454350552020202020202068020008baba081020210316002002000101e802"
)
"""What a Q03UDECPU answered."""
MELSOFT_WRITE = bytes.fromhex(
    "57000000001111070000ffff0300000000000022001c000a08000000000000000014022d0000000001000090"
    "000a000000000000000100"
)


async def test_a_q_cpu_tells_what_the_published_one_does(begin, dial: Dial) -> None:
    running = await begin({"services": [Q_CPU]})

    def client() -> tuple[bytes, bytes]:
        with dial(1, MELSOFT) as sock:
            sock.sendall(CPU_NAME)
            return sock.recv(4096), datagram(MELSOFT, CPU_NAME)

    by_connection, by_datagram = await asyncio.to_thread(client)

    assert by_connection.hex() == by_datagram.hex() == TOLD
    assert running.ledgers["D1"].writes == {}


async def test_a_melsoft_write_is_answered_and_flagged(begin) -> None:
    running = await begin({"services": [Q_CPU]})

    reply = await asyncio.to_thread(datagram, MELSOFT, MELSOFT_WRITE)

    assert reply[35:37].hex() == "1402"
    assert running.ledgers["D1"].writes == {"melsoft 1402": 1}


# --- GE-SRTP -----------------------------------------------------------------------------------

SRTP = 18245


async def test_an_srtp_controller_begins_as_the_recorded_ones_and_a_stop_is_flagged(
    begin, dial: Dial
) -> None:
    running = await begin({"services": [{"protocol": "srtp"}]})
    stop = b"\x02" + bytes(30) + b"\xc0" + bytes(10) + b"\x23\x01" + bytes(12)

    def client() -> tuple[bytes, bytes]:
        with dial(1, SRTP) as sock:
            sock.sendall(bytes(56))
            begun = sock.recv(4096)
            sock.sendall(stop)
            return begun, sock.recv(4096)

    begun, stopped = await asyncio.to_thread(client)

    assert begun == b"\x01" + bytes(7) + b"\x0f" + bytes(47)
    assert (len(stopped), stopped[0], stopped[31]) == (56, 3, 0xD4)
    assert running.ledgers["D1"].writes == {"srtp service 0x23": 1}


# --- the Moxa search ---------------------------------------------------------------------------

XCOM: dict[str, Any] = {
    "protocol": "nport", "hardware_id": "511A", "mac": "00:90:e8:3c:f8:7e", "name": "Xcom-LAN",
    "serial": 2002, "firmware": "1.1.31",
}  # fmt: skip
NPORT = 4800


async def test_a_device_server_tells_what_the_recorded_one_does(begin, captures: Path) -> None:
    running = await begin({"services": [XCOM]})
    exchanges = recorded(captures, "moxa-nport__moxa_nport5110a_xcom-lan.json")

    replies = [
        await asyncio.to_thread(datagram, NPORT, bytes.fromhex(each["request_hex"]))
        for each in exchanges
    ]

    search, details, name = (reply.hex() for reply in replies)
    assert search[:40] == exchanges[0]["response_hex"][:40]
    assert details == exchanges[1]["response_hex"]
    assert name[:58] == exchanges[2]["response_hex"][:58]
    assert len(name) == len(exchanges[2]["response_hex"])
    assert running.ledgers["D1"].writes == {}


async def test_a_set_by_the_search_is_answered_and_flagged(begin) -> None:
    running = await begin({"services": [XCOM]})
    change = bytes.fromhex("3000001400000000005101801a510090e83cf87e")

    reply = await asyncio.to_thread(datagram, NPORT, change)

    assert reply[:4].hex() == "b0000014"
    assert running.ledgers["D1"].writes == {"nport id 0x30": 1}


# --- all of them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "asks", "cut"),
    [
        (CP1L, bytes.fromhex("80000200000000070007" + "050100"), slice(14, 30)),
        (FX5U, TYPE_NAME, slice(11, 27)),
        (Q_CPU, CPU_NAME, slice(41, 57)),
        (XCOM, bytes.fromhex("1000001400000000005101801a510090e83cf87e"), slice(20, 60)),
    ],
    ids=lambda value: value["protocol"] if isinstance(value, dict) else "",
)
async def test_a_hostile_name_is_told_as_far_as_it_fits(
    begin, dial: Dial, service: dict[str, Any], asks: bytes, cut: slice
) -> None:
    """And no setting that an emulator has to understand is made hostile with it."""
    fault = {"name": "hostile_text", "payloads": ["<b>"], "whole": True}
    await begin({"services": [service], "faults": [fault]})
    port = STANDARD_PORTS[service["protocol"]]

    def client() -> bytes:
        if "udp" in TRANSPORTS[service["protocol"]]:
            return datagram(port, asks)
        with dial(1, port) as sock:
            sock.sendall(asks)
            return sock.recv(4096)

    reply = await asyncio.to_thread(client)

    assert reply[cut].startswith(b"<b>")


async def test_an_srtp_device_has_no_text_to_be_hostile(begin, dial: Dial) -> None:
    srtp = {"protocol": "srtp", "byte_8": "00"}
    await begin({"services": [srtp], "faults": [{"name": "hostile_text"}]})

    def client() -> bytes:
        with dial(1, SRTP) as sock:
            sock.sendall(bytes(56))
            return sock.recv(4096)

    assert await asyncio.to_thread(client) == b"\x01" + bytes(55)
