"""
VNC (RFB): which version a server speaks, and what it asks of somebody who wants to see its screen.

1. Connect to TCP 5900 and listen: the server greets with twelve bytes, `RFB 003.008` and a line
   feed.
2. Answer with the same line, or with the newest version that is published (3.8) where the server
   names a later one; a number that is no published version is taken for 3.3, as the RFC wants it.
3. The server lists the security types that it offers (from 3.7 on), or dictates one (3.3), or
   gives a reason why it will not talk.
4. Close before a type is chosen. No password is asked for, no screen is shared, nobody's session is
   replaced.

Why this is the gentlest question: it is the least that can be said before a server tells whether
it wants a password. To choose type 1 would open the desktop, and with it somebody's panel. Some
servers refuse an address for a while after several connections that come to nothing, so there is
exactly one.

Sample result: VncFace(version="003.008", security_types=("VNC Authentication", "Tight")).

Versions 4 and 5 are RealVNC's own and 3.889 is Apple's; the server's software is told by nothing
else, and the device behind it by nothing at all.

Never: a security type (one byte), ClientInit, key or pointer events, clipboard text.

Source: RFC 6143 sections 7.1.1 (ProtocolVersion), 7.1.2 (Security) and 7.1.3; names of the types
from the IANA registry "Remote Framebuffer Security Types".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply, Closed, Silent
from scanner.facts import Fact, ServiceAccess, VncFace
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

GREETING: Final = 12
_GREETING: Final = re.compile(rb"RFB (\d{3})\.(\d{3})\n")
MAX_REASON: Final = 1024
MAX_TEXT: Final = 256

INVALID, NONE, VNC_AUTHENTICATION = 0, 1, 2
TYPE_NAMES: Final = {
    1: "None", 2: "VNC Authentication", 5: "RA2", 6: "RA2ne", 16: "Tight", 17: "Ultra", 18: "TLS",
    19: "VeNCrypt", 20: "SASL", 21: "MD5 hash authentication", 22: "xvp", 23: "Secure Tunnel",
    24: "Integrated SSH", 30: "Apple 30", 31: "Apple 31", 32: "Apple 32", 33: "Apple 33",
    34: "Apple 34", 35: "Apple 35", 129: "RA256", 130: "RAne256",
}  # fmt: skip
"""129 and 130 are not registered; TigerVNC implements RealVNC's under these names."""

Version = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """`types` in the server's order; None with `refused`, the server's reason not to talk."""

    types: tuple[int, ...] | None
    refused: str | None = None


def greeting_length(buffer: bytes) -> int | None:
    """Twelve bytes. Raises BadReply as soon as they cannot become a greeting."""
    start = b"RFB "
    if not start.startswith(buffer[:4]) and not buffer.startswith(start):
        raise BadReply(f"expected RFB and a version, got {buffer[:GREETING]!r}")
    return GREETING if len(buffer) >= GREETING else None


def decode_version(greeting: bytes) -> Version:
    """`RFB xxx.yyy` and a line feed, decimal. Raises BadReply."""
    found = _GREETING.fullmatch(greeting[:GREETING])
    if found is None:
        raise BadReply(f"expected RFB and a version, got {greeting[:GREETING]!r}")
    return int(found[1]), int(found[2])


def spoken_with(theirs: Version) -> Version:
    """The version to go on with: 3.8, 3.7, or 3.3 for whatever else there is below."""
    if theirs >= (3, 8):
        return 3, 8
    return (3, 7) if theirs == (3, 7) else (3, 3)


def encode_version(version: Version) -> bytes:
    """`RFB 003.00x` and a line feed."""
    return b"RFB %03d.%03d\n" % version


def security_length(buffer: bytes, version: Version) -> int | None:
    """
    Length of the server's security message. Raises BadReply on our own version coming back.

    From 3.7: number of types (1), types. In 3.3: the type (4, big-endian), 0 to 2. Number or type 0
    is followed by the length (4, big-endian) and the text of a reason.
    """
    if buffer.startswith(b"RFB"):
        raise BadReply("our own version came back")
    head = 4 if version < (3, 7) else 1
    if len(buffer) < head:
        return None
    number = int.from_bytes(buffer[:head], "big")
    if number == 0:
        if len(buffer) < head + 4:
            return None
        length = int.from_bytes(buffer[head : head + 4], "big")
        if length > MAX_REASON:
            raise BadReply(f"a reason of {length} bytes")
        end = head + 4 + length
    elif version >= (3, 7):
        end = head + number
    elif number in (NONE, VNC_AUTHENTICATION):
        end = head  # a challenge may come right behind it, and is left alone
    else:
        raise BadReply(f"security type {number} is none that RFB 3.3 knows")
    return end if len(buffer) >= end else None


def decode_security(reply: bytes, version: Version) -> Security:
    """What `security_length` found whole. Raises BadReply."""
    length = security_length(reply, version)
    if length is None:
        raise BadReply(f"a security message that is cut off: {reply[:16].hex()}")
    head = 4 if version < (3, 7) else 1
    number = int.from_bytes(reply[:head], "big")
    if number == 0:
        return Security(types=None, refused=_shown(reply[head + 4 : length]))
    types = tuple(reply[1:length]) if version >= (3, 7) else (number,)
    return Security(types=tuple(dict.fromkeys(types)))


def _shown(text: bytes) -> str:
    plain = text[:MAX_TEXT].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in plain).strip()


def type_name(number: int) -> str:
    """As registered, or the number."""
    return TYPE_NAMES.get(number, f"type {number}")


def facts_of(theirs: Version, security: Security | None) -> tuple[Fact, ...]:
    """`security` None: the server greeted and then told nothing."""
    version = f"{theirs[0]:03d}.{theirs[1]:03d}"
    types = None if security is None or security.types is None else security.types
    face = VncFace(
        version=version,
        security_types=None if types is None else tuple(map(type_name, types)),
        refused=None if security is None else security.refused,
    )
    maker = "RealVNC" if theirs[0] in (4, 5) else "Apple" if theirs == (3, 889) else None
    if maker is None:
        return (face,)
    return (
        face,
        ServiceAccess(protocol="vnc", version=version, details=(("implementation", maker),)),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """Greeting, version, types; nothing is chosen. Raises Withheld, WireError."""
    theirs = decode_version(
        await session.exchange(None, greeting_length, label=_GREETS, max_reply=GREETING)
    )
    version = spoken_with(theirs)
    try:
        reply = await session.exchange(
            encode_version(version), _framer(version), label=_ANSWERS, max_reply=2 * MAX_REASON
        )
    except (Silent, Closed):
        return facts_of(theirs, None)  # who greets like that is a VNC server all the same
    return facts_of(theirs, decode_security(reply, version))


def _framer(version: Version) -> Callable[[bytes], int | None]:
    return lambda buffer: security_length(buffer, version)


_GREETS: Final = "greeting"
_ANSWERS: Final = "version, for the security types"

PROBE = Probe(
    name="vnc",
    protocol="vnc",
    transport=Transport.TCP,
    ports=(5900,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(label=_GREETS, packets=0),
        Question(
            label=_ANSWERS,
            sample=encode_version((3, 8)),
            trace="one connection that ended before a login, in the server's log",
        ),
    ),
)
