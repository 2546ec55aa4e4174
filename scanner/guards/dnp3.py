"""
What may be said to a DNP3 outstation: REQUEST LINK STATUS, a link header without user data.

Each frame goes to one device address; broadcasts and reserved addresses are refused, and so is
every other function of the link layer (resets) and all user data, with the application layer in it.
A connection carries three such frames at most.

Source: IEEE 1815-2012 clause 9.2 (link frame, function codes, CRC, reserved addresses).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_AT_MOST: Final = 3
_PRIMARY: Final = {
    0: "RESET LINK STATES", 1: "RESET USER PROCESS", 2: "TEST LINK STATES",
    3: "CONFIRMED USER DATA", 4: "UNCONFIRMED USER DATA", 9: "REQUEST LINK STATUS",
}  # fmt: skip
_RESERVED: Final = 0xFFF0


def _table() -> tuple[int, ...]:
    """CRC of each byte, for the generator x16+x13+x12+x11+x10+x8+x6+x5+x2+1, least bit first."""
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0xA6BC * (value & 1))
        found.append(value)
    return tuple(found)


_TABLE: Final = _table()


def _check(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFF


class Dnp3Guard:
    """Judges one link frame at a time, and counts those that it let pass on its connection."""

    def __init__(self) -> None:
        self._passed = 0

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 3:
            if buffer[:2] != b"\x05\x64" or buffer[2] < 5:
                raise GuardRefused(f"not a DNP3 link frame: {buffer[:6].hex()}")
            data = buffer[2] - 5
            end = 10 + data + 2 * ((data + 15) // 16)
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) < 10 or frame[:2] != b"\x05\x64":
            return "not a DNP3 link frame"
        if frame[3] != 0xC9:
            name = _PRIMARY.get(frame[3] & 0x0F, "unknown")
            return f"link control 0x{frame[3]:02X} ({name}) is not on the DNP3 list"
        if len(frame) != 10 or frame[2] != 5:
            return "REQUEST LINK STATUS carries no user data"
        if _check(frame[:8]) != int.from_bytes(frame[8:10], "little"):
            return "the CRC of the link header is wrong"
        for place, what in ((4, "destination"), (6, "source")):
            if int.from_bytes(frame[place : place + 2], "little") >= _RESERVED:
                return f"{what} {frame[place : place + 2].hex()} is a broadcast or reserved"
        if self._passed >= _AT_MOST:
            return f"at most {_AT_MOST} addresses are asked on a connection"
        self._passed += 1
        return None


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first whole link frame. Raises BadReply on anything else."""
    if buffer[:1] not in (b"", b"\x05") or buffer[1:2] not in (b"", b"\x64"):
        raise BadReply(f"not a DNP3 link frame: {buffer[:6].hex()}")
    if len(buffer) < 3:
        return None
    data = max(buffer[2] - 5, 0)
    end = 10 + data + 2 * ((data + 15) // 16)
    return end if len(buffer) >= end else None


GUARD = GuardSpec(protocol="dnp3", open=Dnp3Guard, reply_framer=reply_framer)
