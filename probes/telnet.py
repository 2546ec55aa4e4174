"""
Telnet: what a device shows to anybody who connects, and whether it asks for a login.

Identify tier, one connection (`PROBE`):

1. Connect and listen. A Telnet server speaks first: option requests and, sooner or later, its
   greeting and a prompt.
2. Refuse every option: `DO x` gets `WONT x`, `WILL x` gets `DONT x` (RFC 854, RFC 855). A
   terminal that can nothing is always allowed; some servers show their prompt only after this.
   At most three rounds, each option once.
3. Listen until a prompt, 2 KiB or 5 s; close. No text is ever sent, not even a carriage return:
   behind a console server it would be a key pressed on another machine's console.
4. A greeting by which another protocol begins (SSH, FTP, SMTP, POP3, IMAP, RFB) is nobody's Telnet:
   it is answered with nothing.

Sample: `FF FD 18 FF FD 20` … "User Access Verification", "Username: " gives a face that asks for
a login, and vendor Cisco.

Login tier (`LOGIN_PROBE`): the same to the prompt; a command prompt there means that nobody needs
a password, and none is tried. Otherwise one default credential of the product seen here: user
name, wait for the password prompt, password. Accepted is only what ends in a command prompt; no
command is sent. Only then a second connection tries a user that cannot exist.
Source: RFC 854, RFC 855; option names from the IANA registry "Telnet Options"; the greetings of
others: RFC 4253 section 4.2, RFC 959 and RFC 5321 (220), RFC 1939, RFC 9051 and RFC 6143 section
7.1.1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from scanner.attempt import CountedAttempt, counted
from scanner.errors import BadReply, Closed, Reset, Silent, WireError
from scanner.facts import CredentialAttempt, DeviceIdentity, Fact, TelnetFace
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Secret, Session

IAC, DONT, DO, WONT, WILL, SB, SE = 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF0
OPTION_NAMES = {
    0: "binary", 1: "echo", 3: "suppress-go-ahead", 5: "status", 6: "timing-mark",
    24: "terminal-type", 31: "window-size", 32: "terminal-speed", 33: "flow-control",
    34: "linemode", 35: "x-display", 36: "environment", 37: "authentication", 38: "encryption",
    39: "new-environment", 44: "com-port",
}  # fmt: skip

COLLECT_MAX = 2048
ROUNDS = 3
LISTEN_S = 5.0
AFTER_REFUSAL_S = 3.0
LINE_MAX = 64

OTHERS = re.compile(
    rb"(?P<SSH>(?:[^\n]*\n)*?SSH-\d\.\d+-)|(?P<FTP_or_SMTP>220[ -])|(?P<POP3>\+OK )"
    rb"|(?P<IMAP>\* OK )|(?P<RFB>RFB \d{3}\.\d{3}\n)"
)
"""How servers of other protocols greet that speak first; SSH's line may follow others."""

