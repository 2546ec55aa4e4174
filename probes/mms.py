"""
MMS, as IEC 61850 and ICCP speak it: which device this is, in the words of its own nameplate.

1. One connection to the port, only where S7 told nothing there. COTP connection request from TSAP
   0001 to TSAP 0001, which most IED descriptions give: `... C1 02 0001 C2 02 0001 C0 01 0A`.
2. One association: session CONNECT, presentation CP, ACSE AARQ and MMS initiate in one frame, with
   one request in flight and without any authentication.
3. One MMS identify: `A0 05 02 01 01 82 00`.
4. MMS conclude, and the connection is closed.
5. Only if the connection request was refused in words (COTP disconnect or error), one more
   connection asks for TSAP 0002, where control centres listen. There is no third, and silence or a
   dropped connection is never followed by another try.

Why this is the gentlest question: identify is the one service of MMS made for it; every server has
to have it, it touches no variable, report or control block, and an association that is concluded
gives its place back at once. IEDs have places for a few clients only. A TSAP of type 01 would be a
programming device's seat on an S7 controller; ours is of type 00.

Sample result: vendor "AREVA T&D Corporation", model "e-terracomm", firmware "2.3.1".

A server may begin to ask us in turn as soon as we are associated (ICCP does). Such requests and
reports are passed over, and never answered.

In the read tier the names of the domains (logical devices) are listed, and of the first that has
one the nameplate is read: LPHD1.PhyNam with vendor, hardware and software revision, serial number,
model and name, in one request.

Never sent: write, every object's definition and deletion, files, journals, semaphores, domains up
or down, and start, stop, resume, reset and kill of program invocations.

Source: RFC 1006 section 6; ISO 8327-1 section 8 (CONNECT, ACCEPT, data transfer); ISO 8823-1
section 8 (CP, CPA, user data); ISO 8650-1 section 9 (AARQ, AARE); ISO 9506-2 sections 7 (PDUs), 8
(initiate, conclude), 10 (identify, getNameList), 14 (read); IEC 61850-8-1 section 8 and
IEC 61850-7-3 section 7.8.2 (device nameplate, DPL); ITU-T X.690 section 8.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from probes.s7 import (
    CotpRefusal,
    decode_connection_reply,
    decode_data,
    encode_data,
    encode_tpkt,
    tsdu_length,
)
from scanner.errors import BadReply, Refused, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

TSAPS: Final = (0x0001, 0x0002)
OUR_TSAP: Final = 0x0001
TPDU_1024: Final = 0x0A

CONNECT: Final = 0x0D
ACCEPT: Final = 0x0E
USER_DATA: Final = 0xC1
GIVE_TOKENS_AND_DATA: Final = b"\x01\x00\x01\x00"

ACSE_CONTEXT: Final = 1
MMS_CONTEXT: Final = 3
ACSE_SYNTAX: Final = bytes.fromhex("060452010001")
MMS_SYNTAX: Final = bytes.fromhex("060528ca220201")
BER_SYNTAX: Final = bytes.fromhex("06025101")
MMS_APPLICATION: Final = bytes.fromhex("060528ca220203")
AP_TITLE: Final = bytes.fromhex("060429018767")
"""1.1.1.999, which IED descriptions carry where nobody chose another."""
AE_QUALIFIER: Final = 12

CONFIRMED_REQUEST: Final = 0xA0
CONFIRMED_RESPONSE: Final = 0xA1
CONFIRMED_ERROR: Final = 0xA2
UNCONFIRMED: Final = 0xA3
REJECT: Final = 0xA4
INITIATE_REQUEST: Final = 0xA8
INITIATE_RESPONSE: Final = 0xA9
CONCLUDE_REQUEST: Final = b"\x8b\x00"

IDENTIFY: Final = 0xA2
GET_NAME_LIST: Final = 0xA1
READ: Final = 0xA4
VISIBLE_STRING: Final = 0x8A
IDENTIFIER: Final = 0x1A

NAMEPLATE: Final = "LPHD1$DC$PhyNam"
NAMEPLATE_ITEMS: Final = ("vendor", "hwRev", "swRev", "serNum", "model", "name")

AUTHENTICATION_DIAGNOSTICS: Final = frozenset({11, 12, 13, 14})
"""ACSE service user: mechanism not recognised, mechanism required, failure, required."""

MAX_REPLY: Final = 16_384
MAX_UNASKED: Final = 8
MAX_ELEMENTS: Final = 512
MAX_TEXT: Final = 128
MAX_NAME: Final = 64
"""Characters of a domain's name (ISO 9506-2: 32; IEC 61850-8-1: 64)."""
MAX_DOMAINS: Final = 64
MAX_LISTS: Final = 2
MAX_NAMEPLATES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Associated:
    """The server let us in. `version` is that of MMS; None: not told."""

    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAssociated:
    """The server said no, in words; `wants_login`: because we showed no credential."""

    reason: str
    wants_login: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """The reply to identify, each text as it came."""

    vendor: str | None
    model: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameList:
    names: tuple[str, ...]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRefusal:
    """A confirmed error or a reject in place of an answer."""

    kind: int


