"""
ISO on TCP: S7 and others in the data of a COTP connection, in TPKTs.

Sources: RFC 1006 section 6; RFC 905 (ISO 8073) section 13.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign

CONNECTION_REQUEST, DISCONNECT_REQUEST = 0xE0, 0x80


def tpkts(request: bytes) -> Iterator[bytes]:
    """Every TPKT, with its header. The kind of the COTP message in it stands in byte 5."""
    while request:
        version, length = struct.unpack_from("!BxH", request)
        frame, request = request[:length], request[length:]
        if version != 3:
            raise Foreign("not a TPKT")
        if length < 7 or len(frame) != length:
            raise Foreign("cut off")
        yield frame


def called_tsap(request: bytes) -> bytes | None:
    """The called TSAP of a connection request (RFC 1006 section 6, ISO 8073 section 13.3)."""
    if len(request) < 11 or request[5] != CONNECTION_REQUEST:
        return None
    place = 11
    while place + 2 <= len(request):
        kind, length = request[place], request[place + 1]
        if kind == 0xC2:
            return request[place + 2 : place + 2 + length]
        place += 2 + length
    return None
