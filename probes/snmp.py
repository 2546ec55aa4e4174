"""
SNMP v1, v2c and v3 on UDP 161.

Identify (PROBE), at most four datagrams, one after another, never a walk:

1. One SNMPv2c GetRequest under the community `public` for five scalars of the system group:
   sysDescr, sysObjectID, sysUpTime, sysName, sysLocation. Left out when the site file says
   `snmp_public: false`.
2. Only when step 1 stayed silent: the same as SNMPv1, which old agents speak alone.
3. Only when step 1 or 2 was answered with an error status (an old agent that lacks one of the
   five): sysDescr and sysObjectID alone.
4. One SNMPv3 engine discovery: a reportable GetRequest without engine id, user or variable. Every
   SNMPv3 agent must answer it with a Report that carries its engine id, boots and time.

Why this is the gentlest way: an agent answers a GetRequest for scalars from memory; it is what
every network management station asks every few minutes. Nothing is walked, no community is
guessed (`public` may raise an authenticationFailure trap, which the plan says), and SNMPv3 needs
no credential for step 4 because RFC 3414 makes discovery part of the protocol.

Sample result, from the agent of a managed switch:
    SnmpAccess(versions=("2c", "3"), community="public", enterprise=4329,
               object_id="1.3.6.1.4.1.4329.6.1.2.1.2", …)
    DeviceIdentity(vendor="Siemens", model="SCALANCE XC206-2SFP",
                   order_number="6GK5 206-2BS00-2AC2", hardware="3", firmware="V04.02.00", …)

Read (READ_PROBE): the tables that probes.snmptables lists (interfaces, neighbours, addresses,
forwarding, parts), read by pysnmp through the guarded relay with GetBulk of at most ten rows
(SNMPv1: GetNext), one datagram in flight. Login (LOGIN_PROBE): the first question with a published
default community.

Source: RFC 1157, RFC 3416 and RFC 3418 (system group), RFC 3412 and RFC 3414 section 4
(discovery), RFC 3411 section 5 (SnmpEngineID), RFC 2863 (IF-MIB), RFC 6933 (ENTITY-MIB),
IEEE 802.1AB-2009 section 11 (LLDP-MIB).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from probes import snmptables
from probes.snmptables import (
    ENT_COLUMNS,
    ENT_PHYSICAL,
    MAX_TEXT,
    SCALARS,
    TABLES,
    Value,
    Wanted,
    chassis_index,
    meaningful,
    part_indices,
    text_of,
)
from scanner.clients import snmp as client
from scanner.errors import BadReply, Silent, WireError
from scanner.facts import (
    CredentialAttempt,
    DeviceIdentity,
    Fact,
    LoginUnavailable,
    SnmpAccess,
)
from scanner.model import Tier, Transport
from scanner.spec import Framer, Probe, Question, Secret, Session, Span

# --- what goes over the wire -------------------------------------------------------------------

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
IP_ADDRESS = 0x40
UNSIGNED = frozenset({0x41, 0x42, 0x43, 0x46, 0x47})  # Counter32 … TimeTicks, Counter64, UInteger32
NO_SUCH = frozenset({0x80, 0x81, 0x82})  # noSuchObject, noSuchInstance, endOfMibView
GET_REQUEST = 0xA0
RESPONSE = 0xA2
REPORT = 0xA8

SNMP_V1 = 0
SNMP_V2C = 1
SNMP_V3 = 3
VERSION_NAMES = {SNMP_V1: "1", SNMP_V2C: "2c", SNMP_V3: "3"}

PUBLIC = "public"
NO_SUCH_COMMUNITY = "walkdown-no-such-community"
"""The control of the login tier: a community that nobody configures."""

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
SYS_UP_TIME = "1.3.6.1.2.1.1.3.0"
SYS_NAME = "1.3.6.1.2.1.1.5.0"
SYS_LOCATION = "1.3.6.1.2.1.1.6.0"
SYSTEM_GROUP = (SYS_DESCR, SYS_OBJECT_ID, SYS_UP_TIME, SYS_NAME, SYS_LOCATION)
ENTERPRISES = "1.3.6.1.4.1."

DATAGRAM = 65535
ANSWER_WITHIN_S = 2.0
MAX_DIGITS = 10
MAX_NUMBERS = 128
"""Of an object identifier: numbers of 32 bits, 128 of them (RFC 2578 section 7.1.3)."""
MAX_VARBINDS = 256


def _length(count: int) -> bytes:
    if count < 0x80:
        return bytes((count,))
    size = (count.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + count.to_bytes(size, "big")


def encode_tlv(tag: int, body: bytes) -> bytes:
    """Tag, definite length in its shortest form, body (X.690 section 8.1)."""
    return bytes((tag,)) + _length(len(body)) + body


def encode_integer(value: int) -> bytes:
    """Two's complement in the fewest bytes (X.690 section 8.3)."""
    size = 1
    while not -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
        size += 1
    return encode_tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def encode_oid(dotted: str) -> bytes:
    """Base 128 numbers, the first two joined as 40 x + y (X.690 section 8.19)."""
    first, second, *rest = (int(number) for number in dotted.split("."))
    body = bytearray()
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        body += bytes(reversed(groups))
    return encode_tlv(OBJECT_IDENTIFIER, bytes(body))


