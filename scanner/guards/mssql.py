"""
What may be said to SQL Server: one PRELOGIN of one shape, and nothing behind it.

PRELOGIN packets also carry TLS, so that the type alone allows nothing.

Source: MS-TDS sections 2.2.3.1 and 2.2.6.5.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_PRELOGIN: Final = bytes.fromhex("1201001a0000000000000b00060100110001ff00000000000002")
_TYPES: Final = {
    0x01: "SQL batch",
    0x03: "RPC",
    0x06: "attention",
    0x07: "bulk load",
    0x0E: "transaction",
    0x10: "LOGIN7",
    0x11: "SSPI",
    0x12: "PRELOGIN",
}


class MssqlGuard:
    """Judges one packet at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[2:4], "big")
            if buffer[0] not in _TYPES or not 8 < length <= 64:
                raise GuardRefused(f"not a TDS packet of ours: {buffer[:8].hex()}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame == _PRELOGIN:
            return None
        name = _TYPES.get(frame[0], "unknown") if frame else "nothing"
        return f"TDS: {name} is not on the list in this shape"


GUARD = GuardSpec(protocol="mssql", open=MssqlGuard, reply_framer=None)
