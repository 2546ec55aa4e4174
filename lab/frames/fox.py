"""Niagara Fox. Source: recorded conversations; frames are text and end with `};;`."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

END = b"};;\n"
LONGEST = 65536


def _length(data: bytes) -> int | str | None:
    if not b"fox ".startswith(data[:4]):
        return "foreign" if guess(data) != "unknown" else "no Fox frame"
    end = data.find(END)
    if end < 0:
        return "a frame without an end" if len(data) > LONGEST else None
    return end + len(END)


def _classify(frame: bytes) -> Seen:
    words = frame.partition(b"\n")[0].split(b" ")
    if len(words) != 6:
        return Seen(kind="malformed", function=f"a head of {len(words)} words")
    command = b" ".join(words[4:]).decode("latin-1")[:40]
    return Seen(kind="request", function=command, write=command != "fox hello")


PROTOCOL = Protocol(
    name="fox",
    port=1911,
    length=_length,
    classify=_classify,
    header=b"{\n",
    filler=b"name=s:value\n" * 1260,
    longest_text=500,
    syntax=frozenset({"method", "host_id"}),
)
