"""
Telnet: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Requests

WRITES: Requests = {
    "telnet command": ("tcp", 23, (b"reload\r\n",)),
    "telnet option": ("tcp", 23, (b"\xff\xfb\x18",)),
}  # fmt: skip

SIGNING_IN: Requests = {
    "telnet name": ("tcp", 23, (b"admin\r\n",)),
}  # fmt: skip

GRANTED: Requests = {
    "telnet name and password": ("tcp", 23, (b"\xff\xfc\x18", b"admin\r\n", b"\r\n")),
}  # fmt: skip

BEHIND_A_LOGIN: Requests = {
    "telnet line behind a login": ("tcp", 23, (b"admin\r\nadmin\r\nports 1 off\r\n",)),
    "telnet command behind a login": ("tcp", 23, (b"write erase\r\n",)),
}

HARMLESS: Requests = {
    "telnet refusal": ("tcp", 23, (b"\xff\xfc\x18",)),
}
