"""HTTP and HTTPS: recorded and made pages, refusals, logins, codings of a body."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import probes.http
import scanner.clients.http
from scanner.facts import DeviceIdentity, HttpFace, TlsFace
from tests.fuzz import mutate
from tests.fuzz.seeds.certificate import certificates
from tests.fuzz.seeds.form import banners, captured, credential, script
from tests.fuzz.session import Dialogue

OURS = {
    "scanner.clients.http.authority": "takes the address from the site file",
    "scanner.clients.http.secret_spans": "reads our own request",
}
OUR_PARAMETERS = ("method",)
TEXTS = {("http_face", name): 256 for name in ("server", "title", "realm", "location")}
OK = b"HTTP/1.1 200 OK\r\nServer: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
LOGIN_PAGE = (
    b"<html><head><title>Login</title><script src=x.js></script></head><body>"
    b"<form method=post action=/login><input name=u><input type='password' name=p></form>"
    b"</body></html>"
)
OPEN_PAGE = (
    b"<html><head><title>Pump station 7</title></head><body>" + b"Level 3.2 m. " * 30 +
    b"<form method=post action=/set><input name=sp><input type=submit></form></body></html>"
)  # fmt: skip


def served(body: bytes, server: bytes = b"GoAhead-Webs") -> bytes:
    return OK % (server, len(body), body)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    record = captured(captures, "http__*.json")[0]
    replies = [bytes.fromhex(e["response_hex"]) for e in record["exchanges"]]
    pages = {bytes(r[:6000]) for r in replies}
    pages |= {served(LOGIN_PAGE), served(OPEN_PAGE)}
    for title in banners(captures, "html_title"):
        pages.add(served(b"<html><head><title>%s</title></head></html>" % title.encode()))
    for server in banners(captures, "http_servers"):
        pages.add(served(b"", server.encode()))
    for asked in banners(captures, "http_wwwauth"):
        head = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n"
        pages.add(head % asked.encode())
    pages.add(b"HTTP/1.1 302 Found\r\nLocation: https://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")
    pages.add(b"HTTP/1.0 200 OK\r\n\r\n<frameset><frame src=a></frameset></html>")
    pages.add(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(OPEN_PAGE), OPEN_PAGE)
    )
    packed = gzip.compress(LOGIN_PAGE, mtime=0)
    pages.add(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
        % (len(packed), packed)
    )
    ders = certificates()
    for i, page in enumerate(sorted(pages)):
        yield Dialogue(name=f"page {i}", probe=probes.http.PROBE, answer=script(page))
        if i % 4 == 0:
            yield Dialogue(
                name=f"tls page {i}",
                probe=probes.http.TLS_PROBE,
                answer=script(page),
                certificate=ders[i // 4 % len(ders)],
            )
    for known in ((), (TlsFace(version="TLSv1.2"),)):
        yield Dialogue(
            name="versions",
            probe=probes.http.READ_PROBE,
            answer=script(),
            known=known,
            certificate=ders[0],
        )
    refused = (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    )
    form = credential(
        "http", scheme="form", form_path="/login", user_field="u", password_field="p",
        success="Welcome", failure="Wrong password",
    )  # fmt: skip
    logins = (
        (credential("http", scheme="basic"), (refused, served(OPEN_PAGE), refused)),
        (
            form,
            (served(LOGIN_PAGE), served(b"<html>Welcome</html>"), served(b"<html>Wrong password")),
        ),
        (form, (served(LOGIN_PAGE), b"HTTP/1.1 429 Slow down\r\nContent-Length: 0\r\n\r\n")),
    )
    for secret, said in logins:
        for probe in (probes.http.LOGIN_PROBE, probes.http.TLS_LOGIN_PROBE):
            yield Dialogue(
                name="login",
                probe=probe,
                answer=script(*said),
                default_credentials=secret,
                certificate=ders[0],
            )


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "http__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            yield Dialogue(name=record["id"], probe=probes.http.PROBE, answer=script(reply))


def _titled(text: str) -> DeviceIdentity | None:
    title = probes.http.read_markup(f"<title>{text}</title>".encode()).title
    return probes.http.identify(HttpFace(scheme="http", status=200, title=title))


def _served_by(text: str) -> DeviceIdentity | None:
    return probes.http.identify(HttpFace(scheme="http", status=200, server=text))


def _asked_by(text: str) -> DeviceIdentity | None:
    schemes, realm = probes.http.decode_challenges([text])
    return probes.http.identify(
        HttpFace(scheme="http", status=401, realm=realm, auth_schemes=schemes)
    )


BANNERS = {"html_title": _titled, "http_servers": _served_by, "http_wwwauth": _asked_by}


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for coding in ("gzip", "deflate"):
        packed = gzip.compress(OPEN_PAGE, mtime=0) if coding == "gzip" else zlib.compress(OPEN_PAGE)
        yield "http", lambda p=packed, c=coding: scanner.clients.http.decode_body(p, c)  # type: ignore[misc]
    yield "http", lambda: scanner.clients.http.decode_reply(served(OPEN_PAGE), "GET")


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Headers, chunks, codings and markup damaged where each is read."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    pages = [body for other in others if (body := other.partition(b"\r\n\r\n")[2])]
    if rng.random() < 0.6:
        body = mutate.blind(rng, body, pages)
    if rng.random() < 0.5:
        i = rng.randrange(len(lines))
        lines[i] = mutate.blind(rng, lines[i], lines).replace(b"\r", b"").replace(b"\n", b"")
    if rng.random() < 0.3:
        lines.insert(rng.randint(1, len(lines)), rng.choice(HEADERS))
    kept = [one for one in lines if not one.lower().startswith((b"content-length", b"transfer-"))]
    draw = rng.random()
    if draw < 0.25:
        lines = [*kept, b"Content-Encoding: " + rng.choice((b"gzip", b"deflate", b"br", b"x-gzip"))]
        packed = gzip.compress(body, 1) if rng.random() < 0.6 else zlib.compress(body, 1)
        body = packed if rng.random() < 0.5 else mutate.blind(rng, packed, ())
        lines.append(b"Content-Length: %d" % len(body))
    elif draw < 0.45:
        lines = [*kept, b"Transfer-Encoding: chunked"]
        size = rng.choice((b"%x" % len(body), b"FFFFFFFFFFFFFFFF", b"-1", b"0", b"1;x=y", b""))
        body = size + b"\r\n" + body + b"\r\n0\r\n\r\n"
    elif draw < 0.75:
        lines = [*kept, b"Content-Length: %d" % max(len(body) + rng.choice((0, 0, 0, 1, -1)), 0)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


HEADERS = (
    b"Transfer-Encoding: chunked", b"Content-Length: 0", b"Content-Length: 99999999999999999999",
    b"Content-Length: -1", b"Content-Encoding: gzip", b"Content-Encoding: deflate, gzip",
    b"Connection: upgrade", b"Upgrade: websocket", 
    b'WWW-Authenticate: Basic realm="' + b"A" * 5000,
    b"WWW-Authenticate: , , ,Digest realm=x, Basic", b"Location: https://", b"Location: //x/\x7f",
    b"Server: " + b"S" * 4000, b"X: " + b"y" * 70000, b" folded", b"A:\x00b",
    b"HTTP/1.1 100 Continue",
)  # fmt: skip
