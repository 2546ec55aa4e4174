"""
The Moxa search: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _moxa(number: int, body: str = "005101801a510090e83cf87e") -> bytes:
    inside = bytes.fromhex(body)
    return bytes([number, 0]) + (8 + len(inside)).to_bytes(2, "big") + bytes(4) + inside


WRITES: Requests = {
    f"nport id {number:#04x}": ("udp", 4800, (_moxa(number),))
    for number in (0x02, 0x05, 0x11, 0x1E, 0x2C, 0x30, 0x34, 0x4D, 0x4F, 0x60)
}

HARMLESS: Requests = {
    "nport search": ("udp", 4800, (_moxa(0x01, ""),)),
    "nport product details": ("udp", 4800, (_moxa(0x16),)),
    "nport name": ("udp", 4800, (_moxa(0x10),)),
}

FOREIGN: Foreign = {
    "HTTP to the Moxa search": ("udp", 4800, GET),
    "a reply of the Moxa search": ("udp", 4800, b"\x81" + _moxa(0x01)[1:]),
    "a search with a stray byte": ("udp", 4800, _moxa(0x01, "") + b"\x00"),
}
