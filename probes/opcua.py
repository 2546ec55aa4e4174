"""
OPC UA over TCP: which endpoints a server has, how they are secured, and whose server it is.

1. One connection. `HEL` with our buffer sizes and the address that we dialled; the server says
   `ACK`, or `ERR` with a reason.
2. `OPN`: a secure channel with security policy None and mode None, for one minute. Every server
   that lets itself be discovered has one.
3. `MSG`: GetEndpoints. The reply has every endpoint with its security mode and policy, the user
   tokens that it takes, the server's certificate, and the application's names and URIs.
4. `CLO` closes the channel; then the connection is closed.

Why this is the gentlest question: GetEndpoints is made for clients that know nothing yet, and
needs no session, of which small servers have few. No session is created, no user named, no node
read, no endpoint's address followed. A server without policy None refuses in words, and is left
there.

What the URIs tell about the device is looked up in probes/data/opcua_products.toml; an application
that is not in it gives no identity. The firmware stands behind a session and is not asked for.

Sample result: endpoint "opc.tcp://PLC-1:4840", mode none, policy "None", tokens anonymous and user
name; vendor "Siemens", model "SIMATIC S7-1500", name "PLC_1".

Never sent: CreateSession (461), ActivateSession (467), Read (631), Write (673), Call (712),
HistoryUpdate (700), AddNodes and its kin (488 to 500), RegisterServer (437, 12211), subscriptions
(751, 787), and whatever else is not one of the four messages above.

All numbers are little-endian.

Source: OPC 10000-6, sections 5.2 (binary encoding), 6.7 (secure conversation) and 7.1 (connection
protocol); OPC 10000-4, sections 5.4.4 (GetEndpoints), 5.5 (channels), 7.2 (ApplicationDescription)
and 7.14 (EndpointDescription); OPC 10000-6, annex A and its table of node ids.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeVar

from scanner.clients import certificate
from scanner.errors import BadReply, WireError, Withheld
from scanner.facts import (
    ApplicationCertificate,
    DeviceIdentity,
    Fact,
    OpcUaEndpoint,
    ServiceAccess,
)
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

T = TypeVar("T")

# Node ids of the binary encodings.
SERVICE_FAULT: Final = 397
GET_ENDPOINTS_REQUEST: Final = 428
GET_ENDPOINTS_RESPONSE: Final = 431
OPEN_CHANNEL_REQUEST: Final = 446
OPEN_CHANNEL_RESPONSE: Final = 449
CLOSE_CHANNEL_REQUEST: Final = 452

POLICY_NONE: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"
BUFFER: Final = 65_536
MAX_MESSAGE: Final = 262_144
MAX_CHUNKS: Final = 16
LIFETIME_MS: Final = 60_000

MODES: Final[dict[int, Literal["none", "sign", "sign_and_encrypt"]]] = {
    1: "none",
    2: "sign",
    3: "sign_and_encrypt",
}
TOKENS: Final = {0: "anonymous", 1: "user_name", 2: "certificate", 3: "issued_token"}
USER_NAME: Final = 1
APPLICATION_TYPES: Final = {0: "server", 1: "client", 2: "client_and_server", 3: "discovery_server"}
DISCOVERY_SERVER: Final = 3
WANTS_SECURITY: Final = frozenset({0x80130000, 0x80540000, 0x80550000})
"""Bad_SecurityChecksFailed, Bad_SecurityModeRejected, Bad_SecurityPolicyRejected."""

MAX_ENDPOINTS: Final = 64
MAX_TOKENS: Final = 16
MAX_CERTIFICATES: Final = 8
MAX_TEXT: Final = 256
MAX_LIST: Final = 1024
EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error message, an aborted message or a service fault; `code` is a StatusCode."""

    code: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """An open secure channel."""

    channel: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A UserTokenPolicy. `policy` None: that of its endpoint holds."""

    kind: int
    policy: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An ApplicationDescription, as far as it says who is there."""

    uri: str | None
    product_uri: str | None
    name: str | None
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An EndpointDescription. Its certificate may be a chain, the server's own first."""

    url: str | None
    application: Application
    certificate: bytes | None
    mode: int
    policy: str | None
    tokens: tuple[Token, ...]


