"""
CODESYS 2.3 over TCP. Sources: Digital Bond's Redpoint (the questions, the places of the names) and
Basecamp (the outer frames of commands).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

LITTLE = b"\xbb\xbb\x01\0\0\0\x01"
BIG = b"\xbb\xbb\x01\0\0\x01\x01"
LONGEST = 4096


def _length(data: bytes) -> int | str | None:
    if data[0] not in (0xBB, 0xCC) or (len(data) > 1 and data[1] != data[0]):
        return "foreign" if guess(data) != "unknown" else "unknown beginning"
    if len(data) < 7:
        return None
    if data[:7] == BIG:
        return 7
    if data[0] == 0xBB:
        length = 6 + int.from_bytes(data[2:6], "little")
    elif len(data) < 20:
        return None
    else:
        length = 20 + int.from_bytes(data[4:6], "little")
    if not 7 <= length <= LONGEST:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    if frame == LITTLE:
        return Seen(kind="request", function="who")
    if frame == BIG:
        return Seen(kind="request", function="who, big-endian")
    what = frame[20:26] if frame[0] == 0xCC else frame[6:12]
    return Seen(kind="request", function=f"command {what.hex()}", write=True)


PROTOCOL = Protocol(
    name="codesys2",
    port=1200,
    probe="codesys",
    length=_length,
    classify=_classify,
    header=2,
    latin_1=True,
    longest_text=31,  # a name has 32 bytes with its zero
)
