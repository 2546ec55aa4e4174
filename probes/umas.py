"""
UMAS on Modbus/TCP: which processor a Modicon controller has, and the state of its project.

UMAS is what Schneider Electric's engineering tools (Unity Pro, Control Expert) speak, as Modbus
function 0x5A. It is asked in the read tier, and only where Modbus answered on the same port:

1. One connection. READ_ID (02): `tttt 0000 0004 00 5A 00 02`; the reply names the processor.
2. INIT_COMM (01): the size of frames, and the name of the station that holds the reservation.
3. READ_PROJECT_INFO (03 00): name, revision and last change of the project.
4. READ_PLC_INFO (04): whether the controller is reserved, and the signature of its program.
5. READ_CARD_INFO (06 06): the memory card. Then the connection is closed.

A Modbus exception to the first question means that the device does not speak UMAS, or not now;
nothing more is asked. Unit id 0 is used, as the tools do. Behind a gateway 0 would be a broadcast
to the serial line, so a device that answered like one is not asked at all, and neither is one for
which the site file lists three other unit ids (promise 11).

Why this is the gentlest question: these are the first five requests of an engineering tool that
connects and does nothing. Nobody's reservation is taken, no pairing key is used (it stays 00), and
no memory block is read: READ_MEMORY_BLOCK (20) can stop M340, M580, Quantum and Premium
(CVE-2019-6857, CVE-2020-7537), although it would tell the author of the project.

What is not known is not said: no published source tells where READ_PLC_INFO has run and stop, so
the operating state is left out. That bit 0x08 of its second byte means "reserved" is seen in a
recording of a Quantum, where it is 0 before a station takes the reservation (10) and 1 afterwards.

Sample result: model "140 CPU 311 10", project "Project", revision "0.0.8", changed
2014-01-14T12:59:12, signature "113d5837", not reserved.

Never sent: TAKE_PLC_RESERVATION (10) and all that needs it (11, 12), memory and variables (20 to
29), up- and download (30 to 35), START_PLC (40), STOP_PLC (41), MONITOR_PLC (50), CHECK_PLC (58),
I/O objects (70, 71), and REPEAT (0A), which only costs the device a long frame.

The MBAP header is big-endian, UMAS is little-endian.

Source: recording of a 140 CPU 311 10 with Unity Pro; Apache PLC4X, umas.mspec (layout of 01, 02 and
04, Apache-2.0); Digital Bond Redpoint, modicon-info (layout of 03 and 06); MODBUS Messaging on
TCP/IP Implementation Guide V1.0b, section 3.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from scanner.errors import BadReply, Refused, WireError
from scanner.facts import ControllerState, DeviceIdentity, Fact, ModbusAccess, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

T = TypeVar("T")

UMAS: Final = 0x5A
UNIT: Final = 0
NO_PAIRING: Final = 0x00
OK: Final = 0xFE
ERROR: Final = 0xFD

INIT_COMM: Final = b"\x01\x00"
READ_ID: Final = b"\x02"
READ_PROJECT_INFO: Final = b"\x03\x00"
READ_PLC_INFO: Final = b"\x04"
READ_CARD_INFO: Final = b"\x06\x06"

RESERVED: Final = 0x08
"""In the second byte of READ_PLC_INFO."""
SIGNATURE: Final = 3
"""Which block of READ_PLC_INFO changes with every modification of the program."""

GATEWAY: Final = frozenset({0x0A, 0x0B})
OF_ITSELF: Final = frozenset({0, 255})
MAX_LISTED: Final = 3
MAX_FRAME: Final = 1024
MAX_TEXT: Final = 128
MAX_BLOCKS: Final = 32

_MODICON: Final = re.compile(r"(140 ?CPU|BM[EX] ?[PH]|TSX ?[HP]|171 ?CB)")
"""Processors of Quantum, M340, M580, Premium and Momentum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A reply that says no: a Modbus exception, or UMAS' own error with what stands behind it."""

    exception: int | None = None
    error: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """READ_ID. `version` is what the tools call the communication version."""

    name: str | None
    version: str | None
    hardware: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """READ_PROJECT_INFO. `changed_at` as the controller's clock had it, without a zone."""

    name: str | None
    revision: str
    changed_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """READ_PLC_INFO."""

    reserved: bool
    signature: str | None


def encode_request(function: bytes, *, transaction: int) -> bytes:
    """`transaction(2) 0000 length(2) 00 | 5A 00 function [arguments]`."""
    pdu = bytes([UNIT, UMAS, NO_PAIRING]) + function
    return transaction.to_bytes(2, "big") + bytes(2) + len(pdu).to_bytes(2, "big") + pdu


