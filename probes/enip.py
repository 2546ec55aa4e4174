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

In the read tier pycomm3, in a process of its own, registers a session, reads all attributes of the
identity object with one unconnected request, and gives the session back.

Source: ODVA, The CIP Networks Library, volume 2, section 2-4.2 (ListIdentity) and 2-3
(encapsulation header); volume 1, section 5A-2 (identity object).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from scanner.clients import cip as client
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import CipAccess, DeviceIdentity, Fact
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

LIST_IDENTITY: Final = 0x0063
UNREGISTER_SESSION: Final = 0x0066
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
    All attributes of the identity object, read by pycomm3. Raises Withheld, WireError.

    The session is given back here, on the same connection: a worker that ends with its last frame
    could be gone before the relay has passed it on.
    """
    async with session.relay() as (host, port):
        answer = await client.read_identity_object(host, port)
    goodbye = encode_unregister_session(session=answer.session)
    # A goodbye that the device forestalls, or that a window's end keeps back, costs no answer.
    with suppress(WireError, Withheld):
        await session.exchange(goodbye, None, label=_LABEL_UNREGISTER)
    if answer.refused is not None:
        raise BadReply(f"the identity object was refused: {answer.refused}")
    return facts(decode_identity(answer.attributes))


_LABEL: Final = "ListIdentity"
_LABEL_UNREGISTER: Final = "UnRegisterSession"
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
        Question(label=_LABEL_UNREGISTER, sample=encode_unregister_session(session=1)),
    ),
    needs=frozenset({"answered"}),
    for_controllers=True,
    prepare=client.prepare,
    deadline_s=60.0,
)
