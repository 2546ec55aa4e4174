"""
PC Worx: what may never be sent, and what may. Sources: as in its grammar; the other requests are
those of a public tool for ILC 150 and 390 (T. Deneut, Howest).
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

GREETING: Final = bytes.fromhex("0101001a0000000078800003000c494245544830314e305f4d00")
QUESTION: Final = bytes.fromhex("01050016000100007880004c00000006000402950000")
FETCH: Final = bytes.fromhex("0106000e000200000000004c0400")

WRITES: Requests = {
    "pcworx check of the flash": ("tcp", 1962, (GREETING, bytes.fromhex(
        "0105002e0063000000000000004c00000023001c02b0000c0000055b4433325d0b466c617368436865636b"
        "310131"),)),
    "pcworx another question": ("tcp", 1962, (GREETING, QUESTION[:18] + b"\x02\x96\0\0",)),
    "pcworx service 03": ("tcp", 1962, (b"\x01\x03" + FETCH[2:],)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "pcworx end of a session": ("tcp", 1962, (bytes.fromhex("0102000c006bffffff0f004c"),)),
}

HARMLESS: Requests = {
    "pcworx identify": ("tcp", 1962, (GREETING, QUESTION, FETCH)),
}

FOREIGN: Foreign = {
    "HTTP to PC Worx": ("tcp", 1962, GET),
    "a stray byte behind a PC Worx request": ("tcp", 1962, FETCH + b"\x00"),
    "an answer of PC Worx as a request": ("tcp", 1962, b"\x81" + FETCH[1:]),
}
