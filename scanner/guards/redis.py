"""
What may be said to Redis: PING, and from tier read on INFO of the section server; each in one form.

Every other command is refused, also in another spelling, inline, or behind one of these two.

Source: Redis documentation, "Redis serialization protocol specification".
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_ALLOWED: Final = {
    b"*1\r\n$4\r\nPING\r\n": Tier.IDENTIFY,
    b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n": Tier.READ,
}
_LONGEST: Final = max(map(len, _ALLOWED))


class RedisGuard:
    """Judges one command at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """Cut by the allowed commands themselves: what begins none of them is nonsense."""
        frames = []
        while buffer:
            found = next((each for each in _ALLOWED if buffer.startswith(each)), None)
            if found is None:
                if any(each.startswith(buffer) for each in _ALLOWED):
                    break
                raise GuardRefused(f"not a command that may be given: {buffer[:_LONGEST]!r}")
            frames.append(found)
            buffer = buffer[len(found) :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        needed = _ALLOWED.get(frame)
        if needed is None:
            return f"Redis: {frame[:24]!r} is not on the list"
        if not tier.allows(needed):
            return f"Redis: INFO needs tier {needed.value}"
        return None


GUARD = GuardSpec(protocol="redis", open=RedisGuard, reply_framer=None)