def encode_get(
    version: int, community: str, oids: tuple[str, ...], request_id: int
) -> tuple[bytes, Span]:
    """
    A v1 or v2c GetRequest and the place of its community: version, community, then the PDU of
    request-id, error-status 0, error-index 0 and one (name, NULL) per object.
    """
    varbinds = b"".join(encode_tlv(SEQUENCE, encode_oid(o) + encode_tlv(NULL, b"")) for o in oids)
    pdu = encode_tlv(
        GET_REQUEST,
        encode_integer(request_id)
        + encode_integer(0)
        + encode_integer(0)
        + encode_tlv(SEQUENCE, varbinds),
    )
    name = community.encode()
    head = encode_integer(version) + encode_tlv(OCTET_STRING, name)
    message = encode_tlv(SEQUENCE, head + pdu)
    end = len(message) - len(pdu)
    return message, (end - len(name), end)


def encode_discovery(message_id: int) -> bytes:
    """
    SNMPv3 engine discovery (RFC 3414 section 4): msgFlags reportable, security model 3 (USM),
    empty engine id and user, a GetRequest without variables.
    """
    header = encode_tlv(
        SEQUENCE,
        encode_integer(message_id)
        + encode_integer(1472)
        + encode_tlv(OCTET_STRING, b"\x04")
        + encode_integer(3),
    )
    empty = encode_tlv(OCTET_STRING, b"")
    security = encode_tlv(
        SEQUENCE, empty + encode_integer(0) + encode_integer(0) + empty + empty + empty
    )
    pdu = encode_tlv(
        GET_REQUEST,
        encode_integer(message_id)
        + encode_integer(0)
        + encode_integer(0)
        + encode_tlv(SEQUENCE, b""),
    )
    scoped = encode_tlv(SEQUENCE, empty + empty + pdu)
    return encode_tlv(
        SEQUENCE,
        encode_integer(SNMP_V3) + header + encode_tlv(OCTET_STRING, security) + scoped,
    )


