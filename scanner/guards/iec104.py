"""
What may be said to an IEC 60870-5-104 station: one test frame, TESTFR act, and nothing else.

STARTDT would make this connection the started one of its group, STOPDT would end somebody's; every
information frame may command, and a supervisory frame confirms what was not asked for.

Source: IEC 60870-5-104 section 5.1 (formats of the control field).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_TESTFR_ACT: Final = bytes.fromhex("680443000000")
_UNNUMBERED: Final = {
    0x07: "STARTDT act", 0x0B: "STARTDT con", 0x13: "STOPDT act", 0x23: "STOPDT con",
    0x83: "TESTFR con",
}  # fmt: skip


class Iec104Guard:
    """Judges one APDU at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 2:
            if buffer[0] != 0x68 or not 4 <= buffer[1] <= 253:
                raise GuardRefused(f"not an APDU of IEC 104: {buffer[:6].hex()}")
            end = 2 + buffer[1]
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _TESTFR_ACT:
            return None
        if len(frame) < 6 or frame[0] != 0x68 or frame[1] != len(frame) - 2:
            return "not an APDU of IEC 104 of the length it names"
        if not frame[2] & 1:
            kind = f" of type {frame[6]}" if len(frame) > 6 else ""
            return f"an information frame{kind} is not on the IEC 104 list"
        if frame[2] & 3 == 1:
            return "a supervisory frame is not on the IEC 104 list"
        name = _UNNUMBERED.get(frame[2], f"control 0x{frame[2]:02X}")
        return f"{name} is not on the IEC 104 list"


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first whole APDU. Raises BadReply on anything else."""
    if buffer[:1] not in (b"", b"\x68"):
        raise BadReply(f"not an APDU of IEC 104: {buffer[:6].hex()}")
    if len(buffer) < 2:
        return None
    return 2 + buffer[1] if len(buffer) >= 2 + buffer[1] else None


GUARD = GuardSpec(protocol="iec104", open=Iec104Guard, reply_framer=reply_framer)