# --- requests ------------------------------------------------------------------------------------


def encode_string(text: str | None) -> bytes:
    """`length(4) bytes`; a length of -1 is a null string."""
    if text is None:
        return b"\xff\xff\xff\xff"
    raw = text.encode("utf-8")
    return len(raw).to_bytes(4, "little") + raw


def encode_hello(*, url: str) -> bytes:
    """`HEL F size(4) version(4)=0 receive(4) send(4) largest message(4) chunks(4) url`."""
    numbers = (0, BUFFER, BUFFER, MAX_MESSAGE, MAX_CHUNKS)
    body = b"".join(number.to_bytes(4, "little") for number in numbers) + encode_string(url)
    return b"HELF" + (8 + len(body)).to_bytes(4, "little") + body


def encode_open_channel(*, now: datetime) -> bytes:
    """
    `OPN F size channel(4)=0 policy certificate thumbprint sequence(4) request(4) | type 446
    header | version(4)=0 issue(4)=0 mode(4)=1 nonce lifetime(4)`.
    """
    body = bytes(4) + encode_string(POLICY_NONE) + encode_string(None) * 2 + _sequence(1)
    body += _head(OPEN_CHANNEL_REQUEST, now=now, handle=1)
    body += bytes(4) + bytes(4) + b"\x01\x00\x00\x00" + encode_string(None)
    body += LIFETIME_MS.to_bytes(4, "little")
    return b"OPNF" + (8 + len(body)).to_bytes(4, "little") + body


def encode_get_endpoints(*, channel: Channel, url: str, now: datetime) -> bytes:
    """`MSG F size channel(4) token(4) sequence(4) request(4) | type 428 header | url locales
    profiles`, both lists null: all languages, all transports."""
    body = _head(GET_ENDPOINTS_REQUEST, now=now, handle=2)
    body += encode_string(url) + encode_string(None) * 2
    return _symmetric(b"MSG", channel, 2, body)


def encode_close_channel(*, channel: Channel, now: datetime) -> bytes:
    """`CLO F size channel(4) token(4) sequence(4) request(4) | type 452 header`."""
    return _symmetric(b"CLO", channel, 3, _head(CLOSE_CHANNEL_REQUEST, now=now, handle=3))


def _symmetric(kind: bytes, channel: Channel, number: int, body: bytes) -> bytes:
    body = (
        channel.channel.to_bytes(4, "little")
        + channel.token.to_bytes(4, "little")
        + (_sequence(number) + body)
    )
    return kind + b"F" + (8 + len(body)).to_bytes(4, "little") + body


def _sequence(number: int) -> bytes:
    """Sequence number and request id, which count together here."""
    return number.to_bytes(4, "little") * 2


def _head(type_id: int, *, now: datetime, handle: int) -> bytes:
    """
    Node id in four bytes, then RequestHeader: no authentication token, time(8), handle(4), no
    diagnostics(4), no audit id, time-out hint(4), no further header.
    """
    ticks = int((now - EPOCH).total_seconds()) * 10_000_000
    return (
        b"\x01\x00" + type_id.to_bytes(2, "little") + b"\x00\x00" + ticks.to_bytes(8, "little")
        + handle.to_bytes(4, "little") + bytes(4) + encode_string(None)
        + (5_000).to_bytes(4, "little") + b"\x00\x00\x00"
    )  # fmt: skip


# --- replies -------------------------------------------------------------------------------------


def message_length(buffer: bytes) -> int | None:
    """
    Length of one message, which may come in chunks (`C` … `F`). Raises BadReply on anything else,
    and on more chunks or bytes than we said we would take.
    """
    end = 0
    for _ in range(MAX_CHUNKS):
        head = buffer[end : end + 8]
        if head[:3] not in (b"ACK", b"ERR", b"OPN", b"MSG", b"") and len(head) >= 3:
            raise BadReply(f"expected an OPC UA message, got {buffer[end : end + 8].hex()}")
        if len(head) < 8:
            return None
        size = int.from_bytes(head[4:8], "little")
        if head[3:4] not in (b"F", b"C", b"A") or size < 12 or end + size > MAX_MESSAGE:
            raise BadReply(f"expected an OPC UA message, got {head.hex()}")
        if len(buffer) < end + size:
            return None
        end += size
        if head[3:4] != b"C":
            return end
    raise BadReply(f"an OPC UA message of more than {MAX_CHUNKS} chunks")


