"""
What may be said to a Modicon controller in UMAS (Modbus function 0x5A): five requests that read.

Each passes as one exact frame, for unit id 0 and without a pairing key, in the read tier only:
READ_ID (02), INIT_COMM (01 00), READ_PROJECT_INFO (03 00), READ_PLC_INFO (04) and READ_CARD_INFO
(06 06). Reservations, memory, variables, up- and download, starting and stopping are refused by
name, and so is every other function of Modbus.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b section 3.1.3 (MBAP header); names of
the functions as in the public dissectors of UMAS; recording of Unity Pro with a Quantum.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_HEADER: Final = 6
_LONGEST: Final = 254
_LONGEST_REPLY: Final = 1024

_ALLOWED: Final = {
    b"\x02": "READ_ID",
    b"\x01\x00": "INIT_COMM",
    b"\x03\x00": "READ_PROJECT_INFO",
    b"\x04": "READ_PLC_INFO",
    b"\x06\x06": "READ_CARD_INFO",
}
_NAMES: Final = {
    0x0A: "REPEAT",
    0x10: "TAKE_PLC_RESERVATION",
    0x11: "RELEASE_PLC_RESERVATION",
    0x12: "KEEP_ALIVE",
    0x20: "READ_MEMORY_BLOCK",
    0x21: "WRITE_MEMORY_BLOCK",
    0x22: "READ_VARIABLES",
    0x23: "WRITE_VARIABLES",
    0x24: "READ_COILS_REGISTERS",
    0x25: "WRITE_COILS_REGISTERS",
    0x30: "INITIALIZE_UPLOAD",
    0x31: "UPLOAD_BLOCK",
    0x32: "END_STRATEGY_UPLOAD",
    0x33: "INITIALIZE_DOWNLOAD",
    0x34: "DOWNLOAD_BLOCK",
    0x35: "END_STRATEGY_DOWNLOAD",
    0x40: "START_PLC",
    0x41: "STOP_PLC",
    0x50: "MONITOR_PLC",
    0x58: "CHECK_PLC",
    0x70: "READ_IO_OBJECT",
    0x71: "WRITE_IO_OBJECT",
}


class UmasGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= _HEADER:
            length = int.from_bytes(buffer[4:6], "big")
            if buffer[2:4] != b"\x00\x00" or not 2 <= length <= _LONGEST:
                raise GuardRefused(f"not Modbus/TCP: {buffer[:8].hex()}")
            if len(buffer) < _HEADER + length:
                break
            frames.append(buffer[: _HEADER + length])
            buffer = buffer[_HEADER + length :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 10 or frame[2:4] != b"\x00\x00":
            return "not a UMAS frame"
        if int.from_bytes(frame[4:6], "big") != len(frame) - _HEADER:
            return "the MBAP length does not match the frame"
        if frame[7] != 0x5A:
            return f"Modbus function 0x{frame[7]:02X} is not on the UMAS list"
        if frame[6] != 0:
            return f"unit id {frame[6]}: UMAS is for the controller itself"
        if frame[8] != 0:
            return "a pairing key belongs to whoever holds the reservation"
        if frame[9:] not in _ALLOWED:
            name = _NAMES.get(frame[9], "unknown")
            if any(frame[9:10] == allowed[:1] for allowed in _ALLOWED):
                return f"UMAS function 0x{frame[9]:02X} has one shape"
            return f"UMAS function 0x{frame[9]:02X} ({name}) is not on the list"
        return None if tier.allows(Tier.READ) else "UMAS needs tier read"


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first whole frame, up to 1 KiB. Raises BadReply when it cannot become one."""
    if buffer[2:4] not in (b"\x00\x00", b"\x00", b""):
        raise BadReply(f"not Modbus/TCP: {buffer[:8].hex()}")
    if len(buffer) < _HEADER:
        return None
    length = int.from_bytes(buffer[4:6], "big")
    if not 2 <= length <= _LONGEST_REPLY:
        raise BadReply(f"Modbus length {length} is outside 2 to {_LONGEST_REPLY}")
    return _HEADER + length if len(buffer) >= _HEADER + length else None


GUARD = GuardSpec(protocol="umas", open=UmasGuard, reply_framer=reply_framer)
