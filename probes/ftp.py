"""
FTP: how a server greets, what it can, and with tier login whether it lets anybody in.

Identify tier (`PROBE`), one connection to TCP 21:

1. Connect and listen: the server greets with a reply that begins 220.
2. Say `QUIT` and close.

Read tier (`READ_PROBE`): greeting, then `FEAT` (the extensions, among them `AUTH TLS`) and `SYST`,
which are answered before a login or refused; `QUIT`.

Login tier (`LOGIN_PROBE`): greeting, `USER anonymous`, and where a password is asked for an address
as RFC 1635 has it; `QUIT`. It is one attempt of the ledger, however it ends. Nothing is listed or
fetched then.

Why this is the gentlest question: the greeting comes by itself. Modicon controllers have an FTP
server that odd requests brought down (CVE-2019-6841 and others); one that is only told goodbye has
nothing to go down under.

Sample result: ServiceAccess(protocol="ftp", encrypted=False, details=(("greeting", "AP7932 Network
Management Card AOS v3.3.4 FTP server ready."),)); vendor APC, model AP7932, firmware 3.3.4.

A greeting of 220 is SMTP's as well; one that names SMTP is none of FTP.

Never: STOR, APPE, STOU, DELE, RMD, MKD, RNFR, SITE, PORT, PASV, RETR, LIST, and any other name or
password.

Source: RFC 959 sections 4.2 (replies) and 5.4 (sequences); RFC 2389 section 3 (FEAT); RFC 4217
section 5.1 (AUTH TLS); RFC 1635 section 3 (anonymous).
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from scanner.attempt import CountedAttempt, counted
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

MAX_REPLY: Final = 8192
MAX_TEXT: Final = 256
MAX_FEATURES: Final = 32

READY, WAIT, CLOSING = 220, 120, 421
FEATURES, SYSTEM = 211, 215
LOGGED_IN, PASSWORD_WANTED = 230, 331
UNKNOWN_COMMAND: Final = frozenset({500, 502})

ANONYMOUS: Final = "anonymous"
ADDRESS: Final = "walkdown@example.invalid"
LOCKOUT_WORDS: Final = ("locked", "too many", "try again later", "temporarily", "blocked")

_FIRST_LINE: Final = re.compile(rb"([1-5][0-9]{2})([ -])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`lines` without the code; of several lines the ones between carry none."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(line for line in self.lines if line)[:MAX_TEXT].strip()


# --- bytes -------------------------------------------------------------------------------------


def encode_command(command: str) -> bytes:
    """A command with CR LF."""
    return command.encode("ascii") + b"\r\n"


def reply_length(buffer: bytes) -> int | None:
    """
    Up to the end of the line that ends the reply: the only one, or the one that repeats the code
    with a blank. Raises BadReply when it does not begin with a code.
    """
    if len(buffer) >= 4 and _FIRST_LINE.match(buffer) is None:
        raise BadReply(f"expected an FTP reply, got {buffer[:16]!r}")
    last = buffer[:3] + b" "
    at = 0
    while (end := buffer.find(b"\n", at)) >= 0:
        if buffer.startswith(last, at):
            return end + 1
        at = end + 1
    return None


def decode_reply(reply: bytes) -> Reply:
    """A whole reply. Raises BadReply."""
    length = reply_length(reply)
    found = _FIRST_LINE.match(reply)
    if length is None or found is None:
        raise BadReply(f"an FTP reply that is cut off: {reply[:16]!r}")
    code = reply[:3]
    lines = [
        _shown(line[4:] if line[:4] in (code + b" ", code + b"-") else line)
        for line in reply[: min(length, MAX_REPLY)].split(b"\n")[:-1]
    ]
    return Reply(code=int(code), lines=tuple(lines))


def _shown(line: bytes) -> str:
    plain = line[:MAX_TEXT].decode("utf-8", "replace").strip("\r\n\0 ")
    return "".join(c if c.isprintable() else "�" for c in plain)


# --- meaning -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    text: re.Pattern[str]
    vendor: str
    device_class: str | None
    source: str


@cache
def products() -> tuple[Product, ...]:
    """The table probes/data/ftp_products.toml, in its order."""
    table = tomllib.loads((files("probes") / "data" / "ftp_products.toml").read_text("utf-8"))
    return tuple(
        Product(
            text=re.compile(row["text"]),
            vendor=row["vendor"],
            device_class=row.get("device_class"),
            source=row["source"],
        )
        for row in table["product"]
    )


def identify_greeting(text: str) -> DeviceIdentity | None:
    """Whose device greets like that; None where it is nobody's own phrase."""
    for product in products():
        if found := product.text.search(text):
            said = found.groupdict()
            return DeviceIdentity(
                vendor=product.vendor,
                model=said.get("model"),
                firmware=said.get("firmware"),
                device_class=product.device_class,
                basis="text",
            )
    return None


def check_greeting(reply: Reply) -> str:
    """Its text. Raises BadReply when no FTP server greets like that."""
    if reply.code not in (READY, WAIT, CLOSING) or "SMTP" in reply.text.upper():
        raise BadReply(f"expected a greeting of FTP, got {reply.code} {reply.text[:60]!r}")
    return reply.text


def features_of(reply: Reply) -> tuple[str, ...] | None:
    """The extensions; () where the command is not known; None where it wants a login first."""
    if reply.code == FEATURES:
        return tuple(line for line in reply.lines[1:-1] if line)[:MAX_FEATURES]
    return () if reply.code in UNKNOWN_COMMAND else None


