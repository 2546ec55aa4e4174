"""
HART-IP: what a gateway, an I/O system or a field device says of itself, in one short session.

1. Session initiate: `01 00 00 00 sequence(2) 000D`, host type 01 and the inactivity timer (10 s;
   in the read tier 30 s), after which the device would close the session by itself. Few sessions
   are to be had.
2. Token-passing PDU with command 0, read unique identifier, to polling address 0, as the secondary
   master, so that the primary stays the plant's own. The answer carries manufacturer, expanded
   device type, revisions and the device id.
3. Session close, always, also after an answer that could not be read. A canary, which ends with
   the answer to step 1, is the exception: its session is left to the timer.

Why this is the gentlest question: command 0 is what every HART host asks first, reads nothing from
the process and takes a session for a fraction of a second.

Over UDP first; `TCP_PROBE` asks the same where the datagram stayed unanswered. In the read tier, by
TCP: command 0 again (every further command names the address that it tells), long tag (20), tag,
descriptor and date (13), additional device status (48), and of an I/O system or gateway its size
(74) and the identity of each device behind it (84), sixty-four at most.

Sample result: manufacturer 0x0026, vendor "Rosemount", serial "0000d2", name "wihartgw", class
gateway. A device tells its expanded device type as a number; there is no model to be had from it.

Never sent: every other command. Many write (6, 17 to 19, 22, 34 to 47, 49 to 59, 65 to 69, 79, 82,
83, 87 to 89, 512 and up), lock (71), squawk (72), send on (77), or are a manufacturer's own.

Source: FieldComm Group TS20085 section 10 (HART-IP), TS20081 (token-passing frame), TS20127
section 6 (universal commands 0, 13, 20, 48), TS20151 sections 7.42 and 7.52 (commands 74, 84),
TS20183 tables 8 (manufacturers) and 57 (device profiles); their layouts as read in cisagov's
icsnpp-hart-ip and in the recording of a gateway.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Framer, Probe, Question, Session

HEADER: Final = 8
INITIATE: Final = 0x00
CLOSE: Final = 0x01
TOKEN_PASSING: Final = 0x03
REQUEST: Final = 0x00
RESPONSE: Final = 0x01
INACTIVITY_MS: Final = 10_000
INACTIVITY_READ_MS: Final = 30_000
"""In a read session other devices' turns may come between two commands."""
GRANTED: Final = (0, 8)
"""Session statuses: success, and success with another timer than was asked for."""

READ_UNIQUE_IDENTIFIER: Final = 0
READ_TAG: Final = 13
READ_LONG_TAG: Final = 20
READ_STATUS: Final = 48
READ_IO_SYSTEM: Final = 74
READ_SUB_DEVICE: Final = 84

SHORT_ADDRESS: Final = b"\x00"
"""Polling address 0, secondary master, no burst."""
MAX_MESSAGE: Final = 1024
MAX_TEXT: Final = 64
MAX_BEHIND: Final = 64
CLASSES: Final = {4: "io", 132: "gateway"}
"""Device profiles that name a class beyond doubt: I/O system, WirelessHART gateway."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command brought. `code` 0: success. `data` is what follows the device status."""

    code: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """
    The answer to command 0. Revisions are plain numbers; `device_id` is unique within the device
    type. `address` is the unique address (5 bytes) that every further command names.
    """

    expanded_type: int
    universal_revision: int
    device_revision: int
    software_revision: int
    hardware_revision: int
    device_id: bytes
    manufacturer: int
    profile: int | None
    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SubDevice:
    """The answer to command 84."""

    index: int
    card: int
    channel: int
    manufacturer: int
    expanded_type: int
    device_id: bytes
    long_tag: str | None


# --- requests ----------------------------------------------------------------------------------


def encode_message(message_id: int, body: bytes, *, sequence: int) -> bytes:
    """`01` version, `00` request, id, status 00, sequence(2), length of all(2), big-endian."""
    head = bytes([0x01, REQUEST, message_id, 0x00])
    return head + sequence.to_bytes(2, "big") + (HEADER + len(body)).to_bytes(2, "big") + body


