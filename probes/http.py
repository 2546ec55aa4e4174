"""
HTTP on TCP 80 and 8080, HTTPS on TCP 443 and 8443: the start page and the TLS end of it.

Identify over HTTP (PROBE): one connection, one `GET /`, `Connection: close`, the whole reply, a
clean close. Over HTTPS (TLS_PROBE): the same after one TLS handshake, whose version, cipher and
certificate are kept; the certificate is evidence and not verified, for nothing is entrusted to it.

Why this is the gentlest way: it is what a browser does first, minus everything that a browser does
next. No second connection, no favicon, no redirect followed, no cookie, no script, no other verb,
no path but "/". A page answers what it is by its title, the Server header, the realm of its
refusal or where it redirects to; whether it wants a login shows in the refusal or the password
field. Panels of small controllers serve one client at a time, so the connection is given back at
once.

Sample result, from the web server of a Modicon Ethernet module:
    HttpFace(scheme="http", status=401, server="Schneider-WEB/V2.1.4", realm="Schneider Web",
             auth_schemes=("Basic",), asks_login=True, …)
    DeviceIdentity(vendor="Schneider Electric", device_class="plc", basis="text")

Read over HTTPS (READ_PROBE): one handshake for each TLS version below the one that was negotiated,
down to 1.0, each on its own connection and closed before a request; two refusals in a row end it.

Login (LOGIN_PROBE, TLS_LOGIN_PROBE): the page is fetched without login first; where it is open,
nothing is tried. Else one published default of this very product, by Basic or by its form, and
only if that is accepted the same with a user that cannot exist. A lockout sign ends it.

Options of a default credential for `http`: `scheme` ("basic" or "form"), `path` (the page that
wants the login), and for a form `form_path`, `user_field`, `password_field` and `success` or
`failure`: a text that stands in the reply to an accepted or to a refused login only.

Source: RFC 9110 (semantics; 11.6.1 WWW-Authenticate, 10.2.2 Location), RFC 9112 (messages),
RFC 7617 (Basic), RFC 8446 and RFC 5246 (TLS), HTML Living Standard section 13.1.
"""

from __future__ import annotations

import base64
import html
import re
import ssl
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote_plus

from scanner.clients.certificate import describe
from scanner.clients.http import Page, fetch
from scanner.errors import BadReply, Closed, Reset, Silent, WireError
from scanner.facts import CredentialAttempt, DeviceIdentity, Fact, HttpFace, TlsFace
from scanner.model import Tier, Transport
from scanner.spec import DefaultCredential, Probe, Question, Session, TlsInfo

Scheme = Literal["http", "https"]

MAX_TEXT = 256
MAX_MARKUP = 256 * 1024
MAX_TAGS = 10_000
MAX_TAG = 4096
MAX_SCHEMES = 8
SHELL_TEXT = 200
"""A page with scripts and fewer visible characters than this is built by them."""

CONTROL_USER = "walkdown-no-such-user"
CONTROL_SECRET = "walkdown-control"  # noqa: S105 - not a secret: the control must be wrong
CONTROL_WITHIN_S = 45.0
"""A control that began later could outlast the session, and its cut-off would look like a lock."""
LOCKOUT_STATUS = frozenset({423, 429})
LOCKOUT_WORDS = ("locked", "too many", "try again later", "temporarily", "blocked")
LOCKOUT_TEXT = 64 * 1024

# --- what a page says ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Markup:
    """
    What a page's markup shows. `whole`: read to its end. `posts`: forms that post and have no
    password field. `is_shell`: the content comes from elsewhere (frames, a refresh, scripts), so
    that what is missing here may be there.
    """

    title: str | None
    whole: bool
    has_markup: bool
    asks_password: bool
    posts: int
    is_shell: bool