def decode_hello_reply(reply: bytes) -> Refusal | None:
    """None for an `ACK`; what an `ERR` says. Raises BadReply on anything else."""
    refusal = decode_error(reply)
    if refusal is None and (len(reply) != 28 or reply[:4] != b"ACKF"):
        raise BadReply(f"expected ACK or ERR, got {reply[:16].hex()}")
    return refusal


def decode_error(reply: bytes) -> Refusal | None:
    """`ERR F size code(4) reason`; None when it is another message. Raises BadReply."""
    if message_length(reply) != len(reply):
        raise BadReply(f"expected one OPC UA message, got {reply[:16].hex()}")
    if reply[:3] != b"ERR":
        return None
    cursor = _Cursor(reply[8:])
    return Refusal(code=cursor.number(4), reason=cursor.text())


def decode_channel(reply: bytes, *, request_id: int) -> Channel | Refusal:
    """
    `OPN F size channel(4) policy certificate thumbprint sequence(4) request(4) | type 449 header |
    version(4) channel(4) token(4) created(8) lifetime(4) nonce`. Raises BadReply.
    """
    refusal = decode_error(reply)
    if refusal is not None:
        return refusal
    if reply[:4] != b"OPNF":
        raise BadReply(f"expected an open channel, got {reply[:16].hex()}")
    cursor = _Cursor(reply[12:])
    cursor.blob()
    cursor.blob()
    cursor.blob()
    cursor.number(4)
    answered = cursor.number(4)
    if answered != request_id:
        raise BadReply(f"expected request {request_id}, got {answered}")
    fault = _response(cursor, OPEN_CHANNEL_RESPONSE)
    if fault is not None:
        return fault
    cursor.number(4)
    return Channel(channel=cursor.number(4), token=cursor.number(4))


def decode_endpoints(
    reply: bytes, *, channel: Channel, request_id: int
) -> tuple[Endpoint, ...] | Refusal:
    """
    The endpoints of `MSG` in one or several chunks of `size channel(4) token(4) sequence(4)
    request(4)`, together type 431, header and the list. Raises BadReply.
    """
    refusal = decode_error(reply)
    if refusal is not None:
        return refusal
    body = b""
    while reply:
        size = int.from_bytes(reply[4:8], "little")
        chunk, reply = reply[:size], reply[size:]
        if chunk[:3] != b"MSG" or len(chunk) < 24:
            raise BadReply(f"expected a message, got {chunk[:16].hex()}")
        if int.from_bytes(chunk[8:12], "little") != channel.channel:
            raise BadReply("the message belongs to another channel")
        answered = int.from_bytes(chunk[20:24], "little")
        if answered != request_id:
            raise BadReply(f"expected request {request_id}, got {answered}")
        if chunk[3:4] == b"A":
            cursor = _Cursor(chunk[24:])
            return Refusal(code=cursor.number(4), reason=cursor.text())
        body += chunk[24:]
    cursor = _Cursor(body)
    return _response(cursor, GET_ENDPOINTS_RESPONSE) or cursor.several(_endpoint, MAX_ENDPOINTS)


def _response(cursor: _Cursor, expected: int) -> Refusal | None:
    """
    Type id and ResponseHeader: time(8), handle(4), result(4), diagnostics, strings, further header.

    None when the service succeeded. Raises BadReply on another type.
    """
    type_id = cursor.node_id()
    if type_id not in (expected, SERVICE_FAULT):
        raise BadReply(f"expected service {expected}, got {type_id}")
    cursor.number(8)
    cursor.number(4)
    result = cursor.number(4)
    cursor.diagnostics()
    cursor.several(_Cursor.text, MAX_LIST)
    cursor.extension()
    if type_id == SERVICE_FAULT or result & 0x80000000:
        return Refusal(code=result)
    return None


