"""
Niagara Fox: the greeting of a station, which it gives before it asks who is there.

1. `fox a 1 -1 fox hello` with the protocol's version, and nothing about us.
2. The station's own hello: version of the station software, virtual machine, operating system,
   station name, host id, brand. Many stations push a second frame at once, the challenge, which
   names the method of authentication; a Niagara 4 station sends another one first. What comes
   within two seconds is read, and the connection closed.

Why this is the gentlest question: no client can ask less, and no user is named. The station writes
the connect to its log.

Sample result: name "Legion_HQ_V4", firmware "3.5.41.1", vendor "Tridium", model "NPM6",
authentication digest-md5.

Vendor and model follow from the host id where that names a JACE (`Qnx-NPM6-…`): the second part is
its platform. A station on a PC has a host id of another form, and the maker of the PC is not told.
The brand is who sells it, and a detail.

Never sent: every other frame (authenticate, channels, subscriptions, commands).

Source: recording of a JACE (fox_info.pcap in the ITI collection) and Tridium's documentation of the
Fox service; the protocol has no published specification. Niagara 4: hello, kerberos, challenge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

HELLO: Final = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"
END: Final = b"};;\n"
MAX_REPLY: Final = 8192
MAX_TEXT: Final = 128
WAIT_S: Final = 2.0

OURS: Final = frozenset({"fox.version", "id"})
"""What our own hello says: an answer that says no more is none."""
TOLD: Final = (
    "app.name", "hostAddress", "hostName", "vm.name", "vm.version", "os.name", "os.version",
    "hostId", "brandId", "timeZone", "lang",
)  # fmt: skip
"""Fields of the hello that become details, in this order."""

_HEAD: Final = re.compile(rb"fox a \d{1,9} -?\d{1,9} fox (\w{1,32})\n\{\n")
_FIELD: Final = re.compile(rb"^([A-Za-z][\w.]{0,63})=([a-z]):([^\r\n]{0,1024})$", re.MULTILINE)
_JACE: Final = re.compile(r"Qnx-([A-Z0-9]{2,8})(?:-[0-9A-F]{4}){2,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """`method`: of the challenge behind the hello; None: none came."""

    fields: Mapping[str, str]
    method: str | None


def encode_hello() -> bytes:
    """One frame in ASCII: a head of words, then fields of `name=type:value` in braces."""
    return HELLO


def reply_length(buffer: bytes) -> int | None:
    """
    The hello and the frame behind it. Raises BadReply on what cannot become Fox.

    The second frame is waited for and need not come: the probe takes what is there.
    """
    if not b"fox a ".startswith(buffer[:6]):
        raise BadReply(f"expected Fox, got {buffer[:16]!r}")
    first = buffer.find(END)
    second = -1 if first < 0 else buffer.find(END, first + len(END))
    return None if second < 0 else second + len(END)


def decode_hello(reply: bytes) -> Hello:
    """
    A whole hello, and the challenge behind it if one came. Raises BadReply, also on a hello that
    says nothing but what ours said.
    """
    first = reply.find(END)
    head = _HEAD.match(reply)
    if head is None or first < 0 or head[1] != b"hello":
        raise BadReply(f"expected a Fox hello, got {reply[:32]!r}")
    fields = _fields(reply[head.end() : first])
    if not fields.keys() - OURS:
        raise BadReply("the hello is not more than our own")
    behind = reply[first + len(END) :]
    head = _HEAD.match(behind)
    challenge = _fields(behind[head.end() :]) if head and head[1] == b"challenge" else {}
    return Hello(fields=fields, method=challenge.get("method"))


def _fields(body: bytes) -> dict[str, str]:
    """Texts and numbers; the first of a name counts."""
    found: dict[str, str] = {}
    for name, kind, value in _FIELD.findall(body)[:64]:
        if kind in (b"s", b"i"):
            text = value[:1024].decode("utf-8", "replace")
            shown = "".join(each for each in text if each.isprintable()).strip()[:MAX_TEXT]
            found.setdefault(name.decode("ascii", "replace"), shown)
    return found


def facts(hello: Hello) -> tuple[Fact, ...]:
    """What the station says, and apart from it what its host id means."""
    fields = hello.fields
    access = ServiceAccess(
        protocol="fox",
        # It greets everybody; that it asks who is there before all else, the challenge shows.
        answers_without_login=None if hello.method is None else False,
        encrypted=False,
        version=fields.get("fox.version") or None,
        authentication=None if hello.method is None else (hello.method,),
        details=tuple((name, fields[name]) for name in TOLD if fields.get(name)),
    )
    said = DeviceIdentity(
        name=fields.get("station.name") or None, firmware=fields.get("app.version") or None
    )
    jace = _JACE.fullmatch(fields.get("hostId", ""))
    meant = DeviceIdentity(
        vendor="Tridium", model=jace[1] if jace else None, device_class="plc", basis="text"
    )
    told = (said,) if said != DeviceIdentity() else ()
    return (access, *told, meant) if jace else (access, *told)


async def run(session: Session) -> tuple[Fact, ...]:
    """One frame there, one or two back. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_hello(),
        reply_length,
        label=_LABEL,
        deadline_s=WAIT_S,
        max_reply=MAX_REPLY,
        whatever_came=True,
    )
    return facts(decode_hello(reply))


_LABEL: Final = "fox hello"

PROBE = Probe(
    name="fox",
    protocol="fox",
    transport=Transport.TCP,
    ports=(1911,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL,
            sample=HELLO,
            trace="a connection without a login in the station's log",
        ),
    ),
    for_controllers=True,
)
