"""
RDP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET
from tests.proof.judge.injected.https import CLIENT_HELLO

REQUEST: Final = bytes.fromhex("030000130ee00000000000010008000b000000")
TLS_ALONE: Final = bytes.fromhex("030000130ee000000000000100080001000000")
_ERECT_DOMAIN: Final = bytes.fromhex("0300000c02f0800400010001")
_DETACH: Final = bytes.fromhex("0300000902f0802180")

WRITES: Requests = {
    "rdp MCS": ("tcp", 3389, (REQUEST, _ERECT_DOMAIN)),
    "rdp TLS": ("tcp", 3389, (REQUEST, CLIENT_HELLO)),
    "rdp disconnect of a user": ("tcp", 3389, (REQUEST, _DETACH)),
}

HARMLESS: Requests = {
    "rdp negotiation": ("tcp", 3389, (REQUEST,)),
    "rdp negotiation of TLS": ("tcp", 3389, (TLS_ALONE,)),
}

FOREIGN: Foreign = {
    "HTTP to RDP": ("tcp", 3389, GET),
    "S7 to RDP": ("tcp", 3389, bytes.fromhex("0300001611e00000000100c1020100c2020102c0010a")),
}
