"""
PostgreSQL before a login: the request for TLS is a session's beginning, everything else acts.

Source: PostgreSQL documentation, "Message Formats" (SSLRequest, CancelRequest, StartupMessage).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

SPECIAL = {5678: "CancelRequest", 5680: "GSSENCRequest"}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    length, major, minor = struct.unpack_from("!IHH", request)
    if length < 8 or length > 10_000:
        raise Foreign("no start-up packet")
    if (length, major, minor) == (8, 1234, 5679):
        yield Named(protocol="postgres", service="SSLRequest", verdict="session")
        if request[8:]:
            yield Named(protocol="postgres", service="behind SSLRequest", verdict="write")
        return
    if length > len(request):
        raise Foreign("cut off")
    if major == 1234:
        name = SPECIAL.get(minor, f"request {minor}")
    elif major in (1, 2, 3):
        name = f"StartupMessage {major}.{minor}"
    else:
        raise Foreign(f"protocol {major}.{minor}")
    yield Named(protocol="postgres", service=name, verdict="write")


READER = Reader(protocol="postgres", read=read)