# --- what comes back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A v1 or v2c Response. `values` lacks what the agent does not have."""

    version: int
    community: bytes
    request_id: int
    error_status: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An SNMPv3 answer; only what its unencrypted header tells."""

    message_id: int
    engine_id: bytes
    engine_boots: int
    engine_time_s: int


def decode_tlv(data: bytes, at: int) -> tuple[int, bytes, int]:
    """(tag, body, offset behind it); long length forms are read, as agents do. Raises BadReply."""
    if at + 2 > len(data):
        raise BadReply(f"SNMP: cut off at byte {at}")
    tag, length = data[at], data[at + 1]
    at += 2
    if tag & 0x1F == 0x1F:
        raise BadReply(f"SNMP: multi-byte tag 0x{tag:02X}")
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or at + count > len(data):
            raise BadReply(f"SNMP: length form 0x{length:02X} at byte {at - 1}")
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > len(data):
        raise BadReply(f"SNMP: {length} bytes announced, {len(data) - at} came")
    return tag, data[at : at + length], at + length


def _expect(data: bytes, at: int, tag: int, what: str) -> tuple[bytes, int]:
    found, body, end = decode_tlv(data, at)
    if found != tag:
        raise BadReply(f"SNMP: {what} has tag 0x{found:02X} instead of 0x{tag:02X}")
    return body, end


def _expect_integer(data: bytes, at: int, what: str) -> tuple[int, int]:
    body, end = _expect(data, at, INTEGER, what)
    if not 1 <= len(body) <= 8:
        raise BadReply(f"SNMP: {what} of {len(body)} bytes")
    return int.from_bytes(body, "big", signed=True), end


def decode_oid(body: bytes) -> str:
    """The dotted form of an encoded object identifier. Raises BadReply."""
    if not 1 <= len(body) <= 512 or body[-1] & 0x80:
        raise BadReply("SNMP: object identifier is empty, too long or cut off")
    numbers: list[int] = []
    number = 0
    for byte in body:
        number = number << 7 | byte & 0x7F
        if number >> 64:
            raise BadReply("SNMP: number in an object identifier is too large")
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if len(numbers) >= MAX_NUMBERS:  # the first one stands for two
        raise BadReply(f"SNMP: object identifier of {len(numbers) + 1} numbers")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def decode_value(tag: int, body: bytes) -> Value:
    """The value of one variable. Types that are not needed come back as their bytes."""
    if tag == INTEGER or tag in UNSIGNED:
        if not 1 <= len(body) <= 9:
            raise BadReply(f"SNMP: number of {len(body)} bytes")
        return int.from_bytes(body, "big", signed=tag == INTEGER)
    if tag == OBJECT_IDENTIFIER:
        return decode_oid(body) if body else None
    if tag == NULL or tag in NO_SUCH:
        return None
    return body


def decode_varbinds(data: bytes) -> dict[str, Value]:
    """Names and values of a variable-binding list, those without a value left out."""
    values: dict[str, Value] = {}
    at = 0
    while at < len(data):
        if len(values) >= MAX_VARBINDS:
            raise BadReply(f"SNMP: more than {MAX_VARBINDS} variables")
        binding, at = _expect(data, at, SEQUENCE, "variable binding")
        name, behind = _expect(binding, 0, OBJECT_IDENTIFIER, "variable name")
        tag, body, _ = decode_tlv(binding, behind)
        value = decode_value(tag, body)
        if value is not None:
            values[decode_oid(name)] = value
    return values


def decode_message(data: bytes) -> Response | Report:
    """
    Any SNMP answer: a v1/v2c Response, or the header of an SNMPv3 message. Bytes behind the
    message are ignored (padding of some agents). Raises BadReply.
    """
    message, _ = _expect(data, 0, SEQUENCE, "message")
    version, at = _expect_integer(message, 0, "version")
    if version == SNMP_V3:
        return _decode_v3(message, at)
    if version not in (SNMP_V1, SNMP_V2C):
        raise BadReply(f"SNMP: version {version}")
    community, at = _expect(message, at, OCTET_STRING, "community")
    pdu, _ = _expect(message, at, RESPONSE, "PDU")
    request_id, at = _expect_integer(pdu, 0, "request-id")
    error_status, at = _expect_integer(pdu, at, "error-status")
    _, at = _expect_integer(pdu, at, "error-index")
    varbinds, _ = _expect(pdu, at, SEQUENCE, "variable bindings")
    return Response(
        version=version,
        community=community,
        request_id=request_id,
        error_status=error_status,
        values=decode_varbinds(varbinds) if error_status == 0 else {},
    )


def _decode_v3(message: bytes, at: int) -> Report:
    header, at = _expect(message, at, SEQUENCE, "header data")
    message_id, _ = _expect_integer(header, 0, "msgID")
    wrapped, at = _expect(message, at, OCTET_STRING, "security parameters")
    security, _ = _expect(wrapped, 0, SEQUENCE, "security parameters")
    engine_id, at = _expect(security, 0, OCTET_STRING, "engine id")
    boots, at = _expect_integer(security, at, "engine boots")
    time_s, _ = _expect_integer(security, at, "engine time")
    if not 5 <= len(engine_id) <= 32:
        raise BadReply(f"SNMP: engine id of {len(engine_id)} bytes (RFC 3411 allows 5 to 32)")
    return Report(
        message_id=message_id, engine_id=engine_id, engine_boots=boots, engine_time_s=time_s
    )


def answer_framer(request_id: int) -> Framer:
    """
    Tells the answer to one question from others: a datagram is whole, a late answer to an earlier
    question is not ours (None), and what is no SNMP message at all raises BadReply.
    """

    def framer(data: bytes) -> int | None:
        message = decode_message(data)
        number = message.message_id if isinstance(message, Report) else message.request_id
        return len(data) if number == request_id else None

    return framer


def enterprise_of_engine(engine_id: bytes) -> int | None:
    """
    The private enterprise number in an engine id: its first four bytes without the top bit
    (RFC 3411 section 5; older agents leave that bit zero).
    """
    if len(engine_id) < 5:
        return None
    return (int.from_bytes(engine_id[:4], "big") & 0x7FFFFFFF) or None


def object_id_of(values: Mapping[str, Value]) -> str | None:
    """sysObjectID, where it is an object identifier of a sane length."""
    value = values.get(SYS_OBJECT_ID)
    return value if isinstance(value, str) and len(value) <= MAX_TEXT else None


def enterprise_of_object_id(object_id: str) -> int | None:
    """The enterprise number in a sysObjectID below 1.3.6.1.4.1, or None."""
    if not object_id.startswith(ENTERPRISES):
        return None
    number = object_id.removeprefix(ENTERPRISES).split(".")[0]
    if not number.isascii() or not number.isdecimal() or len(number) > MAX_DIGITS:
        return None
    return int(number) or None


# --- who that is ---------------------------------------------------------------------------------

_DATA = Path(__file__).parent / "data"
IDENTITY_FIELDS = ("vendor", "model", "order_number", "hardware", "firmware", "serial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enterprise:
    """A private enterprise number. `vendor` None: it tells the agent's software, not the device."""

    number: int
    vendor: str | None
    device_class: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescrRow:
    """
    One documented form of sysDescr. Named groups of `pattern` and the constants in `says` fill
    the fields of an identity; a group wins over a constant. `classes` are tried in order on the
    whole text; `object_id`, when given, must be a prefix of sysObjectID.
    """

    pattern: re.Pattern[str]
    says: Mapping[str, str]
    device_class: str | None
    classes: tuple[tuple[re.Pattern[str], str], ...]
    object_id: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdRow:
    """A product's sysObjectID, as its vendor's MIB registers it."""

    object_id: str
    model: str
    device_class: str | None
    source: str


