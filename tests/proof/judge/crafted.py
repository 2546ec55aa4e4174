"""
Captures made by hand, to see that the judge flags what it has to flag.

    wire = Wire()
    wire.connection("10.77.1.1", 502, b"...", answer=b"...")
    wire.write(path)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof.judge.packets import ACK, FIN, PSH, RST, SYN

SCANNER = "10.76.0.1"


def _four(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(source: str, target: str, protocol: int, body: bytes, *, fragment: int = 0) -> bytes:
    """Ethernet and IPv4 around a body, with a right header checksum."""
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, fragment, 64, protocol, 0, _four(source),
        _four(target),
    )  # fmt: skip
    header = header[:10] + struct.pack("!H", _sum(header)) + header[12:]
    return bytes(12) + b"\x08\x00" + header + body


def mac(address: str) -> bytes:
    """The MAC address that an IPv4 address has here."""
    return b"\x02\x00" + _four(address)


@dataclass(slots=True)
class Wire:
    """Frames with their times, in seconds; `at` is when the next connection begins."""

    at: float = 1_800_000_000.0
    frames: list[tuple[float, bytes]] = field(default_factory=list)
    _port: int = 40_000

    def tcp(
        self, at: float, source: tuple[str, int], target: tuple[str, int], flags: int,
        sequence: int, acknowledged: int, data: bytes = b"",
    ) -> None:  # fmt: skip
        body = struct.pack(
            "!HHIIBBHHH", source[1], target[1], sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF,
            0x50, flags, 8192, 0, 0,
        )  # fmt: skip
        self.frames.append((at, frame(source[0], target[0], 6, body + data)))

    def datagram(self, device: str, port: int, data: bytes, *, source: str = SCANNER) -> None:
        body = struct.pack("!HHHH", 40_000, port, 8 + len(data), 0) + data
        self.frames.append((self.at, frame(source, device, 17, body)))
        self.at += 1.1

    def arp(self, source: str, target: str, operation: int) -> None:
        """1 asks for an address, 2 answers whoever asked."""
        to = b"\xff" * 6 if operation == 1 else mac(target)
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac(source) + _four(source)
        body += (bytes(6) if operation == 1 else to) + _four(target)
        self.frames.append((self.at, (to + mac(source) + b"\x08\x06" + body).ljust(60, b"\0")))
        self.at += 0.001

    def link(
        self, device: str, kind: int, data: bytes, *, source: str = SCANNER, to: bytes = b"",
        resolved: bool = True,
    ) -> None:  # fmt: skip
        """A frame of this type, `to` another MAC address than the device's; ARP comes before."""
        if resolved:
            self.arp(source, device, 1)
            self.arp(device, source, 2)
        head = (to or mac(device)) + mac(source) + kind.to_bytes(2, "big")
        self.frames.append((self.at, (head + data).ljust(60, b"\0")))
        self.at += 1.1

    def connection(
        self, device: str, port: int, *requests: bytes, answer: bytes = b"", again: bool = False,
        reset: bool = False, lasts: float = 0.5, pause: float = 2.0, answers: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        """
        A whole connection: SYN to both FINs. `answers` are one for each request, in place of the
        same `answer` to all. `again` sends each request twice, as a kernel that
        has lost its acknowledgement; `reset` ends it with RST; the next begins `pause` s later.
        """
        self._port += 1
        us, them, at = (SCANNER, self._port), (device, port), self.at
        ours, theirs = 1000, 9000
        self.tcp(at, us, them, SYN, ours, 0)
        self.tcp(at + 0.001, them, us, SYN | ACK, theirs, ours + 1)
        self.tcp(at + 0.002, us, them, ACK, ours + 1, theirs + 1)
        ours, theirs = ours + 1, theirs + 1
        step = lasts / (len(requests) + 2)
        for number, request in enumerate(requests, start=1):
            answer = answers[number - 1] if answers else answer
            moment = at + step * number
            for extra in (0.0, 0.01)[: 2 if again else 1]:
                self.tcp(moment + extra, us, them, PSH | ACK, ours, theirs, request)
            ours += len(request)
            self.tcp(moment + 0.02, them, us, PSH | ACK, theirs, ours, answer)
            theirs += len(answer)
            self.tcp(moment + 0.021, us, them, ACK, ours, theirs)
        end = at + lasts
        if reset:
            self.tcp(end, us, them, RST | ACK, ours, theirs)
        else:
            self.tcp(end, us, them, FIN | ACK, ours, theirs)
            self.tcp(end + 0.001, them, us, FIN | ACK, theirs, ours + 1)
            self.tcp(end + 0.002, us, them, ACK, ours + 1, theirs + 1)
        self.at += pause

    def write(self, path: Path) -> Path:
        out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
        for at, data in sorted(self.frames, key=lambda one: one[0]):
            seconds = int(at)
            nano = round((at - seconds) * 1e9)
            out += struct.pack("<IIII", seconds, min(nano, 999_999_999), len(data), len(data))
            out += data
        path.write_bytes(out)
        return path
