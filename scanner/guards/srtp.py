"""
What may be said to a GE-SRTP port: the initialisation, 56 zero bytes, once per connection.

No service request passes, reads included: each is addressed to a CPU by its slot, and what it does
is known from reverse engineering alone.

Source: G. Denton et al., DFRWS 2017, sections 4 and 5 (messages, service request codes).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LENGTH: Final = 56
_SERVICES: Final = {
    0x00: "PLC short status",
    0x03: "control program names",
    0x04: "read system memory",
    0x05: "read task memory",
    0x06: "read program memory",
    0x07: "write system memory",
    0x08: "write task memory",
    0x09: "write program block memory",
    0x20: "programmer logon",
    0x21: "change privilege level",
    0x22: "set control id",
    0x23: "set PLC run or stop",
    0x24: "set PLC time",
    0x25: "return PLC time",
    0x38: "return fault table",
    0x39: "clear fault table",
    0x3F: "program store",
    0x40: "program load",
    0x43: "controller type and id",
    0x44: "toggle force",
}


class SrtpGuard:
    """Remembers whether its connection has had its initialisation."""

    def __init__(self) -> None:
        self._initialised = False

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if len(buffer) < _LENGTH:
            if any(buffer):
                raise GuardRefused(f"no SRTP initialisation: {buffer[:8].hex()}")
            return (), buffer
        return (buffer[:_LENGTH],), buffer[_LENGTH:]

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame != bytes(_LENGTH):
            if len(frame) < _LENGTH:
                return "not an SRTP message"
            name = _SERVICES.get(frame[42], "unknown")
            return f"SRTP service 0x{frame[42]:02X} ({name}) is not on the list"
        if self._initialised:
            return "an SRTP connection is initialised once"
        self._initialised = True
        return None


GUARD = GuardSpec(protocol="srtp", open=SrtpGuard, reply_framer=None)
