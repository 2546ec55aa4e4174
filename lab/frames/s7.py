"""
S7 communication over TPKT and COTP. Sources: RFC 1006 section 6; ISO 8073 section 13 (13.5: DR);
Wireshark's packet-s7comm.c (error class 0x83, no resources available). S7comm-plus, which newer
CPUs speak on the same port: recordings of a panel and the public S7CommPlusDriver.
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen, Span

READ_JOBS = frozenset({0xF0, 0x04})
COTP_CONGESTION = 0x81
"""Reason 128 + 1: congestion of the transport entity at connect request time."""
NO_RESOURCES = 0x83
CREATE_OBJECT = 0x04CA
SERVER_SESSION = b"\xa1\0\0\0\xd3\x82\x1f"
"""In S7comm-plus: an object of class 287, which the CPU is to number."""


def length(data: bytes) -> int | str | None:
    if data[:1] != b"\x03" or (len(data) > 1 and data[1] != 0):
        return "foreign"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if not 7 <= length <= 8192:
        return f"length {length}"
    return length if len(data) >= length else None


def _called(frame: bytes) -> bytes | None:
    """The called TSAP of a connection request."""
    at = 11
    while at + 2 <= len(frame):
        if frame[at] == 0xC2:
            return frame[at + 2 : at + 2 + frame[at + 1]]
        at += 2 + frame[at + 1]
    return None


def _classify_plus(pdu: bytes) -> Seen:
    """`72 version length opcode 0000 function(2)`: a session may be asked for, all else acts."""
    if len(pdu) < 13:
        return Seen(kind="malformed", function="S7comm-plus too short")
    function = int.from_bytes(pdu[7:9], "big")
    asks = function == CREATE_OBJECT and SERVER_SESSION in pdu[:48]
    return Seen(kind="request", function=f"plus {function:#06x}", write=not asks)


def classify(frame: bytes) -> Seen:
    header, code = frame[4], frame[5] & 0xF0
    if 5 + header > len(frame):
        return Seen(kind="malformed", function=f"COTP header {header}")
    if code == 0xE0:
        tsap = _called(frame)
        called = (
            "none" if tsap is None else tsap.hex() if len(tsap) == 2 else tsap.decode("latin-1")
        )
        programs = called.startswith("01") or called.endswith("-ES")
        seat = " as PG" if programs else ""  # takes a programmer's seat
        return Seen(kind="request", function=f"connect {called}{seat}")
    if code == 0x80:
        return Seen(kind="request", function="disconnect", answered=False)
    if code != 0xF0:
        return Seen(kind="malformed", function=f"COTP {frame[5]:#04x}")
    pdu = frame[5 + header :]
    if pdu[:1] == b"\x72":
        return _classify_plus(pdu)
    if len(pdu) < 12 or pdu[0] != 0x32:
        return Seen(kind="malformed", function="no S7 header")
    if pdu[1] == 0x01:
        return Seen(kind="request", function=f"job {pdu[10]:#04x}", write=pdu[10] not in READ_JOBS)
    if pdu[1] == 0x07:
        if len(pdu) < 18:
            return Seen(kind="malformed", function="userdata too short")
        group, sub = pdu[15] & 0x0F, pdu[16]
        if (group, sub) == (4, 1):
            szl = pdu[22:24].hex() if len(pdu) >= 26 and pdu[14] == 0x11 else "next"
            return Seen(kind="request", function=f"SZL {szl}")
        return Seen(kind="request", function=f"userdata {group}/{sub}", write=True)
    return Seen(kind="request", function=f"rosctr {pdu[1]}", write=True)


def s7_busy(request: bytes) -> bytes:
    """A disconnect to a connection request; error class 0x83 to a job or a user-data request."""
    if len(request) < 7:
        return b""
    header, code = request[4], request[5] & 0xF0
    if code == 0xE0 and len(request) >= 11:
        source = request[8:10]
        return b"\x03\0\0\x0b\x06\x80" + source + b"\0\x01" + bytes([COTP_CONGESTION])
    pdu = request[5 + header :]
    if code != 0xF0 or len(pdu) < 10 or pdu[:1] != b"\x32":
        return b""
    if pdu[1] == 0x07 and len(pdu) >= 18:
        # user data: parameter head, type and group as a response, sequence, error in its end
        parameter = pdu[10:13] + b"\x08\x12" + bytes([pdu[15] & 0x0F | 0x80]) + pdu[16:18]
        parameter += b"\0\0" + bytes([NO_RESOURCES, 0x04])
        data = b"\x0a\0\0\0"
        body = pdu[:6] + len(parameter).to_bytes(2, "big") + len(data).to_bytes(2, "big")
        body += parameter + data
    else:
        body = b"\x32\x03" + pdu[2:6] + b"\0\0\0\0" + bytes([NO_RESOURCES, 0x04])
    return b"\x03\0" + (7 + len(body)).to_bytes(2, "big") + b"\x02\xf0\x80" + body


def reference(frame: bytes) -> Span | None:
    """The PDU reference; a frame of COTP alone has none."""
    at = 5 + frame[4] if len(frame) > 4 else 0
    if at and frame[at : at + 1] == b"\x72":
        return at + 11, at + 13  # the sequence number of S7comm-plus
    if not at or frame[at : at + 1] != b"\x32":
        return None
    return at + 4, at + 6


PROTOCOL = Protocol(
    name="s7",
    port=102,
    length=length,
    classify=classify,
    header=4,  # TPKT
    length_at=(2, 2, "big"),
    reference=reference,
    busy=s7_busy,
    latin_1=True,
    longest_text=32,
)
