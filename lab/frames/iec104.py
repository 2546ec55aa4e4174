"""
IEC 60870-5-104. Source: IEC 60870-5-104 section 5.1; a type that is answered is one of process
information in control direction (IEC 60870-5-101 section 7.2.1.1).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen

UNNUMBERED = {
    0x07: "STARTDT act", 0x0B: "STARTDT con", 0x13: "STOPDT act", 0x23: "STOPDT con",
    0x43: "TESTFR act", 0x83: "TESTFR con",
}  # fmt: skip
ANSWERED = frozenset({0x07, 0x13, 0x43})


def _length(data: bytes) -> int | str | None:
    if data[:1] != b"\x68":
        return "foreign"
    if len(data) < 2:
        return None
    if not 4 <= data[1] <= 253:
        return f"length {data[1]}"
    return 2 + data[1] if len(data) >= 2 + data[1] else None


def _classify(frame: bytes) -> Seen:
    """Whatever is more than a test frame takes the control centre's place, or commands."""
    control = frame[2]
    if control & 3 == 3:
        if control not in UNNUMBERED or len(frame) != 6:
            return Seen(kind="malformed", function=f"U {control:#04x}")
        test = control in (0x43, 0x83)
        answered = control in ANSWERED
        name = UNNUMBERED[control]
        return Seen(kind="request", function=name, write=not test, answered=answered)
    if control & 1:
        return Seen(kind="request", function="S", write=True, answered=False)
    if len(frame) < 12:
        return Seen(kind="malformed", function="no ASDU")
    return Seen(kind="request", function=f"type {frame[6]}", write=True)


PROTOCOL = Protocol(
    name="iec104",
    port=2404,
    opt_in=True,
    length=_length,
    classify=_classify,
    header=2,
    length_at=(1, 1, "big"),
    filler=b"\x68\x04\x83\x00\x00\x00" * 2731,
)