def _endpoint(cursor: _Cursor) -> Endpoint:
    url = cursor.text()
    application = _application(cursor)
    der = cursor.blob()
    mode = cursor.number(4)
    policy = cursor.text()
    tokens = cursor.several(_token, MAX_TOKENS)
    cursor.text()  # transport profile
    cursor.number(1)  # security level: the server's own ranking
    return Endpoint(
        url=url, application=application, certificate=der, mode=mode, policy=policy, tokens=tokens
    )


def _application(cursor: _Cursor) -> Application:
    uri, product_uri, name = cursor.text(), cursor.text(), cursor.localized()
    kind = cursor.number(4)
    cursor.text()  # gateway
    cursor.text()  # discovery profile
    cursor.several(_Cursor.text, MAX_LIST)
    return Application(uri=uri, product_uri=product_uri, name=name, kind=kind)


def _token(cursor: _Cursor) -> Token:
    cursor.text()  # policy id
    kind = cursor.number(4)
    cursor.text()  # kind of an issued token
    cursor.text()  # who issues it
    return Token(kind=kind, policy=cursor.text())


class _Cursor:
    """Reads the binary encoding from its beginning; BadReply where the bytes end too soon."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise BadReply("an OPC UA value reaches beyond its message")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def blob(self) -> bytes | None:
        """`length(4) bytes`; None when the length is negative (-1: null)."""
        length = int.from_bytes(self._take(4), "little", signed=True)
        return None if length < 0 else self._take(length)

    def text(self) -> str | None:
        """A string, bounded and without control characters; None when nothing is left."""
        raw = self.blob()
        return None if raw is None else printable(raw)

    def localized(self) -> str | None:
        """LocalizedText: `mask [locale] [text]`."""
        mask = self.number(1)
        if mask & 0x01:
            self.blob()
        return self.text() if mask & 0x02 else None

    def several(self, read: Callable[[_Cursor], T], most: int) -> tuple[T, ...]:
        """`count(4)` and so many; -1 is none. Raises BadReply on more than `most`."""
        count = int.from_bytes(self._take(4), "little", signed=True)
        if count > most:
            raise BadReply(f"a list of {count} where {most} is the most")
        return tuple(read(self) for _ in range(count))

    def node_id(self) -> int:
        """A numeric node id in two, four or seven bytes. Raises BadReply on other kinds."""
        match self.number(1):
            case 0x00:
                return self.number(1)
            case 0x01:
                self.number(1)
                return self.number(2)
            case 0x02:
                self.number(2)
                return self.number(4)
            case other:
                raise BadReply(f"a node id of kind 0x{other:02X} where a number was expected")

    def diagnostics(self, depth: int = 0) -> None:
        """
        DiagnosticInfo: `mask`, then symbolic id, namespace, locale, text (4 each), further
        information, inner status (4), inner diagnostics.
        """
        mask = self.number(1)
        for bit in (0x01, 0x02, 0x08, 0x04):
            if mask & bit:
                self.number(4)
        if mask & 0x10:
            self.blob()
        if mask & 0x20:
            self.number(4)
        if mask & 0x40:
            if depth >= 4:
                raise BadReply("diagnostics within diagnostics without an end")
            self.diagnostics(depth + 1)

    def extension(self) -> None:
        """ExtensionObject: node id, `encoding`, and a body unless that is 0."""
        self.node_id()
        if self.number(1):
            self.blob()


def printable(raw: bytes) -> str | None:
    """Bounded text without control characters; None when nothing is left."""
    text = raw[: 4 * MAX_TEXT].decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:MAX_TEXT] or None


# --- what it means -------------------------------------------------------------------------------


def policy_name(uri: str | None) -> str:
    """What stands behind the "#" of a policy's URI, or the whole of another one."""
    return (uri or "").rpartition("#")[2]


