"""
Microsoft SQL Server: its version, and whether it insists on encryption.

1. Connect to TCP 1433 and send PRELOGIN (packet type 12): our version, all zero, and "I cannot
   encrypt" (ENCRYPT_NOT_SUP). 26 bytes, no instance, no thread, no name.
2. The server answers a packet of type 04 with its own version and encryption: NOT_SUP (02), it has
   none; OFF (00), it would encrypt no more than the login packet of those who can; REQ (03) or ON
   (01), nobody is let in without encryption.
3. Close, before a login and before TLS.

Why this is the gentlest question: it is the message that every client must send first, names nobody
and opens no session; the Browser service on UDP 1434 would tell more, and would tell it of every
instance. What a server answers to "I cannot" is what a client without encryption would meet.

Sample result: version "15.0.2000", encrypted False, details encryption "off". The version is that
of the server's software, whoever made it: the protocol has no field for a product, so there is no
identity. A server set to strict encryption (TDS 8.0) speaks TLS first and does not answer this.

Never: LOGIN7, TLS inside PRELOGIN, a SQL batch, an RPC, attention, bulk load.

Source: MS-TDS sections 2.2.3.1 (packet header), 2.2.6.5 (PRELOGIN and its values of
encryption). Header and offsets big-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

PRELOGIN: Final = 0x12
TABULAR_RESULT: Final = 0x04
END_OF_MESSAGE: Final = 0x01
HEADER: Final = 8
"""Type, status, length with the header (2), SPID (2), packet number, window."""
MAX_REPLY: Final = 4096

VERSION: Final = 0x00
ENCRYPTION: Final = 0x01
TERMINATOR: Final = 0xFF
MAX_OPTIONS: Final = 32

OFF, ON, NOT_SUPPORTED, REQUIRED = 0x00, 0x01, 0x02, 0x03
NAMES: Final = {OFF: "off", ON: "on", NOT_SUPPORTED: "not supported", REQUIRED: "required"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prelogin:
    """`encryption` is one of the four values, None where the option is missing or another."""

    version: str
    encryption: int | None


def encode_prelogin() -> bytes:
    """Header, two options of token (1), offset (2), length (2), terminator, their data."""
    version, encryption = bytes(6), bytes([NOT_SUPPORTED])
    at = 5 + 5 + 1
    options = bytes([VERSION]) + at.to_bytes(2, "big") + len(version).to_bytes(2, "big")
    options += bytes([ENCRYPTION]) + (at + len(version)).to_bytes(2, "big") + b"\x00\x01"
    body = options + bytes([TERMINATOR]) + version + encryption
    length = HEADER + len(body)
    return bytes([PRELOGIN, END_OF_MESSAGE]) + length.to_bytes(2, "big") + bytes(4) + body


def reply_length(buffer: bytes) -> int | None:
    """One packet. Raises BadReply on another type than 04, on more than one, and on lengths."""
    if buffer and buffer[0] != TABULAR_RESULT:
        raise BadReply(f"expected a TDS packet of type 04, got {buffer[:8].hex()}")
    if len(buffer) < 4:
        return None
    length = int.from_bytes(buffer[2:4], "big")
    if buffer[1] & END_OF_MESSAGE == 0 or not HEADER < length <= MAX_REPLY:
        raise BadReply(f"not one whole TDS packet: {buffer[:8].hex()}")
    return length if len(buffer) >= length else None


def decode_prelogin(reply: bytes) -> Prelogin:
    """Options by token; VERSION has to be there and first. Raises BadReply."""
    if reply_length(reply) != len(reply):
        raise BadReply(f"expected one TDS packet, got {reply[:16].hex()}")
    body = reply[HEADER:]
    found: dict[int, bytes] = {}
    at = 0
    for _ in range(MAX_OPTIONS):
        if at >= len(body):
            raise BadReply("options without a terminator")
        token = body[at]
        if token == TERMINATOR:
            break
        if at + 5 > len(body):
            raise BadReply("an option that is cut off")
        start = int.from_bytes(body[at + 1 : at + 3], "big")
        size = int.from_bytes(body[at + 3 : at + 5], "big")
        if start + size > len(body):
            raise BadReply(f"option {token:02x} lies outside the packet")
        if at == 0 and (token, size) != (VERSION, 6):
            raise BadReply("the first option is no version")
        found.setdefault(token, body[start : start + size])
        at += 5
    else:
        raise BadReply("too many options")
    version = found.get(VERSION, b"")
    if len(version) != 6 or not any(version):
        raise BadReply("an answer without a version")
    said = found.get(ENCRYPTION, b"")
    build = int.from_bytes(version[2:4], "big")
    return Prelogin(
        version=f"{version[0]}.{version[1]}.{build}",
        encryption=said[0] if len(said) == 1 and said[0] in NAMES else None,
    )


def facts_of(told: Prelogin) -> tuple[Fact, ...]:
    """OFF lets all but the login pass in clear text, to somebody who can encrypt it."""
    encrypted = None if told.encryption is None else told.encryption in (ON, REQUIRED)
    details = () if told.encryption is None else (("encryption", NAMES[told.encryption]),)
    return (
        ServiceAccess(protocol="mssql", encrypted=encrypted, version=told.version, details=details),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """One PRELOGIN. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_prelogin(), reply_length, label=_LABEL, max_reply=MAX_REPLY
    )
    return facts_of(decode_prelogin(reply))


_LABEL: Final = "PRELOGIN"

PROBE = Probe(
    name="mssql",
    protocol="mssql",
    transport=Transport.TCP,
    ports=(1433,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_prelogin(),
            trace="a connection that ended before a login",
        ),
    ),
)
