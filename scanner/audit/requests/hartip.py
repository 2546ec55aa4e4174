"""
HART-IP: sessions, and in token-passing frames commands, of which few are reads.

Sources: FieldComm Group TS20085 section 10.3 (messages), TS20081 (delimiter, address, command, byte
count), TS20127 (universal commands), TS20151 (common practice commands).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

SESSIONS = {0: "session initiate", 1: "session close", 2: "keep alive"}
READS = {0, 1, 2, 3, 7, 8, 9, 11, 12, 13, 14, 15, 16, 20, 21, 33, 48, 50, 54, 74, 84, 85, 86}
PASS_THROUGH = 3


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        version, kind, message, _, _, length = struct.unpack_from(">BBBBHH", request)
        if version not in (1, 2) or kind != 0:
            raise Foreign(f"begins with {request[:2].hex()}")
        if length < 8 or length > len(request):
            raise Foreign("cut off")
        body, request = request[8:length], request[length:]
        if message in SESSIONS:
            yield Named(protocol="hartip", service=SESSIONS[message], verdict="session")
        elif message == PASS_THROUGH:
            yield _command(body)
        else:
            yield Named(protocol="hartip", service=f"message {message}", verdict="write")


def _command(frame: bytes) -> Named:
    """Bits 5 and 6 of the delimiter count expansion bytes, bit 7 says which address follows."""
    if frame[0] & 0x07 != 2:
        raise Foreign(f"a frame with delimiter {frame[0]:#04x}")
    place = 1 + (5 if frame[0] & 0x80 else 1) + (frame[0] >> 5 & 3)
    number, count = frame[place], frame[place + 1]
    if place + 2 + count + 1 != len(frame):
        raise Foreign("of another length than it says")
    return Named(protocol="hartip", service=f"command {number}", verdict=either(number in READS))


READER = Reader(protocol="hartip", read=read, is_control=True)
