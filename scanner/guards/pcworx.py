"""
What may be said to a PC Worx controller: the greeting, question 0295, and fetching its answer.

All three are fixed but for the session number that the controller gave out. Other services, and
other questions within service 05 (of which some write), are refused.

Source: pcworx-info of nmap; recorded frames of an ILC 151 ETH.
"""

from __future__ import annotations

import re
from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 64
_SHAPES: Final = {
    0x01: re.compile(rb"\x01\x01\0\x1a\0\0\0\0\x78\x80\0\x03\0\x0cIBETH01N0_M\0", re.DOTALL),
    0x05: re.compile(rb"\x01\x05\0\x16\0\x01\0\0\x78\x80..\0\0\0\x06\0\x04\x02\x95\0\0", re.DOTALL),
    0x06: re.compile(rb"\x01\x06\0\x0e\0\x02\0\0\0\0..\x04\0", re.DOTALL),
}


class PcworxGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[2:4], "big")
            if buffer[0] != 0x01 or not 4 < length <= _LONGEST:
                raise GuardRefused(f"not a PC Worx request: {buffer[:4].hex()}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) < 2 or frame[0] != 0x01:
            return "not a PC Worx request"
        shape = _SHAPES.get(frame[1])
        if shape is None:
            return f"PC Worx service 0x{frame[1]:02X} is not on the list"
        if shape.fullmatch(frame) is None:
            return f"PC Worx service 0x{frame[1]:02X} has one shape"
        return None


GUARD = GuardSpec(protocol="pcworx", open=PcworxGuard, reply_framer=None)
