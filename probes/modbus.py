"""
Modbus/TCP: what a device says it is.

1. One connection to the port. The first bytes on it are Read Device Identification (function 0x2B,
   MEI type 0x0E), basic objects, for the first unit id of the site file, else 255 (the device that
   holds the connection): `0001 0000 0005 FF 2B 0E 01 00`.
2. If the reply says that more follows, the rest of the three basic objects is asked for.
3. If the device answers with an exception or without a single object, Report Server ID (function
   0x11) is asked once.
4. Silence, or a gateway's exception 0A or 0B, means that nobody has this unit id. Then the next one
   (1, then 0) is asked on the same connection, at least a second later; never more than three.
5. The connection is closed.

Why this is the gentlest question: both functions return constants. No coil, register, file or
counter is touched, so nothing that clears itself on reading is read; one request is in flight; no
unit id is guessed beyond the three, so a serial line behind a gateway is left in peace. An
exception proves Modbus as well as an answer does.

Sample result: vendor "Schneider Electric", order number "BMX P34 2020", firmware "v2.9".

In the read tier the regular objects (product name, model, application name) are read as well, by
pymodbus through the relay.

Source: MODBUS Application Protocol V1.1b3, sections 6.13 (0x11), 6.21 (0x2B/0x0E) and 7
(exceptions); MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from scanner.clients import modbus as client
from scanner.errors import BadReply, Silent, WireError
from scanner.facts import DeviceIdentity, Fact, ModbusAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

READ_DEVICE_IDENTIFICATION: Final = 0x2B
MEI_DEVICE_IDENTIFICATION: Final = 0x0E
REPORT_SERVER_ID: Final = 0x11

BASIC: Final = 1
REGULAR: Final = 2

VENDOR_NAME: Final = 0
PRODUCT_CODE: Final = 1
MAJOR_MINOR_REVISION: Final = 2
PRODUCT_NAME: Final = 4
MODEL_NAME: Final = 5
USER_APPLICATION_NAME: Final = 6

NOBODY_THERE: Final = frozenset({0x0A, 0x0B})
"""Gateway path unavailable; gateway target device failed to respond."""
BUSY: Final = frozenset({0x05, 0x06})
"""Acknowledge, server device busy: whoever says so is left alone."""

DEFAULT_UNIT_IDS: Final = (255, 1, 0)
MAX_UNIT_IDS: Final = 3
UNIT_SPACING_S: Final = 1.0
UNIT_DEADLINE_S: Final = 3.5
"""Three silent units and the pauses between them fit in one connection's 15 s."""
MAX_TEXT: Final = 128
MAX_LATE_REPLIES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """One reply to Read Device Identification. `next_object` counts only when `more_follows`."""

    more_follows: bool
    next_object: int
    objects: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerId:
    """A reply to Report Server ID; its layout is the device's own, so most of it may be None."""

    text: str | None
    run_indicator: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusException:
    """A reply that says no: function and exception code."""

    function: int
    code: int


def encode_read_device_identification(
    *, transaction: int, unit: int, code: int = BASIC, object_id: int = 0
) -> bytes:
    pdu = bytes([READ_DEVICE_IDENTIFICATION, MEI_DEVICE_IDENTIFICATION, code, object_id])
    return encode_frame(transaction=transaction, unit=unit, pdu=pdu)


def encode_report_server_id(*, transaction: int, unit: int) -> bytes:
    return encode_frame(transaction=transaction, unit=unit, pdu=bytes([REPORT_SERVER_ID]))


def encode_frame(*, transaction: int, unit: int, pdu: bytes) -> bytes:
    """MBAP header and PDU: transaction(2) protocol(2)=0 length(2) unit(1) PDU, big-endian."""
    length = len(pdu) + 1
    return (
        transaction.to_bytes(2, "big") + bytes(2) + length.to_bytes(2, "big") + bytes([unit]) + pdu
    )


def frame_length(buffer: bytes) -> int | None:
    """Length of the first frame, None when it is not whole. Raises BadReply on other protocols."""
    if len(buffer) < 6:
        return None
    length = int.from_bytes(buffer[4:6], "big")
    if buffer[2:4] != b"\x00\x00" or not 2 <= length <= 254:
        raise BadReply(f"expected an MBAP header, got {buffer[:8].hex()}")
    return 6 + length if len(buffer) >= 6 + length else None


