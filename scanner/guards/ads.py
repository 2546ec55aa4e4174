"""
What may be said to an AMS router: one datagram that asks who it is, and nothing else.

Service 6 would add a route (with a user name and a password in it) and is refused by name, like all
other services, tags in the request, and a sender that is not empty.

Source: Beckhoff, ADS library for C++: UDP services of port 48899; recordings of engineering tools.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_SERVER_INFO: Final = bytes.fromhex("036614710000000001000000000000000000102700000000")
_SERVICES: Final = {6: "add a route"}


class AdsGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if len(buffer) > 1024:
            raise GuardRefused(f"a datagram of {len(buffer)} bytes is none of ours")
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _SERVER_INFO:
            return None
        if len(frame) < 24 or frame[:4] != _SERVER_INFO[:4]:
            return "not a datagram for an AMS router"
        service = int.from_bytes(frame[8:12], "little")
        if service != 1:
            name = _SERVICES.get(service, "unknown")
            return f"AMS router service {service} ({name}) is not on the list"
        return "the question of who a router is has one shape"


GUARD = GuardSpec(protocol="ads", open=AdsGuard, reply_framer=None)
