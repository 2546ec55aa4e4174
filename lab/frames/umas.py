"""
UMAS and the Modbus/TCP that it rides on, as a Modicon controller has both on one port. Sources:
lab.frames.modbus, which tells the requests of both apart.
"""

from __future__ import annotations

from lab.frames import modbus
from lab.frames.form import Protocol

LONGEST = 1024
"""UMAS frames may be longer than those of Modbus."""


def _length(data: bytes) -> int | str | None:
    if len(data) >= 4 and data[2:4] != b"\0\0":
        return "foreign"
    if len(data) < 6:
        return None
    length = int.from_bytes(data[4:6], "big")
    if not 2 <= length <= LONGEST:
        return f"length {length}"
    return 6 + length if len(data) >= 6 + length else None


PROTOCOL = Protocol(
    name="umas",
    port=502,
    length=_length,
    classify=modbus.classify,
    header=7,  # MBAP
    length_at=(4, 2, "big"),
    reference=lambda _: (0, 2),  # transaction id
    busy=lambda request: modbus.modbus_exception(request, modbus.BUSY),
    gateway=modbus.modbus_exception,
    latin_1=True,
    longest_text=36,
    syntax=frozenset({"changed", "signature", "version"}),
)
