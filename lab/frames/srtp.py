"""
GE-SRTP. Source: G. Denton et al., DFRWS 2017, tables 1, 2 and 4; gesrtp-py for the length of the
data behind a message (offset 4) and for D1, the message type of a refusal.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span
from lab.frames.looks import guess

READS = {
    0x00: "short status", 0x03: "program names", 0x04: "read system memory", 0x25: "time",
    0x38: "fault table", 0x43: "controller type",
}  # fmt: skip
MESSAGE = 56
LONGEST = 4096
REFUSED = 0xD1


def _length(data: bytes) -> int | str | None:
    if data[0] not in (0, 1, 2, 3):
        return "foreign" if guess(data) != "unknown" else f"type {data[0]:#04x}"
    if len(data) < MESSAGE:
        return None
    length = int.from_bytes(data[4:6], "little")
    if length > LONGEST:
        return f"length {length}"
    return MESSAGE + length if len(data) >= MESSAGE + length else None


def _classify(frame: bytes) -> Seen:
    if frame == bytes(MESSAGE):
        return Seen(kind="request", function="initialisation")
    if frame[0] != 2:
        return Seen(kind="malformed", function=f"type {frame[0]}")
    code = frame[42]
    return Seen(
        kind="request", function=READS.get(code, f"service {code:#04x}"), write=code not in READS
    )


def _reference(reply: bytes) -> Span | None:
    """The sequence number of a service reply; an initialisation has none."""
    return (2, 3) if reply[:1] == b"\x03" else None


def _busy(request: bytes) -> bytes:
    """A refusal to a service request; of a refused initialisation nothing is known."""
    if len(request) < MESSAGE or request[0] != 2:
        return b""
    return b"\x03\0" + request[2:3] + bytes(28) + bytes([REFUSED]) + bytes(24)


PROTOCOL = Protocol(
    name="srtp",
    port=18245,
    length=_length,
    classify=_classify,
    header=56,
    length_at=(4, 2, "little"),
    reference=_reference,
    busy=_busy,
    syntax=frozenset({"byte_8"}),
)
