"""
VNC: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

VERSION = b"RFB 003.008\n"

WRITES: Requests = {
    "vnc choice of no login": ("tcp", 5900, (VERSION + b"\x01",)),
    "vnc desktop taken": ("tcp", 5900, (VERSION + b"\x01\x01",)),
    "vnc key pressed": ("tcp", 5900, (VERSION + b"\x01\x01\x04\x01\0\0\0\0\xff\x0d",)),
}

HARMLESS: Requests = {
    "vnc version": ("tcp", 5900, (VERSION,)),
    "vnc old version": ("tcp", 5900, (b"RFB 003.003\n",)),
}

FOREIGN: Foreign = {
    "HTTP to VNC": ("tcp", 5900, GET),
}
