"""
IPMI: which kinds of login a server's management controller takes, and whether any is none.

1. One datagram to UDP 623: Get Channel Authentication Capabilities for this channel and privilege
   level administrator, in an RMCP frame of IPMI 1.5 without a session.
2. The controller answers which authentication types it has, whether there are users without a name
   or even without a password, whether the key KG of IPMI 2.0 is still all zero, and which versions
   it speaks.

Why this is the gentlest question: it is the first that every client asks, opens no session, names
nobody, and its answer is made before a login. The next one (Get Session Challenge, or Open Session
and RAKP) names a user, takes one of few sessions, and lets a hash of the user's password out: it is
never sent. Get Device ID would tell vendor and firmware, but is meant for sessions.

Sample result: version "2.0", authentication ("MD5", "password"), details anonymous login
"disabled", users without a name "disabled", KG "default". The controller's maker is told only
where it has a login of its own (OEM), as a number; no model is told, so there is no identity.
A controller of IPMI 1.5 that refuses the bit which asks for the data of 2.0 is told as such.

Never: Get Session Challenge, Activate Session, Open Session, RAKP, any command of another network
function (chassis, sensors, storage, firmware), ASF ping.

Source: IPMI specification second generation v2.0 revision 1.1, sections 13.1.3 (RMCP), 13.6
(session header), 13.8 (LAN messages) and 22.13 (Get Channel Authentication Capabilities); IANA
enterprise number least significant byte first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

RMCP: Final = bytes.fromhex("0600ff07")
"""Version 6, reserved, no acknowledgement, class IPMI."""
NO_SESSION: Final = bytes(9)
"""Authentication type none, sequence number (4), session id (4)."""
HEADER: Final = 14
BMC, REMOTE_CONSOLE = 0x20, 0x81
APPLICATION: Final = 0x06
GET_CAPABILITIES: Final = 0x38
SEQUENCE: Final = 0x15
"""Six bits that come back in the answer. One datagram is out at a time."""
THIS_CHANNEL: Final = 0x0E
WITH_2_0: Final = 0x80
ADMINISTRATOR: Final = 0x04

TYPES: Final = ((0x01, "none"), (0x02, "MD2"), (0x04, "MD5"), (0x10, "password"), (0x20, "OEM"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Bytes 3 to 9 of the answer; `extended` 0 where the controller speaks 1.5 alone."""

    channel: int
    types: int
    status: int
    extended: int
    oem: int


def checksum(data: bytes) -> int:
    """Two's complement of the sum: with it the bytes add up to 0 modulo 256."""
    return -sum(data) & 0xFF


def encode_capabilities() -> bytes:
    """RMCP, no session, length (1), address, function, checksum, address, sequence, command …"""
    first = bytes([BMC, APPLICATION << 2])
    second = bytes([REMOTE_CONSOLE, SEQUENCE << 2, GET_CAPABILITIES])
    second += bytes([WITH_2_0 | THIS_CHANNEL, ADMINISTRATOR])
    message = first + bytes([checksum(first)]) + second + bytes([checksum(second)])
    return RMCP + NO_SESSION + bytes([len(message)]) + message


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def decode_answer(reply: bytes) -> tuple[int, bytes]:
    """
    Completion code and data of the answer to our command. Raises BadReply on anything else: on
    our own datagram too, whose function is no response.
    """
    if len(reply) < HEADER + 8 or reply[:4] != RMCP or reply[4] != 0:
        raise BadReply(f"expected IPMI without a session, got {reply[:16].hex()}")
    size = reply[HEADER - 1]
    message = reply[HEADER : HEADER + size]
    if size < 8 or len(message) != size:
        raise BadReply(f"an IPMI message of length {size} in {len(reply)} bytes")
    if checksum(message[:2]) != message[2] or checksum(message[3:-1]) != message[-1]:
        raise BadReply("an IPMI message whose checksum is wrong")
    expected = bytes([REMOTE_CONSOLE, (APPLICATION | 1) << 2])
    if message[:2] != expected or message[3:6] != bytes([BMC, SEQUENCE << 2, GET_CAPABILITIES]):
        raise BadReply(f"not the answer to our command: {message[:6].hex()}")
    return message[6], message[7:-1]


def decode_capabilities(data: bytes) -> Capabilities:
    """Channel, types, status, extended, OEM id (3, little-endian), OEM data. Raises BadReply."""
    if len(data) < 3:
        raise BadReply(f"authentication capabilities of {len(data)} bytes")
    return Capabilities(
        channel=data[0] & 0x0F,
        types=data[1],
        status=data[2],
        extended=data[3] if len(data) > 3 and data[1] & 0x80 else 0,
        oem=int.from_bytes(data[4:7], "little") if len(data) >= 7 else 0,
    )


def facts_of(told: Capabilities) -> tuple[Fact, ...]:
    speaks_2_0 = bool(told.extended & 0x02)
    details = [
        ("channel", str(told.channel)),
        ("anonymous login", _enabled(told.status & 0x01)),
        ("users without a name", _enabled(told.status & 0x02)),
        ("authentication of each message", _enabled(not told.status & 0x10)),
        ("authentication of users", _enabled(not told.status & 0x08)),
    ]
    if speaks_2_0:
        details.append(("KG", "set" if told.status & 0x20 else "default"))
    if told.oem:
        details.append(("OEM", str(told.oem)))
    return (
        ServiceAccess(
            protocol="ipmi",
            answers_without_login=True,
            encrypted=False,
            version="2.0" if speaks_2_0 else "1.5",
            authentication=tuple(name for bit, name in TYPES if told.types & bit),
            details=tuple(details),
        ),
    )


def _enabled(flag: object) -> str:
    return "enabled" if flag else "disabled"


def refused_facts(code: int) -> tuple[Fact, ...]:
    """A controller that answers with a completion code, and tells nothing by it."""
    return (
        ServiceAccess(
            protocol="ipmi", encrypted=False, details=(("completion code", f"{code:02x}"),)
        ),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram. Raises Withheld, WireError."""
    reply = await session.exchange(encode_capabilities(), datagram_length, label=_LABEL)
    code, data = decode_answer(reply)
    return refused_facts(code) if code else facts_of(decode_capabilities(data))


_LABEL: Final = "Get Channel Authentication Capabilities"

PROBE = Probe(
    name="ipmi",
    protocol="ipmi",
    transport=Transport.UDP,
    ports=(623,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(Question(label=_LABEL, sample=encode_capabilities()),),
)
