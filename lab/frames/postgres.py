"""
PostgreSQL. What comes before a login has a length (4) and a code (4); later messages have a letter
in front of their length. Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

LONGEST = 10_000
CODES = {
    80877102: "CancelRequest",
    80877103: "SSLRequest",
    80877104: "GSSENCRequest",
    196608: "StartupMessage",
}


def _length(data: bytes) -> int | str | None:
    if data in (b"S", b"N"):
        return 1  # the server's answer to SSLRequest; no client says a letter alone
    typed = data[:1] != b"\0"
    if typed and guess(data) != "unknown":
        return "foreign"
    if len(data) < 4 + typed:
        return None
    length = int.from_bytes(data[typed : 4 + typed], "big")
    if not 4 <= length <= LONGEST:
        return f"length {length}"
    return typed + length if len(data) >= typed + length else None


def _classify(frame: bytes) -> Seen:
    if frame[:1] != b"\0":
        return Seen(kind="request", function=f"message {chr(frame[0])!r}", write=True)
    code = int.from_bytes(frame[4:8], "big")
    name = CODES.get(code, f"code {code}")
    return Seen(
        kind="request",
        function=name,
        write=name != "SSLRequest",
        answered=name != "CancelRequest",
    )


PROTOCOL = Protocol(name="postgres", port=5432, length=_length, classify=_classify, header=1)
