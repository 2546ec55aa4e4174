"""
What may be said to an MMS server: associate, identify, conclude; with tier read, list domains and
read a nameplate.

Allowed, each by its exact bytes but for the numbers and names that vary: a COTP connection request
from TSAP 0001 to TSAP 0001 or 0002 (type 00; never 01xx, a programming device's seat), one
association (session CONNECT to MMS initiate, no authentication), identify, conclude; in tier read
getNameList of the server's domains and one read of the six texts of LPHD1.PhyNam in one domain.
Every other service, and everything that writes, controls, defines, deletes, loads, starts or stops,
is refused.

Source: RFC 1006 section 6 (TPKT), RFC 905 section 13 (COTP); ISO 9506-2 sections 7, 8, 10 and 14;
IEC 61850-8-1 section 8; ITU-T X.690 section 8.1.
"""

from __future__ import annotations

import re
from typing import Final

from scanner.errors import BadReply, GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_LONGEST: Final = 1024
_LONGEST_REPLY: Final = 65_536

_CONNECT: Final = re.compile(
    rb"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc1\x02\0\x01\xc2\x02\0[\x01\x02]\xc0\x01\x0a", re.DOTALL
)
_ASSOCIATE: Final = (
    "030000bd02f0800db4"  # session CONNECT of 180 bytes
    "0506130100160102140200023302000134020{tsap}c19e"
    "31819ba003800101a28193810400000001820400000{tsap}"
    "a423300f0201010604520100013004060251013010020103060528ca22020130040602510161"
    "60305e020101a059"  # in presentation context 1: AARQ
    "6057a107060528ca220203a206060429018767a30302010ca606060429018767a70302010c"
    "be32283006025101020103a027"  # in it, for context 3: MMS initiate
    "a82580021f40810101820101830105a416800101810305f100820c036800000000000000000010"
)
_ASSOCIATIONS: Final = frozenset(
    bytes.fromhex(_ASSOCIATE.replace("{tsap}", tsap)) for tsap in ("001", "002")
)
_CONCLUDE: Final = bytes.fromhex("0300001602f0800100010061093007020103a0028b00")
_IDENTIFY: Final = re.compile(
    rb"\x03\0\0\x1b\x02\xf0\x80\x01\0\x01\0\x61\x0e\x30\x0c\x02\x01\x03\xa0\x07\xa0\x05"
    rb"\x02\x01[\x01-\x7f]\x82\0",
    re.DOTALL,
)
_NAME: Final = re.compile(rb"[A-Za-z0-9_]{1,64}")
_ITEMS: Final = tuple(
    b"LPHD1$DC$PhyNam$" + item
    for item in (b"vendor", b"hwRev", b"swRev", b"serNum", b"model", b"name")
)

_SERVICES: Final = {
    0xA0: "status", 0xA3: "rename", 0xA5: "write", 0xA6: "getVariableAccessAttributes",
    0xA7: "defineNamedVariable", 0xAB: "defineNamedVariableList", 0xAD: "deleteNamedVariableList",
    0xB3: "takeControl", 0xB4: "relinquishControl", 0xBA: "initiateDownloadSequence",
}  # fmt: skip


class MmsGuard:
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
        if frame[5] == 0xE0:
            return _judge_connect(frame)
        if frame[4:7] != b"\x02\xf0\x80":
            return f"COTP type 0x{frame[5]:02X} is not on the MMS list"
        if frame in _ASSOCIATIONS or frame == _CONCLUDE or _IDENTIFY.fullmatch(frame):
            return None
        if frame[7:11] != b"\x01\x00\x01\x00":
            return "an association has one shape, and what follows it is session data"
        return _judge_service(frame[11:], tier)


def _judge_connect(frame: bytes) -> str | None:
    if _CONNECT.fullmatch(frame):
        return None
    if b"\xc2\x02\x01" in frame[11:]:
        return "a called TSAP 01xx would take a programming device's seat"
    return "a connection request has one shape: TSAP 0001 to TSAP 0001 or 0002"


def _judge_service(data: bytes, tier: Tier) -> str | None:
    """`61 { 30 { 02 01 03, A0 { A0 { 02 01 invoke, service } } } }`."""
    fields = _only(_only(data, 0x61), 0x30)
    if fields is None or fields[:3] != b"\x02\x01\x03":
        return "not one MMS PDU in presentation context 3"
    request = _only(_only(fields[3:], 0xA0), 0xA0)
    if request is None or len(request) < 5 or request[:2] != b"\x02\x01":
        return "not one confirmed request of MMS"
    if not 1 <= request[2] <= 0x7F:
        return "an invoke id is 1 to 127"
    service = request[3]
    if service not in (0xA1, 0xA4):
        name = _SERVICES.get(service, "unknown")
        return f"MMS service 0x{service:02X} ({name}) is not on the list"
    if not tier.allows(Tier.READ):
        return f"MMS service 0x{service:02X} needs tier read"
    body = _only(request[3:], service)
    allowed = body is not None and (_lists_domains if service == 0xA1 else _reads_nameplate)(body)
    name = "getNameList" if service == 0xA1 else "read"
    return None if allowed else f"MMS {name} has one shape"


def _only(data: bytes | None, tag: int) -> bytes | None:
    """The value of the one element that the data are, in the shortest form; else None."""
    if data is None or len(data) < 2 or data[0] != tag:
        return None
    size, start = data[1], 2
    if size == 0x81 and len(data) > 2 and data[2] >= 0x80:
        size, start = data[2], 3
    elif size == 0x82 and len(data) > 3 and data[2] >= 1:
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size >= 0x80:
        return None
    return data[start:] if start + size == len(data) else None


def _lists_domains(body: bytes) -> bool:
    """`A0 { 80 01 09 } A1 { 80 00 }`, and behind a first part `82 name`."""
    whole = b"\xa0\x03\x80\x01\x09\xa1\x02\x80\x00"
    if body == whole:
        return True
    after = _only(body[len(whole) :], 0x82) if body.startswith(whole) else None
    return after is not None and _NAME.fullmatch(after) is not None


def _reads_nameplate(body: bytes) -> bool:
    """`A1 { A0 { six of 30 { A0 { A1 { 1A domain, 1A item } } } } }`, in this order."""
    rest = _only(_only(body, 0xA1), 0xA0)
    if rest is None or len(rest) < 10:
        return False
    size = rest[7]
    domain = rest[8 : 8 + size]
    if _NAME.fullmatch(domain) is None:
        return False
    expected = b""
    for item in _ITEMS:
        name = bytes([0x1A, len(domain)]) + domain + bytes([0x1A, len(item)]) + item
        wrapped = bytes([0xA1, len(name)]) + name
        expected += bytes([0x30, len(wrapped) + 2, 0xA0, len(wrapped)]) + wrapped
    return rest == expected


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


GUARD = GuardSpec(protocol="mms", open=MmsGuard, reply_framer=reply_framer)
