"""
PROFINET's context manager over DCE/RPC, by interface and operation; only the endpoint mapper reads.

Sources: The Open Group C706 chapter 12 and appendix O; operations of PROFINET: IEC 61158-6-10.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

MAPPER = uuid.UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa")
LOOKUP = 2


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    version, kind, _, _, representation = struct.unpack_from("5B", request)
    if version != 4:
        raise Foreign("no connectionless DCE/RPC")
    little = representation >> 4 == 1
    raw = request[24:40]
    interface = uuid.UUID(bytes_le=raw) if little else uuid.UUID(bytes=raw)
    operation, length = struct.unpack_from("<H4xH" if little else ">H4xH", request, 68)
    if len(request) != 80 + length:
        raise Foreign("not one whole PDU")
    asks = kind == 0 and interface == MAPPER and operation == LOOKUP
    where = "endpoint mapper" if interface == MAPPER else str(interface)
    yield Named(
        protocol="profinet", service=f"{where}, operation {operation}", verdict=either(asks)
    )


READER = Reader(protocol="profinet", read=read, is_control=True)
