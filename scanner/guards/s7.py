"""
What may be said to an S7 controller: connect as S7 basic, set up, read a few system status lists.

Allowed, each by its exact shape: a COTP connection request whose destination TSAP is of type S7
basic (0x03xx; never 0x01xx, which would take a programming device's seat), the S7 set-up of
communication, reads of the listed SZL ids and their continuation, and the COTP disconnect request.
Jobs that read or write variables, load blocks, start or stop the CPU, and every other group of
userdata functions are refused.

Source: RFC 1006 section 6 (TPKT), RFC 905 section 13 (COTP); the S7 layer as in the dissector
documentation of Wireshark and in recordings of STEP 7; SZL ids: Siemens, System Software for
S7-300/400, System and Standard Functions, chapter System Status Lists.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 1024
_LONGEST_REPLY: Final = 65_536

_IDENTIFY_SZL: Final = {
    0x0000: frozenset({0}),
    0x0011: frozenset({0, 1, 6, 7, 0x81}),
    0x001C: frozenset(range(12)),
}
_READ_SZL: Final = {
    0x0132: frozenset({4}),
    0x0232: frozenset({4}),
    0x0424: frozenset({0, 4}),
}

_JOBS: Final = {
    0x00: "CPU services",
    0x04: "read variable",
    0x05: "write variable",
    0x1A: "request download",
    0x1B: "download block",
    0x1C: "download ended",
    0x1D: "start upload",
    0x1E: "upload",
    0x1F: "end upload",
    0x28: "PLC control",
    0x29: "PLC stop",
}
_GROUPS: Final = {
    0: "mode transition",
    1: "programmer commands",
    2: "cyclic data",
    3: "block functions",
    5: "security",
    6: "PBC",
    7: "time",
}


class S7Guard:
    """Judges one TPKT at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            if buffer[0] != 3 or buffer[1] != 0:
                raise GuardRefused(f"not a TPKT: {buffer[:4].hex()}")
            length = int.from_bytes(buffer[2:4], "big")
            if not 7 <= length <= _LONGEST:
                raise GuardRefused(f"TPKT length {length} is outside 7 to {_LONGEST}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if len(frame) < 7 or frame[:2] != b"\x03\x00":
            return "not a TPKT"
        if int.from_bytes(frame[2:4], "big") != len(frame):
            return "the TPKT length does not match the frame"
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        match frame[5]:
            case 0xE0:
                return _judge_connect(frame)
            case 0x80:
                return _judge_disconnect(frame)
            case 0xF0 if frame[4:7] == b"\x02\xf0\x80":
                return _judge_s7(frame[7:], tier)
            case 0xF0:
                return "a COTP data unit must be whole and unnumbered"
            case other:
                return f"COTP type 0x{other:02X} is not on the S7 list"


def _judge_connect(frame: bytes) -> str | None:
    """`11 E0 0000 ref ref 00 | C1 02 0100 | C2 02 03xx | C0 01 size`, in this order only."""
    if len(frame) != 22 or frame[4] != 0x11 or frame[6:8] != b"\x00\x00" or frame[10] != 0:
        return "a connection request has one shape: class 0, calling and called TSAP, size"
    if frame[11:13] != b"\xc1\x02" or frame[15:17] != b"\xc2\x02" or frame[19:21] != b"\xc0\x01":
        return "a connection request names calling TSAP, called TSAP and size, in this order"
    if frame[13:15] != b"\x01\x00":
        return f"calling TSAP {frame[13:15].hex()} is not ours"
    if frame[17] == 0x01:
        return f"TSAP {frame[17:19].hex()} would take a programming device's seat"
    if frame[17] != 0x03:
        return f"TSAP {frame[17:19].hex()} is not of type S7 basic"
    if not 0x07 <= frame[21] <= 0x0A:
        return f"TPDU size code 0x{frame[21]:02X} is outside 07 to 0A"
    return None


def _judge_disconnect(frame: bytes) -> str | None:
    """`06 80 dst dst src src reason`: python-snap7 sends one byte more, which is malformed."""
    if len(frame) != 11 or frame[4] != 6:
        return "a disconnect request has seven bytes"
    return None if frame[10] in (0x00, 0x80) else "a disconnect request gives a normal reason"


def _judge_s7(pdu: bytes, tier: Tier) -> str | None:
    if len(pdu) < 11 or pdu[0] != 0x32 or pdu[2:4] != b"\x00\x00":
        return "not an S7 request"
    parameters = int.from_bytes(pdu[6:8], "big")
    data = int.from_bytes(pdu[8:10], "big")
    if len(pdu) != 10 + parameters + data:
        return "the S7 lengths do not match the frame"
    if pdu[1] == 0x01:
        return _judge_job(pdu[10:])
    if pdu[1] == 0x07:
        return _judge_userdata(pdu[10 : 10 + parameters], pdu[10 + parameters :], tier)
    return f"S7 message type 0x{pdu[1]:02X} is not on the list"


def _judge_job(body: bytes) -> str | None:
    """Only the set-up: `F0 00 calling(2) called(2) pdu(2)` without data."""
    if body[0] != 0xF0:
        return f"S7 job 0x{body[0]:02X} ({_JOBS.get(body[0], 'unknown')}) is not on the list"
    if len(body) != 8 or body[1] != 0:
        return "the S7 set-up has one shape"
    calling, called, size = (int.from_bytes(body[i : i + 2], "big") for i in (2, 4, 6))
    if calling != 1 or called != 1:
        return "the S7 set-up asks for one job at a time"
    return None if 240 <= size <= 960 else f"S7 PDU size {size} is outside 240 to 960"


def _judge_userdata(parameters: bytes, data: bytes, tier: Tier) -> str | None:
    if len(parameters) < 8 or parameters[:3] != b"\x00\x01\x12":
        return "not an S7 userdata request"
    group, function = parameters[5], parameters[6]
    if group >> 4 != 4:
        return f"S7 userdata type 0x{group >> 4:X} is not a request"
    if group & 0x0F != 4:
        name = _GROUPS.get(group & 0x0F, "unknown")
        return f"S7 userdata group {group & 0x0F} ({name}) is not on the list"
    if function != 1:
        return f"S7 CPU function {function} is not on the list: only reading an SZL is"
    if parameters[3:5] == b"\x08\x12" and len(parameters) == 12:
        ok = parameters[8:] == bytes(4) and data == b"\x0a\x00\x00\x00"
        return None if ok else "the continuation of an SZL has one shape"
    if parameters != b"\x00\x01\x12\x04\x11\x44\x01\x00" or len(data) != 8:
        return "the request of an SZL has one shape"
    if data[:4] != b"\xff\x09\x00\x04":
        return "the request of an SZL has one shape"
    return _judge_szl(int.from_bytes(data[4:6], "big"), int.from_bytes(data[6:8], "big"), tier=tier)


def _judge_szl(szl: int, index: int, *, tier: Tier) -> str | None:
    if szl in _IDENTIFY_SZL:
        allowed = _IDENTIFY_SZL[szl]
    elif szl in _READ_SZL:
        if not tier.allows(Tier.READ):
            return f"SZL 0x{szl:04X} needs tier read"
        allowed = _READ_SZL[szl]
    else:
        return f"SZL 0x{szl:04X} is not on the list"
    return None if index in allowed else f"SZL 0x{szl:04X} index 0x{index:04X} is not on the list"


def reply_framer(buffer: bytes) -> int | None:
    """
    Length of one TSDU: one TPKT, or for data as many as it takes to the end-of-TSDU mark.

    Raises BadReply when the bytes cannot become one.
    """
    end = 0
    while True:
        rest = buffer[end : end + 7]
        if rest[:2] not in (b"\x03\x00", b"\x03", b""):
            raise BadReply(f"not a TPKT: {rest[:4].hex()}")
        if len(rest) < 4:
            return None
        length = int.from_bytes(rest[2:4], "big")
        if length < 7 or end + length > _LONGEST_REPLY:
            raise BadReply(f"TPKT length {length} after {end} bytes")
        if len(buffer) < end + length:
            return None
        end += length
        if rest[5] != 0xF0 or rest[6] & 0x80:
            return end


GUARD = GuardSpec(protocol="s7", open=S7Guard, reply_framer=reply_framer)
