"""
ProConOS: what may never be sent, and what may. Sources: as in its grammar; start, stop and monitor
are those of that tool, byte for byte.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

INFORMATION: Final = bytes.fromhex("cc01000b4002000047ee")

WRITES: Requests = {
    "proconos stop": ("tcp", 20547, (bytes.fromhex("cc010001400e00004c07"),)),
    "proconos start": ("tcp", 20547, (bytes.fromhex("cc010004400e00001821"),)),
    "proconos monitor": ("tcp", 20547, (INFORMATION, bytes.fromhex(
        "cc01005b40031c00010000001c0000000100000002000000000000000000000000000000d79a"),)),
    "proconos 0007": ("tcp", 20547, (bytes.fromhex(
        "cc0100074006100026750000000000000000000000000000c682"),)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "proconos state": ("tcp", 20547, (bytes.fromhex("cc01000f40070000eafa"),)),
    "proconos 000D": ("tcp", 20547, (bytes.fromhex("cc01000dc0010000d517"),)),
}

HARMLESS: Requests = {
    "proconos identify": ("tcp", 20547, (INFORMATION,)),
}

FOREIGN: Foreign = {
    "HTTP to ProConOS": ("tcp", 20547, GET),
    "a stray byte behind a ProConOS request": ("tcp", 20547, INFORMATION + b"\x00"),
}