def encode_initiate(*, sequence: int, inactivity_ms: int = INACTIVITY_MS) -> bytes:
    """Host type 01 and the inactivity timer in milliseconds (4)."""
    return encode_message(INITIATE, b"\x01" + inactivity_ms.to_bytes(4, "big"), sequence=sequence)


def encode_close(*, sequence: int) -> bytes:
    """A header alone."""
    return encode_message(CLOSE, b"", sequence=sequence)


def encode_command(command: int, *, address: bytes, data: bytes = b"", sequence: int) -> bytes:
    """
    Delimiter (02 with a polling address, 82 with a unique one), address, command, byte count, data
    and the exclusive or of all of them.
    """
    delimiter = b"\x02" if len(address) == 1 else b"\x82"
    frame = delimiter + address + bytes([command, len(data)]) + data
    return encode_message(TOKEN_PASSING, frame + bytes([_check(frame)]), sequence=sequence)


def _check(frame: bytes) -> int:
    total = 0
    for byte in frame:
        total ^= byte
    return total


# --- replies -----------------------------------------------------------------------------------


def message_length(buffer: bytes) -> int | None:
    """Length of the message at the beginning of a stream. Raises BadReply when it is none."""
    if len(buffer) < HEADER:
        return None
    if buffer[0] not in (1, 2) or buffer[1] & 0x0F not in (RESPONSE, 0x02, 0x0F):
        raise BadReply(f"expected a HART-IP answer, got {buffer[:8].hex()}")
    length = int.from_bytes(buffer[6:8], "big")
    if not HEADER <= length <= MAX_MESSAGE:
        raise BadReply(f"a HART-IP message of {length} bytes")
    return length if len(buffer) >= length else None


def datagram_length(datagram: bytes, *, sequence: int) -> int | None:
    """One datagram is one message; the answer to another request is not waited out."""
    if len(datagram) >= HEADER and datagram[1] == RESPONSE:
        return len(datagram) if int.from_bytes(datagram[4:6], "big") == sequence else None
    return len(datagram) or None


def decode_message(reply: bytes, *, message_id: int, sequence: int) -> tuple[int, bytes]:
    """Status and body of the answer to one request of ours. Raises BadReply."""
    if len(reply) < HEADER or reply[0] not in (1, 2) or reply[1] != RESPONSE:
        raise BadReply(f"expected a HART-IP answer, got {reply[:8].hex()}")
    if reply[2] != message_id or int.from_bytes(reply[4:6], "big") != sequence:
        raise BadReply(f"an answer to another request: {reply[:8].hex()}")
    if int.from_bytes(reply[6:8], "big") != len(reply):
        raise BadReply(f"length {reply[6:8].hex()} does not fit {len(reply)} bytes")
    return reply[3], reply[HEADER:]


def decode_pdu(frame: bytes, *, command: int) -> Answer:
    """
    Delimiter 06 or 86 (a slave's answer), address (1 or 5), command, count, then response code,
    device status and data, and the check byte. Raises BadReply.
    """
    if not frame or frame[0] & 0x1F != 0x06 or frame[0] & 0x60:
        raise BadReply(f"expected an answer of a HART device, got {frame[:8].hex()}")
    at = 6 if frame[0] & 0x80 else 2
    if len(frame) < at + 3 or len(frame) != at + 3 + frame[at + 1]:
        raise BadReply(f"a HART frame of {len(frame)} bytes is not of the length it names")
    if _check(frame) != 0:
        raise BadReply("the check byte of the HART frame is wrong")
    if frame[at] != command:
        raise BadReply(f"an answer to command {frame[at]}, not to {command}")
    if frame[at + 1] < 2:
        raise BadReply("a HART answer without response code and device status")
    return Answer(frame[at + 2], frame[at + 4 : -1])