@cache
def enterprises() -> Mapping[int, Enterprise]:
    rows = _rows("snmp_enterprises.toml", "enterprise")
    return {
        row["number"]: Enterprise(
            number=row["number"],
            vendor=row.get("vendor"),
            device_class=row.get("class"),
            source=row["source"],
        )
        for row in rows
    }


@cache
def descr_rows() -> tuple[DescrRow, ...]:
    return tuple(
        DescrRow(
            pattern=re.compile(row["pattern"], re.IGNORECASE),
            says={name: row[name] for name in IDENTITY_FIELDS if name in row},
            device_class=row.get("class"),
            classes=tuple(
                (re.compile(pattern, re.IGNORECASE), name)
                for pattern, name in row.get("classes", ())
            ),
            object_id=row.get("object_id"),
            source=row["source"],
        )
        for row in _rows("snmp_sysdescr.toml", "descr")
    )


@cache
def object_id_rows() -> Mapping[str, ObjectIdRow]:
    return {
        row["object_id"]: ObjectIdRow(
            object_id=row["object_id"],
            model=row["model"],
            device_class=row.get("class"),
            source=row["source"],
        )
        for row in _rows("snmp_object_ids.toml", "product")
    }


def _rows(name: str, key: str) -> list[dict[str, Any]]:
    with (_DATA / name).open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file)[key]
    return rows


def identity_from_descr(descr: str, object_id: str | None) -> DeviceIdentity | None:
    """What a sysDescr says by the first row that fits, or None when no row does."""
    for row in descr_rows():
        if row.object_id and not f"{object_id}.".startswith(row.object_id + "."):
            continue
        match = row.pattern.search(descr)
        if match is None:
            continue
        fields = dict(row.says)
        for name, value in match.groupdict().items():
            if cleaned := meaningful(value):
                fields[name] = cleaned
        device_class = next((c for p, c in row.classes if p.search(descr)), row.device_class)
        return DeviceIdentity(
            vendor=fields.get("vendor"),
            model=fields.get("model"),
            order_number=fields.get("order_number"),
            hardware=fields.get("hardware"),
            firmware=fields.get("firmware"),
            serial=fields.get("serial"),
            device_class=device_class,
            basis="text",
        )
    return None


