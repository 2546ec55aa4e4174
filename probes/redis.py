"""
Redis: whether a database answers somebody who has shown no password.

1. Connect to TCP 6379 and send `PING`, as the array of one bulk string that every client sends.
2. The server answers `+PONG` to anybody who may give commands without a login; `-NOAUTH …` where it
   wants a password first (`-ERR operation not permitted` from older ones); `-NOPERM …` where the
   default user may not give this command; `-DENIED …` where its protected mode turns away whoever
   is not on the same machine.
3. In the read tier, only where PONG came: `INFO server`, which tells version, mode, operating
   system and executable. No key is read.
4. Close. `QUIT` would be an orderly goodbye, but is deprecated; a close is what clients do.

Why this is the gentlest question: PING touches no key, no counter of a user and no log. Redis takes
commands one at a time, so that one that walks all keys would hold up everybody; these two do not.

Sample result: ServiceAccess(protocol="redis", answers_without_login=True, encrypted=False), in the
read tier version "7.0.15". Which machine it runs on is not told, so there is no identity.

Never: AUTH, HELLO, CONFIG, KEYS, GET, SET, FLUSHALL, EVAL, SLAVEOF, SHUTDOWN and every other
command, nor `INFO` with another section.

Source: Redis documentation, "Redis serialization protocol specification", commands PING and INFO,
errors NOAUTH and DENIED, "Security" (protected mode).
"""

from __future__ import annotations

from typing import Final

from scanner.errors import BadReply
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

MAX_LINE: Final = 2048
MAX_INFO: Final = 32 * 1024
MAX_TEXT: Final = 128
WANTS_LOGIN: Final = ("NOAUTH", "ERR operation not permitted", "NOPERM")
TURNED_AWAY: Final = ("DENIED",)
TOLD: Final = ("redis_mode", "os", "executable", "valkey_version", "server_name")
"""Fields of INFO that become details, beside the version."""


def encode_ping() -> bytes:
    """`*1`, `$4`, `PING`, each ended by CR LF."""
    return b"*1\r\n$4\r\nPING\r\n"


def encode_info() -> bytes:
    """An array of two bulk strings: INFO, server."""
    return b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"


def line_length(buffer: bytes) -> int | None:
    """Up to CR LF. Raises BadReply on what begins neither a simple string nor an error."""
    if buffer and buffer[:1] not in (b"+", b"-"):
        raise BadReply(f"expected + or -, got {buffer[:16]!r}")
    end = buffer.find(b"\r\n")
    if end < 0 and len(buffer) > MAX_LINE:
        raise BadReply("a line without end")
    return None if end < 0 else end + 2


def info_length(buffer: bytes) -> int | None:
    """A bulk string: `$`, its length in decimal, CR LF, text, CR LF; or an error's line."""
    if buffer[:1] in (b"", b"-"):
        return line_length(buffer)
    if buffer[:1] != b"$":
        raise BadReply(f"expected a bulk string, got {buffer[:16]!r}")
    end = buffer.find(b"\r\n", 0, 16)
    if end < 0:
        if len(buffer) >= 16:
            raise BadReply("a bulk string without a length")
        return None
    digits = buffer[1:end]
    if not digits.isdigit() or int(digits) > MAX_INFO:
        raise BadReply(f"a bulk string of {digits[:12]!r}")
    whole = end + 2 + int(digits) + 2
    return whole if len(buffer) >= whole else None


def decode_ping(reply: bytes) -> ServiceAccess:
    """What the answer to PING shows. Raises BadReply."""
    length = line_length(reply)
    if length is None or length != len(reply):
        raise BadReply(f"expected one line, got {reply[:16]!r}")
    text = _shown(reply[1:-2])
    if reply == b"+PONG\r\n":
        return ServiceAccess(protocol="redis", answers_without_login=True, encrypted=False)
    if reply[:1] == b"-" and text.startswith(WANTS_LOGIN):
        return ServiceAccess(
            protocol="redis",
            answers_without_login=False,
            encrypted=False,
            authentication=("password",),
        )
    if reply[:1] == b"-" and text.startswith(TURNED_AWAY):
        return ServiceAccess(
            protocol="redis", encrypted=False, details=(("refused", "protected mode"),)
        )
    raise BadReply(f"expected PONG or a refusal, got {text[:40]!r}")


def decode_info(reply: bytes) -> ServiceAccess:
    """The fields of the section `server`: lines `name:value` behind `# Server`. Raises BadReply."""
    length = info_length(reply)
    if length is None or length != len(reply):
        raise BadReply(f"expected one bulk string, got {reply[:16]!r}")
    if reply[:1] == b"-":
        return decode_ping(reply)
    body = reply[reply.index(b"\r\n") + 2 : -2]
    fields = {}
    for line in body.splitlines()[:200]:
        name, colon, value = line.partition(b":")
        if colon:
            fields[_shown(name)] = _shown(value)
    if "redis_version" not in fields:
        raise BadReply("INFO without redis_version")
    return ServiceAccess(
        protocol="redis",
        answers_without_login=True,
        encrypted=False,
        version=fields["redis_version"] or None,
        details=tuple((name, fields[name]) for name in TOLD if fields.get(name)),
    )


def _shown(text: bytes) -> str:
    plain = text[:MAX_TEXT].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in plain).strip()


async def run(session: Session) -> tuple[Fact, ...]:
    """PING, and nothing else. Raises Withheld, WireError."""
    reply = await session.exchange(encode_ping(), line_length, label=_PING, max_reply=2 * MAX_LINE)
    return (decode_ping(reply),)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """INFO server, where PING was answered by PONG. Raises Withheld, WireError."""
    if not any(
        isinstance(fact, ServiceAccess) and fact.protocol == "redis" and fact.answers_without_login
        for fact in session.known
    ):
        return ()
    reply = await session.exchange(encode_info(), info_length, label=_INFO, max_reply=MAX_INFO + 64)
    return (decode_info(reply),)


_PING: Final = "PING"
_INFO: Final = "INFO server"

PROBE = Probe(
    name="redis",
    protocol="redis",
    transport=Transport.TCP,
    ports=(6379,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(Question(label=_PING, sample=encode_ping()),),
)

READ_PROBE = Probe(
    name="redis",
    protocol="redis",
    transport=Transport.TCP,
    ports=(6379,),
    tier=Tier.READ,
    run=run_read,
    needs=frozenset({"answered"}),
    questions=(Question(label=_INFO, sample=encode_info()),),
)
