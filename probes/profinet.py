"""
PROFINET over UDP: what a device is, as the endpoint mapper of its context manager tells.

Asked in the read tier:

1. One datagram to port 34964: the DCE/RPC endpoint mapper's Lookup (operation 2) for the interface
   of a PROFINET IO device, one entry at most.
2. The entry carries an annotation of 64 characters that the standard lays out: device type, order
   number, hardware and software revision.

Why this is the gentlest question: it is made for clients that know nothing yet. No application
relation is set up, of which a device has one or two, no record is read and no connection opened;
the request is marked idempotent, so that the device need not remember the answer. It is in the read
tier nevertheless, because it makes small devices run code that they seldom run.

A device may answer from a port of its own choice (as the standard allows); such an answer does not
reach us, and the device then counts as silent.

Sample result: model "S7-1200", order number "6ES7 212-1AE40-0XB0", hardware "14", firmware
"V4.5.1", vendor "Siemens".

Never sent: Connect (0), Release (1), Write (3) and Control (4) of the PROFINET interfaces, Insert
and Delete of the endpoint mapper; Read (2) and ReadImplicit (5) are not needed. On layer 2 nothing
is sent at all.

Integers follow the data representation in each header: ours are little-endian.

Source: The Open Group C706 (DCE 1.1: RPC), chapters 12 (connectionless PDUs), 14 (NDR) and appendix
O (endpoint mapper); IEC 61158-6-10, section on the annotation of RPC endpoints; a published reply
of an S7-1200 (text 60818098288) and one of a software controller, in nmap's profinet-cm-lookup.
"""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal

from scanner.errors import BadReply, Refused
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

RPC_VERSION: Final = 4
REQUEST: Final = 0
RESPONSE: Final = 2
FAULT: Final = 3
WORKING: Final = 4
REJECT: Final = 6
IDEMPOTENT: Final = 0x20
LOOKUP: Final = 2
HEADER: Final = 80

ENDPOINT_MAPPER: Final = uuid.UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa")
ENDPOINT_MAPPER_VERSION: Final = 3
PROFINET_DEVICE: Final = uuid.UUID("dea00001-6c97-11d1-8271-00a02442df7d")
NODE: Final = 0x57616C6B646E
"""What stands for a MAC address in our activity's id: it has the multicast bit."""
EPOCH: Final = datetime(1582, 10, 15, tzinfo=UTC)
SEQUENCE: Final = 0

ANNOTATION: Final = 64
MAX_ANNOTATION: Final = 256
_SIEMENS: Final = re.compile(r"6(ES7|AG1|GK|AV|SL|FC|ED1) ?\w")
_PLC: Final = re.compile(r"6(ES7|AG1) ?(2[1-9]|3[1-9]|4[1-9]|5[1-9]|672)|S7-(1[25]00|[34]00)$")

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A fault or reject PDU; `status` as C706 appendix N names it."""

    kind: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """The 64 characters; a field is None where it is blank, all are where the form is another."""

    text: str
    device_type: str | None = None
    order_number: str | None = None
    hardware: str | None = None
    software: str | None = None


def activity_of(now: datetime) -> uuid.UUID:
    """A time-based id (RFC 4122, version 1) that no other request of ours has."""
    ticks = (now - EPOCH) // timedelta(microseconds=1) * 10 & (1 << 60) - 1
    return uuid.UUID(
        fields=(ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, 0x1000 | ticks >> 48, 0x80, 0, NODE)
    )


def encode_lookup(*, activity: uuid.UUID) -> bytes:
    """
    Header: `04 00 flags flags2 representation(3) serial object(16) interface(16) activity(16)
    boot(4) version(4) sequence(4) operation(2) hints(4) length(2) fragment(2) 00 serial`.

    Body: inquiry(4)=0 (all entries) reference(4) object(16) reference(4) interface(16) version(4)
    option(4)=1 handle(20) entries(4)=1.
    """
    body = (
        bytes(4) + (1).to_bytes(4, "little") + bytes(16)
        + (2).to_bytes(4, "little") + PROFINET_DEVICE.bytes_le + (1).to_bytes(4, "little")
        + (1).to_bytes(4, "little") + bytes(20) + (1).to_bytes(4, "little")
    )  # fmt: skip
    return (
        bytes([RPC_VERSION, REQUEST, IDEMPOTENT, 0]) + b"\x10\x00\x00" + b"\x00"
        + bytes(16) + ENDPOINT_MAPPER.bytes_le + activity.bytes_le
        + bytes(4) + ENDPOINT_MAPPER_VERSION.to_bytes(4, "little") + SEQUENCE.to_bytes(4, "little")
        + LOOKUP.to_bytes(2, "little") + b"\xff\xff\xff\xff" + len(body).to_bytes(2, "little")
        + b"\x00\x00" + b"\x00" + b"\x00" + body
    )  # fmt: skip


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply, except that a PDU which says "working" is none yet."""
    if len(datagram) >= 2 and datagram[0] == RPC_VERSION and datagram[1] & 0x1F == WORKING:
        return None
    return len(datagram) or None