_AFTER_VENDOR = re.compile(r"[ ,:-]{1,3}((?:[A-Za-z]{1,16} ){0,2}?[A-Za-z-]{0,12}\d[\w./+-]{0,40})")
_FIRMWARE_SAID = re.compile(
    r"\b(?:firmware|fw|software|sw)(?: ?(?:version|ver|revision|rev))?"
    r"[ :.=]{1,3}v?(\d[\w.()-]{0,40})",
    re.IGNORECASE,
)


def identity_after_vendor(descr: str, vendor: str) -> DeviceIdentity | None:
    """
    For a maker without a documented form: the first words with a number in them behind the name
    that sysObjectID proves, and what is called firmware or software. None where the text does not
    begin with that name.
    """
    if not descr.casefold().startswith(vendor.casefold()):
        return None
    model = _AFTER_VENDOR.match(descr, len(vendor))
    firmware = _FIRMWARE_SAID.search(descr)
    if model and firmware and model.end() > firmware.start():
        model = None  # "Vendor firmware 1.2": the number is the firmware's
    if model is None and firmware is None:
        return None
    return DeviceIdentity(
        vendor=vendor,
        model=model[1].rstrip(".,-/") if model else None,
        firmware=firmware[1].rstrip(".,-") if firmware else None,
        basis="text",
    )


def identify(values: Mapping[str, Value]) -> DeviceIdentity | None:
    """
    The identity in the system group: sysDescr by its vendor's form, then sysObjectID by the
    vendor's MIB and the enterprise number. None when nothing of it names a device.
    """
    descr = text_of(values.get(SYS_DESCR))
    object_id = object_id_of(values)
    name = text_of(values.get(SYS_NAME))
    number = enterprise_of_object_id(object_id) if object_id else None
    enterprise = enterprises().get(number) if number else None
    read = identity_from_descr(descr, object_id) if descr else None
    if read is None and descr and enterprise and enterprise.vendor:
        read = identity_after_vendor(descr, enterprise.vendor)
    product = object_id_rows().get(object_id) if object_id else None
    vendor = (read and read.vendor) or (enterprise and enterprise.vendor) or None
    model = (read and read.model) or (product and product.model) or None
    if read is None:
        if vendor is None and model is None and name is None:
            return None
        return DeviceIdentity(
            vendor=vendor,
            model=model,
            name=name,
            device_class=(product and product.device_class)
            or (enterprise and enterprise.device_class)
            or None,
            basis="table" if vendor or model else "protocol",
        )
    return DeviceIdentity(
        vendor=vendor,
        model=model,
        order_number=read.order_number,
        hardware=read.hardware,
        firmware=read.firmware,
        serial=read.serial,
        name=name,
        device_class=read.device_class
        or (product and product.device_class)
        or (enterprise and enterprise.device_class)
        or None,
        basis="text",
    )


def identify_engine(engine_id: bytes) -> DeviceIdentity | None:
    """The vendor behind an engine id, when its enterprise number names a maker of devices."""
    number = enterprise_of_engine(engine_id)
    enterprise = enterprises().get(number) if number else None
    if enterprise is None or enterprise.vendor is None:
        return None
    return DeviceIdentity(
        vendor=enterprise.vendor, device_class=enterprise.device_class, basis="table"
    )


# --- identify ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """What steps 1 to 3 brought; `trouble` when they brought nothing."""

    response: Response | None = None
    trouble: WireError | None = None


async def _ask(
    session: Session, request: bytes, request_id: int, label: str, secrets: tuple[Span, ...] = ()
) -> Response | Report:
    reply = await session.exchange(
        request,
        answer_framer(request_id),
        label=label,
        secrets=secrets,
        deadline_s=ANSWER_WITHIN_S,
        max_reply=DATAGRAM,
    )
    return decode_message(reply)


