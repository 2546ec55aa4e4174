"""
CODESYS V3's name service over UDP. Source: Kaspersky ICS CERT, CODESYS Runtime, part 2.

A datagram: C5, hops and header length (in words of 16 bits), packet information, service, message
id, lengths of addresses, then addresses and padding to four bytes, then the service's content.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span
from lab.frames.looks import guess

SERVICES = {1: "address request", 3: "name service", 0x40: "channel"}
RESOLVE_ADDRESS = 0xC202


def content_of(datagram: bytes) -> int | None:
    """Where the content begins; None where the addresses leave no room for any."""
    if len(datagram) < 6:
        return None
    words = datagram[1] % 8 + datagram[5] // 16 + datagram[5] % 16
    start = (2 * words + 3) // 4 * 4
    return start if len(datagram) >= start + 8 else None


def _datagram(data: bytes) -> Seen:
    if data[:1] != b"\xc5":
        return Seen(kind="foreign", function=guess(data))
    start = content_of(data)
    if start is None:
        return Seen(kind="malformed", function=f"{len(data)} bytes")
    service = SERVICES.get(data[3], f"service {data[3]:#04x}")
    if data[3] != 3:
        return Seen(kind="request", function=service, write=True)
    kind = int.from_bytes(data[start : start + 2], "little")
    return Seen(kind="request", function=f"{service} {kind:04x}", write=kind != RESOLVE_ADDRESS)


def _reference(datagram: bytes) -> Span | None:
    start = content_of(datagram)
    return None if start is None else (start + 4, start + 8)


PROTOCOL = Protocol(
    name="codesys",
    port=1740,
    transports=("udp",),
    datagram=_datagram,
    header=12,
    reference=_reference,
    longest_text=200,
    syntax=frozenset({"target_version", "target_id"}),
)
