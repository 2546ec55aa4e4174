"""FTP's control connection. Sources: RFC 959 sections 4.1 and 4.2; RFC 2389."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import HTTP_METHODS, guess

HARMLESS = frozenset({"USER", "PASS", "QUIT", "FEAT", "SYST", "HELP", "NOOP", "STAT", "AUTH"})
"""What leaves the server as it was; all else transfers, changes or opens a connection."""
LONGEST = 4096


def _length(data: bytes) -> int | str | None:
    if data.startswith(HTTP_METHODS) or data[:1] in (b"\x16", b"\x03"):
        return "foreign"
    end = data.find(b"\n", 0, LONGEST)
    if end >= 0:
        return end + 1
    return f"a line of more than {LONGEST} bytes" if len(data) >= LONGEST else None


def _classify(frame: bytes) -> Seen:
    word = frame.split(b" ")[0].strip().decode("ascii", "replace").upper()
    if not frame.endswith(b"\r\n") or not word.isalpha() or not 3 <= len(word) <= 4:
        return Seen(kind="malformed", function=f"{guess(frame)}, not a command")
    return Seen(kind="request", function=word, write=word not in HARMLESS)


PROTOCOL = Protocol(
    name="ftp",
    port=21,
    length=_length,
    classify=_classify,
    header=b"\r\n",
    filler=b"220-one more line of a greeting that never ends\r\n" * 335,
    speaks_first=True,
    busy_text=b"421 Too many connections, try again later.\r\n",
    accounts=True,
    longest_text=70,
    syntax=frozenset({"features", "anonymous"}),
)