async def _ask_public(session: Session) -> _Heard:
    """Steps 1 to 3. Silence and nonsense are kept as `trouble`, since step 4 may still answer."""
    heard = _Heard()
    for version in (SNMP_V2C, SNMP_V1):
        request, _ = encode_get(version, PUBLIC, SYSTEM_GROUP, _REQUEST_IDS[version])
        try:
            answer = await _ask(session, request, _REQUEST_IDS[version], _LABELS[version])
        except Silent as trouble:
            heard = _Heard(trouble=trouble)
            continue
        except BadReply as trouble:
            return _Heard(trouble=trouble)
        if isinstance(answer, Report):
            return _Heard(trouble=BadReply("SNMP: version 3 answered a question without it"))
        return _Heard(response=await _ask_less(session, answer) if answer.error_status else answer)
    return heard


async def _ask_less(session: Session, first: Response) -> Response:
    """Step 3; the first answer stands when this one brings none."""
    request, _ = encode_get(first.version, PUBLIC, (SYS_DESCR, SYS_OBJECT_ID), _LESS_ID)
    try:
        answer = await _ask(session, request, _LESS_ID, _LESS_LABEL)
    except WireError:
        return first
    return answer if isinstance(answer, Response) else first


async def _discover(session: Session) -> Report:
    answer = await _ask(session, encode_discovery(_DISCOVERY_ID), _DISCOVERY_ID, _DISCOVERY_LABEL)
    if not isinstance(answer, Report):
        raise BadReply("SNMP: a community message answered an SNMPv3 discovery")
    return answer


def facts_of(response: Response | None, report: Report | None) -> tuple[Fact, ...]:
    """The facts in the answers to the identify questions."""
    versions = tuple(
        name
        for name, came in (
            ("1", response is not None and response.version == SNMP_V1),
            ("2c", response is not None and response.version == SNMP_V2C),
            ("3", report is not None),
        )
        if came
    )
    values = response.values if response else {}
    object_id = object_id_of(values)
    uptime = values.get(SYS_UP_TIME)
    enterprise = enterprise_of_object_id(object_id) if object_id else None
    if enterprise is None and report:
        enterprise = enterprise_of_engine(report.engine_id)
    facts: list[Fact] = [
        SnmpAccess(
            versions=versions,
            community=PUBLIC if response else None,
            engine_id=report.engine_id.hex() if report else None,
            enterprise=enterprise,
            engine_boots=report.engine_boots if report else None,
            engine_time_s=report.engine_time_s if report else None,
            object_id=object_id,
            uptime_s=uptime // 100 if isinstance(uptime, int) and uptime >= 0 else None,
        )
    ]
    identity = identify(values)
    by_engine = identify_engine(report.engine_id) if report else None
    if identity is None:
        identity = by_engine
    elif identity.vendor is None and by_engine:
        identity = replace(identity, vendor=by_engine.vendor)
    if identity:
        facts.append(identity)
    return tuple(facts)


async def run(session: Session) -> tuple[Fact, ...]:
    """Steps 1 to 4 of the module's story."""
    heard = _Heard()
    if session.options.get("snmp_public") is not False:
        heard = await _ask_public(session)
    report: Report | None = None
    try:
        report = await _discover(session)
    except WireError as no_v3:
        if heard.response is None:
            raise heard.trouble if isinstance(heard.trouble, BadReply) else no_v3 from None
    return facts_of(heard.response, report)


# --- read ----------------------------------------------------------------------------------------

READING = timedelta(seconds=90)
"""A device that takes longer keeps what it has told; a session has two minutes."""


def _version_to_read(known: tuple[Fact, ...]) -> Literal["1", "2c"] | None:
    """The version that accepted `public` when the device was identified, the newer one first."""
    for fact in known:
        if isinstance(fact, SnmpAccess) and fact.community == PUBLIC:
            for version in ("2c", "1"):
                if version in fact.versions:
                    return version
    return None


async def run_read(session: Session) -> tuple[Fact, ...]:
    """The tables of probes.snmptables. What was read stays when a later one is silent."""
    version = _version_to_read(session.known)
    if version is None or session.options.get("snmp_public") is False:
        return (
            LoginUnavailable(
                service="snmp", reason="`public` was not accepted and no other login is set up"
            ),
        )
    values: dict[str, Value] = {}
    cut: set[str] = set()
    try:
        async with session.relay() as (host, port), client.reader(host, port, version) as read:
            await _read_tables(session, read, values, cut)
    except Silent:
        if not values:
            raise
    firmwares = tuple(
        fact.firmware
        for fact in session.known
        if isinstance(fact, DeviceIdentity) and fact.firmware and fact.sub_address is None
    )
    return snmptables.facts_of_tables(values, cut, firmwares)


