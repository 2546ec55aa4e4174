"""
A device's web panel over HTTP or HTTPS: h11 speaks the protocol.

Settings: `server` (header), `title`, `body` (HTML put into the page), `login` ("none", "basic",
"form"), `realm`, `form` {path, user_field, password_field}, `users`, `accept_any`,
`lockout_after`, `controls` (the page served without login carries a form that posts),
`redirect` (a location that every request gets, "{https}" for the
port of the other panel), `tls` (a kind of lab.keys).
For faults (lab.faults): `raw` (title and realm are put in unescaped), `unavailable_s` (503 with
that Retry-After), `lockout_tells` and `lockout_status`, `challenges` (further schemes that a 401
offers), `canaries`, `content_length` ("zero", "max", "shorter", "longer": a lie), `bomb` (see
lab.faults.bombs, or "endless") with `bomb_mebibytes`.
A POST to anything but the log-in form is counted as a write.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol
from urllib.parse import parse_qs

import h11

from lab.bench import LOOPBACK, Accounts, Bench, Server
from lab.faults import bombs
from lab.tls_stream import TlsStream

STANDARD_HTTP = 80
STANDARD_HTTPS = 443
MAX_BODY = 65536
IDLE_S = 15.0
WITHOUT_END = frozenset({"endless", "chunks", "headers"})


class Readable(Protocol):
    async def read(self, n: int, /) -> bytes: ...


class Writable(Protocol):
    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None: ...


Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    """What is sent instead of `body`."""


class Panel:
    """Answers by request; its only state is in `Accounts`."""

    def __init__(self, bench: Bench) -> None:
        s = bench.settings
        self._bench = bench
        self._accounts = Accounts.of(bench)
        self._login = str(s.get("login", "none"))
        self._realm = str(s.get("realm", bench.device))
        self._title = str(s.get("title", ""))
        self._body = str(s.get("body", ""))
        self._controls = bool(s.get("controls", False))
        self._raw = bool(s.get("raw", False))
        self._unavailable_s = s.get("unavailable_s")
        self._lockout_status = int(s.get("lockout_status", 403))
        self._challenges = tuple(str(each) for each in s.get("challenges", ()))
        self._bomb = str(s.get("bomb", ""))
        self._bomb_mebibytes = int(s.get("bomb_mebibytes", 256))
        https = str(STANDARD_HTTPS + bench.port - STANDARD_HTTP)
        self._redirect = str(s.get("redirect", "")).replace("{https}", https)
        form = dict(s.get("form", {}))
        self._form_path = str(form.get("path", "/login"))
        self._user_field = str(form.get("user_field", "username"))
        self._password_field = str(form.get("password_field", "password"))

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Page:
        path = target.split("?", 1)[0]
        logs_in = method == "POST" and self._login == "form" and path == self._form_path
        writes = method not in ("GET", "HEAD") and not logs_in
        self._bench.ledger.request(self._bench.protocol, f"{method} {path}", write=writes)
        if self._unavailable_s is not None:
            headers_503 = (("Retry-After", str(self._unavailable_s)),)
            return Page(status=503, body=self._html("<p>Busy</p>"), headers=headers_503)
        if self._bomb and self._bomb not in WITHOUT_END:
            content, kind = bombs.page(self._bomb, self._bomb_mebibytes, self._bench.address)
            return Page(status=200, content=content, headers=kind)
        if self._redirect:
            return Page(status=301, headers=(("Location", self._redirect),))
        if logs_in:
            return self._form_login(body)
        if method not in ("GET", "HEAD"):
            return Page(status=405, headers=(("Allow", "GET, HEAD"),))
        if self._login == "basic" and not self._basic(headers.get("authorization", "")):
            return self._challenge(headers.get("authorization", ""))
        if path not in ("/", "/index.html", "/home", self._form_path):
            return Page(status=404, body=self._html("<p>Not found</p>"))
        if self._login == "form" and (
            path != "/home" or "session=" not in headers.get("cookie", "")
        ):
            return Page(status=200, body=self._html(self._login_form()))
        return Page(status=200, body=self._html(self._body + self._operate()))

    def _challenge(self, header: str) -> Page:
        pair = _pair(header)
        if self._accounts.tells and pair is not None and self._accounts.locked(pair[0]):
            return Page(status=self._lockout_status, body=self._html("<p>Account locked</p>"))
        schemes = (f'Basic realm="{self._realm}"', *self._challenges)
        return Page(
            status=401,
            body=self._html("<p>Unauthorized</p>"),
            headers=tuple(("WWW-Authenticate", scheme) for scheme in schemes),
        )

    def _basic(self, header: str) -> bool:
        pair = _pair(header)
        if pair is None and header:
            self._bench.ledger.misbehaved(f"material of {header.split(' ', 1)[0][:20]} received")
        return pair is not None and self._accounts.admits(*pair)

    def _form_login(self, body: bytes) -> Page:
        fields = parse_qs(body.decode("latin-1"), keep_blank_values=True)
        user = fields.get(self._user_field, [""])[0]
        password = fields.get(self._password_field, [""])[0]
        if self._accounts.admits(user, password):
            return Page(
                status=302,
                headers=(("Location", "/home"), ("Set-Cookie", "session=open; HttpOnly; Path=/")),
            )
        if self._accounts.locked(user) and self._accounts.tells is not False:
            return Page(
                status=self._lockout_status,
                body=self._html("<p>Account locked</p>" + self._login_form()),
            )
        return Page(
            status=401, body=self._html("<p>Invalid user name or password</p>" + self._login_form())
        )

    def _login_form(self) -> str:
        user = (
            f'<label>User <input name="{escape(self._user_field)}"></label>'
            if self._user_field
            else ""
        )
        return (
            f'<form method="post" action="{escape(self._form_path)}">{user}'
            f'<label>Password <input type="password" name="{escape(self._password_field)}"></label>'
            "<button>Log in</button></form>"
        )

    def _operate(self) -> str:
        if not self._controls:
            return ""
        return (
            '<form method="post" action="/command"><button name="pump" value="start">Start pump'
            '</button><button name="pump" value="stop">Stop pump</button></form>'
        )

    def _html(self, inner: str) -> str:
        title = self._title if self._raw else escape(self._title)
        return (
            f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
            f"<body>{inner}</body></html>\n"
        )


def _pair(header: str) -> tuple[str, str] | None:
    """User and password of an Authorization header, None where it is not of the Basic scheme."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _lied(length: int, lie: str) -> str:
    told = {"zero": 0, "max": 10**19, "shorter": max(0, length - 1), "longer": length + 7}
    return str(told[lie])