def decode_frame(reply: bytes, *, transaction: int) -> bytes:
    """
    The PDU of one frame. The unit id is not compared: devices that hold the connection answer with
    0 or 1 to 255, and only one request is in flight.

    Raises BadReply, also when it answers another transaction.
    """
    length = frame_length(reply)
    if length is None or length != len(reply) or length < 8:
        raise BadReply(f"expected one whole Modbus frame, got {reply[:16].hex()}")
    answered = int.from_bytes(reply[:2], "big")
    if answered != transaction:
        raise BadReply(f"expected transaction {transaction}, got {answered}")
    return reply[7:]


def decode_exception(pdu: bytes, *, function: int) -> ModbusException | None:
    """None when the PDU is a normal reply to `function`. Raises BadReply when it is neither."""
    if not pdu or pdu[0] & 0x7F != function:
        raise BadReply(f"expected function 0x{function:02X}, got {pdu[:4].hex()}")
    if not pdu[0] & 0x80:
        return None
    if len(pdu) < 2:
        raise BadReply("an exception without a code")
    return ModbusException(function=function, code=pdu[1])


def decode_identification(pdu: bytes) -> Identification:
    """
    `2B 0E code conformity more next count {id length value}`.

    `more` is 0xFF or 0x00; devices are met that send other values there with no object at all, so
    anything but 0xFF ends the reading. Bytes after the last object are ignored. Raises BadReply.
    """
    if len(pdu) < 7 or pdu[:2] != bytes([READ_DEVICE_IDENTIFICATION, MEI_DEVICE_IDENTIFICATION]):
        raise BadReply(f"expected a device identification, got {pdu[:8].hex()}")
    objects = []
    at = 7
    for _ in range(pdu[6]):
        if at + 2 > len(pdu) or at + 2 + pdu[at + 1] > len(pdu):
            raise BadReply("an identification object reaches beyond its reply")
        objects.append((pdu[at], pdu[at + 2 : at + 2 + pdu[at + 1]]))
        at += 2 + pdu[at + 1]
    return Identification(more_follows=pdu[4] == 0xFF, next_object=pdu[5], objects=tuple(objects))


def decode_server_id(pdu: bytes) -> ServerId:
    """
    `11 count data`: server id of unknown length, run indicator (FF or 00), text.

    Two layouts are recognised: a one-byte id with the indicator behind it, and a text with the
    indicator at its end. Otherwise the indicator is None. Raises BadReply.
    """
    if len(pdu) < 2 or pdu[0] != REPORT_SERVER_ID or pdu[1] > len(pdu) - 2:
        raise BadReply(f"expected a server id, got {pdu[:8].hex()}")
    data = pdu[2 : 2 + pdu[1]]
    if not any(data):
        return ServerId(text=None, run_indicator=None)
    if len(data) >= 2 and data[1] in (0x00, 0xFF):
        return ServerId(text=_words(data[2:]), run_indicator=data[1] == 0xFF)
    if len(data) >= 3 and data[-1] in (0x00, 0xFF) and _is_text(data[:-1]):
        return ServerId(text=_words(data[:-1]), run_indicator=data[-1] == 0xFF)
    return ServerId(text=_words(data), run_indicator=None)


def _is_text(data: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in data)


def _words(data: bytes) -> str | None:
    """Stretches of at least three printable characters that hold a letter, or None."""
    found = [part.decode("ascii").strip() for part in re.findall(rb"[\x20-\x7e]{3,}", data)]
    return " ".join(part for part in found if re.search("[A-Za-z]{2}", part))[:MAX_TEXT] or None


def object_text(value: bytes) -> str | None:
    """An identification object as text: up to the first NUL, without control characters."""
    text = value.split(b"\x00", 1)[0].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


