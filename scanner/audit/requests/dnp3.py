"""
DNP3: the status of the link, and only of outstations that the site file names. An outstation knows
one master, whose place a new connection may take.

Sources: IANA's registry of port numbers (dnp); IEEE 1815-2012 clause 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Seat, Verdict
from scanner.model import Tier

SEAT = Seat(port=20000, protocol="DNP3", short="DNP3")
FROM_MASTER, PRIMARY = 0x80, 0x40
REQUEST_LINK_STATUS = 9


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        if request[:2] != b"\x05\x64" or request[2] < 5:
            raise Foreign("not a link frame")
        blocks = -(-(request[2] - 5) // 16)
        end = 10 + request[2] - 5 + 2 * blocks
        frame, request = request[:end], request[end:]
        if len(frame) != end:
            raise Foreign("cut off")
        control, destination = frame[3], int.from_bytes(frame[4:6], "little")
        alone = control == FROM_MASTER | PRIMARY | REQUEST_LINK_STATUS and not blocks
        verdict: Verdict = "read" if alone and destination < 0xFFF0 else "write"
        yield Named(protocol="dnp3", service=f"link control {control:#04x}", verdict=verdict)


READER = Reader(protocol="dnp3", read=read, is_control=True)
