"""
MELSOFT: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

CPU_NAME: Final = bytes.fromhex(
    "57000000001111070000ffff030000fe03000014001c080a0800000000000000040101010000000001"
)


def _melsoft(function: str, data: str) -> bytes:
    """A frame with a second header of ten bytes, as recorded writes have it."""
    behind = bytes.fromhex("1c000a080000000000000000") + bytes.fromhex(function)
    body = behind + b"\x01" + bytes(5) + bytes.fromhex(data)
    return CPU_NAME[:19] + len(body).to_bytes(2, "little") + body


WRITES: Requests = {
    "melsoft device write": ("tcp", 5007, (_melsoft("1402", "01000090000a000000000000000100"),)),
    "melsoft device write by datagram": ("udp", 5006, (_melsoft("1401", "640000a801003412"),)),
    "melsoft remote run": ("tcp", 5007, (_melsoft("1001", "01000000"),)),
    "melsoft remote stop": ("tcp", 5007, (CPU_NAME, _melsoft("1002", "0100"))),
    "melsoft remote reset": ("udp", 5006, (_melsoft("1006", "0100"),)),
}

HARMLESS: Requests = {
    "melsoft identify": ("udp", 5006, (CPU_NAME,)),
    "melsoft identify on a connection": ("tcp", 5007, (CPU_NAME,)),
}

FOREIGN: Foreign = {
    "HTTP to MELSOFT": ("tcp", 5007, GET),
    "SLMP to MELSOFT": ("tcp", 5007, bytes.fromhex("500000ffff03000600100001010000")),
    "a MELSOFT reply": ("udp", 5006, b"\xd7" + CPU_NAME[1:]),
}
