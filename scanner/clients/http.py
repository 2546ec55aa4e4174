"""
httpx over a governed session: one request, one connection, nothing followed, nothing unbounded.

`SessionTransport` is the `transport=` of an httpx.AsyncClient. It writes the request with h11,
hands it to `session.exchange`, reads the reply with h11, and undoes gzip or deflate itself up to
the cap, because httpx would decompress without one. `fetch` is the whole use of it by probes.

h11 decides what is HTTP; what it rejects is a BadReply. A body without a length ends with the
connection, so a reply may come back cut off: `Page.complete` says whether it is whole.

Source: RFC 9112 (messages), RFC 9110 section 8.4.1 (content codings), RFC 1952, RFC 1950.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

import h11
import httpx

from scanner.errors import BadReply
from scanner.spec import Session, Span

MAX_REPLY = 1024 * 1024
"""Bytes on the wire, and again after decompression."""
MAX_HEAD = 64 * 1024
USER_AGENT = "Walkdown (read-only inventory)"
DEADLINE_S = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443}
SECRETS = "walkdown.secrets"
"""Request extension: byte strings of this request that the evidence must not keep."""
LABEL = "walkdown.label"
COMPLETE = "walkdown.complete"
"""Response extension: whether the body came whole."""
HEADERS = "walkdown.headers"
"""
Response extension: the headers. httpx itself is shown none: it would read Set-Cookie and Location,
even where no redirect is followed, and raise its own exceptions on what devices write there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    A parsed reply. `headers` are lower-case names with their values in order; `body` is as it
    came on the wire, chunks joined; `complete` is False where the end was not seen.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a fetch returns: the body is decoded, header names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order."""
        return tuple(value for key, value in self.headers if key == name)

    def first(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


# --- bytes -------------------------------------------------------------------------------------


class _Parser:
    """h11 as a client that has sent `method` and now hears the reply, piece by piece."""

    def __init__(self, method: str) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        request = h11.Request(
            method=method, target="/", headers=[("Host", "x"), ("Connection", "close")]
        )
        self._connection.send(request)
        self._connection.send(h11.EndOfMessage())
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.ended = False
        self.behind = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes; b"" says that no more will come. Raises BadReply."""
        try:
            self._connection.receive_data(data)
            while not self.ended:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return
                if isinstance(event, h11.Response):
                    self.status = event.status_code
                    self.headers = tuple(
                        (name.decode("latin-1").lower(), value.decode("latin-1"))
                        for name, value in event.headers
                    )
                elif isinstance(event, h11.Data):
                    self.body += event.data
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    self.ended = True
                    self.behind = len(self._connection.trailing_data[0])
        except (h11.RemoteProtocolError, h11.LocalProtocolError, ValueError) as error:
            raise BadReply(f"HTTP: {str(error)[:120]}") from error


class ReplyReader:
    """
    A spec.Framer for one reply to one request, which can also tell what it has read: a reply in
    many small pieces is parsed once, piece by piece, so that no other device waits for it. Bytes
    that do not continue the last ones start it anew.
    """

    def __init__(self, method: str) -> None:
        self._method = method
        self._parser = _Parser(method)
        self._seen = b""

    def __call__(self, data: bytes) -> int | None:
        self._read(data)
        return self._length() if self._parser.ended else None

    def _length(self) -> int:
        return len(self._seen) - self._parser.behind

    def _read(self, data: bytes) -> None:
        if self._parser.ended and data == self._seen[: self._length()]:
            return  # the reply without what came behind it
        if not data.startswith(self._seen):
            self._parser, self._seen = _Parser(self._method), b""
        if len(data) > len(self._seen):
            self._parser.feed(data[len(self._seen) :])
            self._seen = data

    def reply(self, data: bytes) -> Reply:
        """
        All that came before the connection ended. Raises BadReply, also where the head is not
        whole; a body that is cut off is returned as far as it came.
        """
        self._read(data)
        parser = self._parser
        complete = parser.ended
        if not complete and parser.status is not None and not _announces_length(parser.headers):
            # Nobody announced the end: the close was it, or the deadline. A page that closes its
            # own outermost element is whole.
            complete = bytes(parser.body[-4096:]).rstrip().lower().endswith(b"</html>")
        if parser.status is None:
            raise BadReply(f"HTTP: no whole response head in {len(data)} bytes")
        return Reply(
            status=parser.status,
            headers=parser.headers,
            body=bytes(parser.body),
            complete=complete,
            length=self._length(),
        )


def decode_reply(data: bytes, method: str) -> Reply:
    """A reply that is there as a whole, as `ReplyReader.reply` tells it. Raises BadReply."""
    return ReplyReader(method).reply(data)


def _announces_length(headers: Sequence[tuple[str, str]]) -> bool:
    return any(name in ("content-length", "transfer-encoding") for name, _ in headers)


