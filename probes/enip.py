"""
EtherNet/IP: the identity that every device must tell to anyone who asks.

1. One UDP datagram to the device's own address, never a broadcast: ListIdentity, the command 0x63
   followed by 22 zero bytes. No session is registered, no connection opened.
2. The reply carries vendor id, device type, product code, revision, status word, serial number,
   product name and state; also the address that the device believes it has.

Why this is the gentlest question: it costs the device one datagram and none of its sessions. A
MicroLogix drops its oldest session, which may be the engineer's, when one too many registers.

`TCP_PROBE` asks the same over TCP, for devices and firewalls that answer there only. It is planned
only where the datagram stayed unanswered (`needs` "udp_silent"), so that no device is asked twice.

Some drives send wrong lengths in the header and in the item; the identity is read from the bytes
that came, and the product name is cut where they end.

Sample result: vendor "Rockwell Automation/Allen-Bradley", model "1769-L24ER-QB1B/A LOGIX5324ER",
firmware "27.011", serial "c01e335e", class plc.

In the read tier, on one connection and in one session:

1. pycomm3, in a process of its own, registers the session and reads all attributes of the identity
   object with one unconnected request.
2. Only where that identity is one of a Logix chassis (`HAS_BACKPLANE`): each slot of the backplane
   is asked the same, one after another, by an Unconnected_Send of ours that carries nothing but
   Get_Attributes_All of the identity object over one hop, port 1. pycomm3 could send one too, but
   with other times, and in its worker all slots would be one record without the status words.
   An empty slot is answered by the general status 0x01 (extended 0x0311, 0x0312, 0x0204) and is
   nothing. It ends after `EMPTY_IN_A_ROW` of them, after `SLOTS` in all, with the first silence,
   and with a module that does not route. The module that answers us is known again by its serial
   number. No connection is opened (Forward_Open), so none of a module's connections is taken.
3. Only of a Rockwell controller that refused its identity object, or of a MicroLogix: one
   Execute_PCCC with the diagnostic status (command 06, function 03), for its catalogue text.
4. UnRegisterSession gives the session back. Where a device fell silent nothing more is said to it:
   there the end of the connection ends the session.

A module in a slot becomes a device behind this one: "slot 3", model "1756-L61/B LOGIX5561",
firmware "20.011", serial "006c061a".

Source: ODVA, The CIP Networks Library, volume 2, section 2-4.2 (ListIdentity) and 2-3
(encapsulation header); volume 1, section 5A-2 (identity object), 3-5.5 (Unconnected_Send and its
extended status), appendix C-1.4 (port segments). PCCC: Rockwell publication 1770-6.5.16 (diagnostic
status); "1766-LEC" and the timing bytes of the routed request as real devices were recorded.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Final

from scanner.clients import cip as client
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import CipAccess, DeviceIdentity, Fact
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

LIST_IDENTITY: Final = 0x0063
UNREGISTER_SESSION: Final = 0x0066
SEND_RR_DATA: Final = 0x006F
IDENTITY_ITEM: Final = 0x000C

HEADER: Final = 24
ITEM: Final = HEADER + 2
"""Behind the header: item count (2), then item type (2) and length (2)."""
FIXED: Final = 33
"""Identity item up to and with the length of the name."""
MAX_NAME: Final = 64
MAX_TCP_REPLY: Final = 1024

ROCKWELL: Final = 1
DEVICE_CLASSES: Final = {
    0x02: "drive",  # AC drive
    0x07: "io",  # general purpose discrete I/O
    0x0E: "plc",  # programmable logic controller
    0x13: "drive",  # DC drive
    0x18: "hmi",  # human-machine interface
    0x23: "io",  # safety discrete I/O
    0x25: "drive",  # CIP motion drive
    0x29: "gateway",  # CIP Modbus translator
    0x2A: "io",  # safety analog I/O
    0x2C: "switch",  # managed Ethernet switch
    0x2D: "drive",  # CIP motion safety drive
    0x2E: "drive",  # safety drive
    0x31: "io",  # CIP motion I/O
}
"""Device profiles of volume 1, chapter 6, that name a class beyond doubt."""

CHASSIS_PROFILES: Final = frozenset({0x0C, 0x0E})
"""Communications adapter, programmable logic controller."""
HAS_BACKPLANE: Final = (
    "1756-EN",  # ControlLogix: EtherNet/IP bridges
    "1756-EWEB",
    "1756-L",  # ControlLogix: controllers with a port of their own
    "1768-EN",  # CompactLogix L4x: bridges
    "1768-L",
    "1769-L",  # CompactLogix L3x and 5370
    "5069-L",  # CompactLogix 5380 and 5480
)
"""
How product names of modules begin that stand in a chassis and route to its other slots. An adapter
of remote I/O (1734-AENT, 1769-AENTR, 5069-AENTR) is left out: its modules belong to a controller.