def judged(reply: Reply) -> tuple[bool | None, str | None]:
    """Whether a sign-in was accepted (None: it cannot be told), and what smells of a lock."""
    if reply.code == LOGGED_IN:
        return True, None
    for words in LOCKOUT_WORDS:
        if words in reply.text.lower():
            return False, words
    if reply.code == CLOSING:
        return False, "service closed"
    return (False, None) if reply.code >= 500 or reply.code == 332 else (None, None)


# --- conversations -----------------------------------------------------------------------------


async def _greeting(session: Session) -> str:
    reply = await session.exchange(None, reply_length, label=_GREETS, max_reply=MAX_REPLY)
    return check_greeting(decode_reply(reply))


async def _ask(session: Session, command: str, label: str) -> Reply:
    return decode_reply(
        await session.exchange(
            encode_command(command), reply_length, label=label, max_reply=MAX_REPLY
        )
    )


async def _goodbye(session: Session) -> None:
    # A goodbye that the device forestalls, or that a window's end keeps back, costs no answer.
    with suppress(WireError, Withheld):
        await session.exchange(encode_command("QUIT"), None, label=_QUITS)


async def run(session: Session) -> tuple[Fact, ...]:
    """Greeting and goodbye. Raises Withheld, WireError."""
    text = await _greeting(session)
    await _goodbye(session)
    details = (("greeting", text),) if text else ()
    access = ServiceAccess(protocol="ftp", encrypted=False, details=details)
    identity = identify_greeting(text)
    return (access,) if identity is None else (access, identity)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Extensions and system, as far as they are told before a login. Raises Withheld, WireError."""
    await _greeting(session)
    features = features_of(await _ask(session, "FEAT", _FEATURES))
    system = await _ask(session, "SYST", _SYSTEM)
    await _goodbye(session)
    details = [("feature", feature) for feature in features or ()]
    if system.code == SYSTEM:
        details.append(("system", system.text))
    return (
        ServiceAccess(
            protocol="ftp",
            encrypted=False,
            authentication=None if features is None else _offered(features),
            details=tuple(details),
        ),
    )


def _offered(features: tuple[str, ...]) -> tuple[str, ...]:
    """How one may sign in: in clear text always, and by the `AUTH` that is announced."""
    tls = [line for line in features if line.upper().startswith("AUTH")]
    return ("USER", *tls)


async def run_login(session: Session) -> tuple[Fact, ...]:
    """One anonymous sign-in, counted in the ledger. Raises Withheld, WireError."""
    attempt: CountedAttempt | None = None
    try:
        async with counted(session, f"ftp/{session.target.port}", ANONYMOUS) as attempt:
            if not attempt.withheld:
                await _sign_in(session, attempt)
                await _goodbye(session)
    except WireError:
        if attempt is None or attempt.left is None:
            raise  # nothing was tried
    told = (("anonymous not tried", attempt.withheld),) if attempt.withheld else ()
    return (
        ServiceAccess(
            protocol="ftp",
            encrypted=False,
            answers_without_login=attempt.accepted,
            details=told,
        ),
    )


async def _sign_in(session: Session, attempt: CountedAttempt) -> None:
    await _greeting(session)
    await attempt.leaves()
    reply = await _ask(session, f"USER {ANONYMOUS}", _USER)
    if reply.code == PASSWORD_WANTED:
        reply = await _ask(session, f"PASS {ADDRESS}", _PASSWORD)
    accepted, sign = judged(reply)
    attempt.answered(accepted=accepted, lockout_sign=sign)


# --- what the engine finds ---------------------------------------------------------------------

_GREETS: Final = "greeting"
_QUITS: Final = "QUIT"
_FEATURES: Final = "FEAT"
_SYSTEM: Final = "SYST"
_USER: Final = "USER anonymous"
_PASSWORD: Final = "PASS with an address"  # noqa: S105 - the name of a step
_LISTENS: Final = Question(
    label=_GREETS, packets=0, trace="one connection without a login in the server's log"
)
_LEAVES: Final = Question(label=_QUITS, sample=encode_command("QUIT"))

PROBE = Probe(
    name="ftp",
    protocol="ftp",
    transport=Transport.TCP,
    ports=(21,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(_LISTENS, _LEAVES),
)

READ_PROBE = Probe(
    name="ftp",
    protocol="ftp",
    transport=Transport.TCP,
    ports=(21,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        _LISTENS,
        Question(label=_FEATURES, sample=encode_command("FEAT")),
        Question(label=_SYSTEM, sample=encode_command("SYST")),
        _LEAVES,
    ),
    needs=frozenset({"answered"}),
    deadline_s=30.0,
)

LOGIN_PROBE = Probe(
    name="ftp",
    protocol="ftp",
    transport=Transport.TCP,
    ports=(21,),
    tier=Tier.LOGIN,
    run=run_login,
    questions=(
        _LISTENS,
        Question(label=_USER, sample=encode_command(f"USER {ANONYMOUS}")),
        Question(
            label=_PASSWORD,
            sample=encode_command(f"PASS {ADDRESS}"),
            trace="one sign-in of user anonymous, or one that failed, in the server's log",
        ),
        _LEAVES,
    ),
    needs=frozenset({"answered"}),
    deadline_s=120.0,
)
