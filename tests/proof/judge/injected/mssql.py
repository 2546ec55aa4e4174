"""
SQL Server: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind, 1]) + (8 + len(body)).to_bytes(2, "big") + b"\0\0\1\0" + body


PRELOGIN: Final = bytes.fromhex("1201001a0000000000000b00060100110001ff00000000000002")
_HEADERS: Final = bytes.fromhex("16000000120000000200000000000000000001000000")
_LOGIN: Final = (94).to_bytes(4, "little") + bytes.fromhex("04000074") + bytes(86)

WRITES: Requests = {
    "mssql login": ("tcp", 1433, (PRELOGIN, _packet(0x10, _LOGIN))),
    "mssql batch": ("tcp", 1433, (_packet(1, _HEADERS + "DROP TABLE x".encode("utf-16-le")),)),
    "mssql attention": ("tcp", 1433, (_packet(6, b"\0"),)),
}

HARMLESS: Requests = {
    "mssql prelogin": ("tcp", 1433, (PRELOGIN,)),
}

FOREIGN: Foreign = {
    "HTTP to SQL Server": ("tcp", 1433, GET),
    "TLS to SQL Server": ("tcp", 1433, bytes.fromhex("160301000501000001")),
}
