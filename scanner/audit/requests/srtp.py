"""
GE-SRTP: the initialisation, and service requests by their code.

Source: G. Denton et al., DFRWS 2017, tables 1 and 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {0x00, 0x03, 0x04, 0x05, 0x06, 0x25, 0x38, 0x43}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        kind, length, code = struct.unpack_from("<BxxxH36xB13x", request)
        message, request = request[: 56 + length], request[56 + length :]
        if len(message) != 56 + length:
            raise Foreign("cut off")
        if message == bytes(56):
            yield Named(protocol="srtp", service="initialisation", verdict="session")
        elif kind == 2:
            yield Named(
                protocol="srtp", service=f"service {code:#04x}", verdict=either(code in READS)
            )
        else:
            raise Foreign("not SRTP")


READER = Reader(protocol="srtp", read=read, is_control=True)
