"""
Red Lion Crimson 3: what may never be sent, and what may. Sources: as in its grammar.

Which register loads a program or restarts the device is not public; every register but the two that
identify counts as such, and so do those two with other codes or with data.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

MANUFACTURER: Final = bytes.fromhex("0004012b1b00")
MODEL: Final = bytes.fromhex("0004012a1a00")

WRITES: Requests = {
    "crimson another register": ("tcp", 789, (bytes.fromhex("000401201000"),)),
    "crimson register behind the model": ("tcp", 789, (MODEL, bytes.fromhex("0004012c1c00"))),
    "crimson another code": ("tcp", 789, (bytes.fromhex("0004012b0300"),)),
    "crimson model with data": ("tcp", 789, (bytes.fromhex("000a012a1a00") + b"G306a\0",)),
}

HARMLESS: Requests = {
    "crimson identify": ("tcp", 789, (MANUFACTURER, MODEL)),
}

FOREIGN: Foreign = {
    "HTTP to Crimson": ("tcp", 789, GET),
    "a stray byte behind a Crimson request": ("tcp", 789, MODEL + b"\x00"),
}