# --- what is sent ------------------------------------------------------------------------------


def encode_element(tag: int, *parts: bytes) -> bytes:
    """One BER element with a definite length of one to three bytes."""
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    if size < 0x100:
        return bytes([tag, 0x81, size]) + value
    return bytes([tag, 0x82]) + size.to_bytes(2, "big") + value


def encode_connection_request(*, tsap: int) -> bytes:
    """`11 E0 dst(2)=0 src(2)=1 class=0 | C1 02 calling | C2 02 called | C0 01 size`."""
    return encode_tpkt(
        b"\x11\xe0\x00\x00\x00\x01\x00"
        + b"\xc1\x02"
        + OUR_TSAP.to_bytes(2, "big")
        + b"\xc2\x02"
        + tsap.to_bytes(2, "big")
        + bytes([0xC0, 1, TPDU_1024])
    )


def encode_association(*, tsap: int) -> bytes:
    """
    Session CONNECT { presentation CP { ACSE AARQ { MMS initiate } } }.

    Session and presentation selectors of the server are the TSAP's number once more, as device
    descriptions have them; ours are 1.
    """
    session = (
        bytes.fromhex("0506 130100 160102".replace(" ", ""))  # version 2, as for duplex
        + bytes.fromhex("14020002")  # functional unit: duplex
        + b"\x33\x02"
        + OUR_TSAP.to_bytes(2, "big")
        + b"\x34\x02"
        + tsap.to_bytes(2, "big")
    )
    presentation = _presentation(tsap)
    session += bytes([USER_DATA, len(presentation)]) + presentation
    return encode_data(bytes([CONNECT, len(session)]) + session)


def _presentation(tsap: int) -> bytes:
    contexts = encode_element(
        0xA4,
        _context(ACSE_CONTEXT, ACSE_SYNTAX),
        _context(MMS_CONTEXT, MMS_SYNTAX),
    )
    return encode_element(
        0x31,
        bytes.fromhex("a003800101"),  # normal mode
        encode_element(
            0xA2,
            b"\x81\x04" + OUR_TSAP.to_bytes(4, "big"),
            b"\x82\x04" + tsap.to_bytes(4, "big"),
            contexts,
            _user_data(ACSE_CONTEXT, _aarq()),
        ),
    )


def _context(number: int, syntax: bytes) -> bytes:
    return encode_element(0x30, bytes([2, 1, number]), syntax, encode_element(0x30, BER_SYNTAX))


def _user_data(context: int, value: bytes) -> bytes:
    """`61 { 30 { 02 01 context, A0 { value } } }`."""
    pdv = encode_element(0x30, bytes([2, 1, context]), encode_element(0xA0, value))
    return encode_element(0x61, pdv)


