"""
What may be said to a Modbus/TCP server: "who are you", and nothing else.

Two requests pass: Read Device Identification (function 0x2B with MEI type 0x0E) and Report Server
ID (function 0x11). Both are answered from constants in the device. Everything that reads or writes
coils, registers, files or diagnostics counters is refused, reads included: a register may clear
itself when it is read.

Source: MODBUS Application Protocol V1.1b3 sections 6.13 and 6.21; MODBUS Messaging on TCP/IP
Implementation Guide V1.0b section 3.1.3 (MBAP header).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_HEADER: Final = 6
"""Transaction (2), protocol (2), length (2); the length counts what follows, unit id included."""

_LONGEST: Final = 254
"""Unit id and the largest PDU of 253 bytes."""

_NAMES: Final = {
    0x01: "read coils",
    0x02: "read discrete inputs",
    0x03: "read holding registers",
    0x04: "read input registers",
    0x05: "write single coil",
    0x06: "write single register",
    0x07: "read exception status",
    0x08: "diagnostics",
    0x0B: "get comm event counter",
    0x0C: "get comm event log",
    0x0F: "write multiple coils",
    0x10: "write multiple registers",
    0x14: "read file record",
    0x15: "write file record",
    0x16: "mask write register",
    0x17: "read/write multiple registers",
    0x18: "read FIFO queue",
    0x5A: "UMAS",
}

_OBJECTS: Final = {1: range(0x00, 0x03), 2: range(0x00, 0x80), 3: range(0x100), 4: range(0x100)}
"""Object ids that may be asked for by read code (basic, regular, extended, one object)."""


class ModbusGuard:
    """Judges one frame at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= _HEADER:
            if buffer[2:4] != b"\x00\x00":
                raise GuardRefused(f"not Modbus/TCP: protocol id {buffer[2:4].hex()}")
            length = int.from_bytes(buffer[4:6], "big")
            if not 2 <= length <= _LONGEST:
                raise GuardRefused(f"not Modbus/TCP: length {length}")
            if len(buffer) < _HEADER + length:
                break
            frames.append(buffer[: _HEADER + length])
            buffer = buffer[_HEADER + length :]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < _HEADER + 2 or frame[2:4] != b"\x00\x00":
            return "not a Modbus/TCP frame"
        if int.from_bytes(frame[4:6], "big") != len(frame) - _HEADER:
            return "the MBAP length does not match the frame"
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        unit, function, arguments = frame[6], frame[7], frame[8:]
        if 248 <= unit <= 254:
            return f"unit id {unit} is reserved"
        if function == 0x11:
            return "report server id carries no data" if arguments else None
        if function == 0x2B:
            return _judge_encapsulated(arguments)
        name = _NAMES.get(function, "unknown")
        return f"function 0x{function:02X} ({name}) is not on the Modbus list"


def _judge_encapsulated(arguments: bytes) -> str | None:
    if len(arguments) != 3:
        return "function 0x2B: only Read Device Identification with code and object id"
    mei, code, wanted = arguments
    if mei != 0x0E:
        return f"function 0x2B with MEI type 0x{mei:02X} is not on the Modbus list"
    if code not in _OBJECTS:
        return f"Read Device Identification has no code 0x{code:02X}"
    if wanted not in _OBJECTS[code]:
        return f"object 0x{wanted:02X} does not belong to read code {code}"
    return None


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first whole MBAP frame. Raises BadReply when it cannot become one."""
    if buffer[2:4] not in (b"\x00\x00", b"\x00", b""):
        raise BadReply(f"not Modbus/TCP: {buffer[:8].hex()}")
    if len(buffer) < _HEADER:
        return None
    length = int.from_bytes(buffer[4:6], "big")
    if not 2 <= length <= _LONGEST:
        raise BadReply(f"Modbus length {length} is outside 2 to {_LONGEST}")
    return _HEADER + length if len(buffer) >= _HEADER + length else None


GUARD = GuardSpec(protocol="modbus", open=ModbusGuard, reply_framer=reply_framer)
