"""
Network UPS Tools, line by line in both directions; of a list each line counts as an answer.
Source: RFC 9271, commands and responses.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

LONGEST = 1024
READS = frozenset({"VER", "NETVER", "HELP", "LIST", "GET", "LOGOUT"})
COMMANDS = READS | {
    "USERNAME", "PASSWORD", "LOGIN", "PRIMARY", "MASTER", "FSD", "SET", "INSTCMD", "STARTTLS",
}  # fmt: skip


def _length(data: bytes) -> int | str | None:
    end = data.find(b"\n")
    if guess(data) != "unknown":
        return "foreign"
    if end < 0:
        return None if len(data) <= LONGEST else "a line without end"
    return end + 1


def _classify(frame: bytes) -> Seen:
    words = frame.decode("latin-1").split()
    name = words[0] if words else ""
    if name not in COMMANDS:
        return Seen(kind="malformed", function=f"no command: {name[:16]}")
    if name == "LIST" and len(words) > 1:
        name = f"LIST {words[1][:16]}"
    return Seen(kind="request", function=name, write=words[0] not in READS)


def _busy(request: bytes) -> bytes:
    return b"ERR DATA-STALE\n"


PROTOCOL = Protocol(
    name="nut",
    port=3493,
    length=_length,
    classify=_classify,
    header=b" ",
    busy=_busy,
    longest_text=400,
    syntax=frozenset({"supply", "version"}),
)
