"""
TDS by packet type: a PRELOGIN with options begins a session, all else acts or logs in.

Source: MS-TDS sections 2.2.3.1 (types) and 2.2.6.5 (PRELOGIN).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

TYPES = {
    1: "SQL batch", 3: "RPC", 6: "attention", 7: "bulk load", 8: "federated login",
    14: "transaction manager", 16: "LOGIN7", 17: "SSPI", 18: "PRELOGIN",
}  # fmt: skip


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        kind, status, length = struct.unpack_from("!BBH", request)
        if kind not in TYPES or length < 8 or length > len(request):
            raise Foreign("not TDS")
        body, request = request[8:length], request[length:]
        # inside PRELOGIN a TLS handshake begins with 16, options with token 0
        begins = kind == 18 and status & 1 and body[:1] == b"\0" and b"\xff" in body
        yield Named(protocol="mssql", service=TYPES[kind], verdict="session" if begins else "write")


READER = Reader(protocol="mssql", read=read)
