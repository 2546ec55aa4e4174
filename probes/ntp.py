"""
NTP: whether a device serves time and from where, and in the read tier which software it tells.

Identify tier (`PROBE`): one datagram to UDP 123, as every SNTP client sends it: version 3, mode 3
(client), all fields zero but the transmit timestamp, which holds eight bytes that the reply has to
give back as its originate timestamp. The reply tells version, stratum, leap indicator and
reference.

Read tier (`READ_PROBE`): one control message, mode 6, READVAR, for the variables `version`,
`processor` and `system` of the server itself. Naming them keeps the answer to a few dozen bytes.

Why this is the gentlest question: the first is the protocol's everyday request and changes nothing
in the server, not even its list of associations as mode 1 would. The second reads what an
operator's `ntpq` reads.

Sample result: ServiceAccess(protocol="ntp", version="3", details=(("stratum", "1"), ("reference",
"GPS"), …)); read: details "version": "ntpd 4.2.8p10@1.3728-o …".

What software runs is no identity of the device, so none is told.

Never: mode 7 (monlist and all else), mode 6 with WRITEVAR, CONFIGURE, SETTRAP or any other opcode,
modes 1, 2 and 5, authentication.

Source: RFC 5905 sections 7.3 (header) and 7.4 (kiss codes); RFC 4330 section 5 (a client's fields);
RFC 9327 sections 2 (control message) and 2.1 (READVAR).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

HEADER: Final = 48
CONTROL_HEADER: Final = 12
MAX_REPLY: Final = 1024
MAX_TEXT: Final = 128

CLIENT, SERVER, CONTROL = 3, 4, 6
NONCE: Final = b"walkdown"
SEQUENCE: Final = 0x5744
READVAR: Final = 2
VARIABLES: Final = ("version", "processor", "system")

LEAPS: Final = {0: "none", 1: "61 seconds", 2: "59 seconds", 3: "not synchronised"}
_VARIABLE: Final = re.compile(r'([a-z_]{1,32})\s*=\s*(?:"([^"]{0,512})"|([^,"]{0,512}))')


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTime:
    """`reference`: kiss code or clock (stratum 0 and 1), an address or hash in hex (above)."""

    version: int
    leap: int
    stratum: int
    reference: str


def encode_client() -> bytes:
    """`1B` (leap 0, version 3, mode 3), 39 zeros, transmit timestamp (8)."""
    return b"\x1b" + bytes(39) + NONCE


def encode_readvar() -> bytes:
    """
    `16` (version 2, mode 6), opcode, sequence(2), status(2)=0, association(2)=0, offset(2)=0,
    count(2), the names; big-endian.
    """
    names = ",".join(VARIABLES).encode("ascii")
    head = bytes([0x16, READVAR]) + SEQUENCE.to_bytes(2, "big") + bytes(6)
    return head + len(names).to_bytes(2, "big") + names + bytes(-len(names) % 4)


def client_reply(datagram: bytes) -> int | None:
    """A server's reply to another request is not waited for. An empty datagram is none."""
    strange = len(datagram) >= HEADER and datagram[0] & 7 == SERVER and datagram[24:32] != NONCE
    return None if strange else len(datagram) or None


def decode_server(reply: bytes) -> ServerTime:
    """
    `leap(2 bits) version(3) mode(3) stratum poll precision`, delay(4), dispersion(4), reference(4),
    four timestamps of 8; what comes behind is authentication. Raises BadReply.
    """
    if len(reply) < HEADER or reply[0] & 7 != SERVER:
        raise BadReply(f"expected a server's time, got {reply[:12].hex()}")
    if reply[24:32] != NONCE:
        raise BadReply(f"answers another request: originate {reply[24:32].hex()}")
    stratum, reference = reply[1], reply[12:16]
    if stratum > 16:
        raise BadReply(f"stratum {stratum} is none")
    name = reference.rstrip(b"\x00")
    readable = stratum <= 1 and name and all(0x20 < byte < 0x7F for byte in name)
    return ServerTime(
        version=reply[0] >> 3 & 7,
        leap=reply[0] >> 6,
        stratum=stratum,
        reference=name.decode("ascii") if readable else reference.hex(),
    )


def control_reply(datagram: bytes) -> int | None:
    """As `client_reply`, by the sequence number."""
    strange = (
        len(datagram) >= CONTROL_HEADER
        and datagram[0] & 7 == CONTROL
        and datagram[2:4] != SEQUENCE.to_bytes(2, "big")
    )
    return None if strange else len(datagram) or None


def decode_control(reply: bytes) -> dict[str, str]:
    """
    The variables in the first fragment of a response: opcode with 80 response, 40 error, 20 more.
    Raises BadReply, also where the server refuses.
    """
    if len(reply) < CONTROL_HEADER or reply[0] & 7 != CONTROL or reply[1] & 0x9F != 0x80 | READVAR:
        raise BadReply(f"expected a control response, got {reply[:CONTROL_HEADER].hex()}")
    if reply[2:4] != SEQUENCE.to_bytes(2, "big"):
        raise BadReply(f"answers another request: sequence {reply[2:4].hex()}")
    if reply[1] & 0x40:
        raise BadReply(f"READVAR was refused with status {reply[4:6].hex()}")
    if reply[8:10] != bytes(2):
        raise BadReply("a fragment that is not the first")
    count = int.from_bytes(reply[10:12], "big")
    return decode_variables(reply[CONTROL_HEADER : CONTROL_HEADER + count])


def decode_variables(data: bytes) -> dict[str, str]:
    """`name=value` or `name="value"`, parted by commas; the names that were asked for."""
    text = data[:MAX_REPLY].decode("utf-8", "replace")
    found = {name: quoted or plain for name, quoted, plain in _VARIABLE.findall(text)}
    return {name: said for name in VARIABLES if (said := _shown(found.get(name, "")))}


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text.strip())[:MAX_TEXT]


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    told = decode_server(
        await session.exchange(encode_client(), client_reply, label=_LABEL, max_reply=MAX_REPLY)
    )
    return (
        ServiceAccess(
            protocol="ntp",
            answers_without_login=True,
            encrypted=False,
            version=str(told.version),
            details=(
                ("stratum", str(told.stratum)),
                ("reference", told.reference),
                ("leap", LEAPS[told.leap]),
            ),
        ),
    )


async def run_read(session: Session) -> tuple[Fact, ...]:
    """One control message. Raises Withheld, WireError."""
    variables = decode_control(
        await session.exchange(
            encode_readvar(), control_reply, label=_LABEL_READVAR, max_reply=MAX_REPLY
        )
    )
    return (
        ServiceAccess(
            protocol="ntp",
            answers_without_login=True,
            encrypted=False,
            details=(("control messages", "READVAR is answered"), *variables.items()),
        ),
    )


_LABEL: Final = "time, as a client asks"
_LABEL_READVAR: Final = "READVAR: version, processor, system"

PROBE = Probe(
    name="ntp",
    protocol="ntp",
    transport=Transport.UDP,
    ports=(123,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_client(),
            trace="one or two datagrams in the server's statistics of its clients",
        ),
    ),
)

READ_PROBE = Probe(
    name="ntp",
    protocol="ntp",
    transport=Transport.UDP,
    ports=(123,),
    tier=Tier.READ,
    run=run_read,
    questions=(Question(label=_LABEL_READVAR, sample=encode_readvar()),),
    needs=frozenset({"answered"}),
    deadline_s=30.0,
)
