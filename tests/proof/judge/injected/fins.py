"""
FINS: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

NODES: Final = bytes.fromhex("46494e530000000c") + bytes(12)


def _fins(command: str, *, to: int = 0, sender: int = 126) -> bytes:
    return bytes([0x80, 0, 2, 0, to, 0, 0, sender, 0, 7]) + bytes.fromhex(command)


def _framed(command: str) -> bytes:
    inside = _fins(command, to=200, sender=251)
    return (
        b"FINS" + (8 + len(inside)).to_bytes(4, "big") + bytes.fromhex("0000000200000000") + inside
    )


WRITES: Requests = {
    "fins memory area write": ("udp", 9600, (_fins("01028200640000011234"),)),
    "fins memory area fill": ("udp", 9600, (_fins("0103820064000001ffff"),)),
    "fins program area clear": ("udp", 9600, (_fins("0308ffff00"),)),
    "fins run": ("udp", 9600, (_fins("0401ffff04"),)),
    "fins stop": ("udp", 9600, (_fins("0402ffff"),)),
    "fins stop on a connection": ("tcp", 9600, (NODES, _framed("0402ffff"))),
    "fins reset": ("udp", 9600, (_fins("0403"),)),
    "fins clock write": ("udp", 9600, (_fins("07022611301200"),)),
    "fins access right by force": ("udp", 9600, (_fins("0c02ffff"),)),
    "fins error clear": ("udp", 9600, (_fins("2101fffe"),)),
    "fins error log clear": ("udp", 9600, (_fins("2103"),)),
    "fins forced set": ("tcp", 9600, (NODES, _framed("23010001000130000000"))),
    "fins file delete": ("udp", 9600, (_fins("22058000000141"),)),
}

HARMLESS: Requests = {
    "fins identify": ("udp", 9600, (_fins("050100"),)),
    "fins identify on a connection": ("tcp", 9600, (NODES, _framed("050100"))),
    "fins status": ("udp", 9600, (_fins("0601"),)),
    "fins status on a connection": ("tcp", 9600, (NODES, _framed("0601"))),
}

FOREIGN: Foreign = {
    "HTTP to FINS/TCP": ("tcp", 9600, GET),
    "HTTP to FINS": ("udp", 9600, GET),
    "FINS without its TCP frame": ("tcp", 9600, bytes(12)),
    "a FINS response": ("udp", 9600, b"\xc0" + _fins("0501000000")[1:]),
}
