"""
Tank gauges. Source: Veeder-Root, Serial Interface Manual, 576013-635 sections 5 and 6: a command
is 01, a letter, five characters, data, a line feed; an answer 01 … 03, in which the first line is
what is counted. An emulator's refusal (9999 and a line feed) counts as an answer, too.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

READS = frozenset("0123456789")


def _length(data: bytes) -> int | str | None:
    if data[:1] != b"\x01" and data[:4] != b"9999"[: len(data)]:
        return "foreign" if guess(data) != "unknown" else "unknown beginning"
    end = data.find(b"\n")
    if end < 0:
        return None if len(data) <= 128 else "a line without end"
    return end + 1


def _classify(frame: bytes) -> Seen:
    command = frame[1:-1].decode("latin-1").strip()
    if len(command) < 6 or frame[0] != 0x01:
        return Seen(kind="malformed", function=f"{len(command)} characters")
    reads = command[0] in "Ii" and set(command[1:]) <= READS
    return Seen(kind="request", function=command[:6], write=not reads)


PROTOCOL = Protocol(
    name="atg",
    port=10001,
    length=_length,
    classify=_classify,
    header=7,
    opt_in=True,
    latin_1=True,
    longest_text=60,
    syntax=frozenset({"speaks", "created"}),
)
