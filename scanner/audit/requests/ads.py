"""
Beckhoff ADS: the AMS router's datagrams. One service tells who it is; the others change routes.

Source: Beckhoff, ADS library for C++, UDP services of port 48899.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

COOKIE = 0x71146603
SERVER_INFO = 1


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    cookie, _, service = struct.unpack_from("<III", request)
    tags = struct.unpack_from("<I", request, 20)[0]
    if cookie != COOKIE:
        raise Foreign("no datagram of an AMS router")
    asks = service == SERVER_INFO and not tags and len(request) == 24
    yield Named(protocol="ads", service=f"service {service}", verdict=either(asks))


READER = Reader(protocol="ads", read=read, is_control=True)
