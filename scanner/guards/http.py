"""
HTTP requests as plaintext, before any TLS: a start page may be fetched, and that is nearly all.

GET and HEAD of "/" and "/favicon.ico" in every sending tier. In the `login` tier also GET of the
pages that the shipped credential sets name, an Authorization header, and a POST of their forms
with their fields: a test compares these lists with the sets.
A request is judged whole, in the one shape that our client writes: an allow-list of headers, one
each, CR LF at every line's end and nowhere else, `Connection: close`, no body on GET. A path in
which a word stands that reboots, writes or deletes on web panels is refused in every tier.

Source: RFC 9110 sections 7.2 and 9.3, RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

import re

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

MAX_HEAD = 4096
MAX_BODY = 2048
MAX_PATH = 256
END_OF_HEAD = b"\r\n\r\n"

START_PATHS = frozenset({b"/", b"/favicon.ico"})
HEADERS = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"})
LOGIN_HEADERS = frozenset({b"authorization"})
FORM_HEADERS = frozenset({b"content-type", b"content-length"})
FORM_TYPE = b"application/x-www-form-urlencoded"

_REQUEST_LINE = re.compile(rb"(GET|HEAD|POST) (/[!-~]{0,255}) HTTP/1\.1\Z")
_HEADER = re.compile(rb"([A-Za-z-]{1,32}): ([!-~](?:[ -~]{0,510}[!-~])?)\Z")
_HOST = re.compile(rb"(?:[0-9.]{7,15}|\[[0-9a-fA-F:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_LOGIN_PATH = re.compile(rb"(?:/[A-Za-z0-9_.~-]+)*/?(?:\?[A-Za-z0-9_.~=&-]*)?\Z")
_FORM = re.compile(rb"[A-Za-z0-9_.~*+%=&-]*\Z")
_AUTHORIZATION = re.compile(rb"Basic [A-Za-z0-9+/]{0,400}={0,2}\Z")
_CONTENT_LENGTH = re.compile(rb"[0-9]{1,4}\Z")
_ACTS = re.compile(
    rb"re-?boot|re-?start|reset|shut-?down|power-?(?:off|cycle)|halt|delete|remove|erase"
    rb"|(?<!in)format|write|upload|update|upgrade|firmware|flash|factory|restore|import|save|apply"
    rb"|exec|command|cmd",
    re.IGNORECASE,
)
"""Words that stand in the addresses of pages that act; a login never needs one."""

LOGIN_PAGES = frozenset({
    b"/secure/embedded/http_passwd_config.htm?Language=English",
    b"/secure/system/globaldata.htm?Language=English",
})  # fmt: skip
"""Pages that want a login, beside the start page."""
LOGIN_FORMS = {b"/cgi-bin/login.cgi": frozenset({b"username", b"password"})}
"""Forms that take a login, and their fields."""


class _Bad(Exception):
    """This request is not what the allow-list describes; the text says in what."""


def _content_length(head: bytes) -> int:
    """The announced length of the body; nonsense counts as none and is refused when judged."""
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() == b"content-length":
            return int(value) if _CONTENT_LENGTH.match(value.strip()) else 0
    return 0


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in lines:
        match = _HEADER.match(line)
        if match is None:
            raise _Bad("a header line is not in the plain form")
        name = match[1].lower()
        if name in found:
            raise _Bad(f"header {name.decode()} comes twice")
        found[name] = match[2]
    return found


def _judge_path(path: bytes, verb: bytes, tier: Tier) -> None:
    if len(path) > MAX_PATH:
        raise _Bad("the path is too long")
    if path in START_PATHS and verb != b"POST":
        return
    if not tier.allows(Tier.LOGIN):
        raise _Bad("a path other than / and /favicon.ico belongs to the login tier")
    if not _LOGIN_PATH.match(path) or b"/.." in path:
        raise _Bad("the path has characters or steps that a login page does not need")
    if _ACTS.search(path):
        raise _Bad("the path names an action")
    if path not in (LOGIN_FORMS if verb == b"POST" else LOGIN_PAGES):
        raise _Bad("no credential set names this page")


def _judge_form(path: bytes, headers: dict[bytes, bytes], body: bytes) -> None:
    if headers.get(b"content-type") != FORM_TYPE:
        raise _Bad(f"a POST is {FORM_TYPE.decode()} only")
    length = headers.get(b"content-length", b"")
    if not _CONTENT_LENGTH.match(length) or int(length) != len(body):
        raise _Bad("Content-Length does not fit the body")
    if len(body) > MAX_BODY or not _FORM.match(body):
        raise _Bad("the body is not a small form")
    fields = {field.partition(b"=")[0] for field in body.split(b"&")}
    if fields != LOGIN_FORMS[path] or len(fields) != body.count(b"&") + 1:
        raise _Bad("the body is not the form that a credential set names")


def _judge(frame: bytes, tier: Tier) -> None:
    if not tier.allows(Tier.IDENTIFY):
        raise _Bad("nothing is sent in the passive tier")
    head, end, body = frame.partition(END_OF_HEAD)
    if not end or len(head) > MAX_HEAD:
        raise _Bad("no whole request head")
    first, *lines = head.split(b"\r\n")
    if b"\r" in b"".join((first, *lines)) or b"\n" in head.replace(b"\r\n", b""):
        raise _Bad("a line end inside a line")
    match = _REQUEST_LINE.match(first)
    if match is None:
        raise _Bad("the request line is not GET, HEAD or POST of a plain path")
    verb, path = match[1], match[2]
    _judge_path(path, verb, tier)
    headers = _headers(lines)
    allowed = HEADERS | (LOGIN_HEADERS if tier.allows(Tier.LOGIN) else frozenset())
    if verb == b"POST":
        allowed |= FORM_HEADERS
    if surplus := sorted(set(headers) - allowed):
        raise _Bad(f"header {surplus[0].decode()} is not on the list")
    if not _HOST.match(headers.get(b"host", b"")):
        raise _Bad("Host is not one address")
    if headers.get(b"connection", b"").lower() != b"close":
        raise _Bad("the connection is not announced to be closed")
    if b"authorization" in headers and not _AUTHORIZATION.match(headers[b"authorization"]):
        raise _Bad("Authorization is not Basic")
    if verb == b"POST":
        _judge_form(path, headers, body)
    elif body:
        raise _Bad(f"a body on {verb.decode()}")


class HttpGuard:
    """One request at a time: bytes behind it are refused with it."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        head, end, body = buffer.partition(END_OF_HEAD)
        if not end:
            if len(buffer) > MAX_HEAD:
                raise GuardRefused("http: a request head without an end")
            return (), buffer
        length = _content_length(head)
        if length > MAX_BODY:
            raise GuardRefused(f"http: a body of {length} bytes")
        if len(body) < length:
            return (), buffer
        size = len(head) + len(end) + length
        if len(buffer) > size:
            raise GuardRefused(f"http: {len(buffer) - size} bytes behind the request")
        return (buffer,), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        try:
            _judge(frame, tier)
        except _Bad as bad:
            return str(bad)
        return None


GUARD = GuardSpec(protocol="http", open=HttpGuard, reply_framer=None)
