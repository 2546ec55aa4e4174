"""
ProConOS. Source: the frames of a public tool for controllers of this runtime (T. Deneut, Howest):
CC 01, function (2, big-endian), number (2), length (2, little-endian), data, checksum (2). Answers
begin CC 00; that they have a length in the same place is the lab's own supposition.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

INFORMATION = 0x000B


def _length(data: bytes) -> int | str | None:
    if data[:2] not in (b"\xcc", b"\xcc\x00", b"\xcc\x01"):
        return "foreign" if guess(data) != "unknown" else "unknown beginning"
    if len(data) < 8:
        return None
    length = 10 + int.from_bytes(data[6:8], "little")
    if length > 4096:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    function = int.from_bytes(frame[2:4], "big")
    reads = frame[1] == 1 and function == INFORMATION and len(frame) == 10
    return Seen(kind="request", function=f"function {function:04x}", write=not reads)


PROTOCOL = Protocol(
    name="proconos",
    port=20547,
    length=_length,
    classify=_classify,
    header=12,
    length_at=(6, 2, "little"),
    latin_1=True,
    longest_text=30,  # the runtime's place has 32 bytes
    syntax=frozenset({"runtime"}),
)
