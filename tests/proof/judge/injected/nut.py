"""
Network UPS Tools: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

WRITES: Requests = {
    "nut forced shutdown": ("tcp", 3493, (b"FSD ups\n",)),
    "nut outlet off": ("tcp", 3493, (b"INSTCMD ups load.off\n",)),
    "nut setting": ("tcp", 3493, (b'SET VAR ups input.transfer.low "90"\n',)),
    "nut login": ("tcp", 3493, (b"LOGIN ups\n",)),
    "nut user": ("tcp", 3493, (b"USERNAME admin\n",)),
    "nut password": ("tcp", 3493, (b"PASSWORD x\n",)),
    "nut primary": ("tcp", 3493, (b"VER\n", b"PRIMARY ups\n")),
}

HARMLESS: Requests = {
    "nut version": ("tcp", 3493, (b"VER\n", b"LOGOUT\n")),
    "nut supplies": ("tcp", 3493, (b"LIST UPS\n", b"LIST VAR rack-1\n", b"LOGOUT\n")),
}

FOREIGN: Foreign = {
    "HTTP to upsd": ("tcp", 3493, GET),
    "a stray byte behind a command of upsd": ("tcp", 3493, b"VER\n\0"),
}
