"""
LDAP: what a directory tells of itself before anybody has logged in.

1. Connect to TCP 389 and search the root DSE: base "", scope base, filter (objectClass=*), one
   entry and five seconds at most, and of its attributes vendorName, vendorVersion,
   supportedLDAPVersion and defaultNamingContext. No bind: LDAPv3 takes a request without one as
   anonymous.
2. The server answers one entry and the end of the search, or its refusal.
3. Unbind, which is the protocol's goodbye, and close.

Why this is the gentlest question: the root DSE is made to be read by anybody and lies in the
server's memory; no entry of a person or a machine is touched, and no name is used.

Sample result: ServiceAccess(protocol="ldap", answers_without_login=True, encrypted=False,
details=(("supportedLDAPVersion", "3"), ("defaultNamingContext", "DC=plant,DC=example"))). The
vendor named is that of the directory's software, not of the machine, so there is no identity.

Never: a bind, a search below the root DSE, add, modify, delete, rename, compare, extended requests.

Source: RFC 4511 sections 4.1.1 (message), 4.3 (unbind), 4.5 (search), 4.1.9 (results); RFC 4512
section 5.1 (root DSE); RFC 3045 (vendorName, vendorVersion); MS-ADTS 3.1.1.3.2
(defaultNamingContext). BER with definite lengths, big-endian.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

ATTRIBUTES: Final = (
    "vendorName",
    "vendorVersion",
    "supportedLDAPVersion",
    "defaultNamingContext",
)
MESSAGE_ID: Final = 1
MAX_REPLY: Final = 16 * 1024
MAX_MESSAGES: Final = 8
MAX_TEXT: Final = 200
MAX_VALUES: Final = 8

SEQUENCE, SET, INTEGER, OCTETS, ENUMERATED = 0x30, 0x31, 0x02, 0x04, 0x0A
ENTRY, DONE, REFERENCE = 0x64, 0x65, 0x73
RESULTS: Final = {
    0: "success", 1: "operationsError", 2: "protocolError", 8: "strongerAuthRequired",
    13: "confidentialityRequired", 32: "noSuchObject", 48: "inappropriateAuthentication",
    49: "invalidCredentials", 50: "insufficientAccessRights", 51: "busy", 52: "unavailable",
    53: "unwillingToPerform",
}  # fmt: skip
WANTS_LOGIN: Final = frozenset({8, 48, 49, 50})


@dataclass(frozen=True, slots=True, kw_only=True)
class RootDse:
    """`attributes` None: no entry came. `result` is the code at the end of the search."""

    attributes: tuple[tuple[str, tuple[str, ...]], ...] | None
    result: int


# --- BER ---------------------------------------------------------------------------------------


def _element(tag: int, content: bytes) -> bytes:
    """Tag and length in one byte each: all of ours are short."""
    return bytes([tag, len(content)]) + content


def _head(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Tag, start and end of the element at `at`; None: not even its length is whole."""
    if at + 2 > len(data):
        return None
    tag, length, start = data[at], data[at + 1], at + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise BadReply(f"a BER length of {size} bytes")
        if start + size > len(data):
            return None
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if length > MAX_REPLY:
        raise BadReply(f"a BER element of {length} bytes")
    return tag, start, start + length


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that fill `data`. Raises BadReply where one does not fit."""
    at = 0
    while at < len(data):
        head = _head(data, at)
        if head is None or head[2] > len(data):
            raise BadReply("a BER element that is cut off")
        tag, start, at = head
        yield tag, data[start:at]


# --- messages ----------------------------------------------------------------------------------


def encode_search() -> bytes:
    """The search of the root DSE: base "", scope base (0), no aliases, one entry, five seconds."""
    wanted = b"".join(_element(OCTETS, name.encode()) for name in ATTRIBUTES)
    search = (
        _element(OCTETS, b"")
        + _element(ENUMERATED, b"\0")
        + _element(ENUMERATED, b"\0")
        + _element(INTEGER, b"\x01")
        + _element(INTEGER, b"\x05")
        + _element(0x01, b"\0")
        + _element(0x87, b"objectClass")
        + _element(SEQUENCE, wanted)
    )
    return _element(SEQUENCE, _element(INTEGER, bytes([MESSAGE_ID])) + _element(0x63, search))


def encode_unbind() -> bytes:
    """Message 2, UnbindRequest ([APPLICATION 2] NULL)."""
    return _element(SEQUENCE, _element(INTEGER, b"\x02") + _element(0x42, b""))


def reply_length(buffer: bytes) -> int | None:
    """
    All messages up to the end of the search. Raises BadReply on what is none, ours included.
    """
    at = 0
    for _ in range(MAX_MESSAGES):
        if at >= len(buffer):
            return None
        if buffer[at] != SEQUENCE:
            raise BadReply(f"expected an LDAP message, got {buffer[at : at + 8].hex()}")
        head = _head(buffer, at)
        if head is None or head[2] > len(buffer):
            return None
        kind, _ = _message(buffer[head[1] : head[2]])
        at = head[2]
        if kind == DONE:
            return at
    raise BadReply("a search without end")


def _message(content: bytes) -> tuple[int, bytes]:
    """What an answer to our search carries: its tag and content. Raises BadReply."""
    parts = list(_elements(content))
    if len(parts) < 2 or parts[0] != (INTEGER, bytes([MESSAGE_ID])):
        raise BadReply("an LDAP message that answers none of ours")
    kind, inside = parts[1]
    if kind not in (ENTRY, DONE, REFERENCE):
        raise BadReply(f"LDAP operation {kind:02x} does not answer a search")
    return kind, inside


def decode_root_dse(reply: bytes) -> RootDse:
    """The entry, where one came, and the result. Raises BadReply."""
    if reply_length(reply) != len(reply):
        raise BadReply("expected one whole answer to a search")
    attributes: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    result = None
    for _, message in _elements(reply):
        kind, inside = _message(message)
        parts = list(_elements(inside))
        if kind == ENTRY:
            if len(parts) != 2 or parts[0] != (OCTETS, b"") or parts[1][0] != SEQUENCE:
                raise BadReply("an entry that is not the root DSE")
            attributes = tuple(_attributes(parts[1][1]))
        elif kind == DONE:
            if not parts or parts[0][0] != ENUMERATED or len(parts[0][1]) != 1:
                raise BadReply("an end of search without a result")
            result = parts[0][1][0]
    if result is None:
        raise BadReply("a search without end")
    return RootDse(attributes=attributes, result=result)


def _attributes(content: bytes) -> Iterator[tuple[str, tuple[str, ...]]]:
    wanted = {name.lower(): name for name in ATTRIBUTES}
    for tag, pair in _elements(content):
        parts = list(_elements(pair))
        if tag != SEQUENCE or [kind for kind, _ in parts] != [OCTETS, SET]:
            raise BadReply("an attribute that is none")
        name = wanted.get(parts[0][1].decode("latin-1").lower())
        values = tuple(
            text for kind, value in _elements(parts[1][1]) if kind == OCTETS
            if (text := _shown(value))
        )  # fmt: skip
        if name is not None and values:
            yield name, values[:MAX_VALUES]


def _shown(text: bytes) -> str:
    plain = text[:MAX_TEXT].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in plain).strip()


def facts_of(told: RootDse) -> tuple[Fact, ...]:
    """A success without an entry leaves open whether something was kept back."""
    answers = None
    if told.attributes:
        answers = True
    elif told.result in WANTS_LOGIN:
        answers = False
    details = [(name, ", ".join(values)[:MAX_TEXT]) for name, values in told.attributes or ()]
    if told.result:
        details.append(("result", RESULTS.get(told.result, str(told.result))))
    version = dict(told.attributes or ()).get("vendorVersion")
    return (
        ServiceAccess(
            protocol="ldap",
            answers_without_login=answers,
            encrypted=False,
            version=None if version is None else version[0],
            details=tuple(details),
        ),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """One search and the goodbye. Raises Withheld, WireError."""
    reply = await session.exchange(
        encode_search(), reply_length, label=_SEARCH, max_reply=MAX_REPLY
    )
    told = decode_root_dse(reply)
    with suppress(WireError, Withheld):  # a goodbye that is forestalled costs no answer
        await session.exchange(encode_unbind(), None, label=_UNBIND)
    return facts_of(told)


_SEARCH: Final = "search of the root DSE"
_UNBIND: Final = "unbind"

PROBE = Probe(
    name="ldap",
    protocol="ldap",
    transport=Transport.TCP,
    ports=(389,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_SEARCH,
            sample=encode_search(),
            trace="an anonymous search, in the log of a server that logs searches",
        ),
        Question(label=_UNBIND, sample=encode_unbind()),
    ),
)
