"""
DNP3: what may never be sent, and the one request that may. Sources: as in its grammar; the objects
of clause 11 of IEEE 1815-2012 (group 12: commands, group 50: time, group 60: classes).
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.grammar.dnp3 import remainder
from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _checked(block: bytes) -> bytes:
    return block + remainder(block).to_bytes(2, "little")


def _frame(control: int, user: bytes = b"", *, to: int = 10) -> bytes:
    head = b"\x05\x64" + bytes([5 + len(user), control]) + to.to_bytes(2, "little") + b"\x01\0"
    blocks = (user[at : at + 16] for at in range(0, len(user), 16))
    return _checked(head) + b"".join(map(_checked, blocks))


def _application(function: int, objects: bytes = b"") -> bytes:
    """One transport segment, first and last; application control: first and last fragment."""
    return _frame(0xC4, b"\xc0\xc0" + bytes([function]) + objects)


def _one(frame: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return "tcp", 20000, (_STATUS, frame)


_STATUS: Final = _frame(0xC9)
_BREAKER: Final = bytes.fromhex("0c01280100 0000 0301 64000000 64000000 00".replace(" ", ""))

WRITES: Requests = {
    "dnp3 reset of the link": _one(_frame(0xC0)),
    "dnp3 reset of the user process": _one(_frame(0xC1)),
    "dnp3 test of the link": _one(_frame(0xF2)),
    "dnp3 status of everybody": _one(_frame(0xC9, to=0xFFFF)),
    "dnp3 read of class 0": _one(_application(0x01, bytes.fromhex("3c0106"))),
    "dnp3 write of the clock": _one(_application(0x02, bytes.fromhex("32010701000000000000"))),
    "dnp3 select": _one(_application(0x03, _BREAKER)),
    "dnp3 operate": _one(_application(0x04, _BREAKER)),
    "dnp3 direct operate": _one(_application(0x05, _BREAKER)),
    "dnp3 cold restart": _one(_application(0x0D)),
    "dnp3 warm restart": _one(_application(0x0E)),
    "dnp3 stop of an application": _one(_application(0x12)),
    "dnp3 no more unsolicited": _one(_application(0x15, bytes.fromhex("3c0206"))),
    "dnp3 activate a configuration": _one(_application(0x1F)),
}

HARMLESS: Requests = {
    "dnp3 link status": ("tcp", 20000, (_STATUS,)),
    "dnp3 link status of two": ("tcp", 20000, (_STATUS, _frame(0xC9, to=11))),
}

FOREIGN: Foreign = {
    "HTTP to DNP3": ("tcp", 20000, GET),
    "a DNP3 frame with a wrong CRC": ("tcp", 20000, _STATUS[:-1] + b"\x00"),
    "a stray byte behind a DNP3 frame": ("tcp", 20000, _STATUS + b"\x05"),
}
