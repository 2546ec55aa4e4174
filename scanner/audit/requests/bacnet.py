"""
BACnet/IP: properties are read, tables of a BBMD are read; all else changes or registers something.

Sources: ANSI/ASHRAE 135, clauses 6.2.2 (NPCI), 20.1.2 (confirmed request), 21 (service choices),
J.2 (BVLL messages).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

TABLES = {0x02: "Read-Broadcast-Distribution-Table", 0x06: "Read-Foreign-Device-Table"}
UNICAST = 0x0A
READS = {0x0C: "ReadProperty", 0x0E: "ReadPropertyMultiple"}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    kind, function, length = struct.unpack_from(">BBH", request)
    if kind != 0x81:
        raise Foreign(f"begins with {kind:#04x}")
    if length != len(request):
        raise Foreign("of another length than it says")
    if function == UNICAST:
        yield _network(request[4:])
        return
    name = TABLES.get(function, f"BVLC function {function:#04x}")
    right = function in TABLES and length == 4
    yield Named(protocol="bacnet", service=name, verdict=either(right))


def _network(npdu: bytes) -> Named:
    """Version, control, then destination and source as far as control says that they are there."""
    version, control = npdu[0], npdu[1]
    if version != 1:
        raise Foreign(f"network layer version {version}")
    place, everybody = 2, False
    if control & 0x20:
        network, size = struct.unpack_from(">HB", npdu, place)
        target = npdu[place + 3 : place + 3 + size]
        if len(target) != size:
            raise Foreign("cut off")
        everybody = network == 0xFFFF or not target.strip(b"\xff")
        place += 3 + size
    if control & 0x08:
        place += 3 + npdu[place + 2]
    if control & 0x20:
        place += 1
    if control & 0x80:
        return _named(f"network message {npdu[place]:#04x}", read=False)
    apdu = npdu[place:]
    if apdu[0] & 0xF0 == 0x10:
        return _named(f"unconfirmed service {apdu[1]:#04x}", read=False)
    if apdu[0] != 0x00:
        return _named(f"APDU type {apdu[0]:#04x}", read=False)
    service = READS.get(apdu[3], f"confirmed service {apdu[3]:#04x}")
    if everybody:
        return _named(f"{service} to everybody", read=False)
    return _named(service, read=apdu[3] in READS)


def _named(service: str, *, read: bool) -> Named:
    return Named(protocol="bacnet", service=service, verdict=either(read))


READER = Reader(protocol="bacnet", read=read, is_control=True)
