"""
What may be said to a ProConOS runtime: ten bytes that ask for its information, and nothing else.

Start, stop, reset and download have the same shape and need no password, so that the request is
compared as a whole, checksum included.

Source: Redpoint's proconos-info.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_INFO: Final = b"\xcc\x01\x00\x0b\x40\x02\x00\x00\x47\xee"
_FUNCTIONS: Final = {0x0001: "stop", 0x0004: "start", 0x000F: "state", 0x005B: "monitor"}


class ProconosGuard:
    """Judges ten bytes at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= len(_INFO):
            if buffer[:2] != _INFO[:2]:
                raise GuardRefused(f"not a ProConOS request: {buffer[:2].hex()}")
            frames.append(buffer[: len(_INFO)])
            buffer = buffer[len(_INFO) :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _INFO:
            return None
        function = int.from_bytes(frame[2:4], "big")
        name = _FUNCTIONS.get(function, "unknown")
        return f"ProConOS function 0x{function:04X} ({name}) is not on the list in this shape"


GUARD = GuardSpec(protocol="proconos", open=ProconosGuard, reply_framer=None)
