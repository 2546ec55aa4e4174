"""
GE-SRTP: whether a controller of GE, GE Fanuc or Emerson answers there, and nothing else.

1. Connect to TCP port 18245 and send the initialisation: 56 zero bytes.
2. The reply is 56 bytes, of which the first is 01 and the ninth 0F as most devices have it; all
   others are 0. Then the connection is ended; the protocol has no goodbye.

The reply carries no identity, so none is stated: neither a model nor a vendor, since the products
went from GE Fanuc to GE Intelligent Platforms to Emerson. What is told is that the service is
there and opens a session for anybody.

Why this is the gentlest question: it is how every client begins, and reaches no CPU. What would
tell more (service 43, controller type and id; service 00, short status) is addressed to a
mailbox, whose first byte is the CPU's slot: to find it means trying slots. Of neither are request
and reply published by two sources that do not rest on one another, so they are left out. Never
sent: memory and program writes (07 to 09), programmer logon (20), privilege level (21), control id
(22), run and stop (23), clock (24), clear fault tables (39), program transfer (3F, 40), force (44).

Sample result: the service "srtp", without an identity.

Source: recorded reply on port 18245 (ICS-pcap, GE-SRTP/Notes.txt); the same exchange with an
RX3i CPE330, firmware 10.85 (gesrtp-py, PROTOCOL_DISCOVERIES.md) and with Series 90-30 and 90-70
(TheMadHatt3r, ge-ethernet-SRTP); G. Denton et al., "Leveraging the SRTP protocol for
over-the-network memory acquisition of a GE Fanuc Series 90-30", DFRWS 2017, section 4.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

MESSAGE: Final = 56
INITIALISED: Final = 0x01
VARIES: Final = 8
"""The one byte besides the first in which recorded replies differ."""


def encode_initialisation() -> bytes:
    """56 zero bytes."""
    return bytes(MESSAGE)


def reply_length(buffer: bytes) -> int | None:
    """Length of the reply. Raises BadReply on what begins otherwise, our own bytes among them."""
    if buffer and buffer[0] != INITIALISED:
        raise BadReply(f"expected the reply to an SRTP initialisation, got {buffer[:8].hex()}")
    return MESSAGE if len(buffer) >= MESSAGE else None


def decode_initialisation(reply: bytes) -> int:
    """The ninth byte, 0x0F in most devices. Raises BadReply on what is not that reply."""
    if len(reply) != MESSAGE or reply[0] != INITIALISED:
        raise BadReply(f"expected the reply to an SRTP initialisation, got {reply[:16].hex()}")
    if any(reply[1:VARIES]) or any(reply[VARIES + 1 :]):
        raise BadReply(f"an SRTP initialisation is answered with zeros, not {reply.hex()}")
    return reply[VARIES]


async def run(session: Session) -> tuple[Fact, ...]:
    """One request, one reply. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_initialisation(), reply_length, label=_LABEL, max_reply=MESSAGE
    )
    decode_initialisation(reply)
    return (ServiceAccess(protocol="srtp", answers_without_login=True, encrypted=False),)


_LABEL: Final = "initialisation"

PROBE = Probe(
    name="srtp",
    protocol="srtp",
    transport=Transport.TCP,
    ports=(18245,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_initialisation(),
            trace="one of the Ethernet interface's SRTP connections while it lasts; no fault entry",
        ),
    ),
    for_controllers=True,
    spoken_by=r"\bge\b|emerson|fanuc|general electric",
)