async def _read_tables(
    session: Session, read: client.Reader, values: dict[str, Value], cut: set[str]
) -> None:
    """Fills `values`, and `cut` with the columns that were not read to their end."""
    end = session.now() + READING
    failed: list[client.ErrorStatus] = []
    try:
        for group in SCALARS:
            values.update(await _scalars(read, group, failed))
        for position, table in enumerate(TABLES):
            if session.now() > end:
                cut.update(one.names[0] for one in TABLES[position:])
                return
            if table.after and not _has_rows(table.after, values):
                continue
            if table.unless and _has_rows(table.unless, values):
                continue
            await _read_table(read, table, values, failed)
        chassis = chassis_index(values)
        for index in (*(() if chassis is None else (chassis,)), *part_indices(values, chassis)):
            if session.now() > end:
                return
            names = tuple(f"{ENT_PHYSICAL}.{column}.{index}" for column in ENT_COLUMNS)
            values.update(await _scalars(read, names, failed))
    finally:
        cut |= read.cut
    if failed and not values:
        raise failed[0]


async def _scalars(
    read: client.Reader, names: tuple[str, ...], failed: list[client.ErrorStatus]
) -> dict[str, Value]:
    try:
        return await read.get(names)
    except client.ErrorStatus as error:
        failed.append(error)
        return {}


async def _read_table(
    read: client.Reader,
    table: Wanted,
    values: dict[str, Value],
    failed: list[client.ErrorStatus],
) -> None:
    """A table that the agent cannot tell (many answer genErr) costs that table alone."""
    for position, name in enumerate(table.names):
        try:
            rows = await read.walk(name, table.rows)
        except client.ErrorStatus as error:
            failed.append(error)
            return
        values.update(rows)
        if position == 0 and not rows:
            return


def _has_rows(entry: str, values: Mapping[str, Value]) -> bool:
    return any(name.startswith(f"{entry}.") for name in values)


# --- login ---------------------------------------------------------------------------------------

ACCOUNT = "community"
"""SNMPv1 and v2c have no users; attempts are counted under this name."""


async def run_login(session: Session) -> tuple[Fact, ...]:
    """
    One published default community, by the first question of the module; if it is answered, a
    control with a community that nobody configures. Silence is how an agent refuses.
    """
    credential = next((c for c in session.default_credentials if c.protocol == "snmp"), None)
    if credential is None:
        return ()
    service = f"snmp/{session.target.port}"
    attempt = CredentialAttempt(
        service=service,
        credential=credential.id,
        account=credential.user or ACCOUNT,
        product=credential.product,
    )
    if reason := await session.attempts.begin(service, attempt.account):
        return (replace(attempt, withheld=reason),)
    response: Response | None = None
    try:
        response = await _try_community(session, credential.secret, _CREDENTIAL_ID)
    finally:
        await session.attempts.ended(service, attempt.account, accepted=response is not None)
    attempt = replace(attempt, accepted=response is not None)
    if response is None:
        return (attempt,)
    control: bool | None = None
    if await session.attempts.begin(service, NO_SUCH_COMMUNITY) is None:
        control = False
        try:
            answer = await _try_community(session, Secret(NO_SUCH_COMMUNITY), _CONTROL_ID)
            control = answer is not None
        finally:
            await session.attempts.ended(service, NO_SUCH_COMMUNITY, accepted=bool(control))
    attempt = replace(attempt, control_accepted=control)
    if control:
        return (attempt,)  # it answers to anything, so this community means nothing
    access = SnmpAccess(
        versions=(VERSION_NAMES[response.version],),
        community=credential.secret.reveal(),  # a published default is no secret of the owner's
        object_id=object_id_of(response.values),
    )
    identity = identify(response.values)
    return (attempt, access, identity) if identity else (attempt, access)


