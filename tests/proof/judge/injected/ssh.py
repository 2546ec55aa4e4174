"""
SSH: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

HARMLESS: Requests = {
    "ssh identification": ("tcp", 22, (b"SSH-2.0-Walkdown\r\n",)),
}

FOREIGN: Foreign = {
    "HTTP to SSH": ("tcp", 22, GET),
}
