"""
What may be said to a PROFINET station on layer 2: Identify, all options, and nothing else.

The frame (what stands behind the Ethernet type) passes in one shape, of which only the number of
the transaction is free. To whom it goes is not in it: the helper that owns the socket knows the MAC
addresses of the plan and no others. Set, Signal, Reset, Get, Hello and everything that is no DCP at
all (output data, alarms, clocks) is refused by name.

Source: IEC 61158-6-10, coding of the FrameID field and of DCP APDUs.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_HEAD: Final = bytes.fromhex("fefe 05 00")
_TAIL: Final = bytes.fromhex("0001 0004 ffff 0000")
"""Response delay factor 1, four bytes: all options, and no value of any."""
_LENGTH: Final = 16
_SERVICES: Final = {3: "Get", 4: "Set", 5: "Identify", 6: "Hello"}
_DCP: Final = frozenset({0xFEFC, 0xFEFD, 0xFEFE, 0xFEFF})


class DcpGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """What is sent at once is one frame."""
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) == _LENGTH and frame[:4] == _HEAD and frame[8:] == _TAIL:
            return None
        if len(frame) < 4 or int.from_bytes(frame[:2], "big") not in _DCP:
            return f"FrameID {frame[:2].hex()} is not on the list"
        if frame[:4] == _HEAD:
            return "Identify has one shape: all options, at once"
        name = _SERVICES.get(frame[2], "unknown")
        return f"DCP service {frame[2]} ({name}), type {frame[3]}, is not on the list"


GUARD = GuardSpec(protocol="dcp", open=DcpGuard, reply_framer=None)
