"""
IPMI over RMCP: outside a session one command of the application function reads, all else acts.

Source: IPMI v2.0 revision 1.1, sections 13.1.3, 13.6, 13.8 and appendix G.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    version, _, _, kind = struct.unpack_from("!4B", request)
    if version != 6 or kind & 0x0F not in (6, 7):
        raise Foreign("not RMCP")
    if kind != 7:
        yield Named(protocol="ipmi", service="ASF", verdict="unknown")
        return
    authentication, session, length = struct.unpack_from("!B4xIB", request, 4)
    if authentication == 6:
        yield Named(protocol="ipmi", service=f"payload {request[5]:#x}", verdict="write")
        return
    if authentication or session:
        yield Named(protocol="ipmi", service="a message in a session", verdict="write")
        return
    function, command = struct.unpack_from("!xB3xB", request, 14)
    if length < 7 or len(request) != 14 + length:
        raise Foreign("cut off")
    if function & 0x04:
        raise Foreign("a response")
    number = function >> 2
    asks = (number, command) == (6, 0x38)
    service = "authentication capabilities" if asks else f"function {number:#x} {command:#x}"
    yield Named(protocol="ipmi", service=service, verdict="read" if asks else "write")


READER = Reader(protocol="ipmi", read=read)
