"""
What may be said to an OPC UA server: hello, open a channel without security, get endpoints, close.

Each of the four messages passes in one shape only; of a request header nothing is free but the
time and the request's number. CreateSession and everything that needs a session, writing, calling
methods, changing the address space, registering a server and renewing a channel are refused, by
the node id of their encoding.

Source: OPC 10000-6, sections 5.2, 6.7 and 7.1; OPC 10000-4, sections 5.4.4 and 5.5; node ids from
the OPC Foundation's table (Opc.Ua.NodeIds).
"""

from __future__ import annotations

import re
from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 512
_LONGEST_REPLY: Final = 262_144
_CHUNKS: Final = 16

_NAMES: Final = {
    422: "FindServers",
    437: "RegisterServer",
    461: "CreateSession",
    467: "ActivateSession",
    473: "CloseSession",
    488: "AddNodes",
    494: "AddReferences",
    500: "DeleteNodes",
    506: "DeleteReferences",
    527: "Browse",
    631: "Read",
    673: "Write",
    700: "HistoryUpdate",
    712: "Call",
    751: "CreateMonitoredItems",
    787: "CreateSubscription",
    12211: "RegisterServer2",
}

# Little-endian throughout; a null string or byte string is ff ff ff ff.
_URL: Final = rb"opc\.tcp://(?:[0-9.]{7,15}|\[[0-9a-fA-F:.]{2,45}\]):[0-9]{1,5}"
_NULL: Final = rb"\xff\xff\xff\xff"
_ZERO: Final = rb"\0\0\0\0"
_HEADER: Final = rb"\0\0.{8}.{4}" + _ZERO + _NULL + rb".{2}\0\0\0\0\0"
"""No authentication token; time, handle; no diagnostics, no audit id; a short time-out hint."""
_HELLO: Final = re.compile(
    _ZERO + rb"\0\0\x01\0\0\0\x01\0\0\0\x04\0\x10\0\0\0(.)\0\0\0(" + _URL + rb")", re.DOTALL
)
_OPEN: Final = re.compile(
    _ZERO + rb"\x2f\0\0\0http://opcfoundation\.org/UA/SecurityPolicy#None" + _NULL + _NULL
    + rb".{8}\x01\0\xbe\x01" + _HEADER + _ZERO + _ZERO + rb"\x01\0\0\0" + _NULL
    + rb"\x60\xea\0\0",
    re.DOTALL,
)  # fmt: skip
_ENDPOINTS: Final = re.compile(
    rb".{16}\x01\0\xac\x01" + _HEADER + rb"(.)\0\0\0(" + _URL + rb")" + _NULL + _NULL, re.DOTALL
)
_CLOSE: Final = re.compile(rb".{16}\x01\0\xc4\x01" + _HEADER, re.DOTALL)


class OpcUaGuard:
    """Judges one message at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 8:
            if buffer[:4] not in (b"HELF", b"OPNF", b"MSGF", b"CLOF"):
                raise GuardRefused(f"not a whole OPC UA message: {buffer[:8].hex()}")
            length = int.from_bytes(buffer[4:8], "little")
            if not 24 <= length <= _LONGEST:
                raise GuardRefused(f"OPC UA length {length} is outside 24 to {_LONGEST}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 24 or int.from_bytes(frame[4:8], "little") != len(frame):
            return "the OPC UA length does not match the message"
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        body = frame[8:]
        match frame[:4]:
            case b"HELF":
                return _judge_with_url(_HELLO.fullmatch(body), "a hello has one shape")
            case b"OPNF":
                ok = _OPEN.fullmatch(body)
                return None if ok else "a channel is opened in one shape: issued, without security"
            case b"MSGF":
                return _judge_message(body)
            case b"CLOF":
                return None if _CLOSE.fullmatch(body) else "closing a channel has one shape"
            case other:
                return f"message {other!r} is not on the OPC UA list"


def _judge_message(body: bytes) -> str | None:
    """`channel token sequence request | 01 00 type(2)`: GetEndpoints (428) and nothing else."""
    if len(body) < 20 or body[16:18] != b"\x01\x00":
        return "a service is named by a node id in four bytes of namespace 0"
    service = int.from_bytes(body[18:20], "little")
    if service != 428:
        name = _NAMES.get(service, "unknown")
        return f"service {service} ({name}) is not on the OPC UA list"
    return _judge_with_url(_ENDPOINTS.fullmatch(body), "getting endpoints has one shape")


def _judge_with_url(found: re.Match[bytes] | None, otherwise: str) -> str | None:
    """The first group is the length byte of the address in the second."""
    if found is None or found[1][0] != len(found[2]):
        return otherwise
    return None


def reply_framer(buffer: bytes) -> int | None:
    """Length of the first message with all its chunks. Raises BadReply when it cannot be one."""
    end = chunks = 0
    while len(buffer) >= end + 8:
        kind, size = buffer[end : end + 4], int.from_bytes(buffer[end + 4 : end + 8], "little")
        chunks += 1
        known = kind[:3] in (b"ACK", b"ERR", b"OPN", b"MSG") and kind[3:] in (b"F", b"C", b"A")
        if not known or size < 12 or end + size > _LONGEST_REPLY or chunks > _CHUNKS:
            raise BadReply(f"not an OPC UA message: {buffer[end : end + 8].hex()}")
        if len(buffer) < end + size:
            return None
        end += size
        if kind[3:] != b"C":
            return end
    return None


GUARD = GuardSpec(protocol="opcua", open=OpcUaGuard, reply_framer=reply_framer)
