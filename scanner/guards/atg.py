"""
What may be said to a tank gauge: the System Revision Level Report, eight bytes, and nothing else.

Reports of what is in the tanks are refused like everything that sets names, limits or the clock
(functions S…), resets an alarm or carries a security code.

Source: Veeder-Root, Serial Interface Manual, 576013-635 section 5 and function 902.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_REPORT: Final = b"\x01I90200\n"
_LONGEST: Final = 64


class AtgGuard:
    """Judges one line at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while buffer:
            if buffer[:1] != b"\x01":
                raise GuardRefused(f"not a request to a tank gauge: {buffer[:8].hex()}")
            end = buffer.find(b"\n") + 1
            if not end and len(buffer) <= _LONGEST:
                break
            if not 0 < end <= _LONGEST:
                raise GuardRefused("a request to a tank gauge is one short line")
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _REPORT:
            return None
        function = frame[1:7].decode("ascii", "replace")
        return f"function {function!r} of a tank gauge is not on the list in this shape"


GUARD = GuardSpec(protocol="atg", open=AtgGuard, reply_framer=None)