async def _send_by_hand(page: Page, content: bytes, server: str, lie: str, to: Writable) -> None:
    """A reply whose Content-Length is false: h11 would refuse to write it."""
    lines = [f"HTTP/1.1 {page.status} ", f"Content-Length: {_lied(len(content), lie)}"]
    lines += [f"{name}: {value}" for name, value in page.headers]
    lines += [f"Server: {server}"] if server else []
    to.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + content)
    await to.drain()


async def _send_without_end(bomb: str, writer: Writable) -> None:
    """Until the client ends the connection, which the front then ends here."""
    start = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    match bomb:
        case "chunks":
            writer.write(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode())
            block = b"1000\r\n" + b"A" * 4096 + b"\r\n"
        case "headers":
            writer.write(start.encode())
            block = b"X-Filler: " + b"A" * 1000 + b"\r\n"
        case _:
            writer.write(f"{start}\r\n<html><head><title>".encode())
            block = b"A" * 16384
    while True:
        writer.write(block)
        await writer.drain()
        await asyncio.sleep(0)


async def _converse(
    panel: Panel, settings: Mapping[str, Any], reader: Readable, writer: Writable
) -> None:
    """One connection, with keep-alive as HTTP/1.1 has it."""
    server = str(settings.get("server", ""))
    lie = str(settings.get("content_length", ""))
    bomb = str(settings.get("bomb", ""))
    connection = h11.Connection(h11.SERVER)
    while True:
        request: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await asyncio.wait_for(reader.read(16384), IDLE_S))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if len(body) > MAX_BODY:
                    return
            elif isinstance(event, h11.EndOfMessage):
                break
            else:  # the client closed, or its bytes are no HTTP that has a next event
                return
        if request is None:
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in request.headers
        }
        method = request.method.decode("latin-1")
        page = panel.answer(method, request.target.decode("latin-1"), headers, body)
        if bomb in WITHOUT_END:
            await _send_without_end(bomb, writer)
        content = page.body.encode("utf-8", "replace") if page.content is None else page.content
        if lie:
            await _send_by_hand(page, content, server, lie, writer)
            return
        sent: Headers = [*page.headers, ("Content-Length", str(len(content)))]
        if page.content is None:
            sent.insert(-1, ("Content-Type", "text/html; charset=utf-8"))
        if server:
            sent.insert(0, ("Server", server))
        writer.write(connection.send(h11.Response(status_code=page.status, headers=sent)) or b"")
        if method != "HEAD":
            writer.write(connection.send(h11.Data(data=content)) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        if connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


async def serve(bench: Bench) -> Server:
    panel = Panel(bench)
    context: ssl.SSLContext | None = None
    if bench.protocol == "https":
        name = str(bench.settings.get("certificate_name", bench.device.lower()))
        context = bench.keys.tls(name, str(bench.settings.get("tls", "good")))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = TlsStream(reader, writer, context) if context else None
        try:
            if stream is None:
                await _converse(panel, bench.settings, reader, writer)
            else:
                await asyncio.wait_for(stream.handshake(), IDLE_S)
                await _converse(panel, bench.settings, stream, stream)
        except (h11.RemoteProtocolError, ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            (stream or writer).close()

    server = await asyncio.start_server(connected, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"http": serve, "https": serve}
