"""
OPC UA's binary mapping, by message type and by the node id of the service.

Sources: OPC 10000-6 sections 5.2.2.9 (node ids), 6.7.2 and 7.1.2; node ids of the encodings from
the OPC Foundation's table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

READS = {422: "FindServers", 428: "GetEndpoints"}
"""The discovery services, which take no session."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        kind, chunk, size = struct.unpack_from("<3scI", request)
        message, request = request[:size], request[size:]
        if len(message) != size or size < 12:
            raise Foreign("cut off")
        if chunk != b"F":
            raise Foreign("no message of one chunk")
        yield _message(kind, message)


def _message(kind: bytes, message: bytes) -> Named:
    verdict: Verdict = "session"
    if kind == b"HEL":
        service = "hello"
    elif kind == b"OPN":
        at = 12
        (length,) = struct.unpack_from("<i", message, at)
        policy = message[at + 4 : at + 4 + max(length, 0)]
        service = f"open channel, {policy.rpartition(b'#')[2].decode('ascii', 'replace')}"
        # certificate and thumbprint of none, sequence and request, then type and header
        at += 4 + max(length, 0) + 8 + 8
        verdict = (
            "session" if _service(message, at) == 446 and policy.endswith(b"#None") else "write"
        )
    elif kind == b"CLO":
        service = "close channel"
        verdict = "session" if _service(message, 24) == 452 else "write"
    elif kind == b"MSG":
        number = _service(message, 24)
        service = READS.get(number, f"service {number}")
        verdict = "read" if number in READS else "write"
    else:
        raise Foreign(f"message type {kind!r}")
    return Named(protocol="opcua", service=service, verdict=verdict)


def _service(message: bytes, at: int) -> int:
    """A node id of namespace 0 in four bytes; -1 for any other."""
    form, space, number = struct.unpack_from("<BBH", message, at)
    return number if (form, space) == (1, 0) else -1


READER = Reader(protocol="opcua", read=read, is_control=True)
