"""
PostgreSQL: that a database listens, and whether it would encrypt what is said to it.

1. Connect to TCP 5432 and send SSLRequest: `00000008 04D2162F`, eight bytes.
2. The server answers one byte: `S`, it would go on with a TLS handshake, or `N`, it has no TLS.
3. Close. No handshake, no start-up message, so no user and no database is ever named.

Why this is the gentlest question: every client that can do TLS begins with it, no backend looks at
a database for it, and a server that is left after its answer logs nothing with `N` and one line on
a handshake that did not come with `S`. A start-up message would tell more (whether a password is
wanted), but it names a user, and its refusal is a failed login in the log.

Sample result: encrypted False, details tls "not offered".
With `S` it stays open whether a client that does without TLS is let in as well: that is settled by
the server's pg_hba.conf. Version, host and databases are not told without a login, so there is no
identity. The answer is one byte, which a stranger may send as well: whoever says more than that one
byte is nobody, and so is an error message of a server from before 7.0.

Never: StartupMessage, CancelRequest (ends somebody's query), GSSENCRequest, a password, a query.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", sections "SSL Session Encryption" and
"Message Formats" (SSLRequest). Numbers big-endian.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

SSL_REQUEST_CODE: Final = 1234 << 16 | 5679
WILLING: Final = b"S"
UNWILLING: Final = b"N"


def encode_ssl_request() -> bytes:
    """Length (4, itself included), code (4)."""
    return (8).to_bytes(4, "big") + SSL_REQUEST_CODE.to_bytes(4, "big")


def reply_length(buffer: bytes) -> int | None:
    """One byte. Raises BadReply on any other, and where more came with it."""
    if not buffer:
        return None
    if buffer not in (WILLING, UNWILLING):
        raise BadReply(f"expected S or N and nothing behind it, got {buffer[:16].hex()}")
    return 1


def decode_reply(reply: bytes) -> bool:
    """Whether TLS is offered. Raises BadReply."""
    if reply_length(reply) is None:
        raise BadReply("an empty answer")
    return reply == WILLING


def facts_of(offers_tls: bool) -> tuple[Fact, ...]:
    """Without TLS every login and every row is in clear text; with it that is not settled yet."""
    return (
        ServiceAccess(
            protocol="postgres",
            encrypted=None if offers_tls else False,
            details=(("tls", "offered" if offers_tls else "not offered"),),
        ),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """One request, one byte. Raises Withheld, WireError."""
    reply = await session.exchange(encode_ssl_request(), reply_length, label=_LABEL, max_reply=64)
    return facts_of(decode_reply(reply))


_LABEL: Final = "SSLRequest"

PROBE = Probe(
    name="postgres",
    protocol="postgres",
    transport=Transport.TCP,
    ports=(5432,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=encode_ssl_request(),
            trace="a connection without a login: one line in the log where connections are logged "
            "or TLS is offered",
        ),
    ),
)
