"""
S7comm-plus: the order number and the firmware that an S7-1200 or S7-1500 tells before any login.

Asked in the read tier, and only of a CPU that told over S7 on the same port that it is one of these
families: S7-300 and S7-400 are never sent a frame that is not made for them.

1. One connection to the port. COTP connection request for the seat of a panel, destination TSAP
   "SIMATIC-ROOT-HMI". Not "SIMATIC-ROOT-ES", which would be an engineering station's.
2. One S7comm-plus request, CreateObject of a session (04CA): `72 01 length 31 0000 04CA …`. The
   reply describes the session, and in it the CPU: `1;6ES7 511-1AK00-0AB0;V1.0`.
3. COTP disconnect request, and the connection is closed; with it the session ends, which was never
   opened for use: nobody answered its challenge, logged in or read a variable.

Why this is the gentlest question: it is the first request of every panel that connects, and all
that is asked. It costs one of the panels' seats (three on an S7-1200) for less than a second.

A CPU that wants TLS first (S7-1500 from V2.9 on, if so configured) refuses or keeps silent, and is
left there. The key's fingerprint tells the family: `00:` S7-1500, `01:` S7-1200, `03:` a simulated
CPU (PLCSIM).

Sample result: order number "6ES7 511-1AK00-0AB0", firmware "V1.0", vendor "Siemens", class plc.

Never sent: SetMultiVariables (0542), SetVariable (04F2), GetMultiVariables (054C), Explore (04BB),
Invoke (056B), DeleteObject (04D4), anything of legitimation, InitSsl (05B3).

All numbers are big-endian; "VLQ" is seven bits to a byte, the highest bit set on all but the last.

Source: RFC 1006 section 6; RFC 905 sections 13.3 to 13.5; recordings of an S7-1211, an S7-1511 and
an S7-1515 at their first exchange; names and numbers of attributes and data types as in the public
S7CommPlusDriver (LGPL-3.0) and dissector.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from probes import s7
from scanner.errors import BadReply, Refused, WireError, Withheld
from scanner.facts import DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

PROTOCOL_ID: Final = 0x72
VERSION: Final = 1
REQUEST: Final = 0x31
RESPONSE: Final = 0x32
CREATE_OBJECT: Final = 0x04CA
NULL_SESSION: Final = 0x0120
SESSION_CONTAINER: Final = 0x011D
NEW_OBJECT: Final = 0x00D3
SEQUENCE: Final = 1

CLASS_SERVER_SESSION: Final = 287
CLASS_SUBSCRIPTIONS: Final = 255
TYPE_NAME: Final = 233
COMMUNICATION: Final = 289
APPLICATION: Final = 296
HOST: Final = 297
USER: Final = 298
CLIENT_KIND: Final = 299
CLIENT_RID: Final = 300
COMMENT: Final = 301
SYSTEM: Final = 319
"""`1;order number;firmware`."""

START_OBJECT: Final = 0xA1
END_OBJECT: Final = 0xA2
ATTRIBUTE: Final = 0xA3

UDINT: Final = 0x04
RID: Final = 0x12
WSTRING: Final = 0x15
STRUCT: Final = 0x17
ARRAY: Final = 0x10
"""A bit of the flags in front of a data type."""
FIXED: Final = {
    0x00: 0, 0x01: 1, 0x02: 1, 0x03: 2, 0x06: 1, 0x07: 2, 0x0A: 1, 0x0B: 2, 0x0C: 4, 0x0D: 8,
    0x0E: 4, 0x0F: 8, 0x10: 8, 0x12: 4,
}  # fmt: skip
"""Bytes of a value by data type."""
VLQ: Final = frozenset({0x04, 0x05, 0x08, 0x09, 0x11, 0x13})
SIZED: Final = frozenset({0x14, 0x15})
"""Blob and string: a length in VLQ and so many bytes."""

TSAP: Final = b"SIMATIC-ROOT-HMI"
OUR_TSAP: Final = b"\x06\x00"
OUR_NAME: Final = "Walkdown"

FAMILIES: Final = {"00": "S7-1500", "01": "S7-1200", "03": "PLCSIM"}
MAX_ITEMS: Final = 200
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 128

_NEWER: Final = re.compile(r"6(ES7|AG1|FG7) ?(2[1-9]|5[1-9]|672)")
"""S7-1200 and S7-1500 with ET 200SP and the software controllers, by the order number."""


_DESCRIPTION: Final = re.compile(rb"\x82\x3f\x00\x15[\x01-\x7f](1;[ -:<-~]{1,40};V[0-9.]{1,16})")
"""Attribute 319 as a string."""
_OMS: Final = re.compile(r"OMSP?[0-9A-Z._]{0,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """
    The reply to CreateObject. `texts` are the string attributes of all objects in it, by number.
    """

    return_value: int
    texts: dict[int, str]


# --- the request ---------------------------------------------------------------------------------


def encode_connection_request() -> bytes:
    """`1F E0 dst(2)=0 src(2) class=0 | C1 02 calling | C2 10 called | C0 01 size`."""
    parameters = (
        b"\xc1" + bytes([len(OUR_TSAP)]) + OUR_TSAP + b"\xc2" + bytes([len(TSAP)]) + TSAP
        + b"\xc0\x01\x0a"
    )  # fmt: skip
    fixed = bytes([s7.CONNECTION_REQUEST, 0, 0]) + s7.OUR_REFERENCE.to_bytes(2, "big") + b"\x00"
    return s7.encode_tpkt(bytes([len(fixed) + len(parameters)]) + fixed + parameters)


def encode_vlq(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def encode_attribute(number: int, kind: int, value: bytes) -> bytes:
    """`A3 number(VLQ) flags=0 data type value`."""
    return bytes([ATTRIBUTE]) + encode_vlq(number) + bytes([0, kind]) + value


def encode_text(number: int, text: str) -> bytes:
    raw = text.encode("ascii")
    return encode_attribute(number, WSTRING, encode_vlq(len(raw)) + raw)


def encode_create_object() -> bytes:
    """
    `72 01 length | 31 0000 04CA 0000 sequence(2) session(4) 36 container(4) value 0(4) | object |
    0(4) | 72 01 0000`: a session with a container for subscriptions in it, as panels ask for.
    """
    session = (
        bytes([START_OBJECT]) + NEW_OBJECT.to_bytes(4, "big") + encode_vlq(CLASS_SERVER_SESSION)
        + b"\x00\x00"
        + encode_text(TYPE_NAME, "ServerSession_10000000")
        + encode_text(COMMUNICATION, "1:::6.32::")
        + encode_text(APPLICATION, OUR_NAME)
        + encode_text(HOST, OUR_NAME)
        + encode_text(USER, OUR_NAME)
        + encode_attribute(CLIENT_KIND, UDINT, encode_vlq(2))
        + encode_attribute(CLIENT_RID, RID, b"\x10\x00\x00\x00")
        + encode_text(COMMENT, "read-only identification")
        + bytes([START_OBJECT]) + NEW_OBJECT.to_bytes(4, "big") + encode_vlq(CLASS_SUBSCRIPTIONS)
        + b"\x00\x00"
        + encode_text(TYPE_NAME, "SubscriptionContainer")
        + bytes([END_OBJECT, END_OBJECT])
    )  # fmt: skip
    body = (
        bytes([REQUEST]) + bytes(2) + CREATE_OBJECT.to_bytes(2, "big") + bytes(2)
        + SEQUENCE.to_bytes(2, "big") + NULL_SESSION.to_bytes(4, "big") + b"\x36"
        + SESSION_CONTAINER.to_bytes(4, "big") + bytes([0, UDINT]) + encode_vlq(0) + bytes(4)
        + session + bytes(4)
    )  # fmt: skip
    head = bytes([PROTOCOL_ID, VERSION])
    return s7.encode_data(head + len(body).to_bytes(2, "big") + body + head + bytes(2))


# --- the reply -----------------------------------------------------------------------------------


class _Cursor:
    """Reads from the beginning; BadReply where the bytes end too soon."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._items = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise BadReply("an S7comm-plus value reaches beyond its message")
        self._at += size
        return self._data[self._at - size : self._at]

    def vlq(self) -> int:
        """At most nine bytes, of which the ninth counts whole (64 bits)."""
        number = 0
        for position in range(9):
            byte = self.take(1)[0]
            if position == 8:
                return number << 8 | byte
            number = number << 7 | byte & 0x7F
            if not byte & 0x80:
                return number
        return number

    def count(self) -> None:
        """Every element is counted, so that no reply is read for ever."""
        self._items += 1
        if self._items > MAX_ITEMS:
            raise BadReply(f"more than {MAX_ITEMS} elements in one object")


