"""
RDP: which ways of securing a connection a server takes, and whether it asks first who comes.

1. Connect to TCP 3389 and send one X.224 connection request that offers TLS, CredSSP and CredSSP
   with early authorisation. The server confirms and names the one it chose, or gives a reason why
   none will do.
2. Where it chose CredSSP, a second connection offers TLS alone: only that shows whether somebody
   gets to the logon screen without having shown a password first (network level authentication).
   Everywhere else the first answer has settled it.
3. Close. No TLS handshake, no MCS connect, no user name (no cookie), no logon screen.

Why this is the gentlest question: the negotiation is the first exchange of every RDP connection,
and what it costs the server is a connection that goes no further. A session of somebody who works
there is neither taken nor shown.

Sample result: RdpFace(protocols=("credssp_early", "tls"), needs_nla=False).

A confirmation without any negotiation data comes from terminal servers before Windows Server 2003
and from anything else on ISO transport; it proves neither, and nothing is concluded from it.

Never: standard RDP security offered alone, cookies and tokens, MCS, TLS, CredSSP (a password).

Source: [MS-RDPBCGR] sections 2.2.1.1 (Client X.224 Connection Request), 2.2.1.2 (Confirm),
2.2.1.2.1 (RDP_NEG_RSP), 2.2.1.2.2 (RDP_NEG_FAILURE); RFC 1006 section 6; ITU-T X.224 clauses 13.3
and 13.4.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply, Closed, Silent
from scanner.facts import Fact, RdpFace
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

PROTOCOL_RDP: Final = 0x0
PROTOCOL_SSL: Final = 0x1
PROTOCOL_HYBRID: Final = 0x2
PROTOCOL_HYBRID_EX: Final = 0x8
NAMES: Final = {
    PROTOCOL_RDP: "rdp",
    PROTOCOL_SSL: "tls",
    PROTOCOL_HYBRID: "credssp",
    PROTOCOL_HYBRID_EX: "credssp_early",
}
EVERYTHING: Final = PROTOCOL_SSL | PROTOCOL_HYBRID | PROTOCOL_HYBRID_EX

FAILURES: Final = {
    1: "SSL_REQUIRED_BY_SERVER",
    2: "SSL_NOT_ALLOWED_BY_SERVER",
    3: "SSL_CERT_NOT_ON_SERVER",
    4: "INCONSISTENT_FLAGS",
    5: "HYBRID_REQUIRED_BY_SERVER",
    6: "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
}
SSL_NOT_ALLOWED, SSL_CERT_NOT_ON_SERVER, HYBRID_REQUIRED = 2, 3, 5

CONFIRM: Final = 0xD0
RESPONSE, FAILURE = 0x02, 0x03
HEAD: Final = 11
"""TPKT (4) and the fixed part of a connection confirm (7)."""
NEGOTIATED: Final = HEAD + 8
MAX_REPLY: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """
    One of `selected` (a value of NAMES) and `failure` (a code of FAILURES), or neither where the
    confirmation carries no negotiation.
    """

    selected: int | None = None
    failure: int | None = None


def encode_request(protocols: int) -> bytes:
    """
    `03 00 length(2, big-endian)`, `0E E0 dst-ref(2)=0 src-ref(2)=0 class=0`, then RDP_NEG_REQ
    `01 flags=0 0800 protocols(4)`, little-endian.
    """
    negotiation = b"\x01\x00\x08\x00" + protocols.to_bytes(4, "little")
    return b"\x03\x00\x00\x13\x0e\xe0" + bytes(5) + negotiation


def reply_length(buffer: bytes) -> int | None:
    """Length by the TPKT header. Raises BadReply when it is none, or names too much."""
    if not b"\x03\x00".startswith(buffer[:2]):
        raise BadReply(f"expected TPKT, got {buffer[:4].hex()}")
    if len(buffer) < 4:
        return None
    length = int.from_bytes(buffer[2:4], "big")
    if not HEAD <= length <= MAX_REPLY:
        raise BadReply(f"a TPKT of {length} bytes confirms no connection")
    return length if len(buffer) >= length else None


def decode_confirm(reply: bytes, *, offered: int) -> Confirm:
    """
    A confirmation that refers to our request, with what was negotiated. Raises BadReply on anything
    else, also where a protocol is selected that was not offered.
    """
    length = reply_length(reply)
    if length is None:
        raise BadReply(f"a confirmation that is cut off: {reply[:NEGOTIATED].hex()}")
    if reply[5] != CONFIRM or reply[4] != length - 5:
        raise BadReply(f"expected a connection confirm, got {reply[4:HEAD].hex()}")
    if reply[6:8] != bytes(2):
        raise BadReply(f"confirms reference {reply[6:8].hex()}, ours was 0000")
    if length == HEAD:
        return Confirm()
    if length != NEGOTIATED or reply[13:15] != b"\x08\x00":
        raise BadReply(f"expected a negotiation, got {reply[HEAD : HEAD + 16].hex()}")
    value = int.from_bytes(reply[15:19], "little")
    if reply[HEAD] == FAILURE and value in FAILURES:
        return Confirm(failure=value)
    if reply[HEAD] == RESPONSE and value in NAMES and value & offered == value:
        return Confirm(selected=value)
    raise BadReply(f"expected a negotiation, got {reply[HEAD:NEGOTIATED].hex()}")


def needs_nla(first: Confirm, second: Confirm | None) -> bool | None:
    """
    Whether a connection without network level authentication is refused, as far as seen; `second`
    is the answer to TLS alone. CredSSP runs inside TLS, so a server that has none cannot insist.
    """
    if second is not None:
        if second.failure == HYBRID_REQUIRED:
            return True
        return False if second.selected is not None else None
    if first.selected in (PROTOCOL_RDP, PROTOCOL_SSL):
        return False
    return False if first.failure in (SSL_NOT_ALLOWED, SSL_CERT_NOT_ON_SERVER) else None


def face_of(first: Confirm, second: Confirm | None) -> RdpFace:
    taken = [one.selected for one in (first, second) if one and one.selected is not None]
    code = first.failure
    failure = None if code is None else FAILURES[code]
    if first == Confirm():
        failure = NO_NEGOTIATION
    return RdpFace(
        protocols=tuple(NAMES[one] for one in dict.fromkeys(taken)),
        needs_nla=needs_nla(first, second),
        failure=failure,
    )


NO_NEGOTIATION: Final = "no negotiation in the confirmation"


async def run(session: Session) -> tuple[Fact, ...]:
    """One negotiation, and a second one after CredSSP was chosen. Raises Withheld, WireError."""
    first = await _ask(session, EVERYTHING, _LABEL)
    if first.selected not in (PROTOCOL_HYBRID, PROTOCOL_HYBRID_EX):
        return (face_of(first, None),)
    await session.close()
    second: Confirm | None = None
    with suppress(Silent, Closed, BadReply):  # then it stays unknown what it does without
        second = await _ask(session, PROTOCOL_SSL, _LABEL_TLS)
    return (face_of(first, second),)


async def _ask(session: Session, protocols: int, label: str) -> Confirm:
    reply = await session.exchange(
        encode_request(protocols), reply_length, label=label, max_reply=MAX_REPLY
    )
    return decode_confirm(reply, offered=protocols)


_LABEL: Final = "connection request offering TLS and CredSSP"
_LABEL_TLS: Final = "connection request offering TLS alone"
_TRACE: Final = "one connection that ended before a logon, in the terminal service's log"

PROBE = Probe(
    name="rdp",
    protocol="rdp",
    transport=Transport.TCP,
    ports=(3389,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(label=_LABEL, sample=encode_request(EVERYTHING), trace=_TRACE),
        Question(label=_LABEL_TLS, sample=encode_request(PROTOCOL_SSL), trace=_TRACE),
    ),
    connections=2,
)