def decode_identifier(data: bytes) -> Identifier:
    """
    `FE type(2) preambles universal device software hardware|signal flags id(3)`, and from universal
    revision 7 on `preambles variables changes(2) status manufacturer(2) label(2) profile`.

    Before revision 7 the manufacturer is the first byte of the type. Big-endian. Raises BadReply.
    """
    if len(data) < 12 or data[0] != 0xFE:
        raise BadReply(f"expected a unique identifier, got {data[:12].hex()}")
    modern = len(data) >= 22 and data[4] >= 7
    return Identifier(
        expanded_type=int.from_bytes(data[1:3], "big"),
        universal_revision=data[4],
        device_revision=data[5],
        software_revision=data[6],
        hardware_revision=data[7] >> 3,
        device_id=data[9:12],
        manufacturer=int.from_bytes(data[17:19], "big") if modern else data[1],
        profile=data[21] if modern else None,
        address=bytes([data[1] & 0x3F]) + data[2:3] + data[9:12],
    )


def decode_sub_device(data: bytes, *, index: int) -> SubDevice:
    """`index(2) card channel manufacturer(2) type(2) id(3) universal tag(32)`. Raises BadReply."""
    if len(data) < 12 or int.from_bytes(data[:2], "big") != index:
        raise BadReply(f"expected sub-device {index}, got {data[:12].hex()}")
    return SubDevice(
        index=index,
        card=data[2],
        channel=data[3],
        manufacturer=int.from_bytes(data[4:6], "big"),
        expanded_type=int.from_bytes(data[6:8], "big"),
        device_id=data[8:11],
        long_tag=latin_1(data[12:44]),
    )


def decode_devices_detected(data: bytes) -> int:
    """Of command 74: cards, channels, sub-devices per channel, devices found(2), itself too."""
    if len(data) < 5:
        raise BadReply(f"an I/O system of {len(data)} bytes is too short")
    return int.from_bytes(data[3:5], "big")


def decode_tag(data: bytes) -> tuple[str | None, str | None]:
    """Tag and descriptor of command 13: 6 and 12 bytes of packed ASCII."""
    return packed_ascii(data[:6]), packed_ascii(data[6:18])


def packed_ascii(data: bytes) -> str | None:
    """Four characters of six bits in three bytes (TS20099, packed ASCII): 00-1F stand for 40-5F."""
    text = ""
    for at in range(0, len(data) - len(data) % 3, 3):
        word = int.from_bytes(data[at : at + 3], "big")
        codes = [word >> shift & 0x3F for shift in (18, 12, 6, 0)]
        text += "".join(chr(code if code & 0x20 else code | 0x40) for code in codes)
    return _shown(text)


def latin_1(data: bytes) -> str | None:
    return _shown(data.split(b"\x00", 1)[0].decode("latin-1"))


def _shown(text: str) -> str | None:
    kept = "".join(each for each in text if each.isprintable()).strip(" @")[:MAX_TEXT]
    return kept if kept.strip("?") else None


# --- facts -------------------------------------------------------------------------------------


@cache
def _manufacturers() -> Mapping[int, str]:
    path = Path(__file__).parent / "data" / "hart_manufacturers.toml"
    with path.open("rb") as file:
        return {row["id"]: row["name"] for row in tomllib.load(file)["manufacturer"]}


def manufacturer_name(number: int) -> str | None:
    """None: not among our rows."""
    return _manufacturers().get(number)


def identities(found: Identifier) -> tuple[DeviceIdentity, ...]:
    """What the device says in numbers, and apart from it what tables make of them."""
    said = DeviceIdentity(
        hardware=str(found.hardware_revision),
        firmware=str(found.software_revision),
        serial=found.device_id.hex(),
    )
    looked_up = DeviceIdentity(
        vendor=manufacturer_name(found.manufacturer),
        device_class=CLASSES.get(found.profile or 0),
        basis="table",
    )
    return (said, looked_up) if looked_up != DeviceIdentity(basis="table") else (said,)


def access(found: Identifier, *more: tuple[str, str | None]) -> ServiceAccess:
    details = [
        ("manufacturer", f"0x{found.manufacturer:04X}"),
        ("expanded device type", f"0x{found.expanded_type:04X}"),
        ("universal revision", str(found.universal_revision)),
        ("device revision", str(found.device_revision)),
        *((name, value) for name, value in more if value),
    ]
    return ServiceAccess(
        protocol="hartip",
        answers_without_login=True,
        encrypted=False,
        version="1",
        details=tuple(details),
    )


