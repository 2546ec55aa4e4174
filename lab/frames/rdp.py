"""
RDP up to its negotiation. Sources: RFC 1006 section 6; [MS-RDPBCGR] sections 2.2.1.1 and 2.2.1.2.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

TLS_RECORD = 0x16


def _length(data: bytes) -> int | str | None:
    if data[0] == TLS_RECORD:  # what a client says when TLS was agreed on
        return None if len(data) < 5 else _whole(data, 5 + int.from_bytes(data[3:5], "big"))
    if data[0] != 3 or (len(data) > 1 and data[1] != 0):
        return "foreign" if guess(data) != "unknown" else "no TPKT"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if length < 7:
        return f"length {length}"
    return _whole(data, length)


def _whole(data: bytes, length: int) -> int | None:
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    if frame[0] == TLS_RECORD:
        return Seen(kind="request", function="TLS", write=True)
    if frame[5] & 0xF0 != 0xE0:
        return Seen(kind="request", function=f"TPDU {frame[5]:#04x}", write=True)
    if frame[4] != len(frame) - 5:
        return Seen(kind="malformed", function=f"length indicator {frame[4]}")
    named = frame[11:].startswith(b"Cookie:")
    return Seen(kind="request", function="connection request" + (" with a name" if named else ""))


PROTOCOL = Protocol(
    name="rdp",
    port=3389,
    length=_length,
    classify=_classify,
    header=4,
    length_at=(2, 2, "big"),
    reference=lambda _: (6, 8),
    filler=b"\x03\x00\x00\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x08\0\0\0" * 862,
    syntax=frozenset({"security"}),
)
