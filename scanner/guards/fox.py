"""
What may be said to a Niagara station: one hello, byte for byte, and nothing behind it.

Source: recording of a JACE and of the workbench that greets it; Tridium's documentation of the Fox
service (authentication is required for everything else).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_HELLO: Final = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"
_END: Final = b"\n};;\n"
_LONGEST: Final = 128


class FoxGuard:
    """Judges one frame at a time; a second hello on one connection is refused."""

    def __init__(self) -> None:
        self._greeted = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while (end := buffer.find(_END)) >= 0:
            frames.append(buffer[: end + len(_END)])
            buffer = buffer[end + len(_END) :]
        if len(buffer) > _LONGEST:
            raise GuardRefused(f"a Fox frame of more than {_LONGEST} bytes")
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame != _HELLO:
            return f"Fox frame {frame[:40]!r} is not the one hello on the list"
        if self._greeted:
            return "a station is greeted once"
        self._greeted = True
        return None


GUARD = GuardSpec(protocol="fox", open=FoxGuard, reply_framer=None)
