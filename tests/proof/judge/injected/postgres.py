"""
PostgreSQL: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

SSL: Final = bytes.fromhex("0000000804d2162f")
START: Final = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0"

WRITES: Requests = {
    "postgres start-up": ("tcp", 5432, (START,)),
    "postgres start-up after SSLRequest": ("tcp", 5432, (SSL + START,)),
    "postgres query": ("tcp", 5432, (START + b"Q\0\0\0\x0eDROP x;\0\0",)),
    "postgres cancel": ("tcp", 5432, (bytes.fromhex("0000001004d2162e0000012300000456"),)),
    "postgres GSSAPI": ("tcp", 5432, (bytes.fromhex("0000000804d21630"),)),
}

HARMLESS: Requests = {
    "postgres SSLRequest": ("tcp", 5432, (SSL,)),
}

FOREIGN: Foreign = {
    "HTTP to PostgreSQL": ("tcp", 5432, GET),
    "an SSLRequest of a wrong length": ("tcp", 5432, b"\0\0\0\x07" + SSL[4:]),
}
