"""
Modbus/TCP, by function code; of diagnostics and the encapsulated interface only what reads.

Sources: Modbus Application Protocol 1.1b3 section 6; its guide for TCP/IP section 3.1.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {1, 2, 3, 4, 7, 11, 12, 17, 20, 24}


def units_of(request: bytes) -> frozenset[int]:
    """The unit ids that Modbus/TCP requests name."""
    found = set()
    while len(request) >= 8:
        found.add(request[6])
        request = request[6 + struct.unpack_from("!H", request, 4)[0] :]
    return frozenset(found)


def pdus(request: bytes) -> Iterator[bytes]:
    """The function code, which is there, and the data of every frame."""
    while request:
        protocol, length = struct.unpack_from("!2xHH", request)
        pdu, request = request[7 : 6 + length], request[6 + length :]
        if protocol:
            raise Foreign("not Modbus")
        if len(pdu) != length - 1 or length < 2:
            raise Foreign("cut off")
        yield pdu


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    for pdu in pdus(request):
        function = pdu[0]
        service, reads = f"function {function}", function in READS
        if function == 0x2B:
            service, reads = f"function 43/{pdu[1]}", pdu[1] == 0x0E
        elif function == 8:
            sub = struct.unpack_from("!H", pdu, 1)[0]
            service, reads = f"function 8/{sub}", sub in (0, 2)
        yield Named(protocol="modbus", service=service, verdict=either(reads))


READER = Reader(protocol="modbus", read=read, is_control=True, units_of=units_of)