def has_cleartext_password(endpoint: Endpoint) -> bool | None:
    """
    Whether a user name token would leave without encryption; None where the endpoint takes none.

    The token's own policy encrypts the password, or where it names none that of the endpoint
    (OPC 10000-4, section 7.41); a channel that encrypts keeps it from eyes in any case.
    """
    names = [token for token in endpoint.tokens if token.kind == USER_NAME]
    if not names:
        return None
    if MODES.get(endpoint.mode) == "sign_and_encrypt" and policy_name(endpoint.policy) != "None":
        return False
    return any(policy_name(token.policy or endpoint.policy) in ("None", "") for token in names)


def leaf(chain: bytes | None) -> bytes | None:
    """
    The first certificate of a chain (OPC 10000-6, section 6.2.6): DER `30 82 length(2)`.

    What does not begin like that is taken as it is.
    """
    if not chain:
        return None
    if chain[:2] == b"\x30\x82" and len(chain) >= 4:
        return chain[: 4 + int.from_bytes(chain[2:4], "big")]
    return chain


def endpoint_fact(endpoint: Endpoint) -> OpcUaEndpoint:
    kinds = dict.fromkeys(TOKENS.get(token.kind, str(token.kind)) for token in endpoint.tokens)
    described = certificate.describe(leaf(endpoint.certificate))
    return OpcUaEndpoint(
        url=endpoint.url or "",
        security_mode=MODES.get(endpoint.mode, "invalid"),
        security_policy=policy_name(endpoint.policy),
        token_types=tuple(kinds),
        cleartext_password=has_cleartext_password(endpoint),
        certificate_sha256=described.fingerprint_sha256,
    )


