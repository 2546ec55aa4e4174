"""
What may be said to a Moxa device server's search port: who are you; with tier read, its name too.

Allowed, each by its exact shape: id 01 without a body (identify); ids 10 and 16 with the twelve
bytes of a device id and nothing more (read). Every other id is refused: some set addresses, names
or passwords, some restart the device, some hand out its configuration.

Source: M. Davidsaver, Moxa UDP protocol.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_SEARCH: Final = b"\x01\x00\x00\x08\x00\x00\x00\x00"
_READ: Final = (b"\x10\x00\x00\x14\x00\x00\x00\x00", b"\x16\x00\x00\x14\x00\x00\x00\x00")
_IDS: Final = {
    0x14: "net status",
    0x1A: "date and time",
    0x1E: "unlock",
    0x21: "IP address",
    0x22: "netmask",
    0x23: "default gateway",
    0x25: "automatic report",
    0x26: "network configuration",
    0x27: "DNS configuration",
    0x28: "SNMP configuration",
    0x29: "e-mail configuration",
    0x2C: "credentials",
    0x4D: "operation settings",
    0x4F: "port settings",
    0x51: "accessible IP settings",
    0x52: "event settings",
}


class NportGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        return ((buffer,), b"") if buffer else ((), b"")

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _SEARCH:
            return None
        if frame[:1] == _SEARCH[:1]:
            return "a search is id 01, its length and zeros"
        if frame[:8] in _READ:
            if len(frame) != 20:
                return "name and product details carry a device id of twelve bytes"
            return None if tier.allows(Tier.READ) else f"id {frame[0]:02X} needs tier read"
        if len(frame) < 8:
            return "not a request of the Moxa search"
        return f"id {frame[0]:02X} ({_IDS.get(frame[0], 'unknown')}) is not on the list"


GUARD = GuardSpec(protocol="nport", open=NportGuard, reply_framer=None)