def _aarq() -> bytes:
    qualifier = bytes([2, 1, AE_QUALIFIER])
    external = encode_element(
        0x28, BER_SYNTAX, bytes([2, 1, MMS_CONTEXT]), encode_element(0xA0, _initiate())
    )
    return encode_element(
        0x60,
        encode_element(0xA1, MMS_APPLICATION),
        encode_element(0xA2, AP_TITLE),
        encode_element(0xA3, qualifier),
        encode_element(0xA6, AP_TITLE),
        encode_element(0xA7, qualifier),
        encode_element(0xBE, external),
    )


def _initiate() -> bytes:
    """PDUs of at most 8000 bytes, one request in flight each way, nesting 5, MMS version 1."""
    services = bytes.fromhex("03 6800000000000000000010".replace(" ", ""))
    # bits 1 getNameList, 2 identify, 4 read, 83 conclude; three bits are unused
    detail = encode_element(
        0xA4, b"\x80\x01\x01", b"\x81\x03\x05\xf1\x00", encode_element(0x82, services)
    )
    return encode_element(
        INITIATE_REQUEST, b"\x80\x02\x1f\x40", b"\x81\x01\x01", b"\x82\x01\x01", b"\x83\x01\x05",
        detail,
    )  # fmt: skip


def encode_mms(pdu: bytes) -> bytes:
    """One MMS PDU on the association."""
    return encode_data(GIVE_TOKENS_AND_DATA + _user_data(MMS_CONTEXT, pdu))


def _confirmed(invoke: int, service: bytes) -> bytes:
    return encode_mms(encode_element(CONFIRMED_REQUEST, bytes([2, 1, invoke]), service))


def encode_identify(*, invoke: int) -> bytes:
    return _confirmed(invoke, b"\x82\x00")


def encode_list_domains(*, invoke: int, after: str = "") -> bytes:
    """getNameList of object class domain (9), scope: the whole server; `after`: go on there."""
    parts = [bytes.fromhex("a003800109"), bytes.fromhex("a1028000")]
    if after:
        parts.append(encode_element(0x82, after.encode("ascii", "replace")))
    return _confirmed(invoke, encode_element(GET_NAME_LIST, *parts))


def encode_read_nameplate(*, invoke: int, domain: str) -> bytes:
    """read of the six texts of the device nameplate, each as a variable of the domain."""
    variables = []
    for item in NAMEPLATE_ITEMS:
        name = encode_element(
            0xA1,
            encode_element(IDENTIFIER, domain.encode("ascii", "replace")),
            encode_element(IDENTIFIER, f"{NAMEPLATE}${item}".encode("ascii")),
        )
        variables.append(encode_element(0x30, encode_element(0xA0, name)))
    listed = encode_element(0xA1, encode_element(0xA0, *variables))
    return _confirmed(invoke, encode_element(READ, listed))


def encode_conclude() -> bytes:
    return encode_mms(CONCLUDE_REQUEST)


# --- what comes back ---------------------------------------------------------------------------


