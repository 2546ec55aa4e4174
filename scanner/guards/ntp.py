"""
What may be said to an NTP server: a client's request; in the read tier one READVAR.

Both by their bytes. Mode 7 (monlist among it), every other opcode of mode 6, and the modes that
make an association (1, 2, 5) are refused in every tier.

Source: RFC 5905 section 7.3; RFC 9327 section 2.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_CLIENT: Final = b"\x1b" + bytes(39) + b"walkdown"
_READVAR: Final = bytes.fromhex("16 02 5744 0000 0000 0000 0018") + b"version,processor,system"


class NtpGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _CLIENT:
            return None
        if frame == _READVAR:
            return None if tier.allows(Tier.READ) else "NTP READVAR needs tier read"
        return f"an NTP message that is not on the list: mode {frame[:1].hex()} …"


GUARD = GuardSpec(protocol="ntp", open=NtpGuard, reply_framer=None)
