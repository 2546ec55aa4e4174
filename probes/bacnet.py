"""
BACnet/IP: the device object, which every BACnet device has and shows to anyone who asks.

1. One datagram to the device's own address, never a broadcast: ReadProperty of the object
   identifier of device 4194303, the instance that stands for "whichever device this is". The
   answer carries the real instance.
2. One datagram more: ReadPropertyMultiple of that device object, for vendor, model, firmware,
   application software, name, serial number, system status and protocol revision.

Why this is the gentlest question: two reads of one object, no registration, no subscription, and
none of the broadcasts (Who-Is) to which a whole network would answer.

Sample result: instance 29, vendor "Lithonia Lighting, Inc.", model "SYSC MLX", firmware "2.62".

In the read tier: description, location and the number of objects; where the device had refused
ReadPropertyMultiple, its properties one by one. Then the tables of a BBMD: the broadcast
distribution table, and where there is one, the foreign device table. Last the list of devices that
this one has addresses of; of those on networks that are not IP, at most eight are asked for their
identity through it. One that answers with its own network and station stands behind this device
and is reported so ("network 3 device 29"); the first refusal or silence ends that, and with it the
visit, so that a station which has gone costs nothing that the router told.

Never sent: writes of properties, files, lists and objects, DeviceCommunicationControl,
ReinitializeDevice, time synchronisation, subscriptions, private transfers, network layer messages,
broadcasts of any kind, and the BVLC functions that write or register.

Source: ANSI/ASHRAE 135-2020, clauses 6.2 (NPDU), 15.5 and 15.7 (ReadProperty and
ReadPropertyMultiple), 20.1 and 20.2 (encoding), 21 (enumerations), J.2 (BVLC); 12.11 (device
object, with the instance 4194303).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, Literal

from scanner.errors import BadReply, Silent
from scanner.facts import BacnetAccess, DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

DEVICE: Final = 8
"""Object type device."""
ANY_DEVICE: Final = 4194303

READ_PROPERTY: Final = 0x0C
READ_PROPERTY_MULTIPLE: Final = 0x0E

READ_BDT: Final = 0x02
READ_FDT: Final = 0x06

OBJECT_IDENTIFIER: Final = 75
DEVICE_ADDRESS_BINDING: Final = 30
OBJECT_LIST: Final = 76
PROPERTIES: Final[Mapping[int, str]] = {
    121: "vendor-name",
    120: "vendor-identifier",
    70: "model-name",
    44: "firmware-revision",
    12: "application-software-version",
    77: "object-name",
    372: "serial-number",
    112: "system-status",
    139: "protocol-revision",
    28: "description",
    58: "location",
    76: "object-list",
}
IDENTITY: Final = (121, 120, 70, 44, 12, 77, 372, 112, 139)
MORE: Final = (28, 58)
STATUSES: Final = (
    "operational",
    "operational-read-only",
    "download-required",
    "download-in-progress",
    "non-operational",
    "backup-in-progress",
)

MAX_TEXT: Final = 128
MAX_VALUES: Final = 512
MAX_TABLE: Final = 128
MAX_BEHIND: Final = 8
MULTIPLE: Final = "ReadPropertyMultiple"
"""Name of the detail that says whether the device answers it."""


@dataclass(frozen=True, slots=True)
class ObjectId:
    kind: int
    instance: int


Value = int | str | bytes | ObjectId


@dataclass(frozen=True, slots=True)
class Station:
    """A device on a network behind a router: network number, and its address there."""

    network: int
    address: bytes


@dataclass(frozen=True, slots=True)
class Binding:
    """`network` 0: the network of the device that told it."""

    instance: int
    network: int
    address: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """A ComplexACK: what follows the service choice. `source` None: the device itself."""

    data: bytes
    source: Station | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code`: of an Error the code (its class is not kept), else the reason."""

    kind: Literal["error", "reject", "abort"]
    code: int


# --- requests ----------------------------------------------------------------------------------


def encode_read_property(
    instance: int, prop: int, *, invoke: int, index: int | None = None
) -> bytes:
    """`0C`, context 0 object identifier, context 1 property, context 2 array index."""
    body = _context(0, _object_id(instance)) + _context(1, _unsigned(prop))
    if index is not None:
        body += _context(2, _unsigned(index))
    return _request(READ_PROPERTY, body, invoke=invoke)