CONTROL_USER = "walkdown-nobody"
CONTROL_SECRET = "walkdown-control"  # noqa: S105 - not a secret: the control must be wrong
REFUSAL_WORDS = ("incorrect", "invalid", "failed", "failure", "denied", "wrong", "bad password")
LOCKOUT_WORDS = ("locked", "too many", "try again later", "temporarily", "blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What came, taken apart: `offers` are (command, option) of DO and WILL in their order."""

    text: bytes
    offers: tuple[tuple[int, int], ...]
    whole: bool
    """False when the bytes end inside a command."""


# --- bytes -------------------------------------------------------------------------------------


def decode_screen(data: bytes) -> Screen:
    """
    Separate text from Telnet commands. Total: every byte string is some Telnet stream.

    IAC is 255; 255 255 is a data byte 255; IAC followed by DO, DONT, WILL or WONT takes one option
    byte; a subnegotiation goes from IAC SB to IAC SE; any other command is two bytes.
    Source: RFC 854 "TELNET COMMAND STRUCTURE", RFC 855.
    """
    text = bytearray()
    offers: list[tuple[int, int]] = []
    i = 0
    while i < len(data):
        if data[i] != IAC:
            text.append(data[i])
            i += 1
            continue
        if i + 1 >= len(data):
            return Screen(text=bytes(text), offers=tuple(offers), whole=False)
        command = data[i + 1]
        if command == IAC:
            text.append(IAC)
            i += 2
        elif command in (DO, DONT, WILL, WONT):
            if i + 2 >= len(data):
                return Screen(text=bytes(text), offers=tuple(offers), whole=False)
            if command in (DO, WILL):
                offers.append((command, data[i + 2]))
            i += 3
        elif command == SB:
            end = data.find(bytes([IAC, SE]), i + 2)
            if end < 0:
                return Screen(text=bytes(text), offers=tuple(offers), whole=False)
            i = end + 2
        else:
            i += 2
    return Screen(text=bytes(text), offers=tuple(offers), whole=True)


def greets_as(data: bytes) -> str | None:
    """The other protocol that begins with these bytes; None: nothing says that it is not Telnet."""
    found = OTHERS.match(data)
    return None if found is None or found.lastgroup is None else found.lastgroup.replace("_", " ")


def encode_refusals(offers: tuple[tuple[int, int], ...]) -> bytes:
    """WONT for each DO, DONT for each WILL, every one once."""
    answers = (bytes([IAC, WONT if command == DO else DONT, option]) for command, option in offers)
    return b"".join(dict.fromkeys(answers))


def encode_line(text: str) -> bytes:
    """
    A user name or password with CR LF (RFC 854, "end of line"). Raises ValueError when it cannot
    be sent: longer than 64 bytes, or not printable ASCII.
    """
    if len(text) > LINE_MAX or not all(" " <= c <= "~" for c in text):
        raise ValueError("a Telnet line of at most 64 printable ASCII characters")
    return text.encode("ascii") + b"\r\n"


def shown(text: bytes) -> str:
    """Text as a terminal would show it: CR and NUL dropped, escape sequences removed, bounded."""
    plain = text[:COLLECT_MAX].decode("utf-8", "replace").replace("\r", "").replace("\0", "")
    plain = _ESCAPE.sub("", plain)
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in plain)


_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]{0,16}[A-Za-z]|[()][0-9A-B]|[=>78])")

# --- meaning -----------------------------------------------------------------------------------

_USER_PROMPT = re.compile(
    r"(?:login|log in|user ?(?:name|id)?|account|benutzer(?:name)?)\s{0,4}[:>]\s{0,4}$",
    re.IGNORECASE,
)
_PASSWORD_PROMPT = re.compile(
    r"(?:password|passwd|passcode|pass phrase|pin|kennwort|passwort)"
    r"(?: for [!-~]{1,40})?\s{0,4}[:>]\s{0,4}$",
    re.IGNORECASE,
)
_COMMAND_PROMPTS = (
    re.compile(r"^[^\s<>#$]{1,64}(?: ?\([^()]{1,32}\))? {0,2}[>#$] {0,4}$"),  # host#, host(mode)>
    re.compile(r"^(?:<[\w.-]{1,40}>|\[[\w.@~ /-]{1,60}\] ?[>#$]) {0,4}$"),  # <host>, [a@b ~]$
    re.compile(r"^(?:>|[>#$] )$"),  # a lone "#" may be the first of a line of them
)


def last_line(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2]


def asks_for(text: str) -> str | None:
    """
    "user", "password" or "command", by the last line of a screen; None when it cannot be told.

    A command prompt leaves the cursor behind it; a line that was ended is text, not a prompt.
    """
    line = last_line(text)
    if len(line) > 200:
        return None
    if _PASSWORD_PROMPT.search(line):
        return "password"
    if _USER_PROMPT.search(line):
        return "user"
    if not text.endswith("\n") and any(prompt.match(line) for prompt in _COMMAND_PROMPTS):
        return "command"
    return None


