"""
IPMI in RMCP datagrams. Source: IPMI v2.0 revision 1.1, sections 13.1.3, 13.6, 13.8, 5.2 (completion
codes: C0, node busy).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

READS = frozenset({(6, 0x38), (6, 0x01), (6, 0x54)})
NODE_BUSY = 0xC0


def command(data: bytes) -> tuple[int, int] | None:
    """Network function and command of a message without a session."""
    if len(data) < 21 or data[4:5] != b"\0" or len(data) != 14 + data[13]:
        return None
    return data[15] >> 2, data[19]


def _datagram(data: bytes) -> Seen:
    if data[:1] != b"\x06" or data[3:4] not in (b"\x06", b"\x07"):
        return Seen(kind="foreign", function=guess(data))
    if data[3] == 6:
        return Seen(kind="request", function="ASF", write=False)
    if data[4:5] == b"\x06" and len(data) >= 16:
        return Seen(kind="request", function=f"payload {data[5] & 0x3F:#x}", write=True)
    found = command(data)
    if found is None:
        return Seen(kind="malformed", function=f"{len(data)} bytes")
    name = f"{found[0]:#x} {found[1]:#x}"
    return Seen(kind="request", function=name, write=found not in READS)


def response(request: bytes, code: int, data: bytes = b"") -> bytes:
    """The answer to a message without a session: addresses change places, the sequence stays."""
    first = bytes([request[17], (request[15] | 0x04) & 0xFC])
    second = bytes([request[14], request[18], request[19], code]) + data
    inside = first + bytes([-sum(first) & 0xFF]) + second + bytes([-sum(second) & 0xFF])
    return request[:13] + bytes([len(inside)]) + inside


def _busy(request: bytes) -> bytes:
    return b"" if command(request) is None else response(request, NODE_BUSY)


def _reference(reply: bytes) -> tuple[int, int] | None:
    return (18, 19) if len(reply) >= 22 else None


PROTOCOL = Protocol(
    name="ipmi",
    port=623,
    transports=("udp",),
    datagram=_datagram,
    header=14,
    length_at=(13, 1, "big"),
    reference=_reference,
    busy=_busy,
    syntax=frozenset({"authentication"}),
)