def certificate_facts(
    endpoints: Iterable[Endpoint], *, seen_at: datetime
) -> tuple[ApplicationCertificate, ...]:
    """Every certificate once, in the order of the endpoints."""
    leaves = dict.fromkeys(leaf(endpoint.certificate) for endpoint in endpoints)
    facts = []
    for der in [der for der in leaves if der][:MAX_CERTIFICATES]:
        said = certificate.describe(der)
        facts.append(
            ApplicationCertificate(
                subject=said.subject,
                issuer=said.issuer,
                self_signed=said.self_signed,
                not_before=said.not_before,
                not_after=said.not_after,
                key_type=said.key_type,
                key_bits=said.key_bits,
                signature_hash=said.signature_hash,
                names=said.names,
                fingerprint_sha256=said.fingerprint_sha256,
                seen_at=seen_at,
            )
        )
    return tuple(facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One row of the table; its head says what the columns mean."""

    product: re.Pattern[str] | None
    application: re.Pattern[str] | None
    vendor: str
    model: str | None
    device_class: str | None
    source: str


@cache
def products() -> tuple[Product, ...]:
    """The table probes/data/opcua_products.toml, in its order."""
    table = tomllib.loads((files("probes") / "data" / "opcua_products.toml").read_text("utf-8"))

    def pattern(text: str | None) -> re.Pattern[str] | None:
        return None if text is None else re.compile(text, re.IGNORECASE)

    return tuple(
        Product(
            product=pattern(row.get("product")),
            application=pattern(row.get("application")),
            vendor=row["vendor"],
            model=row.get("model"),
            device_class=row.get("device_class"),
            source=row["source"],
        )
        for row in table["product"]
    )


def identity_of(application: Application) -> DeviceIdentity | None:
    """Who made the device, where an URI is one that a maker's server has; else None."""
    if application.kind == DISCOVERY_SERVER:
        return None
    for row in products():
        groups: dict[str, str] = {}
        for sought, said in (
            (row.product, application.product_uri),
            (row.application, application.uri),
        ):
            if sought is None:
                continue
            found = sought.search(said or "")
            if found is None:
                break
            groups |= {key: value for key, value in found.groupdict().items() if value}
        else:
            return DeviceIdentity(
                vendor=row.vendor,
                model=groups.get("model") or row.model,
                name=groups.get("name"),
                device_class=row.device_class,
                basis="text",
            )
    return None


def facts_from(endpoints: tuple[Endpoint, ...], *, seen_at: datetime) -> tuple[Fact, ...]:
    """Access, endpoints, certificates, and the identity where there is one."""
    tokens = dict.fromkeys(
        TOKENS.get(token.kind, str(token.kind)) for one in endpoints for token in one.tokens
    )
    details: list[tuple[str, str]] = []
    facts: list[Fact] = []
    if endpoints:
        application = endpoints[0].application
        kind = APPLICATION_TYPES.get(application.kind, str(application.kind))
        told = {
            "ApplicationUri": application.uri,
            "ProductUri": application.product_uri,
            "ApplicationName": application.name,
            "ApplicationType": kind,
        }
        details = [(key, value) for key, value in told.items() if value]
        identity = identity_of(application)
        facts = [identity] if identity else []
    access = ServiceAccess(
        protocol="opcua",
        answers_without_login=True,
        encrypted=False,
        authentication=tuple(tokens),
        details=tuple(details),
    )
    unique = dict.fromkeys(endpoint_fact(endpoint) for endpoint in endpoints)
    return (access, *unique, *certificate_facts(endpoints, seen_at=seen_at), *facts)


def refused(refusal: Refusal) -> tuple[Fact, ...]:
    """What is known of a server that said no: whether it wants security first, and its words."""
    details = [("StatusCode", f"0x{refusal.code:08X}")]
    if refusal.reason:
        details.append(("Reason", refusal.reason))
    return (
        ServiceAccess(
            protocol="opcua",
            answers_without_login=False if refusal.code in WANTS_SECURITY else None,
            details=tuple(details),
        ),
    )


async def run(session: Session) -> tuple[Fact, ...]:
    """Raises Withheld, WireError."""
    address, now = session.target.address, session.now()
    url = f"opc.tcp://{f'[{address}]' if ':' in address else address}:{session.target.port}"
    reply = await session.exchange(
        encode_hello(url=url), message_length, label=_LABEL_HELLO, max_reply=MAX_MESSAGE
    )
    refusal = decode_hello_reply(reply)
    if refusal is not None:
        return refused(refusal)
    reply = await session.exchange(
        encode_open_channel(now=now), message_length, label=_LABEL_OPEN, max_reply=MAX_MESSAGE
    )
    channel = decode_channel(reply, request_id=1)
    if isinstance(channel, Refusal):
        return refused(channel)
    reply = await session.exchange(
        encode_get_endpoints(channel=channel, url=url, now=now),
        message_length,
        label=_LABEL_ENDPOINTS,
        max_reply=MAX_MESSAGE,
    )
    endpoints = decode_endpoints(reply, channel=channel, request_id=2)
    with suppress(WireError, Withheld):  # the answer is there, whatever becomes of the goodbye
        await session.exchange(
            encode_close_channel(channel=channel, now=now), None, label=_LABEL_CLOSE
        )
    if isinstance(endpoints, Refusal):
        return refused(endpoints)
    return facts_from(endpoints, seen_at=now)


_LABEL_HELLO: Final = "hello"
_LABEL_OPEN: Final = "open a secure channel, policy None"
_LABEL_ENDPOINTS: Final = "get endpoints"
_LABEL_CLOSE: Final = "close the secure channel"
_SAMPLE_URL: Final = "opc.tcp://192.0.2.1:4840"
_SAMPLE: Final = Channel(channel=1, token=1)

PROBE = Probe(
    name="opcua",
    protocol="opcua",
    transport=Transport.TCP,
    ports=(4840,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label=_LABEL_HELLO,
            sample=encode_hello(url=_SAMPLE_URL),
            trace="one connection and one secure channel in the server's diagnostics; on an "
            "S7-1500 one connection resource while it lasts",
        ),
        Question(label=_LABEL_OPEN, sample=encode_open_channel(now=EPOCH)),
        Question(
            label=_LABEL_ENDPOINTS,
            sample=encode_get_endpoints(channel=_SAMPLE, url=_SAMPLE_URL, now=EPOCH),
        ),
        Question(label=_LABEL_CLOSE, sample=encode_close_channel(channel=_SAMPLE, now=EPOCH)),
    ),
    for_controllers=True,
)