def decode_create_object(reply: bytes, *, sequence: int) -> Created:
    """
    `72 version length | 32 0000 04CA 0000 sequence(2) flags value(VLQ) count ids(VLQ) object`.

    Behind an element of an unknown kind, or with a wrong length, only the description of the CPU is
    looked for, by its number and type: one published reply has a text that is three bytes too
    short. Raises BadReply, also when it answers another request.
    """
    pdu = s7.decode_data(reply)
    if len(pdu) < 18 or pdu[0] != PROTOCOL_ID or pdu[4] != RESPONSE:
        raise BadReply(f"expected a reply of S7comm-plus, got {pdu[:12].hex()}")
    body = pdu[4 : 4 + int.from_bytes(pdu[2:4], "big")]
    if int.from_bytes(body[3:5], "big") != CREATE_OBJECT or len(body) < 11:
        raise BadReply(f"expected the reply to CreateObject, got {body[:9].hex()}")
    answered = int.from_bytes(body[7:9], "big")
    if answered != sequence:
        raise BadReply(f"expected sequence number {sequence}, got {answered}")
    cursor = _Cursor(body[10:])
    value = cursor.vlq()
    for _ in range(min(cursor.take(1)[0], MAX_ITEMS)):
        cursor.vlq()
    texts: dict[int, str] = {}
    with suppress(BadReply):  # what came before the end, or before an unknown kind, was told
        for number, text in _objects(cursor):
            texts.setdefault(number, text)
    if SYSTEM not in texts and (found := _DESCRIPTION.search(body)):
        texts[SYSTEM] = found[1].decode("ascii")
    return Created(return_value=value, texts=texts)