def frame_length(buffer: bytes) -> int | None:
    """
    Length of the first frame, None when it is not whole. UMAS frames may be longer than Modbus
    allows. Raises BadReply on other protocols.
    """
    if len(buffer) < 6:
        return None
    length = int.from_bytes(buffer[4:6], "big")
    if buffer[2:4] != b"\x00\x00" or not 3 <= length <= MAX_FRAME:
        raise BadReply(f"expected an MBAP header, got {buffer[:8].hex()}")
    return 6 + length if len(buffer) >= 6 + length else None


def decode_reply(reply: bytes, *, transaction: int) -> bytes | Failure:
    """
    What stands behind `5A pairing FE`, or how it was refused (`DA code`, `5A pairing FD …`).

    Raises BadReply, also when it answers another transaction or is no reply at all.
    """
    if frame_length(reply) != len(reply):
        raise BadReply(f"expected one whole Modbus frame, got {reply[:16].hex()}")
    answered = int.from_bytes(reply[:2], "big")
    if answered != transaction:
        raise BadReply(f"expected transaction {transaction}, got {answered}")
    if reply[7] == UMAS | 0x80 and len(reply) >= 9:
        return Failure(exception=reply[8])
    if reply[7] != UMAS or len(reply) < 10 or reply[9] not in (OK, ERROR):
        raise BadReply(f"expected a reply of UMAS, got {reply[6:16].hex()}")
    return reply[10:] if reply[9] == OK else Failure(error=reply[10:])


def decode_id(data: bytes) -> Processor:
    """
    `range(2) ident(4) model(2) version(2) patch(2) internal(2) hardware(2) crash(4) ?(2) length
    name`; the version has its numbers in two bytes, as they are read in hexadecimal.

    Raises BadReply.
    """
    if len(data) < 23 or len(data) < 23 + data[22]:
        raise BadReply(f"expected the id of a controller, got {data[:24].hex()}")
    version = int.from_bytes(data[8:10], "little")
    return Processor(
        name=text_of(data[23 : 23 + data[22]]),
        version=f"{version >> 8:x}.{version & 0xFF:02x}" if version else None,
        hardware=int.from_bytes(data[14:16], "little"),
    )


def decode_communication(data: bytes) -> str | None:
    """`frame size(2) version(2) ?(4) ?(4) length name`: the name, None when there is none."""
    if len(data) < 13 or len(data) < 13 + data[12]:
        raise BadReply(f"expected the communication parameters, got {data[:16].hex()}")
    return text_of(data[13 : 13 + data[12]])


def decode_project(data: bytes) -> Project:
    """
    26 bytes of identifiers and the first date, then at 27 `second minute hour day month year(2)` of
    the last change, `revision(3)` from its last number to the first, a zero, length and name.

    Raises BadReply.
    """
    if len(data) < 39 or len(data) < 39 + data[38]:
        raise BadReply(f"expected the information on a project, got {data[:24].hex()}")
    second, minute, hour, day, month = data[27:32]
    year = int.from_bytes(data[32:34], "little")
    real = 1 <= day <= 31 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60
    return Project(
        name=text_of(data[39 : 39 + data[38]]),
        revision=f"{data[36]}.{data[35]}.{data[34]}",
        changed_at=(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
            if real and 1970 <= year < 2200
            else None
        ),
    )


def decode_state(data: bytes) -> State:
    """`? flags ? count`, then so many blocks of four bytes. Raises BadReply."""
    if len(data) < 4 or data[3] > MAX_BLOCKS or len(data) < 4 + 4 * data[3]:
        raise BadReply(f"expected the state of a controller, got {data[:16].hex()}")
    at = 4 + 4 * SIGNATURE
    signature = int.from_bytes(data[at : at + 4], "little") if data[3] > SIGNATURE else 0
    return State(
        reserved=bool(data[1] & RESERVED), signature=f"{signature:08x}" if signature else None
    )


def decode_card(data: bytes) -> str | None:
    """`?(6) length name`: the name of the memory card, None when none is in. Raises BadReply."""
    if len(data) < 7:
        return None
    if len(data) < 7 + data[6]:
        raise BadReply(f"expected the information on a memory card, got {data[:16].hex()}")
    return text_of(data[7 : 7 + data[6]])


def text_of(raw: bytes) -> str | None:
    """Up to the first NUL, bounded, without control characters; None when nothing is left."""
    text = raw.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


# --- the conversation ----------------------------------------------------------------------------


