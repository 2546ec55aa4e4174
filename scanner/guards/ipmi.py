"""
What may be said to a management controller: one datagram, the same to the last byte.

Sessions, RAKP and every other command are refused in every tier.

Source: IPMI v2.0 revision 1.1, sections 13.6, 13.17 to 13.24, 22.13 and appendix G.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_ASKS: Final = bytes.fromhex("0600ff07000000000000000000092018c88154388e0461")
_COMMANDS: Final = {
    (0x00, 0x02): "chassis control",
    (0x06, 0x01): "Get Device ID",
    (0x06, 0x02): "cold reset",
    (0x06, 0x39): "Get Session Challenge",
    (0x06, 0x3A): "Activate Session",
    (0x06, 0x47): "Set User Password",
}


class IpmiGuard:
    """Judges one datagram; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _ASKS:
            return None
        if frame[:4] != _ASKS[:4] or len(frame) < 20:
            return "not an IPMI command"
        if frame[4]:
            return "IPMI: no session is ever opened or used"
        name = _COMMANDS.get((frame[15] >> 2, frame[19]), "command")
        return f"IPMI: {name} is not on the list in this shape"


GUARD = GuardSpec(protocol="ipmi", open=IpmiGuard, reply_framer=None)
