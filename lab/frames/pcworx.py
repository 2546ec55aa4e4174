"""
PC Worx. Source: the frames of an ILC 151 ETH as they were recorded (hi-KK, ICS-Protocol-identify):
01 or 81, service, length over all (2), number (2), body; all big-endian.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

OPEN, ASK, FETCH = 0x01, 0x05, 0x06
WHAT_ARE_YOU = b"\x02\x95"


def _length(data: bytes) -> int | str | None:
    if data[0] not in (0x01, 0x81):
        return "foreign" if guess(data) != "unknown" else "unknown beginning"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 8 <= length <= 4096:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    service = frame[1]
    if service == OPEN:
        return Seen(kind="request", function="open")
    if service == ASK:
        question = frame[18:20]
        known = question == WHAT_ARE_YOU and len(frame) == 22
        return Seen(kind="request", function=f"question {question.hex()}", write=not known)
    if service == FETCH:
        return Seen(kind="request", function="fetch")
    return Seen(kind="request", function=f"service {service:#04x}", write=True)


PROTOCOL = Protocol(
    name="pcworx",
    port=1962,
    length=_length,
    classify=_classify,
    header=8,
    length_at=(2, 2, "big"),
    reference=lambda _: (4, 6),  # the request's number
    latin_1=True,
    longest_text=35,  # the longest field of the answer has 36 bytes
)
