"""
OPC UA, binary, over TCP.

Sources: OPC 10000-6, sections 5.2 (encodings), 6.7.2 (messages) and 7.1.2 (hello); the node ids of
the OPC Foundation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SERVICES: Final[Mapping[int, tuple[str, Verdict]]] = {
    422: ("FindServers", "unknown"),
    428: ("GetEndpoints", "read"),
    437: ("RegisterServer", "control"),
    461: ("CreateSession", "control"),
    467: ("ActivateSession", "control"),
    473: ("CloseSession", "control"),
    488: ("AddNodes", "control"),
    494: ("AddReferences", "control"),
    500: ("DeleteNodes", "control"),
    506: ("DeleteReferences", "control"),
    527: ("Browse", "unknown"),
    631: ("Read", "unknown"),
    664: ("HistoryRead", "unknown"),
    673: ("Write", "control"),
    700: ("HistoryUpdate", "control"),
    712: ("Call", "control"),
    751: ("CreateMonitoredItems", "control"),
    787: ("CreateSubscription", "control"),
    841: ("TransferSubscriptions", "control"),
    12211: ("RegisterServer2", "control"),
}
"""A session takes one of few from somebody, so it is control; what only reads is not asked for."""
_POLICY: Final = b"http://opcfoundation.org/UA/SecurityPolicy#None"


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 4 : at + 8], "little")
        kind = sent[at : at + 3].decode("ascii")
        if end - at < 12 or end > len(sent) or sent[at + 3 : at + 4] != b"F":
            return
        if kind == "HEL":
            yield _hello(at, end, sent[at:end])
        elif kind == "OPN":
            yield _open(at, end, sent[at:end])
        elif kind in ("MSG", "CLO"):
            yield _service(at, end, sent[at:end], kind)
        else:
            return
        at = end


def _hello(at: int, end: int, message: bytes) -> Pdu:
    length = int.from_bytes(message[28:32], "little")
    whole = len(message) == 32 + length and message[32:42] == b"opc.tcp://"
    verdict: Verdict = "session" if whole else "unknown"
    return Pdu(at, end, "OPC UA hello", verdict, ("opcua HEL",), asks=False)


def _open(at: int, end: int, message: bytes) -> Pdu:
    """Without security: nobody shows a certificate, and mode (4), nonce and lifetime (4) end it."""
    policy, rest = _string(message[12:])
    certificate, rest = _string(rest)
    thumbprint, rest = _string(rest)
    number = _number(rest[8:])
    plain = policy == _POLICY and not certificate and not thumbprint and message[8:12] == bytes(4)
    plain = plain and rest[-16:-4] == bytes(4) + b"\x01\0\0\0\xff\xff\xff\xff"
    verdict: Verdict = "session" if plain and number == 446 else "control"
    code = ("opcua OPN", f"opcua service {number}")
    return Pdu(at, end, "OPC UA open channel", verdict, code, asks=False)


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string or byte string, and what comes behind it; a negative length is none."""
    length = max(int.from_bytes(data[:4], "little", signed=True), 0)
    return data[4 : 4 + length], data[4 + length :]


def _service(at: int, end: int, message: bytes, kind: str) -> Pdu:
    number = _number(message[24:])
    code = (f"opcua {kind}", f"opcua service {number}")
    if kind == "CLO":
        verdict: Verdict = "session" if number == 452 else "unknown"
        return Pdu(at, end, "OPC UA close channel", verdict, code, asks=False)
    name, verdict = _SERVICES.get(number, ("", "unknown"))
    return Pdu(at, end, f"OPC UA service {number} {name}".rstrip(), verdict, code)


def _number(data: bytes) -> int:
    """A node id of namespace 0 in four bytes. Raises ValueError on another."""
    if data[:2] != b"\x01\x00" or len(data) < 4:
        raise ValueError("no node id of namespace 0 in four bytes")
    return int.from_bytes(data[2:4], "little")


def asks(data: bytes) -> Iterator[bytes]:
    while len(data) >= 8:
        size = max(int.from_bytes(data[4:8], "little"), 8)
        message, data = data[:size], data[size:]
        if message[:3] == b"MSG" and len(message) >= 59:
            # without channel, token, numbers, time and handle
            yield message[:3] + message[24:30] + message[42:]


GRAMMAR: Final = Grammar(
    protocol="opcua",
    read=read,
    ports=(("tcp", 4840),),
    ics=True,
    client_speaks_first=True,
    dissector="opcua",
    codes={
        "opcua.transport.type": "opcua {}",
        "opcua.servicenodeid.numeric": "opcua service {}",
    },
    questions=1,
    asks=asks,
)
