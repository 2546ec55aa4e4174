"""
ProConOS: of all functions only 000B (information), without data and with its checksum, reads.

Source: Redpoint's proconos-info; the requests of a public tool that starts and stops controllers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

HEADER, CHECKSUM = 8, 2
INFORMATION = 0x000B


def checksum(data: bytes) -> int:
    """CRC-16 of polynomial 1021, reflected, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        mark, function, length = struct.unpack_from("!H H 2x", request)[:2] + struct.unpack_from(
            "<H", request, 6
        )
        size = HEADER + length + CHECKSUM
        frame, request = request[:size], request[size:]
        if mark != 0xCC01:
            raise Foreign("not ProConOS")
        if len(frame) != size:
            raise Foreign("cut off")
        if struct.unpack("<H", frame[-CHECKSUM:])[0] != checksum(frame[:-CHECKSUM]):
            raise Foreign("a wrong checksum")
        reads = function == INFORMATION and length == 0
        yield Named(protocol="proconos", service=f"function {function:#06x}", verdict=either(reads))


READER = Reader(protocol="proconos", read=read, is_control=True)
