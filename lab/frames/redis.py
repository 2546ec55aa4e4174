"""
Redis, in both directions: arrays of bulk strings up, simple strings, errors and bulk strings down.
Source: Redis documentation, "Redis serialization protocol specification".
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

LONGEST = 64 * 1024
READS = frozenset({"PING", "INFO", "COMMAND", "DBSIZE", "TIME"})


def _line(data: bytes, at: int) -> int | None:
    """Where the line that begins at `at` ends, behind CR LF; None where it has no end yet."""
    end = data.find(b"\r\n", at)
    return None if end < 0 else end + 2


def _bulk(data: bytes, at: int) -> int | str | None:
    end = _line(data, at)
    if end is None:
        return None if len(data) - at <= 32 else "a length without end"
    digits = data[at + 1 : end - 2]
    if data[at : at + 1] != b"$" or not digits.isdigit() or int(digits) > LONGEST:
        return "no bulk string"
    whole = end + int(digits) + 2
    return whole if len(data) >= whole else None


def _length(data: bytes) -> int | str | None:
    kind = data[:1]
    if kind in (b"+", b"-"):
        return _line(data, 0)
    if kind == b"$":
        return _bulk(data, 0)
    if kind != b"*":
        return "foreign" if guess(data) != "unknown" else "inline command"
    at = _line(data, 0)
    if at is None:
        return None
    count = data[1 : at - 2]
    if not count.isdigit() or not 1 <= int(count) <= 64:
        return f"array of {count[:8]!r}"
    for _ in range(int(count)):
        if at >= len(data):
            return None
        end = _bulk(data, at)
        if not isinstance(end, int):
            return end
        at = end
    return at


def _classify(frame: bytes) -> Seen:
    words = frame.split(b"\r\n")
    name = words[2].decode("latin-1").upper()[:24] if len(words) > 2 else ""
    if frame[:1] != b"*" or not name:
        return Seen(kind="malformed", function="no command")
    return Seen(kind="request", function=name, write=name not in READS)


def _busy(request: bytes) -> bytes:
    return b"-LOADING Redis is loading the dataset in memory\r\n"


PROTOCOL = Protocol(
    name="redis",
    port=6379,
    length=_length,
    classify=_classify,
    header=1,
    filler=b"+" + b"A" * 16383,
    busy=_busy,
    longest_text=900,
    syntax=frozenset({"password"}),
)
