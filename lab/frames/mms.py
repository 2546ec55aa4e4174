"""
MMS over TPKT, COTP, session and presentation. Sources: RFC 1006 section 6; ISO 8073 section 13;
ISO 8327-1 (CONNECT 0x0D, data transfer 0x01); ISO 9506-2 section 7, the choices of MMSpdu and
ConfirmedServiceRequest, and its ServiceError (class 3: resource).
"""

from __future__ import annotations

from lab.frames.asn1 import ber
from lab.frames.form import Protocol, Seen, Span

READS = {0: "status", 1: "getNameList", 2: "identify", 4: "read", 6: "getVariableAccessAttributes"}
OTHERS = {3: "rename", 5: "write", 11: "defineNamedVariableList", 13: "deleteNamedVariableList"}
COTP_CONGESTION = 0x81
"""Reason 128 + 1: congestion of the transport entity at connect request time."""
SESSION_DATA = b"\x01\x00\x01\x00"
PRESENTED_AT = 11
"""Behind TPKT (4), COTP data (3) and both session PDUs (4)."""


def _length(data: bytes) -> int | str | None:
    if data[:1] != b"\x03" or (len(data) > 1 and data[1] != 0):
        return "foreign"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 7 <= length <= 16_384:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    header, code = frame[4], frame[5] & 0xF0
    if 5 + header > len(frame):
        return Seen(kind="malformed", function=f"COTP header {header}")
    if code == 0xE0:
        tsap = frame.find(b"\xc2\x02", 11)
        called = frame[tsap + 2 : tsap + 4].hex() if tsap >= 0 else "none"
        return Seen(kind="request", function=f"connect {called}")
    if code == 0x80:
        return Seen(kind="request", function="disconnect", answered=False)
    if code != 0xF0:
        return Seen(kind="malformed", function=f"COTP {frame[5]:#04x}")
    data = frame[5 + header :]
    if data[:1] == b"\x0d":
        return Seen(kind="request", function="associate")
    if data[:1] == b"\x32":  # S7 has the same port, and knocks there before us
        reads = data[1:2] == b"\x07" or data[10:11] == b"\xf0"
        return Seen(kind="request", function="S7", write=not reads, answered=False)
    if data[:4] != SESSION_DATA:
        return Seen(kind="malformed", function=f"session {data[:4].hex()}")
    return _classify_pdu(frame)


def _classify_pdu(frame: bytes) -> Seen:
    found = _pdu(frame)
    if found is None:
        return Seen(kind="malformed", function="no MMS PDU")
    tag, start, end = found
    if tag == 0x8B:
        return Seen(kind="request", function="conclude", answered=False)
    if tag != 0xA0:
        return Seen(kind="request", function=f"PDU {tag:#04x}", write=True)
    invoke = ber(frame[:end], start)
    if invoke is None or invoke[0] != 0x02 or invoke[2] >= end:
        return Seen(kind="malformed", function="no invoke id")
    number = frame[invoke[2]] & 0x1F
    if number == 0x1F and invoke[2] + 1 < end:
        number = frame[invoke[2] + 1] & 0x7F
    name = READS.get(number) or OTHERS.get(number, f"service {number}")
    return Seen(kind="request", function=name, write=number not in READS)


def _pdu(frame: bytes) -> tuple[int, int, int] | None:
    """Tag, start and end of the MMS PDU inside `61 { 30 { 02 01 context, A0 { … } } }`."""
    at = PRESENTED_AT
    if frame[5:6] != b"\xf0" or frame[7:11] != SESSION_DATA:
        return None
    for wanted in (0x61, 0x30, 0x02, 0xA0):
        found = ber(frame, at)
        if found is None or found[0] != wanted:
            return None
        at = found[2] if wanted == 0x02 else found[1]
    return ber(frame, at)


def _reference(frame: bytes) -> Span | None:
    """The invoke id of a confirmed response or error; other PDUs have none."""
    found = _pdu(frame)
    if found is None or found[0] not in (0xA1, 0xA2):
        return None
    invoke = ber(frame[: found[2]], found[1])
    return None if invoke is None or invoke[1] == invoke[2] else (invoke[1], invoke[2])


def mms_busy(request: bytes) -> bytes:
    """A disconnect to a connection request; to a service: resource, capability unavailable."""
    if len(request) >= 11 and request[5] & 0xF0 == 0xE0:
        return b"\x03\0\0\x0b\x06\x80" + request[8:10] + b"\0\x01" + bytes([COTP_CONGESTION])
    found = _pdu(request)
    if found is None or found[0] != 0xA0:
        return b""
    invoke = ber(request, found[1])
    if invoke is None or invoke[2] - invoke[1] != 1:
        return b""
    error = bytes([0xA2, 10, 0x80, 1, request[invoke[1]], 0xA2, 5, 0xA0, 3, 0x83, 1, 3])
    shown = b"\x02\x01\x03" + bytes([0xA0, len(error)]) + error
    shown = bytes([0x61, len(shown) + 2, 0x30, len(shown)]) + shown
    body = b"\x02\xf0\x80" + SESSION_DATA + shown
    return b"\x03\0" + (4 + len(body)).to_bytes(2, "big") + body


PROTOCOL = Protocol(
    name="mms",
    port=102,
    length=_length,
    classify=_classify,
    header=4,  # TPKT
    length_at=(2, 2, "big"),
    reference=_reference,
    reference_signed=True,
    busy=mms_busy,
    longest_text=120,
    syntax=frozenset({"domains", "ied"}),
)