_ATTRIBUTE = re.compile(r"""([^\s=/>"']+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+))?""")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,32})", re.IGNORECASE)
_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]{0,31})")
_END_OF_TAG = re.compile(r"""[>"']""")
_END_OF_RAW_TEXT = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "noscript")
}
_SHELL_TAGS = frozenset({"frame", "frameset", "iframe", "object", "applet", "embed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    """One tag; `raw` is the text inside an element whose content is not markup."""

    name: str
    closing: bool
    attributes: Mapping[str, str]
    raw: str
    text_before: int


def _tags(text: str) -> Iterator[_Tag]:
    """
    The tags of a page in order. Total and linear: each search goes on where the last one ended,
    and one that finds nothing ends the page. (The standard library's parser takes 26 s for 64 KiB
    of "<a <a <a …", which would stop every other device's session.)
    """
    at = before = 0
    while (start := text.find("<", at)) >= 0:
        before += len(text[at:start].strip())
        if text.startswith("<!--", start):
            at = text.find("-->", start + 4) + 3
            if at < 3:
                return
            continue
        end = _end_of_tag(text, start)
        if end is None:
            return
        at = end
        match = _TAG_NAME.match(text, start)
        if match is None:
            continue
        name, closing = match[1].lower(), text[start + 1] == "/"
        raw = ""
        ends = None
        if not closing and name in _END_OF_RAW_TEXT:
            ends = _END_OF_RAW_TEXT[name].search(text, end)
            raw = text[end : ends.start() if ends else end + MAX_TAG]
            at = ends.start() if ends else len(text)
        yield _Tag(
            name=name,
            closing=closing,
            attributes=_attributes(text[match.end() : min(end, start + MAX_TAG)]),
            raw=raw,
            text_before=before,
        )
        before = 0
    yield _Tag(
        name="", closing=True, attributes={}, raw="", text_before=before + len(text[at:].strip())
    )


def _end_of_tag(text: str, start: int) -> int | None:
    """The offset behind the ">" that ends the tag, quoted values skipped; None: it does not."""
    at = start + 1
    while match := _END_OF_TAG.search(text, at):
        if match[0] == ">":
            return match.end()
        at = text.find(match[0], match.end()) + 1
        if at == 0:
            return None
    return None


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        value = (match[2] or "").strip("\"'")
        found.setdefault(match[1].lower(), html.unescape(value))
        if len(found) >= 32:
            break
    return found


def _decoded(body: bytes) -> str:
    """As the page says it is encoded, where Python knows that encoding; else as UTF-8, Latin-1."""
    match = _CHARSET.search(body[:2048])
    name = match[1].decode("ascii") if match else "utf-8"
    try:
        return body.decode(name)
    except (LookupError, ValueError):
        return body.decode("latin-1")


def _bounded(text: str | None) -> str | None:
    """One line of at most MAX_TEXT characters, or None where nothing is left."""
    return " ".join((text or "").split())[:MAX_TEXT].strip() or None


def read_markup(body: bytes) -> Markup:
    """Title, forms and password fields in the first 256 KiB and 10,000 tags of a page."""
    title: str | None = None
    has_markup = asks_password = has_script = is_shell = False
    in_post = form_asks = False
    posts = visible = 0
    tags = _tags(_decoded(body[:MAX_MARKUP]))
    for tag in islice(tags, MAX_TAGS):
        visible += tag.text_before
        has_markup = has_markup or bool(tag.name)
        match tag.name:
            case "title" if title is None and not tag.closing:
                title = _bounded(html.unescape(tag.raw))
            case "script" if not tag.closing:
                has_script = True
            case "form":
                posts += in_post and not form_asks
                in_post = not tag.closing and tag.attributes.get("method", "").lower() == "post"
                form_asks = False
            case "input" if tag.attributes.get("type", "").lower() == "password":
                asks_password = form_asks = True
            case "meta" if tag.attributes.get("http-equiv", "").lower() == "refresh":
                is_shell = True
            case name if name in _SHELL_TAGS:
                is_shell = True
    posts += in_post and not form_asks
    return Markup(
        title=title,
        whole=len(body) <= MAX_MARKUP and next(tags, None) is None,
        has_markup=has_markup,
        asks_password=asks_password,
        posts=posts,
        is_shell=is_shell or (has_script and visible < SHELL_TEXT),
    )


# --- what a refusal says -------------------------------------------------------------------------

_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_CHALLENGE = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,31})(?!\s*=)(?=\s|$)")
_REALM = re.compile(r'\brealm\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s,"]+))', re.IGNORECASE)


def decode_challenges(values: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
    """
    (schemes in order, first realm) of all WWW-Authenticate values. A value may hold several
    challenges, parted by commas like their parameters. Source: RFC 9110 section 11.6.1.
    """
    schemes: list[str] = []
    realm: str | None = None
    for value in values:
        value = value[:4096]
        if realm is None and (match := _REALM.search(value)):
            said = match[1] if match[1] is not None else match[2]
            realm = _bounded(re.sub(r"\\(.)", r"\1", said))
        for part in _QUOTED.sub('""', value).split(","):
            if (match := _CHALLENGE.match(part.strip())) and match[1] not in schemes:
                schemes.append(match[1])
    return tuple(schemes[:MAX_SCHEMES]), realm


def face_of(page: Page, scheme: Scheme) -> HttpFace:
    """What one GET of the start page showed. Nothing is concluded from a page that is cut off."""
    schemes, realm = decode_challenges(page.all("www-authenticate"))
    markup = read_markup(page.body)
    location = _bounded(page.first("location"))
    whole = page.complete and markup.whole
    asks_login: bool | None = None
    offers_controls: bool | None = None
    if page.status == 401:
        asks_login = True
    elif 200 <= page.status < 300:
        seen = whole and markup.has_markup and not markup.is_shell
        if markup.asks_password:
            asks_login = True
            offers_controls = False if seen and not markup.posts else None
        elif markup.posts:
            asks_login = False if seen else None
            offers_controls = True
        elif seen:
            asks_login = offers_controls = False
    return HttpFace(
        scheme=scheme,
        status=page.status,
        server=_bounded(page.first("server")),
        title=markup.title,
        realm=realm,
        auth_schemes=schemes,
        location=location,
        asks_login=asks_login,
        offers_controls=offers_controls,
        redirects_to_https=_redirects_to_https(page.status, location) if scheme == "http" else None,
    )


def _redirects_to_https(status: int, location: str | None) -> bool | None:
    if 300 <= status < 400 and location:
        return location.lower().startswith("https://")
    return False if status < 300 or status == 401 else None


def tls_face(tls: TlsInfo) -> TlsFace:
    """The negotiated version and cipher, and what the certificate says."""
    said = describe(tls.certificate_der)
    return TlsFace(
        version=tls.version,
        cipher=tls.cipher,
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
    )


# --- who that is ---------------------------------------------------------------------------------

_PLACES = ("title", "server", "realm", "location")
_FIELDS = ("vendor", "model", "order_number", "hardware", "firmware", "serial", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One row of probes/data/http_products.toml; its head says what the columns mean."""

    patterns: Mapping[str, re.Pattern[str]]
    says: Mapping[str, str]
    device_class: str | None
    classes: tuple[tuple[re.Pattern[str], str], ...]
    source: str


@cache
def products() -> tuple[Product, ...]:
    with (Path(__file__).parent / "data" / "http_products.toml").open("rb") as file:
        rows: list[dict[str, Any]] = tomllib.load(file)["product"]
    return tuple(
        Product(
            patterns={p: re.compile(row[p], re.IGNORECASE) for p in _PLACES if p in row},
            says={name: row[name] for name in _FIELDS if name in row},
            device_class=row.get("class"),
            classes=tuple((re.compile(p, re.IGNORECASE), c) for p, c in row.get("classes", ())),
            source=row["source"],
        )
        for row in rows
    )


def identify(face: HttpFace) -> DeviceIdentity | None:
    """Whose panel this is, by the first row of the table that fits; None when none does."""
    shown = {
        "title": face.title or "",
        "server": face.server or "",
        "realm": face.realm or "",
        "location": face.location or "",
    }
    for product in products():
        matches = [pattern.search(shown[place]) for place, pattern in product.patterns.items()]
        if not all(matches):
            continue
        fields = dict(product.says)
        for match in matches:
            groups = match.groupdict() if match else {}
            fields |= {name: said.strip() for name, said in groups.items() if said}
        text = " ".join(shown[place] for place in product.patterns)
        return DeviceIdentity(
            vendor=fields.get("vendor"),
            model=fields.get("model"),
            order_number=fields.get("order_number"),
            hardware=fields.get("hardware"),
            firmware=fields.get("firmware"),
            serial=fields.get("serial"),
            name=fields.get("name"),
            device_class=next(
                (c for pattern, c in product.classes if pattern.search(text)), product.device_class
            ),
            basis="text",
        )
    return None


# --- identify ------------------------------------------------------------------------------------


async def _look(session: Session, scheme: Scheme) -> tuple[Fact, ...]:
    face = face_of(await fetch(session, scheme, label="GET /"), scheme)
    identity = identify(face)
    return (face, identity) if identity else (face,)


async def run(session: Session) -> tuple[Fact, ...]:
    """One GET of the start page in clear text."""
    return await _look(session, "http")


async def run_tls(session: Session) -> tuple[Fact, ...]:
    """
    Handshake, then the GET inside it. What the handshake told stays when no page comes: some
    devices speak another protocol behind it.
    """
    face = replace(tls_face(await session.start_tls()), seen_at=session.now())
    try:
        return (face, *await _look(session, "https"))
    except WireError:
        return (face,)


# --- read ----------------------------------------------------------------------------------------

TLS_VERSIONS = ("TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1")
"""Newest first, as ssl.SSLObject.version() names them."""
_SUPPORTED = {
    "TLSv1.3": ssl.HAS_TLSv1_3,
    "TLSv1.2": ssl.HAS_TLSv1_2,
    "TLSv1.1": ssl.HAS_TLSv1_1,
    "TLSv1": ssl.HAS_TLSv1,
}


async def run_read(session: Session) -> tuple[Fact, ...]:
    """
    Which TLS versions are accepted. The one negotiated when the device was identified is not
    asked again. A search that a silence or this computer's OpenSSL cut short says nothing about
    the versions it did not reach, so it tells the accepted ones only where they are old already.
    """
    before = next((f for f in reversed(session.known) if _is_negotiated(f)), None)
    known = before if isinstance(before, TlsFace) else None
    search = await _search(session, known.version if known else None)
    finished = search.finished or bool(set(search.accepted) & {"TLSv1.1", "TLSv1"})
    if not finished and (search.fell_silent or not search.refused):
        raise Silent("the TLS handshakes were not answered to their end")
    return (
        replace(
            known or search.face or TlsFace(),
            accepted_versions=search.accepted if finished else None,
            refused_versions=search.refused,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """`face` is of the first handshake; `finished`: every version that matters was answered."""

    accepted: tuple[str, ...]
    refused: tuple[str, ...]
    face: TlsFace | None
    finished: bool
    fell_silent: bool


async def _search(session: Session, negotiated: str | None) -> _Search:
    """From the version below `negotiated` down, or all; over at two refusals after an answer."""
    accepted: list[str] = []
    refused: list[str] = []
    to_ask: tuple[str, ...] = TLS_VERSIONS
    if negotiated in TLS_VERSIONS:
        accepted.append(negotiated)
        to_ask = TLS_VERSIONS[TLS_VERSIONS.index(negotiated) + 1 :]
    face: TlsFace | None = None
    finished, fell_silent = True, False
    in_a_row = 0
    for version in to_ask:
        if accepted and in_a_row == 2:
            break
        if not _SUPPORTED[version]:
            finished = False
            continue
        try:
            tls = await session.start_tls(minimum=version, maximum=version)
        except (BadReply, Reset, Closed):
            refused.append(version)
            in_a_row += 1
        except Silent:
            finished, fell_silent = False, True
            break
        else:
            accepted.append(version)
            in_a_row = 0
            face = face or replace(tls_face(tls), seen_at=session.now())
        await session.close()
    return _Search(
        accepted=tuple(accepted),
        refused=tuple(refused),
        face=face,
        finished=finished,
        fell_silent=fell_silent,
    )


def _is_negotiated(fact: Fact) -> bool:
    return isinstance(fact, TlsFace) and fact.version is not None


# --- login ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """`accepted` None: the device did not say."""

    accepted: bool | None = None
    lockout_sign: str | None = None


async def run_login(session: Session) -> tuple[Fact, ...]:
    """Baseline, one default, its control; in clear text."""
    return await _login(session, "http")


async def run_tls_login(session: Session) -> tuple[Fact, ...]:
    """The same inside TLS, one handshake for each connection."""
    return await _login(session, "https")


async def _login(session: Session, scheme: Scheme) -> tuple[Fact, ...]:
    credential = next((c for c in session.default_credentials if c.protocol == "http"), None)
    if credential is None:
        return ()
    service = f"{scheme}/{session.target.port}"
    attempt = CredentialAttempt(
        service=service,
        credential=credential.id,
        account=credential.user,
        product=credential.product,
    )
    started = session.now()
    path = credential.options.get("path", "/")
    baseline = await _on_own_connection(
        session, scheme, lambda: fetch(session, scheme, path=path, label="baseline without login")
    )
    wants = wants_login(baseline, credential.options, scheme)
    if wants is False:
        return (replace(attempt, open_without_login=True, withheld="open_without_login"),)
    if wants is None:
        return (replace(attempt, withheld="no_login_seen"),)
    attempt = replace(attempt, open_without_login=False)
    if sign := lockout_sign(baseline, before=None):
        return (replace(attempt, withheld="locked", lockout_sign=sign),)
    if reason := await session.attempts.begin(service, credential.user):
        return (replace(attempt, withheld=reason),)
    tried = await _try(
        session, scheme, service, credential, credential.user, credential.secret.reveal(), baseline
    )
    attempt = replace(attempt, accepted=tried.accepted, lockout_sign=tried.lockout_sign)
    in_time = (session.now() - started).total_seconds() < CONTROL_WITHIN_S
    if tried.accepted and in_time and await session.attempts.begin(service, CONTROL_USER) is None:
        control = await _try(
            session, scheme, service, credential, CONTROL_USER, CONTROL_SECRET, baseline
        )
        attempt = replace(attempt, control_accepted=control.accepted)
    return (attempt,)


async def _on_own_connection(
    session: Session, scheme: Scheme, ask: Callable[[], Awaitable[Page]]
) -> Page:
    """One question; the connection is given back before the ledger's spacing is waited for."""
    try:
        if scheme == "https":
            await session.start_tls()
        return await ask()
    finally:
        await session.close()


async def _try(
    session: Session,
    scheme: Scheme,
    service: str,
    credential: DefaultCredential,
    user: str,
    secret: str,
    baseline: Page,
) -> _Tried:
    """One attempt that `begin` allowed; how it ended is told to the ledger in any case."""
    tried = _Tried()
    try:
        page = await _on_own_connection(
            session,
            scheme,
            lambda: _sign_in(session, scheme, credential.options, user, secret),
        )
        sign = lockout_sign(page, before=baseline)
        accepted = None if sign else is_accepted(page, credential.options)
        tried = _Tried(accepted=accepted, lockout_sign=sign)
    except (Closed, Reset):
        tried = _Tried(lockout_sign="connection dropped")
    except Silent:
        tried = _Tried(lockout_sign="no answer")
    except BadReply:
        tried = _Tried()
    finally:
        await session.attempts.ended(
            service, user, accepted=bool(tried.accepted), lockout_sign=tried.lockout_sign
        )
    return tried


async def _sign_in(
    session: Session, scheme: Scheme, options: Mapping[str, str], user: str, secret: str
) -> Page:
    if options.get("scheme") == "form":
        form, spelled = encode_form(options, user, secret)
        return await fetch(
            session,
            scheme,
            path=options["form_path"],
            label="default credential by form",
            form=form,
            secrets=(spelled,),
        )
    token = encode_basic(user, secret)
    return await fetch(
        session,
        scheme,
        path=options.get("path", "/"),
        label="default credential by Basic",
        headers={"Authorization": f"Basic {token.decode()}"},
        secrets=(token,),
    )


def encode_basic(user: str, secret: str) -> bytes:
    """The credentials of RFC 7617: base64 of user, colon, password. All of it is secret."""
    return base64.b64encode(f"{user}:{secret}".encode())


def encode_form(options: Mapping[str, str], user: str, secret: str) -> tuple[bytes, bytes]:
    """(body, the password as it is spelled in it), application/x-www-form-urlencoded."""
    spelled = f"{quote_plus(options['password_field'])}={quote_plus(secret)}".encode()
    return f"{quote_plus(options['user_field'])}={quote_plus(user)}&".encode() + spelled, spelled


def wants_login(page: Page, options: Mapping[str, str], scheme: Scheme) -> bool | None:
    """
    Whether the page, fetched without login, asks for the login that the credential belongs to;
    False: it is open; None: neither can be told (moved, missing, built by scripts).
    """
    face = face_of(page, scheme)
    if options.get("scheme") == "form":
        if face.asks_login and page.status != 401:
            return True
        return False if face.asks_login is False and page.status == 200 else None
    if page.status == 401:
        return True if any(s.lower() == "basic" for s in face.auth_schemes) else None
    return False if page.status == 200 and face.asks_login is False else None


def is_accepted(page: Page, options: Mapping[str, str]) -> bool | None:
    """Whether the reply to a sign-in lets the user in; None when it cannot be told."""
    if page.status in (401, 403):
        return False
    if options.get("scheme") != "form":
        return True if 200 <= page.status < 400 else None
    text = page.body[:MAX_MARKUP].decode("utf-8", "replace")
    text += " " + (page.first("location") or "")
    success, failure = options.get("success"), options.get("failure")
    if failure and failure in text:
        return False
    if success:
        if success in text:
            return True
        return False if page.complete else None
    return True if page.complete and page.status < 400 else None


def lockout_sign(page: Page, *, before: Page | None) -> str | None:
    """
    What in a reply smells of a lock: 423, 429, a 403 where a 401 stood before, or words that were
    not on the page before. None when nothing does.
    """
    if page.status in LOCKOUT_STATUS:
        return f"status {page.status}"
    if before is not None and page.status == 403 and before.status != 403:
        return f"status {before.status} became 403"
    text = page.body[:LOCKOUT_TEXT].decode("utf-8", "replace").lower()
    known = before.body[:LOCKOUT_TEXT].decode("utf-8", "replace").lower() if before else ""
    return next((word for word in LOCKOUT_WORDS if word in text and word not in known), None)


# --- what the engine finds -----------------------------------------------------------------------

_GET = (
    b"GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    b"Connection: close\r\nUser-Agent: Walkdown (read-only inventory)\r\n\r\n"
)
_ACCESS_LOG = "one line in the web server's access log, if it keeps one"
_FAILED = "one failed or successful login of the default account in the log"
_CONTROL = f"one failed login of user {CONTROL_USER} in the log"
_TLS_PACKETS = 3
"""Client hello, key exchange and Finished (two segments at most), close_notify in the goodbye."""

PROBE = Probe(
    name="http",
    protocol="http",
    transport=Transport.TCP,
    ports=(80, 8080),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(Question(label="GET /", sample=_GET, trace=_ACCESS_LOG),),
)

TLS_PROBE = Probe(
    name="http",
    protocol="http",
    service="https",
    transport=Transport.TCP,
    ports=(443, 8443),
    tier=Tier.IDENTIFY,
    run=run_tls,
    questions=(
        Question(label="TLS handshake", packets=_TLS_PACKETS + 1),
        Question(label="GET / inside TLS", sample=_GET, trace=_ACCESS_LOG),
    ),
)

READ_PROBE = Probe(
    name="http",
    protocol="http",
    service="https",
    transport=Transport.TCP,
    ports=(443, 8443),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(
            label="TLS handshake in one older version",
            at_most=4,
            packets=_TLS_PACKETS + 1,
            trace="one handshake without a request, or one failed handshake, in the server's log",
        ),
    ),
    connections=4,
    needs=frozenset({"answered"}),
    deadline_s=60.0,
)

LOGIN_PROBE = Probe(
    name="http",
    protocol="http",
    transport=Transport.TCP,
    ports=(80, 8080),
    tier=Tier.LOGIN,
    run=run_login,
    questions=(
        Question(label="baseline: the page without login", sample=_GET, trace=_ACCESS_LOG),
        Question(label="one default credential of this product", packets=2, trace=_FAILED),
        Question(
            label="control: a user that cannot exist (only after a login was accepted)",
            packets=2,
            trace=_CONTROL,
        ),
    ),
    connections=3,
    needs=frozenset({"answered", "default_credential"}),
    deadline_s=120.0,
)

TLS_LOGIN_PROBE = Probe(
    name="http",
    protocol="http",
    service="https",
    transport=Transport.TCP,
    ports=(443, 8443),
    tier=Tier.LOGIN,
    run=run_tls_login,
    questions=(
        Question(label="TLS handshake", at_most=3, packets=_TLS_PACKETS + 1),
        *LOGIN_PROBE.questions,
    ),
    connections=3,
    needs=frozenset({"answered", "default_credential"}),
    deadline_s=120.0,
)
