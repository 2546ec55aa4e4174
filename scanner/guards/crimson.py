"""
What may be said to Red Lion's Crimson 3: the manufacturer's register and the model's, as six bytes.

Other registers load programs and restart the device without a password; none of them passes.

Source: cr3-fingerprint for nmap.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_ALLOWED: Final = frozenset({b"\x00\x04\x01\x2b\x1b\x00", b"\x00\x04\x01\x2a\x1a\x00"})
_LONGEST: Final = 64


class CrimsonGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 2:
            end = 2 + int.from_bytes(buffer[:2], "big")
            if not 6 <= end <= _LONGEST:
                raise GuardRefused(f"not a Crimson request: {buffer[:6].hex()}")
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame in _ALLOWED:
            return None
        return f"Crimson register 0x{frame[2:4].hex().upper()} is not on the list in this shape"


GUARD = GuardSpec(protocol="crimson", open=CrimsonGuard, reply_framer=None)
