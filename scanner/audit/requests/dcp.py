"""
PROFINET DCP by FrameID, service and type; only an Identify of all options reads.

Source: IEC 61158-6-10, coding of the FrameID field and of DCP APDUs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

IDENTIFY = (0xFEFE, 5, 0)
EVERYTHING = 0xFF, 0xFF, 0


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    frame_id, service, kind, length = struct.unpack_from("!HBB6xH", request)
    if not 0xFEFC <= frame_id <= 0xFEFF:
        raise Foreign(f"FrameID {frame_id:#06x} is not DCP")
    if len(request) != 12 + length:
        raise Foreign("not one whole DCP frame")
    asks = (frame_id, service, kind) == IDENTIFY
    asks = asks and length == 4 and struct.unpack_from("!BBH", request, 12) == EVERYTHING
    yield Named(
        protocol="dcp",
        service=f"FrameID {frame_id:#06x}, service {service}, type {kind}",
        verdict=either(asks),
    )


READER = Reader(protocol="dcp", read=read, is_control=True)
