"""
FINS, as a datagram or in FINS/TCP frames, by command code.

Sources: Omron W342 section 5-2 (list of commands); W421 section 7-4 (FINS/TCP).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

READS = {
    0x0101, 0x0104, 0x0201, 0x0220, 0x0306, 0x0501, 0x0502, 0x0601, 0x0602, 0x0701, 0x0801,
    0x2102, 0x2201, 0x2202, 0x2603,
}  # fmt: skip
"""Not 0620 and 0920, which may also initialise and clear."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if request[:4] != b"FINS":
        yield _command(request)
        return
    while request:
        magic, length, command = struct.unpack_from("!4sII", request)
        frame, request = request[16 : 8 + length], request[8 + length :]
        if magic != b"FINS":
            raise Foreign("not FINS/TCP")
        if length < 8 or len(frame) != length - 8:
            raise Foreign("cut off")
        if command == 0:
            yield Named(protocol="fins", service="node address data send", verdict="session")
        elif command == 2:
            yield _command(frame)
        else:
            raise Foreign(f"FINS/TCP command {command:#x}")


def _command(frame: bytes) -> Named:
    icf, gateways, code = struct.unpack_from("!BxB7xH", frame)
    if icf & 0x40:
        raise Foreign("a response")
    if icf & 0x80 == 0 or gateways > 7:
        raise Foreign("not FINS")
    return Named(protocol="fins", service=f"command {code:04x}", verdict=either(code in READS))


READER = Reader(protocol="fins", read=read, is_control=True)