def encode_read_property_multiple(
    instance: int,
    props: Sequence[int],
    *,
    invoke: int,
    count_objects: bool = False,
    station: Station | None = None,
) -> bytes:
    """
    `0E`, context 0 object identifier, opening 1, of each property context 0, closing 1.

    `count_objects` adds element 0 of the object list, which is its length. `station` is reached
    through the device that is asked.
    """
    body = _context(0, _object_id(instance)) + b"\x1e"
    for prop in props:
        body += _context(0, _unsigned(prop))
    if count_objects:
        body += _context(0, _unsigned(OBJECT_LIST)) + _context(1, b"\x00")
    return _request(READ_PROPERTY_MULTIPLE, body + b"\x1f", invoke=invoke, station=station)


def encode_read_table(function: int) -> bytes:
    """Read-Broadcast-Distribution-Table or Read-Foreign-Device-Table: a BVLC header alone."""
    return bytes([0x81, function, 0x00, 0x04])


def _request(service: int, body: bytes, *, invoke: int, station: Station | None = None) -> bytes:
    """
    BVLC `81 0A length(2)`, NPDU `01 04` (a reply is expected), APDU `00 05 invoke service`.

    05: one unsegmented reply of up to 1476 bytes. To a station: NPDU `01 24 network(2) length
    address FF`, all big-endian.
    """
    npdu = b"\x01\x04"
    if station is not None:
        npdu = b"\x01\x24" + station.network.to_bytes(2, "big")
        npdu += bytes([len(station.address)]) + station.address + b"\xff"
    whole = npdu + bytes([0x00, 0x05, invoke, service]) + body
    return b"\x81\x0a" + (4 + len(whole)).to_bytes(2, "big") + whole


def _context(number: int, content: bytes) -> bytes:
    return bytes([number << 4 | 0x08 | len(content)]) + content


def _object_id(instance: int) -> bytes:
    return (DEVICE << 22 | instance).to_bytes(4, "big")


