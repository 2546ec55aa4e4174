"""
IEC 60870-5-104: what may never be sent, and the one frame that may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_TEST: Final = bytes.fromhex("680443000000")
_START: Final = bytes.fromhex("680407000000")


def _information(kind: int, *, cause: int = 6, address: int = 1, value: bytes) -> bytes:
    """One information object of 3 address bytes; common address 1."""
    asdu = bytes([kind, 1, cause, 0, 1, 0]) + address.to_bytes(3, "little") + value
    return bytes([0x68, 4 + len(asdu), 0, 0, 0, 0]) + asdu


_TIME: Final = bytes.fromhex("00e80a0a170b1a")


def _one(frame: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return "tcp", 2404, (_TEST, frame)


WRITES: Requests = {
    "iec104 start of data transfer": _one(_START),
    "iec104 stop of data transfer": _one(bytes.fromhex("680413000000")),
    "iec104 supervisory frame": _one(bytes.fromhex("680401000200")),
    "iec104 single command": _one(_information(45, value=b"\x81")),
    "iec104 double command": _one(_information(46, value=b"\x82")),
    "iec104 regulating step": _one(_information(47, value=b"\x82")),
    "iec104 set point": _one(_information(50, value=b"\x00\x00\x80\x3f\x00")),
    "iec104 command with time": _one(_information(58, value=b"\x81" + _TIME)),
    "iec104 interrogation": _one(_information(100, address=0, value=b"\x14")),
    "iec104 counter interrogation": _one(_information(101, address=0, value=b"\x45")),
    "iec104 clock": _one(_information(103, address=0, value=_TIME)),
    "iec104 reset of the process": _one(_information(105, address=0, value=b"\x01")),
    "iec104 parameter": _one(_information(112, value=b"\x00\x00\x80\x3f\x01")),
}

HARMLESS: Requests = {"iec104 test frame": ("tcp", 2404, (_TEST,))}

FOREIGN: Foreign = {
    "HTTP to IEC 104": ("tcp", 2404, GET),
    "a stray byte behind an IEC 104 frame": ("tcp", 2404, _TEST + b"\x68"),
}
