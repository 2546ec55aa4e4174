"""
KNXnet/IP: descriptions and searches are read, every other service connects, configures or resets.

Sources: ISO 22510, KNXnet/IP header and service type identifiers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {
    0x0201: "search",
    0x0203: "description",
    0x020B: "extended search",
}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    size, version, service, length = struct.unpack_from(">BBHH", request)
    if (size, version) != (6, 0x10):
        raise Foreign(f"begins with {request[:2].hex()}")
    if length != len(request):
        raise Foreign("of another length than it says")
    name = READS.get(service, f"service {service:#06x}")
    yield Named(protocol="knx", service=name, verdict=either(service in READS))


READER = Reader(protocol="knx", read=read, is_control=True)