def refused(status: int) -> tuple[Fact, ...]:
    """It speaks HART-IP and let us not in: all sessions in use (15), another version (14)."""
    details = (("session status", str(status)),)
    return (ServiceAccess(protocol="hartip", encrypted=False, details=details),)


def sub_identities(found: Sequence[SubDevice]) -> tuple[DeviceIdentity, ...]:
    """One device per place; several at one place (multidrop, wireless) are told apart by id."""
    places = Counter((one.card, one.channel) for one in found)
    result = []
    for one in found:
        place = f"I/O card {one.card} channel {one.channel}"
        if places[one.card, one.channel] > 1:
            place += f" device {one.device_id.hex()}"
        result.append(
            DeviceIdentity(sub_address=place, serial=one.device_id.hex(), name=one.long_tag)
        )
        if vendor := manufacturer_name(one.manufacturer):
            result.append(DeviceIdentity(sub_address=place, vendor=vendor, basis="table"))
    return tuple(result)


# --- the conversation ----------------------------------------------------------------------------


class _Conversation:
    """One HART-IP session; requests are numbered from 1."""

    def __init__(self, session: Session, *, stream: bool) -> None:
        self._session = session
        self._stream = stream
        self._sequence = 0

    def _framer(self, sequence: int) -> Framer:
        if self._stream:
            return message_length
        return lambda datagram: datagram_length(datagram, sequence=sequence)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    async def initiate(self, inactivity_ms: int = INACTIVITY_MS) -> int:
        """The session's status."""
        sequence = self._next()
        reply = await self._session.exchange(
            encode_initiate(sequence=sequence, inactivity_ms=inactivity_ms),
            self._framer(sequence),
            label=_LABEL_INITIATE,
            max_reply=MAX_MESSAGE,
        )
        status, _ = decode_message(reply, message_id=INITIATE, sequence=sequence)
        return status

    async def ask(self, command: int, address: bytes, data: bytes = b"") -> Answer:
        sequence = self._next()
        reply = await self._session.exchange(
            encode_command(command, address=address, data=data, sequence=sequence),
            self._framer(sequence),
            label=_LABELS[command],
            max_reply=MAX_MESSAGE,
        )
        status, frame = decode_message(reply, message_id=TOKEN_PASSING, sequence=sequence)
        if status:
            raise BadReply(f"command {command} was answered with HART-IP status {status}")
        return decode_pdu(frame, command=command)

    async def close(self) -> None:
        """A goodbye that is forestalled, or that a window's end keeps back, costs nothing."""
        sequence = self._next()
        with suppress(WireError, Withheld):
            await self._session.exchange(
                encode_close(sequence=sequence),
                self._framer(sequence),
                label=_LABEL_CLOSE,
                deadline_s=2.0,
                max_reply=MAX_MESSAGE,
            )


async def _identify(session: Session, *, stream: bool) -> tuple[Fact, ...]:
    conversation = _Conversation(session, stream=stream)
    status = await conversation.initiate()
    if status not in GRANTED:
        return refused(status)
    try:
        found = await _identifier(conversation)
    finally:
        await conversation.close()
    return (access(found), *identities(found))


async def _identifier(conversation: _Conversation) -> Identifier:
    answer = await conversation.ask(READ_UNIQUE_IDENTIFIER, SHORT_ADDRESS)
    if answer.code:
        raise BadReply(f"command 0 was answered with response code {answer.code}")
    return decode_identifier(answer.data)


async def run(session: Session) -> tuple[Fact, ...]:
    """Three datagrams. Raises Withheld, WireError."""
    return await _identify(session, stream=False)


