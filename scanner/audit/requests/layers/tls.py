"""TLS, in which HTTP and others are wrapped. Source: RFC 8446 section 5.1."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named

SEALED = {"tls": 64}
"""
For Reader.sealed. TLS says goodbye in records that are not kept: at most so many bytes on each
connection.
"""


def is_record(request: bytes) -> bool:
    """Whether it begins like a record: its type and the first byte of its version."""
    return request[0] in range(0x14, 0x18) and request[1] == 3


def records(request: bytes) -> Iterator[Named]:
    while request:
        kind, version, length = struct.unpack_from("!BHH", request)
        whole, request = len(request) >= 5 + length, request[5 + length :]
        if not whole or kind not in range(0x14, 0x18) or version >> 8 != 3:
            raise Foreign("cut off")
        yield Named(protocol="tls", service="record", verdict="session")
