"""
SLMP in binary 3E and 4E frames, by command.

Source: Mitsubishi SH(NA)-080956ENG sections 4.1 (frames) and 5.1 (list of commands).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {0x0101, 0x0401, 0x0403, 0x0406, 0x0601, 0x0613, 0x0619}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        subheader = struct.unpack_from("<H", request)[0]
        if subheader not in (0x50, 0x54):
            raise Foreign("not SLMP")
        at = 7 if subheader == 0x50 else 11
        length = struct.unpack_from("<H", request, at)[0]
        body, request = request[at + 2 : at + 2 + length], request[at + 2 + length :]
        if length < 6 or len(body) != length:
            raise Foreign("cut off")
        command = struct.unpack_from("<2xH", body)[0]
        yield Named(
            protocol="slmp", service=f"command {command:04x}", verdict=either(command in READS)
        )


READER = Reader(protocol="slmp", read=read, is_control=True)