Source: AVEVA Communication Drivers, ABCIP, objects BACKPLANE_CLX and BACKPLANE_CPLX (the backplanes
of ControlLogix and CompactLogix are reached through their Ethernet module), CNB_CLX (slots 0 to
16); the names are the catalogue numbers of Rockwell, which its modules tell as product names.
"""
SLOTS: Final = 17
"""Of the largest chassis (1756-A17)."""
EMPTY_IN_A_ROW: Final = 4
"""Of the smallest chassis (1756-A4): so many without a module, and the rest is taken for empty."""
NOT_REACHED: Final = 0x01
"""General status of the connection manager: no module answered there."""

MICROLOGIX: Final = ("MicroLogix", "1761-", "1762-L", "1763-L", "1764-L", "1766-L")
"""How the identity of a MicroLogix begins: its name, or its catalogue number."""
CATALOGUE: Final = re.compile(r"17[0-9]{2}-[0-9A-Z]{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CipIdentity:
    """
    What ListIdentity and the identity object share.

    `name` None: empty. `state` None: not carried (the identity object) or cut off.
    """

    vendor_id: int
    device_type: int
    product_code: int
    major: int
    minor: int
    status_word: int
    serial: int
    name: str | None
    state: int | None = None
    inner_address: str | None = None


def encode_list_identity() -> bytes:
    """`6300`, then length, session, status, sender context and options, all zero."""
    return LIST_IDENTITY.to_bytes(2, "little") + bytes(22)


def encode_unregister_session(*, session: int) -> bytes:
    """`6600`, length 0, session (4), then status, sender context and options, all zero."""
    head = UNREGISTER_SESSION.to_bytes(2, "little") + bytes(2)
    return head + session.to_bytes(4, "little") + bytes(16)


def encode_slot_identity(*, session: int, slot: int) -> bytes:
    """
    SendRRData with `52 02 20062401 | time 01 FA | length(2) message | words 01 00 | 01 slot`.

    The message is `01 02 20012401`, Get_Attributes_All of the identity object; 250 ticks of 2 ms
    are what a module has to answer it. The sender context is the slot + 1, little-endian.
    """
    message = b"\x01\x02" + _IDENTITY_OBJECT
    routed = b"\x52\x02" + _CONNECTION_MANAGER + b"\x01\xfa" + len(message).to_bytes(2, "little")
    return _unconnected(session, routed + message + b"\x01\x00\x01" + bytes([slot]), slot + 1)


def encode_diagnostic_status(*, session: int) -> bytes:
    """
    SendRRData with `4B 02 20672401 | 07 vendor(2) serial(4) | 06 status transaction(2) 03`.

    The requester's vendor and serial number are zero: nobody's. The sender context is `FF`.
    """
    return _unconnected(
        session, b"\x4b\x02" + _PCCC_OBJECT + b"\x07" + bytes(6) + b"\x06\x00\x01\x00\x03", 0xFF
    )


def _unconnected(session: int, message: bytes, context: int) -> bytes:
    """`handle(4) timeout(2) 0200 | 0000 0000 | B200 length(2) message`, all little-endian."""
    items = bytes(6) + b"\x02\x00" + bytes(4) + b"\xb2\x00" + len(message).to_bytes(2, "little")
    body = items + message
    head = SEND_RR_DATA.to_bytes(2, "little") + len(body).to_bytes(2, "little")
    return (
        head
        + session.to_bytes(4, "little")
        + bytes(4)
        + context.to_bytes(8, "little")
        + (bytes(4) + body)
    )


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def reply_length(buffer: bytes) -> int | None:
    """
    Length of the encapsulated reply on TCP. Raises BadReply on another command.

    Some drives name more than they send; the probe therefore takes what came at the deadline.
    """
    if len(buffer) < HEADER:
        return None
    if int.from_bytes(buffer[:2], "little") != LIST_IDENTITY:
        raise BadReply(f"expected ListIdentity, got {buffer[:8].hex()}")
    end = HEADER + int.from_bytes(buffer[2:4], "little")
    return end if len(buffer) >= end else None


def session_reply_length(buffer: bytes) -> int | None:
    """Length of the reply to SendRRData. Raises BadReply on another command."""
    if len(buffer) < HEADER:
        return None
    if int.from_bytes(buffer[:2], "little") != SEND_RR_DATA:
        raise BadReply(f"expected SendRRData, got {buffer[:8].hex()}")
    end = HEADER + int.from_bytes(buffer[2:4], "little")
    return end if len(buffer) >= end else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CipReply:
    """A reply of the message router; `extended` is the first word behind the general status."""

    service: int
    status: int
    extended: int | None
    data: bytes


def decode_unconnected(reply: bytes, request: bytes) -> CipReply:
    """
    Header of the request's session and sender context, a null address, then the item
    `B200 length(2) | service 00 status words extended(2 x words) data`. Raises BadReply.
    """
    if len(reply) < HEADER + 20 or reply[:2] != request[:2]:
        raise BadReply(f"expected SendRRData, got {reply[:8].hex()}")
    if reply[4:8] != request[4:8] or reply[12:20] != request[12:20]:
        raise BadReply("SendRRData of another session or question")
    if reply[8:12] != bytes(4):
        raise BadReply(f"SendRRData was answered with status {reply[8:12].hex()}")
    if reply[30:38] != b"\x02\x00\x00\x00\x00\x00\xb2\x00":
        raise BadReply(f"expected one unconnected reply, got {reply[HEADER:40].hex()}")
    end = 40 + int.from_bytes(reply[38:40], "little")
    data = 44 + 2 * reply[43]
    if not data <= end <= len(reply):
        raise BadReply("an unconnected reply that is cut off")
    if not reply[40] & 0x80:
        raise BadReply(f"service 0x{reply[40]:02X} is no reply")
    extended = int.from_bytes(reply[44:46], "little") if reply[43] else None
    return CipReply(
        service=reply[40] & 0x7F, status=reply[42], extended=extended, data=reply[data:end]
    )


def decode_diagnostic_status(reply: CipReply) -> str | None:
    """
    `size requester… | 46 00 transaction(2) | mode EE interface processor series | catalogue(11)`.

    The catalogue text, such as "1766-LEC"; None where there is none. Raises BadReply.
    """
    if reply.service != 0x4B or reply.status:
        raise BadReply(f"PCCC was answered with status 0x{reply.status:02X}")
    pccc = reply.data[reply.data[0] :] if reply.data else b""
    if len(pccc) < 20 or pccc[0] != 0x46 or pccc[2:4] != b"\x01\x00":
        raise BadReply(f"expected a diagnostic status, got {reply.data[:16].hex()}")
    if pccc[1] or pccc[5] != 0xEE:
        return None
    found = CATALOGUE.fullmatch(pccc[9:20].decode("latin-1").strip(" \x00"))
    return found.group() if found else None


def decode_list_identity(reply: bytes) -> CipIdentity:
    """
    Header, item count, then the item `000C length version(2) address(16) identity state(1)`.

    The lengths in header and item are not believed: what counts is where the bytes end. The socket
    address is big-endian, all else little-endian. Raises BadReply.
    """
    if len(reply) < HEADER + 6 or int.from_bytes(reply[:2], "little") != LIST_IDENTITY:
        raise BadReply(f"expected ListIdentity, got {reply[:8].hex()}")
    if reply[8:12] != bytes(4):
        raise BadReply(f"ListIdentity was answered with status {reply[8:12].hex()}")
    if int.from_bytes(reply[ITEM : ITEM + 2], "little") != IDENTITY_ITEM:
        raise BadReply(f"expected an identity item, got {reply[HEADER : ITEM + 4].hex()}")
    item = reply[ITEM + 4 :]
    if len(item) < FIXED:
        raise BadReply(f"an identity item of {len(item)} bytes is too short")
    identity = decode_identity(item[18:])
    end = FIXED + item[32]
    address = str(IPv4Address(item[6:10]))
    return CipIdentity(
        vendor_id=identity.vendor_id,
        device_type=identity.device_type,
        product_code=identity.product_code,
        major=identity.major,
        minor=identity.minor,
        status_word=identity.status_word,
        serial=identity.serial,
        name=identity.name,
        state=item[end] if len(item) > end else None,
        inner_address=None if address == "0.0.0.0" else address,  # noqa: S104
    )


def decode_identity(attributes: bytes) -> CipIdentity:
    """
    `vendor(2) type(2) code(2) major minor status(2) serial(4) length name`, little-endian.

    A name that is cut off is taken as far as it came. Raises BadReply below 15 bytes.
    """
    if len(attributes) < 15:
        raise BadReply(f"an identity of {len(attributes)} bytes is too short")
    vendor, kind, code = (int.from_bytes(attributes[at : at + 2], "little") for at in (0, 2, 4))
    return CipIdentity(
        vendor_id=vendor,
        device_type=kind,
        product_code=code,
        major=attributes[6],
        minor=attributes[7],
        status_word=int.from_bytes(attributes[8:10], "little"),
        serial=int.from_bytes(attributes[10:14], "little"),
        name=_text(attributes[15 : 15 + attributes[14]]),
    )


def _text(value: bytes) -> str | None:
    text = value.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_NAME] or None


def device_class(identity: CipIdentity) -> str | None:
    """The class of the device profile; a Rockwell drive has a profile of its own and its name."""
    if identity.vendor_id == ROCKWELL and (identity.name or "").startswith("PowerFlex"):
        return "drive"
    return DEVICE_CLASSES.get(identity.device_type)


def facts(identity: CipIdentity) -> tuple[Fact, ...]:
    """What the reply itself says, and apart from it what vendor and profile tables say."""
    access = CipAccess(
        answers_without_login=True,
        vendor_id=identity.vendor_id,
        device_type=identity.device_type,
        product_code=identity.product_code,
        status_word=identity.status_word,
        state=identity.state,
        inner_address=identity.inner_address,
    )
    said = DeviceIdentity(
        model=identity.name,
        firmware=f"{identity.major}.{identity.minor:03d}",
        serial=f"{identity.serial:08x}" if identity.serial else None,
    )
    looked_up = DeviceIdentity(
        vendor=client.vendor_name(identity.vendor_id),
        device_class=device_class(identity),
        basis="table",
    )
    known = (looked_up,) if looked_up != DeviceIdentity(basis="table") else ()
    return (access, said, *known)


def module_facts(identity: CipIdentity, *, slot: int) -> tuple[DeviceIdentity, ...]:
    """What the module in a slot says of itself, and apart from it what the tables say."""
    place = f"slot {slot}"
    return tuple(
        replace(fact, sub_address=place)
        for fact in facts(identity)
        if isinstance(fact, DeviceIdentity)
    )


def has_backplane(identity: CipIdentity) -> bool:
    """Whether this is a module of a Logix chassis, through which its other slots are reached."""
    return (
        identity.vendor_id == ROCKWELL
        and identity.device_type in CHASSIS_PROFILES
        and (identity.name or "").startswith(HAS_BACKPLANE)
    )


def is_micrologix(identity: CipIdentity) -> bool:
    return identity.vendor_id == ROCKWELL and (identity.name or "").startswith(MICROLOGIX)


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(encode_list_identity(), datagram_length, label=_LABEL)
    return facts(decode_list_identity(reply))


async def run_tcp(session: Session) -> tuple[Fact, ...]:
    """The same over one TCP connection. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_list_identity(),
        reply_length,
        label=_LABEL,
        max_reply=MAX_TCP_REPLY,
        whatever_came=True,
    )
    return facts(decode_list_identity(reply))


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    The identity object, read by pycomm3; then slots or the catalogue text, where there are any.
    Raises Withheld, WireError.

    The session is given back here, on the same connection: a worker that ends with its last frame
    could be gone before the relay has passed it on, and one whose next frame is withheld says none.
    """
    handle = 0
    try:
        async with session.relay() as (host, port):
            answer = await client.read_identity_object(host, port)
            handle = answer.session
            if answer.broken is not None:
                raise answer.broken
        return await _told(session, answer)
    finally:
        # A goodbye that the device forestalls, or that a window's end keeps back, costs no answer.
        if handle:
            with suppress(WireError, Withheld):
                goodbye = encode_unregister_session(session=handle)
                await session.exchange(goodbye, None, label=_LABEL_UNREGISTER)


async def _told(session: Session, answer: client.IdentityAnswer) -> tuple[Fact, ...]:
    if answer.refused is not None:
        if not _is_rockwell_controller(session.known):
            raise BadReply(f"the identity object was refused: {answer.refused}")
        if told := await _catalogue(session, answer.session):
            return told
        raise BadReply(f"identity object and catalogue text were refused: {answer.refused}")
    identity = decode_identity(answer.attributes)
    known = facts(identity)
    if has_backplane(identity):
        known += await _modules(session, answer.session, identity)
    elif is_micrologix(identity):
        # What it told already is not lost with a question that goes beyond it.
        with suppress(WireError):
            known += await _catalogue(session, answer.session)
    return known


def _is_rockwell_controller(known: tuple[Fact, ...]) -> bool:
    return any(
        isinstance(fact, CipAccess) and fact.vendor_id == ROCKWELL and fact.device_type == 0x0E
        for fact in known
    )


async def _modules(session: Session, handle: int, own: CipIdentity) -> tuple[DeviceIdentity, ...]:
    """
    One slot after another; a module that refuses to tell its identity is there and tells nothing.

    What a slot leaves unanswered ends the row, not the answers before it.
    """
    told: list[DeviceIdentity] = []
    empty = 0
    for slot in range(SLOTS):
        try:
            identity = await _module(session, handle, slot)
        except WireError:
            break
        if isinstance(identity, CipIdentity):
            empty = 0
            if not _is_same(identity, own):
                told += module_facts(identity, slot=slot)
        elif identity.status == NOT_REACHED:
            empty += 1
        elif identity.service == _GET_ATTRIBUTES_ALL:
            empty = 0
        else:  # the module that we talk to does not route, or has no resources for it
            break
        if empty == EMPTY_IN_A_ROW:
            break
    return tuple(told)


async def _module(session: Session, handle: int, slot: int) -> CipIdentity | CipReply:
    """The identity in a slot, or the refusal. Each slot is a question of its own to the pacing."""
    request = encode_slot_identity(session=handle, slot=slot)
    reply = await session.exchange(
        request, session_reply_length, label=f"identity of slot {slot}", max_reply=MAX_TCP_REPLY
    )
    answer = decode_unconnected(reply, request)
    if answer.status:
        return answer
    if answer.service != _GET_ATTRIBUTES_ALL:
        raise BadReply(f"slot {slot} answered service 0x{answer.service:02X}")
    return decode_identity(answer.data)


def _is_same(one: CipIdentity, other: CipIdentity) -> bool:
    """Whether both are the same module: a serial number is unique within its vendor."""
    return (one.vendor_id, one.serial) == (other.vendor_id, other.serial) and one.serial != 0


async def _catalogue(session: Session, handle: int) -> tuple[DeviceIdentity, ...]:
    request = encode_diagnostic_status(session=handle)
    reply = await session.exchange(
        request, session_reply_length, label=_LABEL_PCCC, max_reply=MAX_TCP_REPLY
    )
    text = decode_diagnostic_status(decode_unconnected(reply, request))
    return (DeviceIdentity(order_number=text),) if text else ()


_LABEL: Final = "ListIdentity"
_LABEL_PCCC: Final = "PCCC diagnostic status"
_LABEL_UNREGISTER: Final = "UnRegisterSession"
_GET_ATTRIBUTES_ALL: Final = 0x01
_IDENTITY_OBJECT: Final = b"\x20\x01\x24\x01"
_CONNECTION_MANAGER: Final = b"\x20\x06\x24\x01"
_PCCC_OBJECT: Final = b"\x20\x67\x24\x01"
_REGISTER: Final = bytes.fromhex("65000400000000000000000000000000000000000000000001000000")
_SEND_RR_DATA: Final = bytes.fromhex(
    "6f0016000100000000000000000000000000000000000000000000000a00020000000000b2000600010220012401"
)

PROBE = Probe(
    name="enip",
    protocol="enip",
    transport=Transport.UDP,
    ports=(44818,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_list_identity(),
            trace="one or two datagrams in the Ethernet counters; no session, no log entry",
        ),
    ),
    for_controllers=True,
    prepare=client.prepare,
)

TCP_PROBE = Probe(
    name="enip",
    protocol="enip",
    transport=Transport.TCP,
    ports=(44818,),
    tier=Tier.IDENTIFY,
    run=run_tcp,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_list_identity(),
            trace="one TCP connection in the Ethernet diagnostics; no session, no log entry",
        ),
    ),
    needs=frozenset({"udp_silent"}),
    for_controllers=True,
    prepare=client.prepare,
)

READ_PROBE = Probe(
    name="enip",
    protocol="enip",
    transport=Transport.TCP,
    ports=(44818,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label="RegisterSession",
            sample=_REGISTER,
            trace="one encapsulation session and one TCP connection in the Ethernet diagnostics "
            "while it lasts (a MicroLogix with ten sessions in use drops its oldest)",
        ),
        Question(
            label="identity object, all attributes",
            sample=_SEND_RR_DATA,
            trace="one unconnected message in the message router's counters",
        ),
        Question(
            label="identity of a slot (Logix chassis only)",
            sample=encode_slot_identity(session=1, slot=16),
            at_most=SLOTS,
            trace="as many unconnected messages in the counters of the message router and of the "
            "connection manager, which also counts each empty slot as a failed request, and one in "
            "those of each module; no connection is opened",
        ),
        Question(
            label=_LABEL_PCCC + " (MicroLogix and SLC only)",
            sample=encode_diagnostic_status(session=1),
            trace="one unconnected message and one PCCC command in the channel's counters",
        ),
        Question(label=_LABEL_UNREGISTER, sample=encode_unregister_session(session=1)),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    prepare=client.prepare,
    deadline_s=60.0,
)