def may_be_asked(known: tuple[Fact, ...], unit_ids: object) -> bool:
    """
    Whether unit 0 is the controller itself: only where Modbus answered for the address itself, and
    not as a gateway does; nor as a fourth unit. A maker that another unit names says nothing of the
    address: behind a gateway unit 0 is everybody on the serial line.
    """
    access = [fact for fact in known if isinstance(fact, ModbusAccess)]
    if any(fact.exception_code in GATEWAY for fact in access):
        return False
    if any(fact.unit_id not in OF_ITSELF for fact in access):
        return False
    listed = unit_ids if isinstance(unit_ids, tuple | list) else ()
    return UNIT in listed[:MAX_LISTED] or len(listed) < MAX_LISTED


class _Conversation:
    """Numbers the requests of one connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._transaction = 0

    async def ask(self, function: bytes) -> bytes | Failure:
        """What the reply carries. Raises Withheld, WireError."""
        self._transaction += 1
        reply = await self._session.exchange(
            encode_request(function, transaction=self._transaction),
            frame_length,
            label=_LABELS[function],
            max_reply=6 + MAX_FRAME,
        )
        return decode_reply(reply, transaction=self._transaction)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    What the controller tells. Nothing is sent to what may be a gateway.

    Raises Refused where the device answers with a Modbus exception; Withheld, WireError.
    """
    if not may_be_asked(session.known, session.options.get("unit_ids")):
        return ()
    conversation = _Conversation(session)
    first = await conversation.ask(READ_ID)
    if isinstance(first, Failure) and first.exception is not None:
        raise Refused(f"Modbus exception {first.exception:02X} to function 5A (UMAS)")
    told: dict[bytes, bytes] = {}
    if isinstance(first, bytes):
        decode_id(first)
        told[READ_ID] = first
    try:
        for function in (INIT_COMM, READ_PROJECT_INFO, READ_PLC_INFO, READ_CARD_INFO):
            answer = await conversation.ask(function)
            if isinstance(answer, bytes):
                told[function] = answer
    except WireError:  # what was told before is kept; a broken connection is not asked again
        pass
    return facts_from(told)


def facts_from(told: dict[bytes, bytes]) -> tuple[Fact, ...]:
    """`told` maps a request to what its good reply carried; a reply of another form is left out."""
    processor = _maybe(decode_id, told.get(READ_ID))
    holder = _maybe(decode_communication, told.get(INIT_COMM))
    project = _maybe(decode_project, told.get(READ_PROJECT_INFO))
    state = _maybe(decode_state, told.get(READ_PLC_INFO))
    card = _maybe(decode_card, told.get(READ_CARD_INFO))
    details: list[tuple[str, str]] = []
    if processor is not None and processor.version:
        details.append(("communication version", processor.version))
    if state is not None:
        details.append(("reserved", "yes" if state.reserved else "no"))
    if card is not None:
        details.append(("memory card", card))
    facts: list[Fact] = [
        ServiceAccess(
            protocol="umas",
            answers_without_login=True if told else None,
            encrypted=False,
            details=tuple(details),
        )
    ]
    if processor is not None and processor.name is not None:
        facts.append(DeviceIdentity(model=processor.name, order_number=processor.name))
        if _MODICON.match(processor.name):
            facts.append(
                DeviceIdentity(vendor="Schneider Electric", device_class="plc", basis="table")
            )
    if project is not None or state is not None:
        facts.append(
            ControllerState(
                project_name=project.name if project else None,
                project_revision=project.revision if project else None,
                project_changed_at=project.changed_at if project else None,
                reserved_by=holder if state is not None and state.reserved else None,
                checksum=state.signature if state else None,
            )
        )
    return tuple(facts)


def _maybe(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """None when nothing was told, or something of another form."""
    if data is None:
        return None
    try:
        return decode(data)
    except BadReply:
        return None


_TRACE: Final = (
    "one connection in the Modbus server's table and five requests in its counters; the "
    "reservation is not touched"
)
_LABELS: Final = {
    READ_ID: "UMAS READ_ID",
    INIT_COMM: "UMAS INIT_COMM",
    READ_PROJECT_INFO: "UMAS READ_PROJECT_INFO",
    READ_PLC_INFO: "UMAS READ_PLC_INFO",
    READ_CARD_INFO: "UMAS READ_CARD_INFO",
}

READ_PROBE = Probe(
    name="umas",
    protocol="umas",
    transport=Transport.TCP,
    ports=(502,),
    tier=Tier.READ,
    run=run_read,
    questions=tuple(
        Question(
            label=label,
            sample=encode_request(function, transaction=number),
            trace=_TRACE if number == 1 else "",
        )
        for number, (function, label) in enumerate(_LABELS.items(), start=1)
    ),
    for_controllers=True,
    follows="modbus",
    spoken_by="schneider|modicon|telemecanique",
    deadline_s=60.0,
)
