"""
MELSOFT, by the two bytes that name the function; what asks for a CPU's name reads.

Sources: recorded sessions of engineering tools (ITI ICS-Security-Tools); the functions are those
of SLMP, SH(NA)-080956ENG section 5.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

NAMES_OF_CPUS = {0x0101, 0x0121}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        kind, sign, length, second = struct.unpack_from("<B4x2s12xH2xB", request)
        frame, request = request[: 21 + length], request[21 + length :]
        if kind != 0x57 or sign != b"\x11\x11":
            raise Foreign("not MELSOFT")
        if len(frame) != 21 + length or length < second + 10:
            raise Foreign("cut off")
        function = struct.unpack_from("!H", frame, 23 + second)[0]
        verdict = either(function in NAMES_OF_CPUS)
        yield Named(protocol="melsoft", service=f"function {function:04x}", verdict=verdict)


READER = Reader(protocol="melsoft", read=read, is_control=True)
