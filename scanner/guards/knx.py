"""
What may be said to a KNXnet/IP server: describe yourself, and with tier read the extended search.

Allowed, each byte for byte: DESCRIPTION_REQUEST with a route-back endpoint (identify), and
SEARCH_REQUEST_EXTENDED with the same endpoint, bare or with the parameter that names the wanted
blocks (read). Neither opens a channel nor reaches the bus. Everything else is refused.

Source: ISO 22510 (KNXnet/IP core), service identifiers; KNX AN159 (IP Secure).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_DESCRIBE: Final = bytes.fromhex("06100203000e0801000000000000")
_SEARCH: Final = frozenset(
    {
        bytes.fromhex("0610020b000e0801000000000000"),
        bytes.fromhex("0610020b00140801000000000000060401020608"),
    }
)
_SERVICES: Final = {
    0x0201: "SEARCH_REQUEST",
    0x0203: "DESCRIPTION_REQUEST",
    0x0205: "CONNECT_REQUEST",
    0x0207: "CONNECTIONSTATE_REQUEST",
    0x0209: "DISCONNECT_REQUEST",
    0x020B: "SEARCH_REQUEST_EXTENDED",
    0x0310: "DEVICE_CONFIGURATION_REQUEST",
    0x0420: "TUNNELLING_REQUEST",
    0x0424: "TUNNELLING_FEATURE_SET",
    0x0530: "ROUTING_INDICATION",
    0x0533: "ROUTING_SYSTEM_BROADCAST",
    0x0740: "REMOTE_DIAGNOSTIC_REQUEST",
    0x0742: "REMOTE_BASIC_CONFIGURATION_REQUEST",
    0x0743: "REMOTE_RESET_REQUEST",
    0x0951: "SESSION_REQUEST",
}


class KnxGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        if len(buffer) > 64:
            raise GuardRefused(f"a KNXnet/IP datagram of {len(buffer)} bytes")
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _DESCRIBE:
            return None
        if frame in _SEARCH:
            return None if tier.allows(Tier.READ) else "SEARCH_REQUEST_EXTENDED needs tier read"
        if len(frame) < 6 or frame[:2] != b"\x06\x10":
            return "not a KNXnet/IP datagram"
        service = int.from_bytes(frame[2:4], "big")
        name = _SERVICES.get(service, "unknown")
        return f"KNXnet/IP service 0x{service:04X} ({name}) in this form is not on the list"


GUARD = GuardSpec(protocol="knx", open=KnxGuard, reply_framer=None)
