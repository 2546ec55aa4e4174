"""
The Moxa search, by its ids.

Source: M. Davidsaver, Moxa UDP protocol (01, 10, 16, 21 to 23 read).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {0x01, 0x10, 0x16, 0x21, 0x22, 0x23}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    number, length = struct.unpack_from("!BxH4x", request)
    if number & 0x80 or length != len(request):
        raise Foreign("not a request of the Moxa search")
    if number != 0x01 and length < 20:
        raise Foreign("cut off")
    yield Named(protocol="nport", service=f"id {number:#04x}", verdict=either(number in READS))


READER = Reader(protocol="nport", read=read, is_control=True)
