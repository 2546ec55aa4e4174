"""httpx over the governed session: one request, bounded replies, certificates of every age."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import warnings
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import http as probe
from scanner.clients import http
from scanner.clients.certificate import describe
from scanner.errors import BadReply, Closed, GuardRefused
from scanner.facts import HttpFace, TlsFace
from scanner.spec import DefaultCredential, Probe, Secret
from tests.probes.ledger import Ledger

Handler = Callable[[bytes], bytes]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def test_a_reply_in_a_million_chunks_is_never_parsed_in_one_go() -> None:
    """The piece read last is all that is parsed at once: other devices' sessions go on."""
    reader = http.ReplyReader("GET")
    whole = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n"
    for end in range(16_384, len(whole), 16_384):
        assert reader(whole[:end]) is None
    length = reader(whole + b"HTTP/1.1")
    assert length == len(whole)

    began = time.perf_counter()
    reply = reader.reply(whole)

    assert time.perf_counter() - began < 0.02
    assert reply.body == b"x" * 40_000
    assert reply.complete
    assert reply.length == len(whole)


@asynccontextmanager
async def serving(
    answer: Handler, *, tls: ssl.SSLContext | None = None, hold: bool = False
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads one request, answers and closes; `hold` keeps the connection open."""
    heard: list[bytes] = []
    release = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            request = await reader.readuntil(b"\r\n\r\n")
            heard.append(request)
            writer.write(answer(request))
            await writer.drain()
            if hold:
                await release.wait()
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        release.set()
        server.close()


def page(body: bytes, *headers: bytes) -> bytes:
    return (
        OK
        + b"".join(h + b"\r\n" for h in headers)
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )


# --- one request ---------------------------------------------------------------------------------


async def test_a_fetch_is_one_plain_get_on_one_connection(governed: Any) -> None:
    async with (
        serving(lambda _: page(b"<html></html>")) as (port, heard),
        governed(probe.PROBE, port) as session,
    ):
        answer = await http.fetch(session, "http", label="GET /")

    assert (answer.status, answer.body, answer.complete) == (200, b"<html></html>", True)
    head = heard[0].decode().split("\r\n")
    assert head[0] == "GET / HTTP/1.1"
    assert sorted(line.split(":")[0] for line in head[1:] if line) == [
        "Accept", "Accept-Encoding", "Connection", "Host", "User-Agent",
    ]  # fmt: skip
    assert f"Host: 127.0.0.1:{port}" in head
    assert "Connection: close" in head
    assert session.device.figures.connections == 1


async def test_a_redirect_is_not_followed(governed: Any) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"
    async with (
        serving(lambda _: redirect) as (port, heard),
        governed(probe.PROBE, port) as session,
    ):
        answer = await http.fetch(session, "http", label="GET /")

    assert (answer.status, answer.first("location")) == (302, "http://127.0.0.1:1/x")
    assert len(heard) == 1


async def test_a_proxy_in_the_environment_is_not_asked(
    governed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise HTTP_PROXY would redirect a scan to a machine outside its scope."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with (
        serving(lambda _: page(b"x")) as (port, heard),
        governed(probe.PROBE, port) as session,
    ):
        await http.fetch(session, "http", label="GET /")

    assert heard[0].startswith(b"GET / HTTP/1.1\r\n")


async def test_a_page_that_ends_with_the_connection_is_whole_when_it_closes_itself(
    governed: Any,
) -> None:
    async with (
        serving(lambda _: OK + b"\r\n<html><title>x</title></html>\n") as (port, _),
        governed(probe.PROBE, port) as session,
    ):
        whole = await http.fetch(session, "http", label="GET /")
    async with (
        serving(lambda _: OK + b"\r\n<html><title>x</title>") as (port, _),
        governed(probe.PROBE, port) as session,
    ):
        cut = await http.fetch(session, "http", label="GET /")

    assert whole.complete
    assert not cut.complete
    assert cut.body.startswith(b"<html>")


async def test_a_body_shorter_than_announced_is_not_whole(governed: Any) -> None:
    async with (
        serving(lambda _: OK + b"Content-Length: 100\r\n\r\n<html></html>") as (port, _),
        governed(probe.PROBE, port) as session,
    ):
        answer = await http.fetch(session, "http", label="GET /")

    assert not answer.complete


async def test_a_server_that_closes_without_a_word_is_closed_and_garbage_is_garbled(
    governed: Any,
) -> None:
    async with serving(lambda _: b"") as (port, _), governed(probe.PROBE, port) as session:
        with pytest.raises(Closed):
            await http.fetch(session, "http", label="GET /")
    async with (
        serving(lambda _: b"SSH-2.0-x\r\n\r\n") as (port, _),
        governed(probe.PROBE, port) as session,
    ):
        with pytest.raises(BadReply):
            await http.fetch(session, "http", label="GET /")


@pytest.mark.parametrize("verb", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("tier", [probe.PROBE, probe.LOGIN_PROBE])
async def test_httpx_itself_cannot_write_through_the_door(
    governed: Any, verb: str, tier: Probe
) -> None:
    async with (
        serving(lambda _: page(b"x")) as (port, heard),
        governed(tier, port) as session,
        httpx.AsyncClient(transport=http.SessionTransport(session), trust_env=False) as client,
    ):
        with pytest.raises(GuardRefused):
            await client.request(verb, f"http://127.0.0.1:{port}/", content=b"a=b")

    assert heard == []
    assert session.device.figures.connections == 0


# --- bounded -------------------------------------------------------------------------------------


async def test_an_endless_body_is_cut_at_the_cap(governed: Any) -> None:
    endless = OK + b"\r\n" + b"a" * (http.MAX_REPLY + 65536)
    async with serving(lambda _: endless) as (port, _), governed(probe.PROBE, port) as session:
        answer = await http.fetch(session, "http", label="GET /")

    assert len(answer.body) <= http.MAX_REPLY
    assert not answer.complete


async def test_a_gzip_bomb_is_refused_at_the_cap(governed: Any) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < http.MAX_REPLY
    async with (
        serving(lambda _: page(bomb, b"Content-Encoding: gzip")) as (port, _),
        governed(probe.PROBE, port) as session,
    ):
        with pytest.raises(BadReply, match="after decompression"):
            await http.fetch(session, "http", label="GET /")


@pytest.mark.parametrize("raw", [False, True])
def test_both_spellings_of_deflate_are_undone(raw: bool) -> None:
    coder = zlib.compressobj(wbits=-15 if raw else 15)
    data = coder.compress(b"hello") + coder.flush()

    assert http.decode_body(data, "deflate") == (b"hello", True)


def test_a_cut_stream_is_not_whole_and_an_unknown_coding_is_refused() -> None:
    assert http.decode_body(gzip.compress(b"hello" * 100)[:-9], "gzip")[1] is False
    for coding in ("br", "zstd", "gzip, gzip", "x" * 500):
        with pytest.raises(BadReply):
            http.decode_body(b"x", coding)
    assert http.decode_body(b"x", None) == (b"x", True)


def test_a_head_without_an_end_is_refused() -> None:
    with pytest.raises(BadReply):
        http.ReplyReader("GET")(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000)


def test_an_exact_length_and_chunks_end_a_reply() -> None:
    whole = page(b"hello")
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for reply in (whole, chunked):
        framer = http.ReplyReader("GET")
        for end in range(1, len(reply)):
            assert framer(reply[:end]) is None
        assert framer(reply) == len(reply)
        assert http.ReplyReader("GET")(reply + b"HTTP/1.1") == len(reply)
        assert http.decode_reply(reply, "GET").body == b"hello"


@settings(max_examples=300)
@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes_are_framed_and_decoded_or_raise_bad_reply(data: bytes, cut: int) -> None:
    for reply in (data, OK + data, OK + b"\r\n" + data, OK + b"Transfer-Encoding: chunked\r\n\r\n"
                  + data):  # fmt: skip
        with suppress(BadReply):
            framer = http.ReplyReader("GET")
            framer(reply[:cut])
            length = framer(reply)
            assert length is None or 0 <= length <= len(reply)
        with suppress(BadReply):
            decoded = http.decode_reply(reply, "GET")
            assert 0 <= decoded.length <= len(reply)
    for coding in ("gzip", "deflate", "x-gzip", None):
        with suppress(BadReply):
            http.decode_body(data, coding)


# --- secrets -------------------------------------------------------------------------------------


async def test_credentials_never_reach_the_evidence(governed: Any) -> None:
    token = probe.encode_basic("admin", "hunter2")
    async with (
        serving(lambda _: page(b"x")) as (port, heard),
        governed(probe.LOGIN_PROBE, port) as session,
    ):
        await http.fetch(
            session, "http", label="basic", secrets=(token,),
            headers={"Authorization": f"Basic {token.decode()}"},
        )  # fmt: skip

    assert token in heard[0]
    stored = session.evidence_kept.intents[0]["request"]
    assert token not in stored
    assert len(stored) == len(heard[0])


def test_spans_cover_every_place_behind_the_request_line() -> None:
    data = b"POST /abc HTTP/1.1\r\nA: abc\r\n\r\nx=abc"

    assert http.secret_spans(data, (b"abc", b"")) == ((23, 26), (32, 35))


# --- TLS -----------------------------------------------------------------------------------------


def certificate(
    key: Any = None, *, common_name: str = "panel-7", issuer: str | None = None, days: int = 30
) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    start = datetime(2026, 1, 1, tzinfo=UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else subject
        )
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("panel-7.example")]), False)
    )
    made = builder.sign(key, hashes.SHA256())
    return (
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def server_context(folder: Path, *, maximum: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    pem, key = certificate()
    (folder / "panel.pem").write_bytes(pem + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "panel.pem")
    if maximum:
        context.maximum_version = maximum
    return context


async def test_a_page_behind_tls_is_fetched_and_its_certificate_kept(
    governed: Any, tmp_path: Path
) -> None:
    body = b"<html><title>SCALANCE S615</title><p>hello</p></html>"
    async with (
        serving(lambda _: page(body), tls=server_context(tmp_path)) as (port, heard),
        governed(probe.TLS_PROBE, port) as session,
    ):
        facts = await probe.run_tls(session)

    tls = next(f for f in facts if isinstance(f, TlsFace))
    face = next(f for f in facts if isinstance(f, HttpFace))
    assert tls.version == "TLSv1.3"
    assert (tls.subject, tls.self_signed, tls.key_type) == ("CN=panel-7", True, "EC secp256r1")
    assert tls.seen_at is not None
    assert tls.names == ("panel-7.example",)
    assert (face.scheme, face.title, face.redirects_to_https) == ("https", "SCALANCE S615", None)
    assert heard[0].startswith(b"GET / HTTP/1.1")


async def test_what_the_handshake_told_stays_when_no_page_comes(
    governed: Any, tmp_path: Path
) -> None:
    async with (
        serving(lambda _: b"\x00\x01nonsense", tls=server_context(tmp_path)) as (port, _),
        governed(probe.TLS_PROBE, port) as session,
    ):
        facts = await probe.run_tls(session)

    assert [type(fact) for fact in facts] == [TlsFace]


async def test_older_versions_are_asked_one_by_one_below_the_negotiated(
    governed: Any, tmp_path: Path
) -> None:
    known = (TlsFace(version="TLSv1.3", cipher="x", key_bits=256),)
    async with (
        serving(lambda _: b"", tls=server_context(tmp_path)) as (port, heard),
        governed(probe.READ_PROBE, port, known=known) as session,
    ):
        (face,) = await probe.run_read(session)

    assert face.accepted_versions == ("TLSv1.3", "TLSv1.2")
    assert face.refused_versions == ("TLSv1.1", "TLSv1")
    assert face.key_bits == 256
    assert session.device.figures.connections == 3
    assert heard == []


async def test_a_server_of_one_version_is_found_whichever_it_is(
    governed: Any, tmp_path: Path
) -> None:
    context = server_context(tmp_path, maximum=ssl.TLSVersion.TLSv1_2)
    async with (
        serving(lambda _: b"", tls=context) as (port, _),
        governed(probe.READ_PROBE, port) as session,
    ):
        (face,) = await probe.run_read(session)

    assert face.accepted_versions == ("TLSv1.2",)
    assert "TLSv1.3" in face.refused_versions
    assert face.subject == "CN=panel-7"


async def test_a_panel_that_speaks_only_tls_1_0_is_found(governed: Any, tmp_path: Path) -> None:
    """The case that a check on weak TLS lives for: two refusals must not end the search."""
    context = server_context(tmp_path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    async with (
        serving(lambda _: b"", tls=context) as (port, _),
        governed(probe.READ_PROBE, port) as session,
    ):
        (face,) = await probe.run_read(session)

    assert face.accepted_versions == ("TLSv1",)
    assert face.refused_versions == ("TLSv1.3", "TLSv1.2", "TLSv1.1")


# --- login -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_default_login_and_its_control_take_a_connection_each(
    governed: Any, tmp_path: Path, scheme: str
) -> None:
    token = probe.encode_basic("admin", "admin")

    def answer(request: bytes) -> bytes:
        if token in request:
            return page(b"<html>welcome</html>")
        return b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'

    credential = DefaultCredential(
        id="d", vendor="v", product="p", protocol="http", user="admin", secret=Secret("admin"),
        options={"scheme": "basic", "path": "/"},
    )  # fmt: skip
    secure = scheme == "https"
    login = probe.TLS_LOGIN_PROBE if secure else probe.LOGIN_PROBE
    ledger = Ledger()
    async with (
        serving(answer, tls=server_context(tmp_path) if secure else None) as (port, heard),
        governed(login, port, default_credentials=(credential,), attempts=ledger) as session,
    ):
        (fact,) = await login.run(session)

    assert (fact.accepted, fact.control_accepted) == (True, False)
    assert ledger.begun == [
        (f"{scheme}/{port}", "admin"),
        (f"{scheme}/{port}", probe.CONTROL_USER),
    ]
    assert ledger.ends == [("admin", True, None), (probe.CONTROL_USER, False, None)]
    assert len(heard) == session.device.figures.connections == 3
    for intent in session.evidence_kept.intents:
        assert token not in intent["request"]


# --- certificates --------------------------------------------------------------------------------


def test_a_certificate_is_described() -> None:
    pem, _ = certificate(rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - as devices have it

    said = describe(der(pem))

    assert (said.key_type, said.key_bits, said.signature_hash) == ("RSA", 1024, "sha256")
    assert (said.subject, said.issuer, said.self_signed) == ("CN=panel-7", "CN=panel-7", True)
    assert said.not_after == datetime(2026, 1, 31, tzinfo=UTC)
    assert said.fingerprint_sha256
    assert len(said.fingerprint_sha256) == 64


def test_another_issuer_is_not_self_signed_and_a_borrowed_name_neither() -> None:
    pem, _ = certificate(issuer="plant CA")
    assert describe(der(pem)).self_signed is False
    # Same names, but signed by another key: the subject only looks like its own issuer.
    mine = der(certificate()[0])
    forged = mine[:-4] + bytes(b ^ 1 for b in mine[-4:])
    assert describe(forged).self_signed in (False, None)


def test_a_serial_number_of_zero_is_no_trouble() -> None:
    """cryptography warns of it, and warnings are errors here: nothing of that may come through."""
    made = der(certificate()[0])
    zero = made.replace(b"\x02\x01\x07", b"\x02\x01\x00", 1)
    negative = made.replace(b"\x02\x01\x07", b"\x02\x01\x87", 1)

    for damaged in (zero, negative):
        assert damaged != made
        assert describe(damaged).fingerprint_sha256


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes_are_described(data: bytes) -> None:
    said = describe(data)

    assert bool(said.fingerprint_sha256) == bool(data)


_MADE = der(certificate()[0])


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(_MADE) - 1), value=st.integers(0, 255), cut=st.integers(0, 600))
def test_a_damaged_certificate_is_described_as_far_as_it_goes(
    at: int, value: int, cut: int
) -> None:
    damaged = bytearray(_MADE)
    damaged[at] = value

    assert describe(bytes(damaged)).fingerprint_sha256
    describe(bytes(damaged)[:cut])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (dsa.generate_private_key(2048), ("DSA", 2048)),
        (ed25519.Ed25519PrivateKey.generate(), ("Ed25519", 256)),
        (ed448.Ed448PrivateKey.generate(), ("Ed448", 456)),
        (x25519.X25519PrivateKey.generate(), (None, None)),
    ],
    ids=["dsa", "ed25519", "ed448", "x25519"],
)
def test_every_kind_of_key_is_named_with_its_size(
    key: Any, said: tuple[str | None, int | None]
) -> None:
    """A key that cannot sign at all (X25519) stands in a certificate that another one signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "panel-7")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    signer = key if isinstance(key, dsa.DSAPrivateKey) else ed25519.Ed25519PrivateKey.generate()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .sign(signer, hashes.SHA256() if signer is key else None)
    )

    fields = describe(made.public_bytes(serialization.Encoding.DER))

    assert (fields.key_type, fields.key_bits) == said
    assert fields.subject == "CN=panel-7"


def test_a_switch_to_a_protocol_that_nobody_asked_for_is_a_bad_reply() -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"

    with pytest.raises(BadReply, match="SWITCH"):
        http.decode_reply(head + b"\x00\x01\x02", "GET")


def test_bytes_that_do_not_continue_the_last_ones_are_read_anew() -> None:
    reader = http.ReplyReader("GET")
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
    other = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    assert reader(first) is None
    assert reader(other) == len(other)
    assert reader.reply(other).status == 404


def test_a_bomb_in_either_form_of_deflate_is_refused_for_its_size() -> None:
    whole = zlib.compress(bytes(http.MAX_REPLY + 1))

    for packed in (whole, whole[2:-4]):
        with pytest.raises(BadReply, match="more than"):
            http.decode_body(packed, "deflate")