def face_of(text: str, offers: tuple[tuple[int, int], ...]) -> TelnetFace:
    options = tuple(
        dict.fromkeys(
            f"{'do' if command == DO else 'will'} {OPTION_NAMES.get(option, option)}"
            for command, option in offers
        )
    )
    prompt = asks_for(text)
    return TelnetFace(
        banner=text.strip(),
        options=options[:64],
        asks_login=None if prompt is None else prompt != "command",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`fields` are patterns searched for once `text` was found; their named groups are values."""

    text: re.Pattern[str]
    vendor: str
    device_class: str | None
    fields: tuple[re.Pattern[str], ...]
    source: str


@cache
def products() -> tuple[Product, ...]:
    """The table probes/data/telnet_products.toml, in its order."""
    table = tomllib.loads((files("probes") / "data" / "telnet_products.toml").read_text("utf-8"))
    return tuple(
        Product(
            text=re.compile(row["text"], re.MULTILINE),
            vendor=row["vendor"],
            device_class=row.get("device_class"),
            fields=tuple(
                re.compile(row[key], re.MULTILINE)
                for key in ("model", "firmware", "serial", "hardware", "name")
                if key in row
            ),
            source=row["source"],
        )
        for row in table["product"]
    )


def identify_greeting(text: str) -> DeviceIdentity | None:
    """Who made the device, where the greeting carries a phrase of one maker's software."""
    for product in products():
        if found := product.text.search(text):
            values = {key: value.strip() for key, value in found.groupdict().items() if value}
            for pattern in product.fields:
                if more := pattern.search(text):
                    values |= {key: value.strip() for key, value in more.groupdict().items()}
            return DeviceIdentity(
                vendor=product.vendor,
                model=values.get("model"),
                firmware=values.get("firmware"),
                serial=values.get("serial"),
                hardware=values.get("hardware"),
                name=values.get("name"),
                device_class=product.device_class,
                basis="text",
            )
    return None


# --- identify ----------------------------------------------------------------------------------


def settled(
    before: bytes, refused: frozenset[bytes], *, answer: bool
) -> Callable[[bytes], int | None]:
    """
    A framer: a reply is whole when it brought options to refuse (if `answer`), or when the screen
    so far ends in a prompt or begins as another protocol's, or when enough has come.
    """

    def framer(data: bytes) -> int | None:
        screen = decode_screen(before + data)
        if len(before) + len(data) >= COLLECT_MAX or greets_as(before + data):
            return len(data)
        if not screen.whole or not data:
            return None
        if answer and set(_singles(screen.offers)) - refused:
            return len(data)
        return len(data) if asks_for(shown(screen.text)) else None

    return framer


def _singles(offers: tuple[tuple[int, int], ...]) -> tuple[bytes, ...]:
    joined = encode_refusals(offers)
    return tuple(joined[i : i + 3] for i in range(0, len(joined), 3))


async def listen(session: Session) -> Screen:
    """
    Everything up to the first prompt. Silence and a close after the first bytes end it; before
    them they are the device's answer and pass on. Raises BadReply where it is no Telnet.
    """
    refused: frozenset[bytes] = frozenset()
    request: bytes | None = None
    data = b""  # text and commands so far
    for turn in range(ROUNDS + 1):
        try:
            data += await session.exchange(
                request,
                settled(data, refused, answer=turn < ROUNDS),
                label="options refused" if request else "greeting",
                deadline_s=LISTEN_S if request is None else AFTER_REFUSAL_S,
                max_reply=COLLECT_MAX,
                whatever_came=True,
            )
        except (Silent, Closed, Reset):
            if not data:
                raise
            break
        if other := greets_as(data):
            raise BadReply(f"a greeting of {other}, not of Telnet")
        screen = decode_screen(data)
        new = tuple(single for single in _singles(screen.offers) if single not in refused)
        if not new or turn == ROUNDS or len(data) >= COLLECT_MAX:
            break
        request = b"".join(new)
        refused |= set(new)
    screen = decode_screen(data)
    if not screen.offers and not shown(screen.text).replace("\ufffd", "").strip():
        raise BadReply("no option and nothing that a terminal would show: not Telnet")
    return screen


async def run(session: Session) -> tuple[Fact, ...]:
    screen = await listen(session)
    text = shown(screen.text)
    facts: list[Fact] = [face_of(text, screen.offers)]
    if (identity := identify_greeting(text)) is not None:
        facts.append(identity)
    return tuple(facts)


# --- login -------------------------------------------------------------------------------------


async def run_login(session: Session) -> tuple[Fact, ...]:
    """Baseline, one product-matched default credential, and its control if it was accepted."""
    credential = next((c for c in session.default_credentials if c.protocol == "telnet"), None)
    if credential is None:
        return ()
    service = f"telnet/{session.target.port}"
    fact = CredentialAttempt(
        service=service,
        credential=credential.id,
        account=credential.user,
        product=credential.product,
    )
    attempt: CountedAttempt | None = None
    try:
        async with counted(session, service, credential.user) as attempt:
            prompt = asks_for(shown((await listen(session)).text))
            if prompt == "command":
                return (replace(fact, open_without_login=True, withheld="open_without_login"),)
            if prompt is None:
                return ()
            if not attempt.withheld:
                await _try(session, attempt, prompt, credential.user, credential.secret)
    except WireError:
        if attempt is None or attempt.left is None:
            raise  # nothing was tried
    fact = attempt.told_in(fact)
    if attempt.accepted:
        fact = replace(fact, control_accepted=await _control(session, service))
    return (fact,)


async def _control(session: Session, service: str) -> bool | None:
    """The same with a user that cannot exist; None when it could not be asked or answered."""
    await session.close()
    attempt: CountedAttempt | None = None
    try:
        async with counted(session, service, CONTROL_USER) as attempt:
            if attempt.withheld:
                return None
            prompt = asks_for(shown((await listen(session)).text))
            if prompt == "command":
                return True  # let in without being asked: certainly no authentication
            if prompt != "user":
                return None  # a password alone: a wrong one would count against the real account
            await _try(session, attempt, prompt, CONTROL_USER, Secret(CONTROL_SECRET))
    except WireError:
        if attempt is None:
            return None
    return attempt.accepted


async def _try(
    session: Session, attempt: CountedAttempt, prompt: str, user: str, secret: Secret
) -> None:
    try:
        lines = encode_line(user), encode_line(secret.reveal())
    except ValueError:
        attempt.withheld = "policy"  # this credential cannot be typed on a terminal
        return
    await attempt.leaves()
    accepted, sign = judged(await _say(session, prompt, *lines))
    attempt.answered(accepted=accepted, lockout_sign=sign)


async def _say(session: Session, prompt: str, user: bytes, password: bytes) -> str:
    """User name if it is asked for, then the password; the screen that follows."""
    if prompt == "user":
        screen = await _line(session, user, label="user name", secret=False)
        if asks_for(screen) != "password":
            return screen  # let in, or refused, without a password
    return await _line(session, password, label="password", secret=True)


async def _line(session: Session, line: bytes, *, label: str, secret: bool) -> str:
    reply = await session.exchange(
        line,
        settled(b"", frozenset(), answer=False),
        label=label,
        secrets=((0, len(line) - 2),) if secret else (),
        deadline_s=LISTEN_S,
        max_reply=COLLECT_MAX,
        whatever_came=True,
    )
    return shown(decode_screen(reply).text)


def judged(screen: str) -> tuple[bool | None, str | None]:
    """
    What the screen after a login says: accepted (only a command prompt is; None: it cannot be
    told) and the words that smell of a lock.
    """
    lower = screen.lower()
    prompt = asks_for(screen)
    if prompt == "command":
        return True, None
    for words in LOCKOUT_WORDS:
        if words in lower:
            return False, words
    if prompt is not None or any(word in lower for word in REFUSAL_WORDS):
        return False, None
    return None, None


# --- what the engine finds ---------------------------------------------------------------------

_LISTENING = (
    Question(
        label="listen: greeting and options",
        packets=0,
        trace="one connection without a login in the device's log",
    ),
    Question(
        label="refuse the options it asks for",
        sample=bytes([IAC, WONT, 24, IAC, DONT, 1]),
        at_most=ROUNDS,
    ),
)

PROBE = Probe(
    name="telnet",
    protocol="telnet",
    transport=Transport.TCP,
    ports=(23,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=_LISTENING,
    deadline_s=15.0,
)

LOGIN_PROBE = Probe(
    name="telnet",
    protocol="telnet",
    transport=Transport.TCP,
    ports=(23,),
    tier=Tier.LOGIN,
    run=run_login,
    questions=(
        replace(_LISTENING[0], at_most=2),
        replace(_LISTENING[1], at_most=2 * ROUNDS),
        Question(label="user name of the default account", sample=b"admin\r\n"),
        Question(
            label="password of the default account (masked in the evidence)",
            sample=b"\0\0\0\0\0\r\n",
            trace="one failed login, or a login and a logout, of the default account in the log",
        ),
        Question(
            label="control: a user that cannot exist (only after a login was accepted)",
            sample=f"{CONTROL_USER}\r\n".encode(),
            at_most=2,
            trace=f"one failed login of user {CONTROL_USER} in the device's log",
        ),
    ),
    connections=2,
    needs=frozenset({"answered", "default_credential"}),
    deadline_s=120.0,
)