def identity_from_objects(objects: Mapping[int, bytes]) -> DeviceIdentity | None:
    """
    None when no object carries text.

    ProductCode is the number a part is ordered under. It stands for the model too where the device
    tells neither a model name nor a product name.
    """
    text = {number: object_text(value) for number, value in objects.items()}
    code = text.get(PRODUCT_CODE)
    found = DeviceIdentity(
        vendor=text.get(VENDOR_NAME),
        model=text.get(MODEL_NAME) or text.get(PRODUCT_NAME) or code,
        order_number=code,
        firmware=text.get(MAJOR_MINOR_REVISION),
        name=text.get(USER_APPLICATION_NAME),
    )
    return None if found == DeviceIdentity() else found


def identity_from_server_id(server: ServerId) -> DeviceIdentity | None:
    return DeviceIdentity(model=server.text, basis="text") if server.text else None


def unit_ids(options: Mapping[str, object]) -> tuple[int, ...]:
    """The unit ids to ask, in order: the site file's, else 255, 1, 0; three at most."""
    listed = options.get("unit_ids")
    if not isinstance(listed, tuple | list):
        return DEFAULT_UNIT_IDS
    valid = [unit for unit in listed if isinstance(unit, int) and 0 <= unit <= 255]
    return tuple(dict.fromkeys(valid))[:MAX_UNIT_IDS] or DEFAULT_UNIT_IDS


class _Conversation:
    """
    Numbers the requests of one connection.

    A unit that stayed silent may still answer while the next one is being asked; such a late reply
    is known by its transaction id and passed over.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._transaction = 0
        self._unanswered: set[int] = set()

    async def ask(self, unit: int, pdu: bytes, *, label: str) -> bytes | ModbusException:
        """The reply's PDU. Raises Withheld, WireError."""
        self._transaction += 1
        transaction = self._transaction
        request = encode_frame(transaction=transaction, unit=unit, pdu=pdu)
        try:
            reply = await self._session.exchange(
                request, self._framer, label=label, deadline_s=UNIT_DEADLINE_S
            )
        except Silent:
            self._unanswered.add(transaction)
            raise
        answer = decode_frame(reply[self._late(reply) :], transaction=transaction)
        return decode_exception(answer, function=pdu[0]) or answer

    def _late(self, buffer: bytes) -> int:
        """How many bytes at the beginning are whole replies to requests given up earlier."""
        end = 0
        for _ in range(MAX_LATE_REPLIES):
            length = frame_length(buffer[end:])
            late = int.from_bytes(buffer[end : end + 2], "big") in self._unanswered
            if length is None or not late:
                break
            end += length
        return end

    def _framer(self, buffer: bytes) -> int | None:
        late = self._late(buffer)
        length = frame_length(buffer[late:])
        return None if length is None else late + length


async def run(session: Session) -> tuple[Fact, ...]:
    """Ask the units in turn until one answers. Raises what the last silent one raised."""
    conversation = _Conversation(session)
    gateway: ModbusAccess | None = None
    silence: Silent | None = None
    for position, unit in enumerate(unit_ids(session.options)):
        if position:
            await session.pause(UNIT_SPACING_S)
        try:
            first = await conversation.ask(unit, _BASIC_REQUEST, label=_LABEL_BASIC)
        except Silent as error:
            silence = error
            continue
        if isinstance(first, ModbusException) and first.code in NOBODY_THERE:
            gateway = gateway or _access(unit, "exception", code=first.code)
            continue
        return await _identify(conversation, unit, first)
    if gateway is None:
        raise silence or Silent("no unit id was asked")
    return (gateway,)


async def _identify(
    conversation: _Conversation, unit: int, first: bytes | ModbusException
) -> tuple[Fact, ...]:
    """What follows the first answer of a unit; no later trouble takes that answer away."""
    if isinstance(first, ModbusException):
        access = _access(unit, "exception", code=first.code)
        return (access,) if first.code in BUSY else await _server_id(conversation, unit, access)
    access = _access(unit, "empty")
    heard = await _all_objects(conversation, unit, decode_identification(first))
    identity = identity_from_objects(heard.objects)
    if identity is not None:
        return (_access(unit, "objects"), identity)
    return await _server_id(conversation, unit, access) if heard.in_order else (access,)


