"""
Modbus/TCP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

IDENTIFY_MODBUS: Final = bytes.fromhex("0001 0000 0005 ff 2b0e0100")

WRITES: Requests = {
    "modbus write coil": ("tcp", 502, (bytes.fromhex("000100000006ff050000ff00"),)),
    "modbus write register": ("tcp", 502, (bytes.fromhex("000100000006ff0600010003"),)),
    "modbus write coils": ("tcp", 502, (bytes.fromhex("000100000008ff0f000000010101"),)),
    "modbus write registers": ("tcp", 502, (bytes.fromhex("000100000009ff1000000001020000"),)),
    "modbus restart communications": ("tcp", 502, (bytes.fromhex("000100000006ff0800010000"),)),
    "modbus mask write": ("tcp", 502, (bytes.fromhex("000100000008ff160004000000ff"),)),
    "modbus read/write": ("tcp", 502, (bytes.fromhex("00010000000dff1700000001000000010200ff"),)),
    "modbus write file": (
        "tcp", 502, (bytes.fromhex("00010000000cff15090600010000000100ff"),),
    ),
    "modbus CANopen": ("tcp", 502, (bytes.fromhex("000100000005ff2b0d0000"),)),
}  # fmt: skip

HARMLESS: Requests = {
    "modbus identify": ("tcp", 502, (IDENTIFY_MODBUS,)),
}

FOREIGN: Foreign = {
    "HTTP to Modbus": ("tcp", 502, GET),
    "carriage returns to Modbus": ("tcp", 502, b"\r\n\r\n"),
    "one byte to Modbus": ("tcp", 502, b"\x00"),
    "a stray byte behind a Modbus request": ("tcp", 502, IDENTIFY_MODBUS + b"\x00"),
}
