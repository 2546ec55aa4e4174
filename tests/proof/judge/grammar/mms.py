"""
MMS (IEC 61850, ICCP) on ISO-on-TCP, where it shares the port of S7.

Sources: RFC 1006, section 6; RFC 905, section 13; ISO 8327-1 for the session PDUs CONNECT (13) and
data transfer (1); ISO 8823-1, user data; ISO 9506-2 and its ASN.1 module for the choices of
MMSpdu and ConfirmedServiceRequest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_OURS: Final = ("0001", "0002")
"""Called TSAPs of type 00; 01xx is a programming device's seat where S7 listens."""
_SERVICES: Final[Mapping[int, tuple[str, Verdict]]] = {
    0: ("status", "unknown"),
    1: ("getNameList", "read"),
    2: ("identify", "read"),
    3: ("rename", "control"),
    4: ("read", "read"),
    5: ("write", "control"),
    6: ("getVariableAccessAttributes", "unknown"),
    7: ("defineNamedVariable", "control"),
    11: ("defineNamedVariableList", "control"),
    12: ("getNamedVariableListAttributes", "unknown"),
    13: ("deleteNamedVariableList", "control"),
    19: ("takeControl", "control"),
    20: ("relinquishControl", "control"),
    26: ("initiateDownloadSequence", "control"),
}
"""What changes nothing but is no part of the probe is unknown; all others are control: loading,
creating, starting, stopping, resetting and killing, events, journals, files."""
_AARQ: Final = frozenset({0xA1, 0xA2, 0xA3, 0xA6, 0xA7, 0xBE})
"""Application context, titles and qualifiers of both ends, user information (ISO 8650-1)."""
_AARQ_SIGNS_IN: Final = frozenset({0x8A, 0x8B, 0xAC})
"""ACSE requirements, mechanism name, authentication value."""
_NAMEPLATE: Final = (b"vendor", b"hwRev", b"swRev", b"serNum", b"model", b"name")
_DOMAIN_CLASS: Final = b"\xa0\x03\x80\x01\x09"


def claims(sent: bytes) -> bool:
    """A connection to a TSAP of type 00, on which at most a session is opened and used."""
    frames = list(_frames(sent))
    if not frames or frames[0][1][1] != 0xE0 or _called_tsap(frames[0][1][7:]) not in _OURS:
        return False
    behind = b"".join(body[3:4] for _, body in frames[1:2])
    return behind in (b"", b"\x0d", b"\x01")


