"""
A device's web panel over HTTP or HTTPS: h11 speaks the protocol.

Settings: `server` (header), `title`, `body` (HTML put into the page), `login` ("none", "basic",
"form"), `realm`, `form` {path, user_field, password_field}, `users`, `accept_any`,
`lockout_after`, `controls` (the page served without login carries a form that posts),
`redirect` (a location that every request gets, "{https}" for the
port of the other panel), `tls` (a kind of lab.keys).
A POST to anything but the log-in form is counted as a write.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
from dataclasses import dataclass
from html import escape
from typing import Protocol
from urllib.parse import parse_qs

import h11

from lab.bench import LOOPBACK, Accounts, Bench, Server
from lab.tls_stream import TlsStream

STANDARD_HTTP = 80
STANDARD_HTTPS = 443
MAX_BODY = 65536
IDLE_S = 15.0


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
        if self._redirect:
            return Page(status=301, headers=(("Location", self._redirect),))
        if logs_in:
            return self._form_login(body)
        if method not in ("GET", "HEAD"):
            return Page(status=405, headers=(("Allow", "GET, HEAD"),))
        if self._login == "basic" and not self._basic(headers.get("authorization", "")):
            challenge = f'Basic realm="{self._realm}"'
            return Page(
                status=401,
                body=self._html("<p>Unauthorized</p>"),
                headers=(("WWW-Authenticate", challenge),),
            )
        if path not in ("/", "/index.html", "/home", self._form_path):
            return Page(status=404, body=self._html("<p>Not found</p>"))
        if self._login == "form" and (
            path != "/home" or "session=" not in headers.get("cookie", "")
        ):
            return Page(status=200, body=self._html(self._login_form()))
        return Page(status=200, body=self._html(self._body + self._operate()))

    def _basic(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return self._accounts.admits(user, password)

    def _form_login(self, body: bytes) -> Page:
        fields = parse_qs(body.decode("latin-1"), keep_blank_values=True)
        user = fields.get(self._user_field, [""])[0]
        password = fields.get(self._password_field, [""])[0]
        if self._accounts.admits(user, password):
            return Page(
                status=302,
                headers=(("Location", "/home"), ("Set-Cookie", "session=open; HttpOnly; Path=/")),
            )
        if self._accounts.locked(user):
            return Page(status=403, body=self._html("<p>Account locked</p>" + self._login_form()))
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
        return (
            f"<!DOCTYPE html>\n<html><head><title>{escape(self._title)}</title></head>"
            f"<body>{inner}</body></html>\n"
        )


async def _converse(panel: Panel, server: str, reader: Readable, writer: Writable) -> None:
    """One connection, with keep-alive as HTTP/1.1 has it."""
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
        content = page.body.encode("utf-8")
        sent: Headers = [
            *page.headers,
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(content))),
        ]
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
    header = str(bench.settings.get("server", ""))
    context: ssl.SSLContext | None = None
    if bench.protocol == "https":
        name = str(bench.settings.get("certificate_name", bench.device.lower()))
        context = bench.keys.tls(name, str(bench.settings.get("tls", "good")))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = TlsStream(reader, writer, context) if context else None
        try:
            if stream is None:
                await _converse(panel, header, reader, writer)
            else:
                await asyncio.wait_for(stream.handshake(), IDLE_S)
                await _converse(panel, header, stream, stream)
        except (h11.RemoteProtocolError, ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            (stream or writer).close()

    server = await asyncio.start_server(connected, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)
