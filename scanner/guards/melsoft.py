"""
What may be said to a MELSOFT port: the one frame that asks for the CPU's name, byte for byte.

Its layout is not published; so there is no shape that could be varied, and every other frame is
refused, whatever it is.

Source: the recorded exchange with a Q03UDECPU; Digital Bond's melsecq-discover.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_CPU_NAME: Final = (
    b"\x57\x00\x00\x00\x00\x11\x11\x07\x00\x00\xff\xff\x03\x00\x00\xfe\x03\x00\x00\x14\x00"
    b"\x1c\x08\x0a\x08" + bytes(7) + b"\x04\x01\x01\x01\x00\x00\x00\x00\x01"
)

_FUNCTIONS: Final = {
    0x0121: "CPU name of an iQ-F",
    0x1001: "remote run",
    0x1002: "remote stop",
    0x1003: "remote pause",
    0x1005: "remote latch clear",
    0x1006: "remote reset",
    0x1401: "device write",
    0x1402: "device write random",
}


class MelsoftGuard:
    """Knows one frame; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while buffer:
            if not _CPU_NAME.startswith(buffer[: len(_CPU_NAME)]):
                raise GuardRefused(f"not the MELSOFT frame on the list: {_words(buffer)}")
            if len(buffer) < len(_CPU_NAME):
                break
            frames.append(_CPU_NAME)
            buffer = buffer[len(_CPU_NAME) :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame != _CPU_NAME:
            return f"not the MELSOFT frame on the list: {_words(frame)}"
        return None


def _words(frame: bytes) -> str:
    if frame[:1] != b"\x57" or len(frame) < 24:
        return frame[:8].hex()
    at = 23 + frame[23]
    function = int.from_bytes(frame[at : at + 2], "big")
    return f"function {function:04X} ({_FUNCTIONS.get(function, 'unknown')})"


GUARD = GuardSpec(protocol="melsoft", open=MelsoftGuard, reply_framer=None)
