"""
RDP: the X.224 connection request with its negotiation; what follows one leads to a logon.

Source: [MS-RDPBCGR] sections 2.2.1.1 and 2.2.1.1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

CONNECTION_REQUEST = 0xE0
NEGOTIATION_REQUEST = 1


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        version, length, indicator, code = struct.unpack_from("!BxHBB", request)
        if version != 3 or length < 7 or len(request) < length:
            raise Foreign("no whole TPKT")
        frame, request = request[:length], request[length:]
        if code != CONNECTION_REQUEST:
            yield Named(protocol="rdp", service=f"TPDU {code:#x}", verdict="write")
            continue
        kind, flags, size, protocols = struct.unpack_from("<BBHI", frame, 11)
        if indicator != length - 5 or (kind, flags, size, length) != (
            NEGOTIATION_REQUEST,
            0,
            8,
            19,
        ):
            raise Foreign("a connection request with more than a negotiation")
        yield Named(protocol="rdp", service=f"connection request {protocols:#x}", verdict="session")


READER = Reader(protocol="rdp", read=read)
