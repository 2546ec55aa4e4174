"""
What may be said to a CODESYS 2.3 runtime: who are you, in either byte order, and nothing else.

A runtime of version 2.3 carries out what it is told without a login, so that two requests of seven
bytes are the whole list and every other byte sequence is refused.

Source: Digital Bond's Redpoint, codesys-v2-discover.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LENGTH: Final = 7
_ALLOWED: Final = frozenset({b"\xbb\xbb\x01\0\0\0\x01", b"\xbb\xbb\x01\0\0\x01\x01"})


class Codesys2Guard:
    """Judges seven bytes at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= _LENGTH:
            if buffer[:2] != b"\xbb\xbb":
                raise GuardRefused(f"not CODESYS 2.3: {buffer[:2].hex()}")
            frames.append(buffer[:_LENGTH])
            buffer = buffer[_LENGTH:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame not in _ALLOWED:
            return f"CODESYS 2.3 is asked who it is, nothing else: {frame[:12].hex()}"
        return None


GUARD = GuardSpec(protocol="codesys2", open=Codesys2Guard, reply_framer=None)
