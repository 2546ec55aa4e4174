"""
What may be said to an RDP server: one X.224 connection request on each connection, in two shapes.

It offers TLS, CredSSP and CredSSP with early authorisation, or TLS alone; each by its nineteen
bytes, without a cookie. All that would come next (MCS, TLS, a logon) is refused in every tier.

Source: [MS-RDPBCGR] section 2.2.1.1; RFC 1006 section 6.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_REQUESTS: Final = frozenset(
    {
        bytes.fromhex("03000013 0ee00000000000 01000800 0b000000"),
        bytes.fromhex("03000013 0ee00000000000 01000800 01000000"),
    }
)
_LENGTH: Final = 19


class RdpGuard:
    """One connection's guard: it remembers whether the request was made."""

    def __init__(self) -> None:
        self._asked = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if not b"\x03\x00\x00\x13".startswith(buffer[:4]):
            raise GuardRefused(f"not a TPKT of {_LENGTH} bytes: {buffer[:4].hex(' ')}")
        if len(buffer) < _LENGTH:
            return (), buffer
        if len(buffer) > _LENGTH:
            raise GuardRefused("bytes behind an RDP connection request")
        return (buffer,), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame not in _REQUESTS:
            return f"not one of the two RDP connection requests: {frame[:_LENGTH].hex(' ')}"
        if self._asked:
            return "this connection has made its RDP connection request"
        self._asked = True
        return None


GUARD = GuardSpec(protocol="rdp", open=RdpGuard, reply_framer=None)
