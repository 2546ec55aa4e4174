"""
What may be said to upsd: VER and LOGOUT, and from tier read on LIST UPS and LIST VAR of one supply.

Source: RFC 9271, commands and responses.
"""

from __future__ import annotations

import re
from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_ALWAYS: Final = frozenset({b"VER\n", b"LOGOUT\n"})
_READ: Final = re.compile(rb"LIST (?:UPS|VAR [A-Za-z0-9][A-Za-z0-9._-]{0,63})\n")
_LONGEST: Final = 80


class NutGuard:
    """Judges one line at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while buffer:
            end = buffer.find(b"\n") + 1
            if not end and len(buffer) <= _LONGEST:
                break
            if not 0 < end <= _LONGEST:
                raise GuardRefused("a command of upsd is one short line")
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame in _ALWAYS:
            return None
        if not _READ.fullmatch(frame):
            return f"upsd: {frame[:24]!r} is not on the list"
        return None if tier.allows(Tier.READ) else "upsd: lists need tier read"


GUARD = GuardSpec(protocol="nut", open=NutGuard, reply_framer=None)
