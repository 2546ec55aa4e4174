"""
SLMP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _slmp(command: int, data: str = "", *, subcommand: int = 0) -> bytes:
    body = b"\x10\x00" + command.to_bytes(2, "little") + subcommand.to_bytes(2, "little")
    body += bytes.fromhex(data)
    return bytes.fromhex("500000ffff0300") + len(body).to_bytes(2, "little") + body


WRITES: Requests = {
    "slmp device write": ("tcp", 5000, (_slmp(0x1401, "640000a801003412"),)),
    "slmp device write random": ("tcp", 5000, (_slmp(0x1402, "0100640000a83412"),)),
    "slmp memory write": ("tcp", 5000, (_slmp(0x1613, "0000000001003412"),)),
    "slmp remote run": ("tcp", 5000, (_slmp(0x1001, "01000000"),)),
    "slmp remote stop": ("tcp", 5000, (_slmp(0x1002, "0100"),)),
    "slmp remote stop behind a read": ("tcp", 5000, (_slmp(0x0101), _slmp(0x1002, "0100"))),
    "slmp remote reset": ("tcp", 5000, (_slmp(0x1006, "0100"),)),
    "slmp clear error": ("tcp", 5000, (_slmp(0x1617),)),
    "slmp delete file": ("tcp", 5000, (_slmp(0x1822, "000000000400"),)),
    "slmp IP address set": ("tcp", 5000, (_slmp(0x0E31, "00" * 8),)),
}

HARMLESS: Requests = {"slmp read type name": ("tcp", 5000, (_slmp(0x0101),))}

FOREIGN: Foreign = {
    "HTTP to SLMP": ("tcp", 5000, GET),
    "an SLMP response": ("tcp", 5000, b"\xd0" + _slmp(0x0101)[1:]),
    "a stray byte behind Read Type Name": ("tcp", 5000, _slmp(0x0101) + b"\x50"),
}