def decode_header(reply: bytes, *, activity: uuid.UUID) -> tuple[int, ByteOrder, bytes]:
    """
    PDU type, byte order and body of a reply to our request. Raises BadReply, also when it belongs
    to another activity, sequence or interface.
    """
    if len(reply) < HEADER or reply[0] != RPC_VERSION:
        raise BadReply(f"expected a PDU of DCE/RPC, got {reply[:8].hex()}")
    order: ByteOrder = "little" if reply[4] >> 4 == 1 else "big"
    kind = reply[1] & 0x1F
    told, asked = _uuid(reply[40:56], order), _uuid(reply[24:40], order)
    sequence = int.from_bytes(reply[64:68], order)
    if told != activity or sequence != SEQUENCE:
        raise BadReply("the reply belongs to another activity")
    if kind == RESPONSE and asked != ENDPOINT_MAPPER:
        raise BadReply(f"expected a reply of the endpoint mapper, got one of {asked}")
    length = int.from_bytes(reply[74:76], order)
    if len(reply) < HEADER + length:
        raise BadReply("the DCE/RPC length reaches beyond the datagram")
    return kind, order, reply[HEADER : HEADER + length]


def _uuid(raw: bytes, order: ByteOrder) -> uuid.UUID:
    return uuid.UUID(bytes_le=raw) if order == "little" else uuid.UUID(bytes=raw)


def decode_lookup(reply: bytes, *, activity: uuid.UUID) -> bytes | Rejection | None:
    """
    `handle(20) entries(4) maximum(4) offset(4) actual(4) | object(16) reference(4) offset(4)
    length(4) annotation …`: the first entry's annotation, None when there is no entry.

    Raises BadReply.
    """
    kind, order, body = decode_header(reply, activity=activity)
    if kind in (FAULT, REJECT):
        return Rejection(kind=kind, status=int.from_bytes(body[:4], order))
    if kind != RESPONSE:
        raise BadReply(f"expected a response, got a PDU of type {kind}")
    if len(body) < 36:
        raise BadReply(f"expected the reply to Lookup, got {body[:16].hex()}")
    if not int.from_bytes(body[20:24], order) or not int.from_bytes(body[32:36], order):
        return None
    length = int.from_bytes(body[60:64], order)
    if len(body) < 64 or length > MAX_ANNOTATION or len(body) < 64 + length:
        raise BadReply("an annotation reaches beyond its reply")
    return body[64 : 64 + length]


def decode_annotation(raw: bytes) -> Annotation:
    """
    `device type(25) blank order number(20) blank hardware(5) blank prefix(1) software(9) end(1)`.

    The software's nine characters are three numbers of three, the prefix is V, R, P, U or T. What
    has another form is kept as text only.
    """
    text = "".join(c for c in raw.decode("latin-1") if c.isprintable()).strip()[:MAX_ANNOTATION]
    blanks = raw[25:26] + raw[46:47] + raw[52:53]
    numbers = [raw[at : at + 3].strip() for at in (54, 57, 60)]
    fits = len(raw) == ANNOTATION and blanks == b"   " and raw[53:54] in b"VRPUT "
    if not fits or not all(number.isdigit() for number in numbers):
        return Annotation(text=text)
    software = ".".join(str(int(number)) for number in numbers)
    return Annotation(
        text=text,
        device_type=_field(raw[:25]),
        order_number=_field(raw[26:46]),
        hardware=_field(raw[47:52]),
        software=f"{raw[53:54].decode('ascii').strip()}{software}",
    )


def _field(raw: bytes) -> str | None:
    text = "".join(c for c in raw.split(b"\0", 1)[0].decode("latin-1") if c.isprintable())
    return text.strip() or None


@cache
def _vendors() -> Mapping[int, str]:
    path = Path(__file__).parent / "data" / "profinet_vendors.toml"
    with path.open("rb") as file:
        return {row["id"]: row["name"] for row in tomllib.load(file)["vendor"]}


def vendor_name(vendor_id: int) -> str | None:
    """The maker that announces itself with this id in DCP; None: not among our rows."""
    return _vendors().get(vendor_id)


def facts_from(annotation: Annotation | None) -> tuple[Fact, ...]:
    """Access, and the identity where the annotation has the standard's form."""
    details = (("annotation", annotation.text),) if annotation and annotation.text else ()
    access = ServiceAccess(
        protocol="profinet", answers_without_login=True, encrypted=False, details=details
    )
    if annotation is None or not (annotation.device_type or annotation.order_number):
        return (access,)
    said = DeviceIdentity(
        model=annotation.device_type,
        order_number=annotation.order_number,
        hardware=annotation.hardware,
        firmware=annotation.software,
    )
    if not _SIEMENS.match(annotation.order_number or ""):
        return (access, said)
    plc = any(
        _PLC.match(text) for text in (annotation.order_number, annotation.device_type) if text
    )
    looked_up = DeviceIdentity(vendor="Siemens", device_class="plc" if plc else None, basis="table")
    return (access, said, looked_up)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Raises Refused where the request was rejected; Withheld, WireError."""
    activity = activity_of(session.now())
    reply = await session.exchange(
        encode_lookup(activity=activity), datagram_length, label=_LABEL, max_reply=2048
    )
    found = decode_lookup(reply, activity=activity)
    if isinstance(found, Rejection):
        raise Refused(f"DCE/RPC status 0x{found.status:08X}: no endpoint mapper for PROFINET there")
    return facts_from(None if found is None else decode_annotation(found))


_LABEL: Final = "PROFINET endpoint mapper, Lookup"

READ_PROBE = Probe(
    name="profinet",
    protocol="profinet",
    transport=Transport.UDP,
    ports=(34964,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_lookup(activity=activity_of(datetime(2026, 1, 1, tzinfo=UTC))),
            trace="none; the endpoint mapper may keep a handle of the request for some seconds",
        ),
    ),
    for_controllers=True,
    deadline_s=15.0,
)
