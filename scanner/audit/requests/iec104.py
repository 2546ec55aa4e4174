"""
IEC 60870-5-104: a test frame, and only on stations that the site file names. A new connection may
end that of the control centre, and one that is started takes its place.

Sources: IANA's registry of port numbers (iec-104); IEC 60870-5-104 section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Seat
from scanner.model import Tier

SEAT = Seat(port=2404, protocol="IEC 60870-5-104", short="IEC 104")
TEST = b"\x43\0\0\0"


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        if request[0] != 0x68:
            raise Foreign("not an APDU")
        end = 2 + request[1]
        frame, request = request[2:end], request[end:]
        if len(frame) != end - 2 or len(frame) < 4:
            raise Foreign("cut off")
        if frame == TEST:
            yield Named(protocol="iec104", service="TESTFR act", verdict="read")
        elif frame[0] & 1:
            kind = "S" if frame[0] & 3 == 1 else "U"
            service = f"{kind} {frame[0]:#04x}"
            yield Named(protocol="iec104", service=service, verdict="write")
        else:
            yield Named(protocol="iec104", service=f"type {frame[4]}", verdict="write")


READER = Reader(protocol="iec104", read=read, is_control=True)
