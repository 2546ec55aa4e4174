"""
TLS on the wire: only record types are judged here, the plaintext inside was judged before.

Source: RFC 8446 section 5.1 (record layer); types 20 to 23, version 0x03xx, at most 2^14 + 256
bytes a record (RFC 5246 section 6.2.3 allows 2^14 + 2048).
"""

from __future__ import annotations

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_TYPES = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}
_MAX_RECORD = (1 << 14) + 2048


class _Guard:
    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames: list[bytes] = []
        while len(buffer) >= 5:
            length = 5 + int.from_bytes(buffer[3:5], "big")
            if length > 5 + _MAX_RECORD:
                raise GuardRefused(f"TLS record of {length} bytes")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 5 or frame[1] != 3 or frame[0] not in _TYPES:
            return f"not a TLS record: {frame[:5].hex(' ')}"
        if len(frame) != 5 + int.from_bytes(frame[3:5], "big"):
            return "TLS record with a wrong length"
        return None


GUARD = GuardSpec(protocol="tls", open=_Guard, reply_framer=None)