def decode_elements(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """
    (tag, value) of BER elements side by side, one byte of tag and a definite length each.

    Raises BadReply, also on what reaches beyond the data and on more than 512 elements.
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        if len(found) >= MAX_ELEMENTS or len(data) < at + 2 or data[at] & 0x1F == 0x1F:
            raise BadReply(f"expected a BER element, got {data[at : at + 8].hex()}")
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            width = size & 0x7F
            if not 1 <= width <= 3 or len(data) < start + width:
                raise BadReply(f"expected a BER length, got {data[at : at + 8].hex()}")
            size = int.from_bytes(data[start : start + width], "big")
            start += width
        if len(data) < start + size:
            raise BadReply("a BER element reaches beyond its frame")
        found.append((tag, data[start : start + size]))
        at = start + size
    return tuple(found)


def decode_child(elements: Sequence[tuple[int, bytes]], tag: int) -> bytes:
    """The value of the first element with this tag. Raises BadReply when there is none."""
    for found, value in elements:
        if found == tag:
            return value
    raise BadReply(f"expected an element 0x{tag:02X}")


def _first(elements: Sequence[tuple[int, bytes]], tag: int) -> bytes | None:
    return next((value for found, value in elements if found == tag), None)


def decode_user_data(data: bytes, *, context: int) -> bytes:
    """The value of `61 { 30 { 02 01 context, A0 { value } } }`. Raises BadReply."""
    pdv = decode_child(decode_elements(decode_child(decode_elements(data), 0x61)), 0x30)
    elements = decode_elements(pdv)
    if decode_child(elements, 0x02) != bytes([context]):
        raise BadReply(f"expected presentation context {context}, got {pdv[:8].hex()}")
    return decode_child(elements, 0xA0)


def decode_session(data: bytes) -> tuple[int, dict[int, bytes]]:
    """
    Kind and parameters of one session PDU: `kind length {parameter length value}`.

    A length of FF is followed by the real one in two bytes. Raises BadReply.
    """
    size, at = _session_length(data, 1)
    if at + size > len(data):
        raise BadReply("a session PDU reaches beyond its frame")
    end = at + size
    parameters: dict[int, bytes] = {}
    while at < end:
        kind = data[at]
        size, at = _session_length(data[:end], at + 1)
        if at + size > end:
            raise BadReply("a session parameter reaches beyond its PDU")
        parameters.setdefault(kind, data[at : at + size])
        at += size
    return data[0], parameters


def _session_length(data: bytes, at: int) -> tuple[int, int]:
    """(length, where the value starts)."""
    if len(data) <= at:
        raise BadReply(f"expected a session PDU, got {data[:8].hex()}")
    if data[at] != 0xFF:
        return data[at], at + 1
    if len(data) < at + 3:
        raise BadReply("a session length is cut off")
    return int.from_bytes(data[at + 1 : at + 3], "big"), at + 3


def decode_association(reply: bytes) -> Associated | NotAssociated:
    """The reply to CONNECT, down to the MMS initiate in it. Raises BadReply."""
    kind, parameters = decode_session(decode_data(reply))
    if kind != ACCEPT:
        words = {0x0C: "refused", 0x19: "aborted"}.get(kind)
        if words is None:
            raise BadReply(f"expected a session ACCEPT, got 0x{kind:02X}")
        return NotAssociated(reason=f"session {words}", wants_login=False)
    accepted = decode_child(decode_elements(parameters.get(USER_DATA, b"")), 0x31)
    normal = decode_child(decode_elements(accepted), 0xA2)
    aare = decode_elements(
        decode_child(decode_elements(decode_user_data(normal, context=ACSE_CONTEXT)), 0x61)
    )
    result = decode_child(decode_elements(decode_child(aare, 0xA2)), 0x02)
    if result != b"\x00":
        return _not_associated(aare)
    external = decode_elements(decode_child(decode_elements(decode_child(aare, 0xBE)), 0x28))
    initiate = _first(decode_elements(decode_child(external, 0xA0)), INITIATE_RESPONSE)
    if initiate is None:
        raise BadReply("expected an MMS initiate response")
    version = _first(decode_elements(_first(decode_elements(initiate), 0xA4) or b""), 0x80)
    return Associated(version=int.from_bytes(version[:2], "big") if version else None)


def _not_associated(aare: Sequence[tuple[int, bytes]]) -> NotAssociated:
    diagnostic = decode_elements(_first(aare, 0xA3) or b"")
    by_user = _first(decode_elements(_first(diagnostic, 0xA1) or b""), 0x02)
    number = int.from_bytes(by_user[:2], "big") if by_user else 0
    return NotAssociated(
        reason=f"ACSE rejected, diagnostic {number}",
        wants_login=number in AUTHENTICATION_DIAGNOSTICS,
    )


def decode_mms(tsdu: bytes) -> tuple[int, bytes]:
    """Tag and value of the MMS PDU in one whole TSDU. Raises BadReply."""
    data = decode_data(tsdu)
    if data[:4] != GIVE_TOKENS_AND_DATA:
        raise BadReply(f"expected session data, got {data[:8].hex()}")
    elements = decode_elements(decode_user_data(data[4:], context=MMS_CONTEXT))
    if len(elements) != 1:
        raise BadReply(f"expected one MMS PDU, got {len(elements)}")
    return elements[0]


def reply_length(buffer: bytes) -> int | None:
    """
    Length up to the end of the first TSDU that is not something the server says unasked.

    Raises BadReply on anything but MMS, and on more than eight unasked PDUs.
    """
    end = 0
    for _ in range(MAX_UNASKED + 1):
        length = tsdu_length(buffer[end:])
        if length is None:
            return None
        kind, _ = decode_mms(buffer[end : end + length])
        end += length
        if kind not in (CONFIRMED_REQUEST, UNCONFIRMED):
            return end
    raise BadReply(f"more than {MAX_UNASKED} PDUs that nobody asked for")


def decode_answer(reply: bytes, *, invoke: int, service: int) -> bytes | ServiceRefusal:
    """
    The value of the confirmed response to this request, what the server said unasked passed over.

    Raises BadReply, also when it answers another request or another service.
    """
    last = 0
    while (length := tsdu_length(reply[last:])) is not None and last + length < len(reply):
        last += length
    kind, value = decode_mms(reply[last:])
    elements = decode_elements(value)
    if kind in (CONFIRMED_ERROR, REJECT):
        told = _first(elements, 0x80)
        if told is not None and told != bytes([invoke]):
            raise BadReply(f"expected an answer to request {invoke}, got one to {told[:4].hex()}")
        return ServiceRefusal(kind=kind)
    if kind != CONFIRMED_RESPONSE:
        raise BadReply(f"expected a confirmed response, got 0x{kind:02X}")
    if decode_child(elements, 0x02) != bytes([invoke]):
        raise BadReply(f"expected an answer to request {invoke}, got {value[:4].hex()}")
    return decode_child(elements[1:], service)


def decode_identification(value: bytes) -> Identification:
    """`80 vendor 81 model 82 revision`, then abstract syntaxes. Raises BadReply."""
    elements = decode_elements(value)
    return Identification(
        vendor=decode_text(_first(elements, 0x80)),
        model=decode_text(_first(elements, 0x81)),
        revision=decode_text(_first(elements, 0x82)),
    )


def decode_name_list(value: bytes) -> NameList:
    """`A0 { 1A name … } 81 more`; `more` left out means that there is. Raises BadReply."""
    elements = decode_elements(value)
    names: list[str] = []
    for tag, name in decode_elements(decode_child(elements, 0xA0)):
        if tag == IDENTIFIER and len(names) < MAX_DOMAINS:
            names.append(name[:MAX_NAME].decode("ascii", "replace"))
    more = _first(elements, 0x81)
    return NameList(names=tuple(names), more=more is None or any(more))


def decode_nameplate(value: bytes) -> DeviceIdentity | None:
    """`A1 { access result … }` in the order asked: 8A text, 80 failure. Raises BadReply."""
    results = decode_elements(decode_child(decode_elements(value), 0xA1))
    texts = {
        item: decode_text(result) if tag == VISIBLE_STRING else None
        for item, (tag, result) in zip(NAMEPLATE_ITEMS, results, strict=False)
    }
    found = DeviceIdentity(
        vendor=texts.get("vendor"),
        model=texts.get("model"),
        hardware=texts.get("hwRev"),
        firmware=texts.get("swRev"),
        serial=texts.get("serNum"),
        name=texts.get("name"),
    )
    return None if found == DeviceIdentity() else found


def decode_text(value: bytes | None) -> str | None:
    """Up to the first NUL, without control characters; None for nothing."""
    if value is None:
        return None
    text = value.split(b"\x00", 1)[0].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


# --- the conversation --------------------------------------------------------------------------


async def _associate(session: Session, tsap: int) -> Associated | NotAssociated | CotpRefusal:
    """Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_connection_request(tsap=tsap), tsdu_length, label=_LABEL_CONNECT
    )
    confirm = decode_connection_reply(reply)
    if isinstance(confirm, CotpRefusal):
        return confirm
    reply = await session.exchange(
        encode_association(tsap=tsap), tsdu_length, label=_LABEL_ASSOCIATE, max_reply=MAX_REPLY
    )
    return decode_association(reply)


