"""
What may be said to a TFTP server: one read request, byte for byte, for a file that is not there.

Every other name, mode and option is refused, and so is every other packet: a write request, DATA,
ACK and ERROR.

Source: RFC 1350 section 5.
"""

from __future__ import annotations

from typing import Final

from scanner.model import Tier
from scanner.spec import GuardSpec

_READ_NOTHING: Final = b"\x00\x01walkdown-no-such-file\x00octet\x00"
_KINDS: Final = {1: "read request", 2: "write request", 3: "DATA", 4: "ACK", 5: "ERROR"}


class TftpGuard:
    """Judges one datagram at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        return ((buffer,) if buffer else ()), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _READ_NOTHING:
            return None
        kind = _KINDS.get(int.from_bytes(frame[:2], "big"), f"opcode {frame[:2].hex()}")
        return f"a TFTP packet that is not on the list: {kind}"


GUARD = GuardSpec(protocol="tftp", open=TftpGuard, reply_framer=None)