def _objects(cursor: _Cursor) -> Iterator[tuple[int, str]]:
    """The string attributes of objects within objects. Raises BadReply at what is unknown."""
    depth = 0
    while True:
        cursor.count()
        kind = cursor.take(1)[0]
        if kind == START_OBJECT and depth < MAX_DEPTH:
            depth += 1
            cursor.take(4)
            cursor.vlq()
            cursor.take(2)
        elif kind == ATTRIBUTE and depth:
            number = cursor.vlq()
            yield from _value(cursor, number, 0)
        elif kind == END_OBJECT and depth > 1:
            depth -= 1
        elif kind == END_OBJECT:
            return
        else:
            raise BadReply(f"an element of kind 0x{kind:02X}")


def _value(cursor: _Cursor, number: int, depth: int) -> Iterator[tuple[int, str]]:
    """`flags data type value`; of a structure those of its elements."""
    flags, kind = cursor.take(2)
    if kind == STRUCT and not flags & ARRAY and depth < MAX_DEPTH:
        cursor.take(4)
        while element := cursor.vlq():
            cursor.count()
            yield from _value(cursor, element, depth + 1)
        return
    many = cursor.vlq() if flags & ARRAY else 1
    if kind in FIXED:
        cursor.take(FIXED[kind] * many)  # at once: some kinds have no bytes, however many they are
        return
    for _ in range(many):
        if kind in VLQ:
            cursor.vlq()
        elif kind in SIZED:
            raw = cursor.take(cursor.vlq())
            if kind == WSTRING and (text := printable(raw)):
                yield number, text
        else:
            raise BadReply(f"a value of data type 0x{kind:02X}")


def printable(raw: bytes) -> str | None:
    """Bounded text without control characters; None when nothing is left."""
    text = raw[: 4 * MAX_TEXT].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


# --- what it means -------------------------------------------------------------------------------


def facts_from(created: Created) -> tuple[Fact, ...]:
    """Access, and the identity where the reply described the CPU."""
    texts = created.texts
    key = texts.get(TYPE_NAME, "").partition(":")
    details = [("family", FAMILIES[key[0]])] if key[1] and key[0] in FAMILIES else []
    version = _OMS.search(texts.get(COMMENT, ""))
    parts = [part.strip() for part in texts.get(SYSTEM, "").split(";")]
    access = ServiceAccess(
        protocol="s7plus",
        answers_without_login=True if texts.get(SYSTEM) else None,
        encrypted=False,
        version=version[0] if version else None,
        details=tuple(details),
    )
    if len(parts) < 3 or parts[0] != "1" or not parts[1]:
        return (access,)
    said = DeviceIdentity(order_number=parts[1], firmware=parts[2] or None)
    if not _NEWER.match(parts[1]):
        return (access, said)
    return (access, said, DeviceIdentity(vendor="Siemens", device_class="plc", basis="table"))


def may_be_asked(known: tuple[Fact, ...]) -> bool:
    """Whether the CPU told an order number of a family that speaks this."""
    told = [fact.order_number for fact in known if isinstance(fact, DeviceIdentity)]
    return any(number and _NEWER.match(number) for number in told)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Nothing is sent to other families. Raises Refused where no seat was to be had; WireError."""
    if not may_be_asked(session.known):
        return ()
    reply = await session.exchange(
        encode_connection_request(), s7.tsdu_length, label=_LABEL_CONNECT, max_reply=s7.MAX_REPLY
    )
    connected = s7.decode_connection_reply(reply)
    if isinstance(connected, s7.CotpRefusal):
        raise Refused(f"no seat of a panel: COTP reason {connected.reason:02X}")
    reply = await session.exchange(
        encode_create_object(), s7.tsdu_length, label=_LABEL_CREATE, max_reply=s7.MAX_REPLY
    )
    created = decode_create_object(reply, sequence=SEQUENCE)
    with suppress(WireError, Withheld):  # the answer is there, whatever becomes of the goodbye
        await session.exchange(
            s7.encode_disconnect_request(reference=connected.reference), None, label=_LABEL_GOODBYE
        )
    return facts_from(created)


_LABEL_CONNECT: Final = "COTP connection request, S7comm-plus panel"
_LABEL_CREATE: Final = "S7comm-plus CreateObject of a session"
_LABEL_GOODBYE: Final = "COTP disconnect request"

READ_PROBE = Probe(
    name="s7plus",
    protocol="s7plus",
    transport=Transport.TCP,
    ports=(102,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label=_LABEL_CONNECT,
            sample=encode_connection_request(),
            trace="one panel's connection (HMI) named Walkdown in the CPU's list of connections, "
            "for less than a second; nothing in the diagnostics buffer",
        ),
        Question(label=_LABEL_CREATE, sample=encode_create_object()),
        Question(label=_LABEL_GOODBYE, sample=s7.encode_disconnect_request(reference=1)),
    ),
    for_controllers=True,
    follows="s7",
    spoken_by="siemens",
    deadline_s=30.0,
)