def _frames(sent: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Place and COTP part of each whole TPKT."""
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
        if sent[at : at + 2] != b"\x03\x00" or end - at < 7 or end > len(sent):
            return
        yield (at, end), sent[at + 4 : end]
        at = end


def _called_tsap(parameters: bytes) -> str:
    at = 0
    while at + 2 <= len(parameters):
        kind, size = parameters[at], parameters[at + 1]
        if kind == 0xC2:
            return parameters[at + 2 : at + 2 + size].hex()
        at += 2 + size
    return ""


def read(sent: bytes) -> Iterator[Pdu]:
    for (at, end), body in _frames(sent):
        kind = body[1]
        cotp = f"cotp {kind >> 4:#x}"
        if kind == 0xE0:
            tsap = _called_tsap(body[7:])
            verdict: Verdict = "session" if tsap in _OURS else "control"
            name = f"COTP connection request to TSAP {tsap or 'none'}"
            yield Pdu(at, end, name, verdict, (cotp,), names=tsap)
        elif body[:3] == b"\x02\xf0\x80" and len(body) > 4:
            yield _on_session(at, end, body[3:], cotp)
        else:
            yield Pdu(at, end, f"on COTP, not MMS: {body[:4].hex(' ')}", "unknown", (cotp,))


def _on_session(at: int, end: int, data: bytes, cotp: str) -> Pdu:
    if data[0] == 0x0D:
        code = (cotp, "ses 13", "mms initiate 1")
        fields = _aarq(data)
        verdict: Verdict = "session" if fields <= _AARQ else "unknown"
        if fields & _AARQ_SIGNS_IN:
            verdict = "login"
        return Pdu(at, end, "MMS initiate in a session CONNECT", verdict, code)
    if data[:4] != b"\x01\x00\x01\x00":
        return Pdu(at, end, f"on COTP, not MMS: {data[:4].hex(' ')}", "unknown", (cotp,))
    context, pdu = _presented(data[4:])
    session = (cotp, "ses 1", "ses 1")
    if context != 3:
        return Pdu(at, end, f"presentation context {context}", "unknown", session)
    tag, value, rest = _element(pdu)
    if rest:
        return Pdu(at, end, "two MMS PDUs in one", "unknown", session)
    if tag == 0x8B:
        code = (*session, "mms conclude 1")
        return Pdu(at, end, "MMS conclude", "session", code, asks=False)
    if tag != 0xA0:
        return Pdu(at, end, f"MMS PDU {tag:#04x}", "control", session)
    _, _, rest = _element(value)
    number, body = _service(rest)
    name, verdict = _SERVICES.get(number, ("", "control"))
    if (number == 1 and not body.startswith(_DOMAIN_CLASS)) or (
        number == 4 and not _is_nameplate(body)
    ):
        name, verdict = f"{name} of something else", "unknown"
    code = (*session, f"mms service {number}")
    return Pdu(at, end, f"MMS {number} {name}".rstrip(), verdict, code)


def _aarq(data: bytes) -> frozenset[int]:
    """The tags of the AARQ's elements in a session CONNECT."""
    size, at = _length(data, 1)
    if at + size != len(data):
        raise ValueError("a session PDU that is not whole")
    user = b""
    while at < len(data):
        kind = data[at]
        size, at = _length(data, at + 1)
        user = data[at : at + size] if kind == 0xC1 else user
        at += size
    _, shown, rest = _element(user)
    normal = b"" if rest else _child(shown, 0xA2)
    context, aarq = _presented(_element_at(normal, 0x61))
    tag, value, rest = _element(aarq)
    if context != 1 or tag != 0x60 or rest:
        raise ValueError("no AARQ")
    tags = set()
    while value:
        tag, _, value = _element(value)
        tags.add(tag)
    return frozenset(tags)


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A session length and where its value begins; FF is followed by two bytes."""
    if data[at] == 0xFF:
        return int.from_bytes(data[at + 1 : at + 3], "big"), at + 3
    return data[at], at + 1


def _element_at(data: bytes, wanted: int) -> bytes:
    """The first element with this tag, with its header."""
    while data:
        tag, _, rest = _element(data)
        if tag == wanted:
            return data[: len(data) - len(rest)]
        data = rest
    raise ValueError(f"no element {wanted:#04x}")


def _child(data: bytes, wanted: int) -> bytes:
    return _element(_element_at(data, wanted))[1]


def _service(data: bytes) -> tuple[int, bytes]:
    """Number and value of the service; the modifiers before it (tag 30) are none of ours."""
    number = data[0] & 0x1F
    if number == 0x1F:
        number = data[1] & 0x7F
        return number, data[3:]
    return number, _element(data)[1]


def _presented(data: bytes) -> tuple[int, bytes]:
    for wanted in (0x61, 0x30):
        tag, data, rest = _element(data)
        if tag != wanted or rest:
            raise ValueError("no user data of the presentation layer")
    tag, context, data = _element(data)
    if tag != 2 or len(context) != 1:
        raise ValueError("no presentation context")
    tag, value, rest = _element(data)
    if tag != 0xA0 or rest:
        raise ValueError("no single value")
    return context[0], value


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if start + size > len(data):
        raise ValueError("cut off")
    return tag, data[start : start + size], data[start + size :]


def _is_nameplate(body: bytes) -> bool:
    """Every variable that is read is a text of LPHD1.PhyNam, and there are six at most."""
    tag, listed, rest = _element(body)
    if tag != 0xA1 or rest:
        return False
    tag, variables, rest = _element(listed)
    if tag != 0xA0 or rest:
        return False
    names = []
    while variables:
        _, variable, variables = _element(variables)
        for _ in range(2):
            _, variable, _ = _element(variable)
        _, _, behind = _element(variable)
        names.append(_element(behind)[1])
    wanted = {b"LPHD1$DC$PhyNam$" + item for item in _NAMEPLATE}
    return 0 < len(names) <= len(wanted) and set(names) <= wanted


def asks(data: bytes) -> Iterator[bytes]:
    for _, body in _frames(data):
        if body[1] == 0xF0 and body[3:7] == b"\x01\x00\x01\x00" and b"\xa0" in body:
            yield body[3:]


GRAMMAR: Final = Grammar(
    protocol="mms",
    read=read,
    rides_on="s7",
    claims=claims,
    ics=True,
    client_speaks_first=True,
    codes={
        "cotp.type": "cotp {:#x}",
        "ses.type": "ses {}",
        "mms.initiate_RequestPDU_element": "mms initiate {}",
        "mms.conclude_RequestPDU_element": "mms conclude {}",
        "mms.confirmedServiceRequest": "mms service {}",
    },
    questions=3,
    connections={"identify": 2},  # a second one after an explicit refusal
    asks=asks,
)