async def _ask(
    session: Session, request: bytes, *, invoke: int, service: int, label: str
) -> bytes | ServiceRefusal:
    reply = await session.exchange(request, reply_length, label=label, max_reply=MAX_REPLY)
    return decode_answer(reply, invoke=invoke, service=service)


async def _goodbye(session: Session) -> None:
    """One that the device forestalls, or that a window's end keeps back, costs no answer."""
    with suppress(WireError, Withheld):
        await session.exchange(encode_conclude(), None, label=_LABEL_CONCLUDE)


async def run(session: Session) -> tuple[Fact, ...]:
    """
    Connect, associate, identify, conclude.

    Raises Withheld, and WireError for trouble before the association is answered; later trouble
    ends the conversation and keeps what was told.
    """
    for attempt, tsap in enumerate(TSAPS):
        if attempt:
            await session.close()
        association = await _associate(session, tsap)
        if isinstance(association, CotpRefusal):
            continue
        if isinstance(association, NotAssociated):
            return (_access(tsap, association),)
        try:
            answer = await _ask(
                session, encode_identify(invoke=1), invoke=1, service=IDENTIFY,
                label=_LABEL_IDENTIFY,
            )  # fmt: skip
            told = None if isinstance(answer, ServiceRefusal) else decode_identification(answer)
        except WireError:
            return (_access(tsap, association),)
        await _goodbye(session)
        return (_access(tsap, association), *_identity(told))
    raise Refused("the connection request was refused in words for every TSAP")


