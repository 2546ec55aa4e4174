"""
Red Lion Crimson 3: two registers read, with their codes; whatever else is named is a write.

Source: cr3-fingerprint for nmap.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {(0x012B, 0x1B00), (0x012A, 0x1A00)}
LONGEST = 4096


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        length, register, code = struct.unpack_from("!3H", request)
        frame, request = request[: 2 + length], request[2 + length :]
        if not 4 <= length <= LONGEST:
            raise Foreign("not Crimson")
        if len(frame) != 2 + length:
            raise Foreign("cut off")
        verdict = either((register, code) in READS and length == 4)
        yield Named(protocol="crimson", service=f"register {register:04x}", verdict=verdict)


READER = Reader(protocol="crimson", read=read, is_control=True)