async def _try_community(session: Session, community: Secret, request_id: int) -> Response | None:
    """The answer to sysDescr and sysObjectID under `community`; None when none came."""
    known = (f.versions for f in session.known if isinstance(f, SnmpAccess))
    only_v1 = any("1" in versions and "2c" not in versions for versions in known)
    request, span = encode_get(
        SNMP_V1 if only_v1 else SNMP_V2C,
        community.reveal(),
        (SYS_DESCR, SYS_OBJECT_ID),
        request_id,
    )
    try:
        answer = await _ask(session, request, request_id, "SNMP default community", (span,))
    except Silent:
        return None
    return answer if isinstance(answer, Response) else None


# --- what the engine finds -----------------------------------------------------------------------

_REQUEST_IDS = {SNMP_V2C: 2, SNMP_V1: 1}
_LESS_ID = 3
_DISCOVERY_ID = 4
_CREDENTIAL_ID = 5
_CONTROL_ID = 6
_LABELS = {SNMP_V2C: "SNMPv2c system group", SNMP_V1: "SNMPv1 system group"}
_LESS_LABEL = "SNMP sysDescr and sysObjectID"
_DISCOVERY_LABEL = "SNMPv3 engine discovery"
_BULK_SAMPLE = bytes.fromhex(
    "302702010104067075626c6963a51a02010b02010002010a300f300d06092b060102010202010205 00"
)
"""GetBulk of ifDescr under `public`: non-repeaters 0, max-repetitions 10."""
_TRAP = (
    "where `public` is not accepted: an authenticationFailure trap if the agent sends those, and a "
    "line in its log"
)

PROBE = Probe(
    name="snmp",
    protocol="snmp",
    transport=Transport.UDP,
    ports=(161,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABELS[SNMP_V2C],
            sample=encode_get(SNMP_V2C, PUBLIC, SYSTEM_GROUP, _REQUEST_IDS[SNMP_V2C])[0],
            trace=_TRAP,
        ),
        Question(
            label=_LABELS[SNMP_V1] + " (only when v2c is silent)",
            sample=encode_get(SNMP_V1, PUBLIC, SYSTEM_GROUP, _REQUEST_IDS[SNMP_V1])[0],
            trace=_TRAP,
        ),
        Question(
            label=_LESS_LABEL + " (only after an error status)",
            sample=encode_get(SNMP_V1, PUBLIC, (SYS_DESCR, SYS_OBJECT_ID), _LESS_ID)[0],
        ),
        Question(
            label=_DISCOVERY_LABEL,
            sample=encode_discovery(_DISCOVERY_ID),
            trace="usmStatsUnknownEngineIDs counts one more; no log entry",
        ),
    ),
)

READ_PROBE = Probe(
    name="snmp",
    protocol="snmp",
    transport=Transport.UDP,
    ports=(161,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label="tables of interfaces, neighbours, addresses and forwarding, ten rows a question",
            sample=_BULK_SAMPLE,
            at_most=client.MAX_QUESTIONS,
            trace="the agent's packet counters; no log entry",
        ),
        Question(
            label="names of its LLDP and bridge; rows of entPhysicalTable: chassis and parts",
            at_most=client.MAX_GETS,
            sample=encode_get(
                SNMP_V2C, PUBLIC, tuple(f"{ENT_PHYSICAL}.{column}.1" for column in ENT_COLUMNS), 12
            )[0],
        ),
    ),
    needs=frozenset({"answered"}),
    deadline_s=120.0,
    prepare=client.prepare,
)

LOGIN_PROBE = Probe(
    name="snmp",
    protocol="snmp",
    transport=Transport.UDP,
    ports=(161,),
    tier=Tier.LOGIN,
    run=run_login,
    questions=(
        Question(
            label="one published default community of this product (GetRequest only)",
            trace="an authenticationFailure trap if the agent sends those, and a line in its log",
        ),
        Question(
            label="control: a community that nobody configures (only after one was accepted)",
            sample=encode_get(SNMP_V2C, NO_SUCH_COMMUNITY, (SYS_DESCR, SYS_OBJECT_ID), _CONTROL_ID)[
                0
            ],
            trace="an authenticationFailure trap if the agent sends those, and a line in its log",
        ),
    ),
    needs=frozenset({"answered", "default_credential"}),
    deadline_s=120.0,
)
