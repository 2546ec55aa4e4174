"""
What may be said to an SLMP port: Read Type Name of the own station, in one binary 3E frame.

Everything else is refused by its command: memory reads as well as writes, remote control, files,
passwords, error clear. So are 4E frames, other stations, and frames whose length is not right.

Source: Mitsubishi SH(NA)-080956ENG, sections 4.1 (3E frame) and 5.1 (list of commands).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_SUBHEADER_AND_ROUTE: Final = bytes.fromhex("500000ffff0300")
_HEAD: Final = 9
_LONGEST: Final = 64

_COMMANDS: Final = {
    0x0401: "device read",
    0x0403: "device read random",
    0x0406: "device read block",
    0x0601: "extend unit read",
    0x0613: "memory read",
    0x0619: "self test",
    0x0E30: "node search",
    0x0E31: "IP address set",
    0x1001: "remote run",
    0x1002: "remote stop",
    0x1003: "remote pause",
    0x1005: "remote latch clear",
    0x1006: "remote reset",
    0x1401: "device write",
    0x1402: "device write random",
    0x1406: "device write block",
    0x1601: "extend unit write",
    0x1613: "memory write",
    0x1617: "clear error",
    0x1630: "remote password unlock",
    0x1631: "remote password lock",
    0x1810: "read directory or file",
    0x1811: "search directory or file",
    0x1820: "new file",
    0x1822: "delete file",
    0x1824: "copy file",
    0x1825: "change file state",
    0x1826: "change file date",
    0x1827: "open file",
    0x1828: "read file",
    0x1829: "write file",
    0x182A: "close file",
}


class SlmpGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while buffer:
            if buffer[:2] != _SUBHEADER_AND_ROUTE[: min(2, len(buffer))]:
                raise GuardRefused(f"not an SLMP 3E request: {buffer[:2].hex()}")
            if len(buffer) < _HEAD:
                break
            end = _HEAD + int.from_bytes(buffer[7:9], "little")
            if end > _LONGEST:
                raise GuardRefused(f"SLMP length {end - _HEAD} is above {_LONGEST - _HEAD}")
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if len(frame) < _HEAD + 6 or frame[:7] != _SUBHEADER_AND_ROUTE:
            return "not an SLMP 3E request to the own station"
        if int.from_bytes(frame[7:9], "little") != len(frame) - _HEAD:
            return "the SLMP length does not match the frame"
        command, subcommand = frame[11:13], frame[13:15]
        if command != b"\x01\x01":
            number = int.from_bytes(command, "little")
            return (
                f"SLMP command {number:04X} ({_COMMANDS.get(number, 'unknown')}) is not on the list"
            )
        if subcommand != b"\x00\x00" or len(frame) != 15 or frame[9:11] != b"\x10\x00":
            return "Read Type Name has one shape"
        return None


GUARD = GuardSpec(protocol="slmp", open=SlmpGuard, reply_framer=None)