async def run_tcp(session: Session) -> tuple[Fact, ...]:
    """The same over one TCP connection. Raises Withheld, WireError."""
    return await _identify(session, stream=True)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Tags, status, and who stands behind. Raises Withheld, WireError."""
    conversation = _Conversation(session, stream=True)
    status = await conversation.initiate(INACTIVITY_READ_MS)
    if status not in GRANTED:
        return refused(status)
    try:
        return await _read(conversation)
    finally:
        await conversation.close()


async def _read(conversation: _Conversation) -> tuple[Fact, ...]:
    found = await _identifier(conversation)
    long_tag = await conversation.ask(READ_LONG_TAG, found.address)
    tag = await conversation.ask(READ_TAG, found.address)
    state = await conversation.ask(READ_STATUS, found.address)
    name = None if long_tag.code else latin_1(long_tag.data[:32])
    short, descriptor = (None, None) if tag.code else decode_tag(tag.data)
    behind, count = await _behind(conversation, found.address)
    details = access(
        found,
        ("tag", short),
        ("descriptor", descriptor),
        ("additional device status", None if state.code else state.data[:25].hex()),
        ("sub-devices", None if count is None else str(count)),
    )
    told = (DeviceIdentity(name=name or short),) if name or short else ()
    return (details, *identities(found), *told, *sub_identities(behind))


async def _behind(
    conversation: _Conversation, address: bytes
) -> tuple[tuple[SubDevice, ...], int | None]:
    """The devices behind, at most 64, and how many there are; None: it is no I/O system."""
    size = await conversation.ask(READ_IO_SYSTEM, address)
    if size.code:
        return (), None
    count = max(0, decode_devices_detected(size.data) - 1)
    found = []
    for index in range(1, min(count, MAX_BEHIND) + 1):
        answer = await conversation.ask(READ_SUB_DEVICE, address, index.to_bytes(2, "big"))
        if answer.code:
            break
        found.append(decode_sub_device(answer.data, index=index))
    return tuple(found), count


_LABEL_INITIATE: Final = "session initiate"
_LABEL_CLOSE: Final = "session close"
_LABELS: Final = {
    READ_UNIQUE_IDENTIFIER: "command 0, read unique identifier",
    READ_LONG_TAG: "command 20, read long tag",
    READ_TAG: "command 13, read tag, descriptor, date",
    READ_STATUS: "command 48, read additional device status",
    READ_IO_SYSTEM: "command 74, read I/O system capabilities",
    READ_SUB_DEVICE: "command 84, read sub-device identity summary",
}
_SAMPLE_ADDRESS: Final = bytes.fromhex("264e0000d2")

_IDENTIFYING: Final = (
    Question(
        label=_LABEL_INITIATE,
        sample=encode_initiate(sequence=1),
        trace="one of the device's few HART-IP sessions while it lasts, and an entry in its "
        "session log",
    ),
    Question(
        label=_LABELS[READ_UNIQUE_IDENTIFIER],
        sample=encode_command(READ_UNIQUE_IDENTIFIER, address=SHORT_ADDRESS, sequence=2),
        trace="one command in the device's statistics",
    ),
    Question(label=_LABEL_CLOSE, sample=encode_close(sequence=3), goodbye=True),
)

PROBE = Probe(
    name="hartip",
    protocol="hartip",
    transport=Transport.UDP,
    ports=(5094,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=_IDENTIFYING,
    for_controllers=True,
    prepare=_manufacturers,
)

TCP_PROBE = Probe(
    name="hartip",
    protocol="hartip",
    transport=Transport.TCP,
    ports=(5094,),
    tier=Tier.IDENTIFY,
    run=run_tcp,
    questions=_IDENTIFYING,
    needs=frozenset({"udp_silent"}),
    for_controllers=True,
    prepare=_manufacturers,
)

READ_PROBE = Probe(
    name="hartip",
    protocol="hartip",
    transport=Transport.TCP,
    ports=(5094,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        *_IDENTIFYING,
        *(
            Question(
                label=_LABELS[command],
                sample=encode_command(command, address=_SAMPLE_ADDRESS, sequence=3),
                trace="one command in the device's statistics",
            )
            for command in (READ_LONG_TAG, READ_TAG, READ_STATUS, READ_IO_SYSTEM)
        ),
        Question(
            label=_LABELS[READ_SUB_DEVICE],
            sample=encode_command(
                READ_SUB_DEVICE, address=_SAMPLE_ADDRESS, data=b"\x00\x01", sequence=7
            ),
            at_most=MAX_BEHIND,
            trace="one command each in the device's statistics; nothing is sent to what is behind",
        ),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    deadline_s=120.0,
    prepare=_manufacturers,
)