def decode_body(body: bytes, encoding: str | None) -> tuple[bytes, bool]:
    """
    Undo one content coding: (bytes, whole). Raises BadReply beyond MAX_REPLY bytes, on an unknown
    coding and on data that is not what it says. A stream that is cut off is not whole.
    """
    coding = (encoding or "identity").strip().lower()
    if coding in ("", "identity") or not body:
        return body, True
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 16 + zlib.MAX_WBITS)
    if coding == "deflate":
        # RFC 9110 says zlib; old servers send the bare stream.
        try:
            return _inflate(body, zlib.MAX_WBITS)
        except BadReply as not_zlib:
            if "more than" in str(not_zlib):
                raise
            return _inflate(body, -zlib.MAX_WBITS)
    raise BadReply(f"HTTP: content coding {coding[:32]!r} was not offered")


def _inflate(body: bytes, window: int) -> tuple[bytes, bool]:
    stream = zlib.decompressobj(window)
    try:
        plain = stream.decompress(body, MAX_REPLY)
        if stream.unconsumed_tail and stream.decompress(stream.unconsumed_tail, 1):
            raise BadReply(f"HTTP: more than {MAX_REPLY} bytes after decompression")
    except zlib.error as error:
        raise BadReply(f"HTTP: compressed body: {error}") from error
    return plain, stream.eof


def encode_request(request: httpx.Request, body: bytes) -> bytes:
    """The request as h11 writes it: HTTP/1.1, the headers in httpx's order."""
    connection = h11.Connection(h11.CLIENT)
    head = h11.Request(
        method=request.method,
        target=request.url.raw_path,
        headers=[(name, value) for name, value in request.headers.raw],
    )
    written = connection.send(head) or b""
    if body:
        written += connection.send(h11.Data(data=body)) or b""
    return written + (connection.send(h11.EndOfMessage()) or b"")


def secret_spans(data: bytes, secrets: Sequence[bytes]) -> tuple[Span, ...]:
    """Every place behind the request line where one of `secrets` stands."""
    spans: list[Span] = []
    start = data.find(b"\r\n") + 2
    for secret in secrets:
        at = data.find(secret, start) if secret else -1
        while at >= 0:
            spans.append((at, at + len(secret)))
            at = data.find(secret, at + 1)
    return tuple(sorted(spans))


# --- httpx -------------------------------------------------------------------------------------


class SessionTransport(httpx.AsyncBaseTransport):
    """One session's endpoint as httpx sees it. Raises what the session raises."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        data = encode_request(request, body)
        secrets: Sequence[bytes] = request.extensions.get(SECRETS, ())
        reader = ReplyReader(request.method)
        raw = await self._session.exchange(
            data,
            reader,
            label=request.extensions.get(LABEL, f"HTTP {request.method}"),
            secrets=secret_spans(data, secrets),
            deadline_s=DEADLINE_S,
            max_reply=MAX_REPLY,
            whatever_came=True,
        )
        reply = reader.reply(raw)
        encoding = next((v for n, v in reply.headers if n == "content-encoding"), None)
        plain, whole = decode_body(reply.body, encoding)
        return httpx.Response(
            status_code=reply.status,
            content=plain,
            extensions={
                COMPLETE: reply.complete and whole,
                HEADERS: tuple((name, header_text(value)) for name, value in reply.headers),
            },
        )


def header_text(value: str) -> str:
    """A header value, which h11 reads as Latin-1, as UTF-8 where it is that (RFC 9110, 5.5)."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def authority(address: str, port: int, scheme: Literal["http", "https"]) -> str:
    """Host header and URL authority: IPv6 in brackets, the scheme's own port left out."""
    host = f"[{address}]" if ip_address(address).version == 6 else address
    return host if port == DEFAULT_PORTS[scheme] else f"{host}:{port}"


async def fetch(
    session: Session,
    scheme: Literal["http", "https"],
    *,
    path: str = "/",
    label: str,
    headers: Mapping[str, str] | None = None,
    form: bytes | None = None,
    secrets: Sequence[bytes] = (),
) -> Page:
    """
    GET `path`, or POST `form` to it (application/x-www-form-urlencoded, encoded by the caller).

    On https the caller has done `session.start_tls()`. Raises what `session.exchange` raises.
    """
    sent = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": USER_AGENT,
        **(headers or {}),
    }
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    async with httpx.AsyncClient(
        transport=SessionTransport(session),
        trust_env=False,  # a proxy named in the environment would be asked in the device's place
        follow_redirects=False,
        timeout=DEADLINE_S,  # kept by the session; httpx asks for one
    ) as client:
        response = await client.request(
            "GET" if form is None else "POST",
            f"{scheme}://{authority(session.target.address, session.target.port, scheme)}{path}",
            headers=sent,
            content=form,
            extensions={SECRETS: tuple(secrets), LABEL: label},
        )
        return Page(
            status=response.status_code,
            headers=response.extensions[HEADERS],
            body=response.content,
            complete=bool(response.extensions.get(COMPLETE)),
        )