def _access(tsap: int, association: Associated | NotAssociated) -> ServiceAccess:
    details = [("called TSAP", f"{tsap:04X}")]
    if isinstance(association, NotAssociated):
        details.append(("association", association.reason))
        return ServiceAccess(
            protocol="mms",
            answers_without_login=False if association.wants_login else None,
            authentication=("ACSE",) if association.wants_login else None,
            details=tuple(details),
        )
    return ServiceAccess(
        protocol="mms",
        answers_without_login=True,
        encrypted=False,
        version=None if association.version is None else str(association.version),
        details=tuple(details),
    )


def _identity(told: Identification | None) -> Iterator[DeviceIdentity]:
    if told is not None:
        found = DeviceIdentity(vendor=told.vendor, model=told.model, firmware=told.revision)
        if found != DeviceIdentity():
            yield found


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    The names of the domains, and the first nameplate of the first three of them.

    Returns nothing, and sends nothing, where identifying met no association. Raises as `run`.
    """
    tsap = _accepted_tsap(session.known)
    if tsap is None:
        return ()
    association = await _associate(session, tsap)
    if not isinstance(association, Associated):
        return ()
    domains, in_order = await _domains(session)
    details = tuple(("domain", domain) for domain in domains)
    facts: list[Fact] = [
        ServiceAccess(protocol="mms", answers_without_login=True, encrypted=False, details=details)
    ]
    for number, domain in enumerate(_readable(domains)[:MAX_NAMEPLATES]):
        if not in_order:
            break
        invoke = 10 + number
        try:
            answer = await _ask(
                session, encode_read_nameplate(invoke=invoke, domain=domain), invoke=invoke,
                service=READ, label=_LABEL_NAMEPLATE,
            )  # fmt: skip
            found = None if isinstance(answer, ServiceRefusal) else decode_nameplate(answer)
        except WireError:
            return tuple(facts)
        if found is not None:
            facts.append(found)
            break
    if in_order:
        await _goodbye(session)
    return tuple(facts)


def _accepted_tsap(known: Sequence[Fact]) -> int | None:
    """The TSAP at which identifying was let in; None: at none."""
    for fact in known:
        if isinstance(fact, ServiceAccess) and fact.protocol == "mms":
            told = dict(fact.details).get("called TSAP")
            if fact.answers_without_login and told in {f"{tsap:04X}" for tsap in TSAPS}:
                return int(told, 16)
    return None


def _readable(domains: Sequence[str]) -> list[str]:
    """Names that a request may carry: a device may tell anything for one."""
    return [name for name in domains if name.isascii() and name.replace("_", "a").isalnum()]


async def _domains(session: Session) -> tuple[tuple[str, ...], bool]:
    """The names, and whether the connection is still in order."""
    names: list[str] = []
    after = ""
    for number in range(MAX_LISTS):
        invoke = 1 + number
        try:
            answer = await _ask(
                session, encode_list_domains(invoke=invoke, after=after), invoke=invoke,
                service=GET_NAME_LIST, label=_LABEL_DOMAINS,
            )  # fmt: skip
            if isinstance(answer, ServiceRefusal):
                break
            told = decode_name_list(answer)
        except WireError:
            return tuple(names), False
        names += [name for name in told.names if name not in names]
        if not told.more or not told.names or not _readable(told.names[-1:]):
            break
        after = told.names[-1]
    return tuple(names[:MAX_DOMAINS]), True


_LABEL_CONNECT: Final = "COTP connection request, MMS"
_LABEL_ASSOCIATE: Final = "MMS initiate"
_LABEL_IDENTIFY: Final = "MMS identify"
_LABEL_DOMAINS: Final = "MMS getNameList of domains"
_LABEL_NAMEPLATE: Final = "MMS read of LPHD1.PhyNam"
_LABEL_CONCLUDE: Final = "MMS conclude"
_TRACE: Final = "one of the few places for clients while it lasts; an association in its log"

PROBE = Probe(
    name="mms",
    protocol="mms",
    transport=Transport.TCP,
    ports=(102,),
    tier=Tier.IDENTIFY,
    run=run,
    connections=len(TSAPS),
    questions=(
        Question(
            label=_LABEL_CONNECT,
            sample=encode_connection_request(tsap=TSAPS[0]),
            at_most=len(TSAPS),
            trace=_TRACE,
        ),
        Question(label=_LABEL_ASSOCIATE, sample=encode_association(tsap=TSAPS[0])),
        Question(label=_LABEL_IDENTIFY, sample=encode_identify(invoke=1)),
        Question(label=_LABEL_CONCLUDE, sample=encode_conclude()),
    ),
    for_controllers=True,
    unless="s7",
)

READ_PROBE = Probe(
    name="mms",
    protocol="mms",
    transport=Transport.TCP,
    ports=(102,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL_CONNECT, sample=encode_connection_request(tsap=TSAPS[0]), trace=_TRACE
        ),
        Question(label=_LABEL_ASSOCIATE, sample=encode_association(tsap=TSAPS[0])),
        Question(label=_LABEL_DOMAINS, sample=encode_list_domains(invoke=1), at_most=MAX_LISTS),
        Question(
            label=_LABEL_NAMEPLATE,
            sample=encode_read_nameplate(invoke=10, domain="BAY1LD0"),
            at_most=MAX_NAMEPLATES,
        ),
        Question(label=_LABEL_CONCLUDE, sample=encode_conclude()),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    unless="s7",
    deadline_s=60.0,
)
