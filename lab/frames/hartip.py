"""HART-IP. Sources: FieldComm Group TS20085 section 10.3, TS20081 (frame), TS20127 (busy: 32)."""

from __future__ import annotations

from functools import reduce
from operator import xor

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

MESSAGES = {0: "session initiate", 1: "session close", 2: "keep alive"}
FRAME = 3
READS = frozenset({0, 1, 2, 3, 7, 8, 9, 12, 13, 14, 15, 16, 20, 48, 74, 84})
BUSY = 32


def _length(data: bytes) -> int | str | None:
    if data[:1] not in (b"\x01", b"\x02") or (len(data) > 1 and data[1] not in (0, 1, 2, 15)):
        return "foreign" if guess(data) != "unknown" else "no HART-IP header"
    if len(data) < 8:
        return None
    length = int.from_bytes(data[6:8], "big")
    if not 8 <= length <= 1024:
        return f"length {length}"
    return length if len(data) >= length else None


def command_at(frame: bytes) -> int | None:
    """Where the command of a token-passing frame stands; None where there is none."""
    if len(frame) < 13 or frame[2] != FRAME:
        return None
    at = 8 + (6 if frame[8] & 0x80 else 2)
    return at if len(frame) == at + 3 + (frame[at + 1] if len(frame) > at + 1 else 0) else None


def _classify(frame: bytes) -> Seen:
    message = frame[2]
    if message in MESSAGES:
        return Seen(kind="request", function=MESSAGES[message])
    if message != FRAME:
        return Seen(kind="request", function=f"message {message}", write=True)
    at = command_at(frame)
    if at is None:
        return Seen(kind="malformed", function="a frame of another length")
    if reduce(xor, frame[8:]):
        return Seen(kind="malformed", function="a frame with a wrong check byte")
    return Seen(kind="request", function=f"command {frame[at]}", write=frame[at] not in READS)


def answered(request: bytes, content: bytes) -> bytes:
    """The answer to a token-passing frame: response code, device status and data as given."""
    at = command_at(request)
    if at is None:
        return b""
    frame = bytes([request[8] & 0x80 | 0x06]) + request[9:at] + request[at : at + 1]
    frame += bytes([len(content)]) + content
    frame += bytes([reduce(xor, frame)])
    head = request[:1] + b"\x01" + request[2:3] + b"\x00" + request[4:6]
    return head + (8 + len(frame)).to_bytes(2, "big") + frame


def _busy(request: bytes) -> bytes:
    """Response code 32 to a command; a session is opened and closed as ever."""
    if request[2:3] == b"\x03":
        return answered(request, bytes([BUSY, 0]))
    return request[:1] + b"\x01" + request[2:] if len(request) >= 8 else b""


PROTOCOL = Protocol(
    name="hartip",
    port=5094,
    transports=("tcp", "udp"),
    length=_length,
    classify=_classify,
    header=8,
    length_at=(6, 2, "big"),
    reference=lambda _: (4, 6),  # sequence number
    busy=_busy,
    latin_1=True,
    longest_text=32,  # a long tag
    syntax=frozenset({"device_id"}),
)