def _unsigned(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


# --- replies -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the APDU begins, and who speaks."""

    apdu: int
    source: Station | None


def _head(reply: bytes) -> _Head:
    """BVLC and NPDU of a unicast answer with an APDU in it. Raises BadReply."""
    if len(reply) < 6 or reply[0] != 0x81 or reply[1] != 0x0A:
        raise BadReply(f"expected BACnet/IP unicast, got {reply[:8].hex()}")
    if int.from_bytes(reply[2:4], "big") != len(reply):
        raise BadReply(f"BVLC length {reply[2:4].hex()} does not fit {len(reply)} bytes")
    control, at, source = reply[5], 6, None
    if reply[4] != 0x01 or control & 0x80:
        raise BadReply(f"expected an NPDU with an APDU, got {reply[4:8].hex()}")
    if control & 0x20:
        if len(reply) < at + 3:
            raise BadReply("the destination in the NPDU is cut off")
        at += 3 + reply[at + 2]
    if control & 0x08:
        if len(reply) < at + 3 or len(reply) < at + 3 + reply[at + 2]:
            raise BadReply("the source in the NPDU is cut off")
        end = at + 3 + reply[at + 2]
        source = Station(int.from_bytes(reply[at : at + 2], "big"), reply[at + 3 : end])
        at = end
    if control & 0x20:
        at += 1
    if len(reply) < at + 3:
        raise BadReply("no APDU")
    return _Head(at, source)


def decode_answer(reply: bytes, *, invoke: int, service: int) -> Ack | Refusal:
    """
    ComplexACK `30 invoke service`, Error `50 invoke service class code`, Reject `60 invoke reason`
    or Abort `7x invoke reason`. Raises BadReply on everything else, our own request among it.
    """
    head = _head(reply)
    apdu = reply[head.apdu :]
    kind = apdu[0] >> 4
    if apdu[1] != invoke:
        raise BadReply(f"an answer to request {apdu[1]}, not to {invoke}")
    if kind == 6:
        return Refusal("reject", apdu[2])
    if kind == 7:
        if not apdu[0] & 0x01:
            raise BadReply("an abort that was not sent by a server")
        return Refusal("abort", apdu[2])
    if apdu[2] != service:
        raise BadReply(f"an answer to service {apdu[2]:#04x}, not to {service:#04x}")
    if kind == 5:
        codes = [value for value in _values(apdu, 3, len(apdu)) if isinstance(value, int)]
        if len(codes) < 2:
            raise BadReply("an error without class and code")
        return Refusal("error", codes[1])
    if apdu[0] != 0x30:
        raise BadReply(f"expected an unsegmented ComplexACK, got {apdu[:4].hex()}")
    return Ack(apdu[3:], head.source)


def answer_length(datagram: bytes, *, invoke: int) -> int | None:
    """One datagram is one answer; one that answers another request of ours is not waited out."""
    if not datagram:
        return None
    try:
        head = _head(datagram)
    except BadReply:
        return len(datagram)
    is_answer = datagram[head.apdu] >> 4 in (3, 5, 6, 7)
    return None if is_answer and datagram[head.apdu + 1] != invoke else len(datagram)


@dataclass(frozen=True, slots=True)
class _Tag:
    """`kind`: "open" and "close" have no content. `start` and `end` are of the content."""

    number: int
    context: bool
    kind: Literal["value", "open", "close"]
    start: int
    end: int


def _tag(data: bytes, at: int, limit: int) -> _Tag:
    """
    Number, class and length of clause 20.2.1. Raises BadReply where the content is not whole.

    Of an application boolean the length field is the value: its content is that one byte.
    """
    if at >= limit:
        raise BadReply("a tag is missing")
    first, start = data[at], at + 1
    number, context, length = first >> 4, bool(first & 0x08), first & 0x07
    if number == 15:
        if start >= limit:
            raise BadReply("a tag number is cut off")
        number, start = data[start], start + 1
    if context and length in (6, 7):
        return _Tag(number, True, "open" if length == 6 else "close", start, start)
    if not context and number == 1:
        return _Tag(1, False, "value", at, at + 1)
    if length == 5:
        if start >= limit:
            raise BadReply("a tag length is cut off")
        length, start = data[start], start + 1
        wide = {254: 2, 255: 4}.get(length, 0)
        if wide:
            if start + wide > limit:
                raise BadReply("a tag length is cut off")
            length, start = int.from_bytes(data[start : start + wide], "big"), start + wide
    if start + length > limit:
        raise BadReply(f"a value of {length} bytes is cut off")
    return _Tag(number, context, "value", start, start + length)


def _value(data: bytes, tag: _Tag) -> Value:
    content = data[tag.start : tag.end]
    if tag.context:
        return content
    if tag.number in (2, 9) and len(content) <= 8:
        return int.from_bytes(content, "big")
    if tag.number == 3 and len(content) <= 8:
        return int.from_bytes(content, "big", signed=True)
    if tag.number == 7:
        return _text(content)
    if tag.number == 12 and len(content) == 4:
        word = int.from_bytes(content, "big")
        return ObjectId(word >> 22, word & 0x3FFFFF)
    return content


def _text(content: bytes) -> str:
    """A character set (clause 20.2.9), then the text; only what can be printed is kept."""
    charset = {0: "utf-8", 3: "utf-32-be", 4: "utf-16-be", 5: "latin-1"}.get(
        content[0] if content else 0, "latin-1"
    )
    text = content[1 : 1 + 4 * MAX_TEXT].decode(charset, "replace").split("\x00", 1)[0]
    return "".join(each for each in text if each.isprintable()).strip()[:MAX_TEXT]


def _values(data: bytes, at: int, end: int) -> Iterator[Value]:
    """Every primitive between two places; what opens and closes around them is stepped over."""
    found = 0
    while at < end and found < MAX_VALUES:
        tag = _tag(data, at, end)
        at, found = tag.end, found + 1
        if tag.kind == "value":
            yield _value(data, tag)


def _closing(data: bytes, at: int, number: int) -> tuple[int, int]:
    """Where the tag that closes what was opened begins, and where it ends. Raises BadReply."""
    depth = 1
    while True:
        tag = _tag(data, at, len(data))
        depth += {"open": 1, "close": -1, "value": 0}[tag.kind]
        if depth == 0:
            if tag.number != number:
                raise BadReply(f"tag {tag.number} closes what tag {number} opened")
            return at, tag.end
        at = tag.end


def _expect(data: bytes, at: int, number: int, kind: str) -> _Tag:
    tag = _tag(data, at, len(data))
    if not tag.context or tag.number != number or tag.kind != kind:
        raise BadReply(f"expected context tag {number} ({kind}) at byte {at}")
    return tag


def _number(data: bytes, tag: _Tag) -> int:
    if not 1 <= tag.end - tag.start <= 4:
        raise BadReply("a number of a length that none has")
    return int.from_bytes(data[tag.start : tag.end], "big")


def decode_read_property(data: bytes, *, prop: int) -> tuple[ObjectId, tuple[Value, ...]]:
    """
    Context 0 object, context 1 property, context 2 index (may be missing), then the values
    between opening and closing 3. Raises BadReply, also where another property is told.
    """
    tag = _expect(data, 0, 0, "value")
    word = _number(data, tag)
    tag = _expect(data, tag.end, 1, "value")
    if _number(data, tag) != prop:
        raise BadReply(f"property {_number(data, tag)} was told, not {prop}")
    at = tag.end
    tag = _tag(data, at, len(data))
    if tag.context and tag.number == 2 and tag.kind == "value":
        at = tag.end
    start = _expect(data, at, 3, "open").end
    end, _ = _closing(data, start, 3)
    return ObjectId(word >> 22, word & 0x3FFFFF), tuple(_values(data, start, end))


def decode_read_property_multiple(data: bytes, *, instance: int) -> dict[int, tuple[Value, ...]]:
    """
    By property; one that was refused is left out.

    Context 0 object, opening 1, of each property context 2, context 3 index (may be missing) and
    the values between opening and closing 4, or an error between opening and closing 5; closing
    1. Raises BadReply, also where another object is told.
    """
    tag = _expect(data, 0, 0, "value")
    if _number(data, tag) != DEVICE << 22 | instance:
        raise BadReply(f"object {_number(data, tag):#010x} was told, not device {instance}")
    at = _expect(data, tag.end, 1, "open").end
    found: dict[int, tuple[Value, ...]] = {}
    for _ in range(MAX_VALUES):
        tag = _tag(data, at, len(data))
        if tag.context and tag.kind == "close" and tag.number == 1:
            return found
        tag = _expect(data, at, 2, "value")
        prop, at = _number(data, tag), tag.end
        tag = _tag(data, at, len(data))
        if tag.context and tag.number == 3 and tag.kind == "value":
            at = tag.end
            tag = _tag(data, at, len(data))
        if not tag.context or tag.kind != "open" or tag.number not in (4, 5):
            raise BadReply(f"neither values nor an error of property {prop}")
        end, after = _closing(data, tag.end, tag.number)
        if tag.number == 4:
            found.setdefault(prop, tuple(_values(data, tag.end, end)))
        at = after
    raise BadReply("more properties than were asked for")


def bindings(values: Sequence[Value]) -> tuple[Binding, ...]:
    """Of a device address binding: object identifier, network number, address, in threes."""
    found = []
    for one, network, address in zip(values[::3], values[1::3], values[2::3], strict=False):
        if isinstance(one, ObjectId) and isinstance(network, int) and isinstance(address, bytes):
            found.append(Binding(one.instance, network, address))
    return tuple(found)


def decode_table(reply: bytes, *, function: int) -> tuple[str, ...] | None:
    """
    Read-BDT-Ack (03: address(4) port(2) mask(4)) or Read-FDT-Ack (07: address, port, time(2),
    time left(2)), all big-endian, as "address:port"; None where the device says that it has no
    such table. Raises BadReply.
    """
    if len(reply) < 4 or reply[0] != 0x81 or int.from_bytes(reply[2:4], "big") != len(reply):
        raise BadReply(f"expected a BVLC answer, got {reply[:8].hex()}")
    if reply[1] == 0x00 and len(reply) == 6:
        if int.from_bytes(reply[4:6], "big") != {READ_BDT: 0x0020, READ_FDT: 0x0040}[function]:
            raise BadReply(f"a BVLC result {reply[4:6].hex()} of another request")
        return None
    if reply[1] != function + 1 or (len(reply) - 4) % 10:
        raise BadReply(f"expected the answer to BVLC {function:#04x}, got {reply[:8].hex()}")
    entries = (reply[at : at + 6] for at in range(4, len(reply), 10))
    table = tuple(f"{IPv4Address(each[:4])}:{int.from_bytes(each[4:], 'big')}" for each in entries)
    return table[:MAX_TABLE]


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


# --- facts -------------------------------------------------------------------------------------


@cache
def _vendors() -> Mapping[int, str]:
    path = Path(__file__).parent / "data" / "bacnet_vendors.toml"
    with path.open("rb") as file:
        return {row["id"]: row["name"] for row in tomllib.load(file)["vendor"]}


def vendor_name(vendor_id: int) -> str | None:
    """As the list of assigned vendor identifiers has it; None: not among our rows."""
    return _vendors().get(vendor_id)


def _said(found: Mapping[int, Sequence[Value]], prop: int) -> str | None:
    value = found.get(prop, ())
    return value[0] or None if value and isinstance(value[0], str) else None


def _counted(found: Mapping[int, Sequence[Value]], prop: int) -> int | None:
    value = found.get(prop, ())
    return value[0] if value and isinstance(value[0], int) else None


def identities(
    found: Mapping[int, Sequence[Value]], *, sub_address: str | None = None
) -> tuple[DeviceIdentity, ...]:
    """What the device says of itself, and apart from it what the table makes of its vendor id."""
    vendor = _said(found, 121)
    said = DeviceIdentity(
        sub_address=sub_address,
        vendor=vendor,
        model=_said(found, 70),
        firmware=_said(found, 44),
        serial=_said(found, 372),
        name=_said(found, 77),
    )
    result = [said] if said != DeviceIdentity(sub_address=sub_address) else []
    vendor_id = _counted(found, 120)
    if vendor_id is not None and (name := vendor_name(vendor_id)):
        result.append(DeviceIdentity(sub_address=sub_address, vendor=name, basis="table"))
    return tuple(result)


def facts(
    instance: int | None, found: Mapping[int, Sequence[Value]], *, multiple: str
) -> tuple[Fact, ...]:
    """`multiple`: whether ReadPropertyMultiple was "answered", "refused" or "not asked"."""
    status = _counted(found, 112)
    details = [(MULTIPLE, multiple)]
    details += [(PROPERTIES[p], text) for p in (12, *MORE) if (text := _said(found, p))]
    return (
        ServiceAccess(
            protocol="bacnet",
            answers_without_login=True,
            encrypted=False,
            details=tuple(details),
        ),
        BacnetAccess(
            instance=instance,
            vendor_id=_counted(found, 120),
            protocol_revision=_counted(found, 139),
            objects=_counted(found, OBJECT_LIST),
            system_status=None if status is None else _status(status),
        ),
        *identities(found),
    )


def _status(value: int) -> str:
    return STATUSES[value] if value < len(STATUSES) else f"proprietary {value}"


# --- the conversation ----------------------------------------------------------------------------


async def _ask(
    session: Session, request: bytes, *, invoke: int, service: int, label: str
) -> Ack | Refusal:
    reply = await session.exchange(
        request, lambda datagram: answer_length(datagram, invoke=invoke), label=label
    )
    return decode_answer(reply, invoke=invoke, service=service)


async def run(session: Session) -> tuple[Fact, ...]:
    """Which device, then what it is: two datagrams. Raises Withheld, WireError."""
    request = encode_read_property(ANY_DEVICE, OBJECT_IDENTIFIER, invoke=1)
    answer = await _ask(session, request, invoke=1, service=READ_PROPERTY, label=_LABEL_WHICH)
    if isinstance(answer, Refusal):
        # It speaks BACnet and tells nothing: too old for the instance that stands for any.
        return (ServiceAccess(protocol="bacnet", encrypted=False),)
    _, values = decode_read_property(answer.data, prop=OBJECT_IDENTIFIER)
    if not values or not isinstance(values[0], ObjectId) or values[0].kind != DEVICE:
        raise BadReply("the object identifier is not that of a device")
    instance = values[0].instance
    if instance == ANY_DEVICE:
        # Nobody has given it a number yet; no other read can name it.
        return facts(instance, {}, multiple="not asked")
    request = encode_read_property_multiple(instance, IDENTITY, invoke=2)
    answer = await _ask(
        session, request, invoke=2, service=READ_PROPERTY_MULTIPLE, label=_LABEL_IDENTITY
    )
    if isinstance(answer, Refusal):
        return facts(instance, {}, multiple="refused")
    found = decode_read_property_multiple(answer.data, instance=instance)
    return facts(instance, found, multiple="answered")


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    More of the device object, who stands behind it, and its tables. Raises Withheld, WireError.

    A device that did not tell its instance, which every read of an object names, has its tables.
    """
    instance = _known_instance(session.known)
    told: tuple[Fact, ...] = (BacnetAccess(),)
    if instance is not None:
        multiple = "refused" if _refused_multiple(session.known) else "answered"
        read = _one_by_one if multiple == "refused" else _together
        told = facts(instance, await read(session, instance), multiple=multiple)
    broadcast, foreign = await _tables(session)
    if instance is not None:
        # Last: after a station that is silent the router itself is asked nothing but the canary.
        told += await _behind(session, instance)
    return tuple(
        replace(fact, broadcast_table=broadcast, foreign_devices=foreign)
        if isinstance(fact, BacnetAccess)
        else fact
        for fact in told
    )


def _known_instance(known: Sequence[Fact]) -> int | None:
    for fact in known:
        if isinstance(fact, BacnetAccess) and fact.instance not in (None, ANY_DEVICE):
            return fact.instance
    return None


def _refused_multiple(known: Sequence[Fact]) -> bool:
    accesses = [f for f in known if isinstance(f, ServiceAccess) and f.protocol == "bacnet"]
    return any((MULTIPLE, "refused") in access.details for access in accesses)


async def _together(session: Session, instance: int) -> Mapping[int, Sequence[Value]]:
    request = encode_read_property_multiple(instance, MORE, invoke=3, count_objects=True)
    answer = await _ask(
        session, request, invoke=3, service=READ_PROPERTY_MULTIPLE, label=_LABEL_MORE
    )
    if isinstance(answer, Refusal):
        return {}
    return decode_read_property_multiple(answer.data, instance=instance)


async def _one_by_one(session: Session, instance: int) -> Mapping[int, Sequence[Value]]:
    found: dict[int, tuple[Value, ...]] = {}
    for invoke, prop in enumerate((*IDENTITY, *MORE, OBJECT_LIST), start=20):
        index = 0 if prop == OBJECT_LIST else None
        request = encode_read_property(instance, prop, invoke=invoke, index=index)
        answer = await _ask(
            session, request, invoke=invoke, service=READ_PROPERTY, label=_LABEL_SINGLE
        )
        if isinstance(answer, Ack):
            _, found[prop] = decode_read_property(answer.data, prop=prop)
    return found


async def _behind(session: Session, instance: int) -> tuple[DeviceIdentity, ...]:
    """
    Only a reply with the network and the station that were asked shows a device behind this one:
    the list of addresses alone holds whatever this device talks to.
    """
    request = encode_read_property(instance, DEVICE_ADDRESS_BINDING, invoke=4)
    answer = await _ask(session, request, invoke=4, service=READ_PROPERTY, label=_LABEL_BINDINGS)
    if isinstance(answer, Refusal):
        return ()
    _, values = decode_read_property(answer.data, prop=DEVICE_ADDRESS_BINDING)
    result: list[DeviceIdentity] = []
    for invoke, one in enumerate(_reachable(bindings(values)), start=40):
        station = Station(one.network, one.address)
        request = encode_read_property_multiple(
            one.instance, IDENTITY, invoke=invoke, station=station
        )
        try:
            reply = await _ask(
                session, request, invoke=invoke, service=READ_PROPERTY_MULTIPLE, label=_LABEL_BEHIND
            )
        except (Silent, BadReply):  # no way there: a network layer message, or nothing
            break
        if isinstance(reply, Refusal) or reply.source != station:
            break
        found = decode_read_property_multiple(reply.data, instance=one.instance)
        place = f"network {one.network} device {one.instance}"
        result += identities(found, sub_address=place)
    return tuple(result)


def _reachable(known: Sequence[Binding]) -> tuple[Binding, ...]:
    """
    Those on another network, with an address of one byte (MS/TP) that is no broadcast; the first
    eight, each once.
    """
    found = {
        (one.network, one.address): one
        for one in known
        if 0 < one.network < 0xFFFF
        and len(one.address) == 1
        and 0 < one.address[0] < 0xFF
        and one.instance < ANY_DEVICE
    }
    return tuple(found.values())[:MAX_BEHIND]


async def _tables(session: Session) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """A device that is no BBMD says so, or nothing, to the first question; then that was all."""
    tables: list[tuple[str, ...] | None] = [None, None]
    for place, (function, label) in enumerate(((READ_BDT, _LABEL_BDT), (READ_FDT, _LABEL_FDT))):
        try:
            reply = await session.exchange(
                encode_read_table(function), datagram_length, label=label
            )
            tables[place] = decode_table(reply, function=function)
        except (Silent, BadReply):
            break
        if tables[place] is None:
            break
    return tables[0], tables[1]


_LABEL_WHICH: Final = "ReadProperty object-identifier of any device"
_LABEL_IDENTITY: Final = "ReadPropertyMultiple of the device object"
_LABEL_MORE: Final = "ReadPropertyMultiple of description, location and number of objects"
_LABEL_SINGLE: Final = "ReadProperty of the device object"
_LABEL_BINDINGS: Final = "ReadProperty device-address-binding"
_LABEL_BEHIND: Final = "ReadPropertyMultiple of a device behind this one"
_LABEL_BDT: Final = "Read-Broadcast-Distribution-Table"
_LABEL_FDT: Final = "Read-Foreign-Device-Table"

_SAMPLE: Final = 1234

PROBE = Probe(
    name="bacnet",
    protocol="bacnet",
    transport=Transport.UDP,
    ports=(47808,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL_WHICH,
            sample=encode_read_property(ANY_DEVICE, OBJECT_IDENTIFIER, invoke=1),
            trace="one read in the device's statistics; no log entry",
        ),
        Question(
            label=_LABEL_IDENTITY,
            sample=encode_read_property_multiple(_SAMPLE, IDENTITY, invoke=2),
            trace="one read in the device's statistics; no log entry",
        ),
    ),
    for_controllers=True,
    prepare=_vendors,
)

READ_PROBE = Probe(
    name="bacnet",
    protocol="bacnet",
    transport=Transport.UDP,
    ports=(47808,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL_MORE,
            sample=encode_read_property_multiple(_SAMPLE, MORE, invoke=3, count_objects=True),
            trace="one read in the device's statistics; no log entry",
        ),
        Question(
            label=_LABEL_SINGLE,
            sample=encode_read_property(_SAMPLE, OBJECT_LIST, invoke=20, index=0),
            at_most=len(IDENTITY) + len(MORE) + 1,
            trace="one read each in the device's statistics; no log entry",
        ),
        Question(
            label=_LABEL_BINDINGS,
            sample=encode_read_property(_SAMPLE, DEVICE_ADDRESS_BINDING, invoke=4),
            trace="one read in the device's statistics; no log entry",
        ),
        Question(
            label=_LABEL_BEHIND,
            sample=encode_read_property_multiple(
                _SAMPLE, IDENTITY, invoke=40, station=Station(1, b"\x01")
            ),
            at_most=MAX_BEHIND,
            trace="one request and one reply on the MS/TP line behind a router",
        ),
        Question(label=_LABEL_BDT, sample=encode_read_table(READ_BDT), trace="none on the device"),
        Question(label=_LABEL_FDT, sample=encode_read_table(READ_FDT), trace="none on the device"),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    deadline_s=60.0,
    prepare=_vendors,
)
