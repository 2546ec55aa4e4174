"""
What may be said to a VNC server: one version, once, and nothing more in any tier.

The three published versions are allowed, each by its twelve bytes. What follows in the protocol is
the choice of a security type, which may open the desktop at once; so every further byte is refused,
and with it passwords, ClientInit, key, pointer and clipboard events.

Source: RFC 6143 sections 7.1 (handshake), 7.3 and 7.5 (what a client may send later).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LINES: Final = frozenset({b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n"})
_LENGTH: Final = 12


class VncGuard:
    """One connection's guard: it remembers whether the version was said."""

    def __init__(self) -> None:
        self._said = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if not b"RFB ".startswith(buffer[:4]):
            raise GuardRefused(f"not an RFB version: {buffer[:_LENGTH].hex(' ')}")
        if len(buffer) < _LENGTH:
            return (), buffer
        if len(buffer) > _LENGTH:
            raise GuardRefused("bytes behind an RFB version")
        return (buffer,), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame not in _LINES:
            return f"not one of the published RFB versions: {frame[:16]!r}"
        if self._said:
            return "the RFB version was said already; what comes next would be a choice"
        self._said = True
        return None


GUARD = GuardSpec(protocol="vnc", open=VncGuard, reply_framer=None)
