"""
MQTT: with tier login, whether a broker lets anybody connect; before that, no more than its TLS end.

On TCP 1883 nothing is asked below the login tier, not even whether the port is open: an MQTT broker
says nothing by itself, and the only thing that a client can say first is CONNECT, which is a
sign-in. On TCP 8883 the identify tier (`TLS_PROBE`) makes one TLS handshake and keeps version,
cipher and certificate; that it is MQTT behind it, the handshake does not show.

Login tier (`LOGIN_PROBE`, in TLS `TLS_LOGIN_PROBE`), one connection:

1. CONNECT of version 3.1.1: clean session, no will, no name, no password, keep-alive 10 s, and a
   client identifier that nobody else has; a broker ends the connection of whoever has the same.
2. CONNACK tells: accepted, refused for want of authorisation, or something else.
3. Where it was accepted, DISCONNECT.

It is one attempt of the ledger, however it ends. Why this is the gentlest way: a clean session
leaves nothing behind, no topic is named, and nothing is published or received.

Sample result: ServiceAccess(protocol="mqtt", answers_without_login=True, encrypted=False,
version="3.1.1", details=(("CONNACK", "0"),)).

Never: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, a will, names and passwords, anybody's client identifier.

Source: OASIS MQTT 3.1.1 sections 3.1 (CONNECT), 3.2 (CONNACK) and 3.14 (DISCONNECT); OASIS MQTT 5.0
section 3.2.2.2 (reason codes of a broker that speaks version 5 alone).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from probes.http import tls_face
from scanner.attempt import CountedAttempt, counted
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

CONNECT, CONNACK, DISCONNECT = 0x10, 0x20, 0xE0
LEVEL: Final = 4
CLEAN_SESSION: Final = 0x02
KEEP_ALIVE_S: Final = 10
PREFIX: Final = "walkdown"
IDENTIFIER: Final = 23
"""Characters; a broker need not take more (section 3.1.3.1), nor others than letters and digits."""
MAX_REPLY: Final = 256

ACCEPTED: Final = 0
REFUSED: Final = frozenset({4, 5, 0x86, 0x87})
"""Bad user name or password, and not authorised, in versions 3.1.1 and 5."""
VERSION_5: Final = 0x80
ANONYMOUS: Final = "anonymous"


def encode_connect(identifier: str) -> bytes:
    """
    `10 length 0004 'MQTT' 04 flags=02 keep-alive(2) length(2) identifier`, big-endian. Raises
    ValueError when the identifier is none of ours.
    """
    if len(identifier) != IDENTIFIER or not identifier.startswith(PREFIX):
        raise ValueError("an identifier of ours has 23 characters and our name")
    name = identifier.encode("ascii")
    body = b"\x00\x04MQTT" + bytes([LEVEL, CLEAN_SESSION]) + KEEP_ALIVE_S.to_bytes(2, "big")
    body += len(name).to_bytes(2, "big") + name
    return bytes([CONNECT, len(body)]) + body


def encode_disconnect() -> bytes:
    return bytes([DISCONNECT, 0])


def identifier_for(session: Session) -> str:
    """Nobody else's: from the site's own key, the place and the moment."""
    target = session.target
    seed = f"{target.zone}|{target.address}|{target.port}|{session.now().isoformat()}"
    digest = blake2b(seed.encode(), key=session.fingerprint_key, digest_size=16).hexdigest()
    return PREFIX + digest[: IDENTIFIER - len(PREFIX)]


def connack_length(buffer: bytes) -> int | None:
    """`20 length`, of which one byte is enough for any CONNACK that fits. Raises BadReply."""
    if buffer and buffer[0] != CONNACK:
        raise BadReply(f"expected CONNACK, got {buffer[:4].hex()}")
    if len(buffer) < 2:
        return None
    if not 2 <= buffer[1] < 0x80:
        raise BadReply(f"a CONNACK of {buffer[1]:#x} bytes")
    return 2 + buffer[1] if len(buffer) >= 2 + buffer[1] else None


def decode_connack(reply: bytes) -> int:
    """The return code; from 80 on a reason code of version 5. Raises BadReply."""
    length = connack_length(reply)
    if length is None or reply[2] not in (0, 1):
        raise BadReply(f"expected CONNACK, got {reply[:4].hex()}")
    if reply[3] and reply[2]:
        raise BadReply("a refusal that keeps a session")
    return reply[3]


def accepted(code: int) -> bool | None:
    """None: refused for another reason than who came."""
    if code == ACCEPTED:
        return True
    return False if code in REFUSED else None


async def run_tls(session: Session) -> tuple[Fact, ...]:
    """One handshake, nothing said inside. Raises Withheld, WireError."""
    return (replace(tls_face(await session.start_tls()), seen_at=session.now()),)


async def run_login(session: Session) -> tuple[Fact, ...]:
    """One sign-in without a name, in clear text. Raises Withheld, WireError."""
    return await _login(session, encrypted=False)


async def run_tls_login(session: Session) -> tuple[Fact, ...]:
    """The same inside TLS. Raises Withheld, WireError."""
    return await _login(session, encrypted=True)


async def _login(session: Session, *, encrypted: bool) -> tuple[Fact, ...]:
    service = f"{'mqtts' if encrypted else 'mqtt'}/{session.target.port}"
    attempt: CountedAttempt | None = None
    code: int | None = None
    try:
        async with counted(session, service, ANONYMOUS) as attempt:
            if not attempt.withheld:
                code = await _connect(session, attempt, encrypted=encrypted)
    except WireError:
        if attempt is None or attempt.left is None or attempt.took_s is None:
            raise  # nobody is there, or nothing that speaks MQTT
    details = (("CONNACK", str(code)),) if code is not None else ()
    if attempt.withheld:
        details = (("anonymous not tried", attempt.withheld),)
    return (
        ServiceAccess(
            protocol="mqtt",
            answers_without_login=attempt.accepted,
            encrypted=encrypted,
            version=None if code is None else "5" if code & VERSION_5 else "3.1.1",
            details=details,
        ),
    )


async def _connect(session: Session, attempt: CountedAttempt, *, encrypted: bool) -> int:
    if encrypted:
        await session.start_tls()
    await attempt.leaves()
    connect = encode_connect(identifier_for(session))
    try:
        reply = await session.exchange(connect, connack_length, label=_CONNECT, max_reply=MAX_REPLY)
    except WireError:
        if not session.connected:
            attempt.left = None  # nobody took the connection, so no attempt was made
        raise
    code = decode_connack(reply)
    attempt.answered(accepted=accepted(code))
    if code == ACCEPTED:
        # A goodbye that the device forestalls, or that a window's end keeps back, costs no answer.
        with suppress(WireError, Withheld):
            await session.exchange(encode_disconnect(), None, label=_DISCONNECT)
    return code


# --- what the engine finds ---------------------------------------------------------------------

_CONNECT: Final = "CONNECT without a name"
_DISCONNECT: Final = "DISCONNECT"
_TLS: Final = Question(label="TLS handshake", packets=4)
"""Client hello, key exchange and Finished (two segments at most), close_notify in the goodbye."""
_SIGNING_IN: Final = (
    Question(
        label=_CONNECT,
        sample=encode_connect(PREFIX + "0" * (IDENTIFIER - len(PREFIX))),
        trace="one client without a name that came and went, or was refused, in the broker's log",
    ),
    Question(label=_DISCONNECT, sample=encode_disconnect()),
)

TLS_PROBE = Probe(
    name="mqtt",
    protocol="mqtt",
    service="mqtts",
    transport=Transport.TCP,
    ports=(8883,),
    tier=Tier.IDENTIFY,
    run=run_tls,
    questions=(_TLS,),
)

LOGIN_PROBE = Probe(
    name="mqtt",
    protocol="mqtt",
    transport=Transport.TCP,
    ports=(1883,),
    tier=Tier.LOGIN,
    run=run_login,
    questions=_SIGNING_IN,
    deadline_s=120.0,
)

TLS_LOGIN_PROBE = Probe(
    name="mqtt",
    protocol="mqtt",
    service="mqtts",
    transport=Transport.TCP,
    ports=(8883,),
    tier=Tier.LOGIN,
    run=run_tls_login,
    questions=(_TLS, *_SIGNING_IN),
    needs=frozenset({"answered"}),
    deadline_s=120.0,
)