async def _server_id(
    conversation: _Conversation, unit: int, otherwise: ModbusAccess
) -> tuple[Fact, ...]:
    """Ask for the server id; `otherwise` is what is known when that tells nothing."""
    try:
        reply = await conversation.ask(unit, bytes([REPORT_SERVER_ID]), label=_LABEL_SERVER_ID)
        if isinstance(reply, ModbusException):
            return (otherwise,)
        server = decode_server_id(reply)
    except WireError:
        return (otherwise,)
    access = replace(otherwise, identification="server_id", run_indicator=server.run_indicator)
    identity = identity_from_server_id(server)
    return (access, identity) if identity else (access,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """Objects of all rounds, and whether the connection is still in order."""

    objects: Mapping[int, bytes]
    in_order: bool = True


async def _all_objects(conversation: _Conversation, unit: int, first: Identification) -> _Heard:
    """Follow the reply. A device that asks to go backwards or in circles is left there."""
    objects = dict(first.objects)
    reply = first
    asked = 0
    while reply.more_follows and asked < reply.next_object <= MAJOR_MINOR_REVISION:
        asked = reply.next_object
        pdu = bytes([READ_DEVICE_IDENTIFICATION, MEI_DEVICE_IDENTIFICATION, BASIC, asked])
        try:
            more = await conversation.ask(unit, pdu, label=_LABEL_MORE)
            if isinstance(more, ModbusException):
                break
            reply = decode_identification(more)
        except WireError:
            return _Heard(objects=objects, in_order=False)
        for number, value in reply.objects:
            objects.setdefault(number, value)
    return _Heard(objects=objects)


def _access(
    unit: int, identification: Literal["objects", "exception", "empty"], *, code: int | None = None
) -> ModbusAccess:
    return ModbusAccess(
        unit_id=unit,
        answers_without_login=True,
        identification=identification,
        exception_code=code,
    )


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    Read the regular objects of the unit that told its basic ones. Returns nothing, and sends
    nothing, when no unit did: a second refusal would teach nobody anything.
    """
    known = [fact for fact in session.known if isinstance(fact, ModbusAccess)]
    told = [fact.unit_id for fact in known if fact.identification == "objects"]
    if known and not told:
        return ()
    unit = told[0] if told else unit_ids(session.options)[0]
    async with session.relay() as (host, port):
        reply = await client.read_device_identification(host, port, unit=unit, code=REGULAR)
    identity = identity_from_objects(reply.objects)
    access = ModbusAccess(
        unit_id=unit,
        answers_without_login=True,
        identification="objects" if identity else "exception" if reply.exception_code else "empty",
        exception_code=reply.exception_code,
    )
    return (access, identity) if identity else (access,)


_BASIC_REQUEST: Final = bytes([READ_DEVICE_IDENTIFICATION, MEI_DEVICE_IDENTIFICATION, BASIC, 0])
_LABEL_BASIC: Final = "read device identification, basic"
_LABEL_MORE: Final = "read device identification, continued"
_LABEL_SERVER_ID: Final = "report server id"
_TRACE: Final = "one more request in the Modbus counters; nothing in the event log"

PROBE = Probe(
    name="modbus",
    protocol="modbus",
    transport=Transport.TCP,
    ports=(502,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL_BASIC,
            sample=encode_read_device_identification(transaction=1, unit=255),
            at_most=MAX_UNIT_IDS,
            trace="one connection in the Modbus server's table; " + _TRACE,
        ),
        Question(
            label=_LABEL_MORE,
            sample=encode_read_device_identification(transaction=2, unit=255, object_id=2),
            at_most=MAJOR_MINOR_REVISION,
            trace=_TRACE,
        ),
        Question(
            label=_LABEL_SERVER_ID,
            sample=encode_report_server_id(transaction=2, unit=255),
            trace=_TRACE,
        ),
    ),
    for_controllers=True,
)

READ_PROBE = Probe(
    name="modbus",
    protocol="modbus",
    transport=Transport.TCP,
    ports=(502,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label="read device identification, regular",
            sample=encode_read_device_identification(transaction=1, unit=255, code=REGULAR),
            at_most=client.MAX_ROUNDS,
            trace="one connection in the Modbus server's table; " + _TRACE,
        ),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    deadline_s=60.0,
)
