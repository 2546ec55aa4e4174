"""
MELSOFT frames. Sources: recorded sessions (ITI ICS-Security-Tools, melsoft_UDP_clean_2.pcap), from
which the length and the place of the function were read; functions as the commands of SLMP.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

READS = {"0101": "CPU name", "0121": "CPU name of an iQ-F", "0401": "device read"}
LONGEST = 4096


def _length(data: bytes) -> int | str | None:
    if data[:1] not in (b"\x57", b"\xd7"):
        return "foreign" if guess(data) != "unknown" else f"begins with {data[:1].hex()}"
    if len(data) < 21:
        return None
    length = int.from_bytes(data[19:21], "little")
    if not 3 <= length <= LONGEST:
        return f"length {length}"
    return 21 + length if len(data) >= 21 + length else None


def _classify(frame: bytes) -> Seen:
    at = 23 + frame[23]
    if frame[0] != 0x57 or len(frame) < at + 2:
        return Seen(kind="malformed", function="no request")
    function = frame[at : at + 2].hex()
    return Seen(kind="request", function=READS.get(function, function), write=function not in READS)


PROTOCOL = Protocol(
    name="melsoft",
    port=5007,
    transports=("tcp", "udp"),
    length=_length,
    classify=_classify,
    header=21,
    length_at=(19, 2, "little"),
    latin_1=True,
    longest_text=16,
    syntax=frozenset({"code"}),
)
