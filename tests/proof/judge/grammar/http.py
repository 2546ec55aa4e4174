"""
HTTP in clear text; what was inside TLS is judged by `http_verdict` too.

Sources: RFC 9110, section 9; RFC 9112, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_REQUEST: Final = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.[01]\r\n")
_HEADERS: Final = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})
_LOGIN_HEADERS: Final = _HEADERS | {"authorization"}
_FORM_HEADERS: Final = _LOGIN_HEADERS | {"content-type", "content-length"}
_START_PAGES: Final = frozenset({"/", "/favicon.ico"})
LOGIN_PAGES: Final = frozenset(
    {
        "/",
        "/secure/embedded/http_passwd_config.htm?Language=English",
        "/secure/system/globaldata.htm?Language=English",
    }
)
"""What is fetched with and without a login of the shipped credential sets."""
LOGIN_FORMS: Final = frozenset({"/cgi-bin/login.cgi"})
_ACTS: Final = re.compile(
    r"re-?(?:boot|start|set|load|store)|shut-?down|power|halt|delete|remove|erase|clear|format"
    r"|write|(?<![a-z])set|save|apply|upload|update|upgrade|firmware|flash|factory|import|log-?out"
    r"|start|stop|on$|off$|exec|command|cmd",
    re.IGNORECASE,
)
"""Words of addresses behind which web panels do something."""


def http_verdict(
    method: str, target: str, headers: frozenset[str], *, form: bool, body: bool
) -> Verdict:
    """
    A page is read where it is the start page, asked for in the few headers that are ever sent; a
    login is one of the pages or forms of the credential sets. `headers` are names, in small.
    """
    if method not in ("GET", "HEAD", "POST") or _ACTS.search(target):
        return "control"
    if method == "POST":
        known = form and target in LOGIN_FORMS and headers <= _FORM_HEADERS
        return "login" if known else "control"
    if body or not headers <= _LOGIN_HEADERS:
        return "unknown"
    if target in _START_PAGES and "authorization" not in headers:
        return "read"
    return "login" if target in LOGIN_PAGES else "unknown"


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        first = _REQUEST.match(sent, at)
        stop = sent.find(b"\r\n\r\n", at)
        if first is None or stop < 0:
            return
        head = sent[at:stop].lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        end = stop + 4 + (int(length[1]) if length else 0)
        if end > len(sent) or b"\r\ntransfer-encoding:" in head:
            return
        method, target = first[1].decode(), first[2].decode()
        names = frozenset(
            line.partition(b":")[0].decode("latin-1") for line in head.split(b"\r\n")[1:]
        )
        form = b"\r\ncontent-type: application/x-www-form-urlencoded" in head
        verdict = http_verdict(method, target, names, form=form, body=length is not None)
        yield Pdu(at, end, f"HTTP {method} {target}", verdict, (f"http {method}",), names=target)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for part in data.split(b"\r\n\r\n"):
        if part:
            yield part.split(b"\r\n")[0]


GRAMMAR: Final = Grammar(
    protocol="http",
    read=read,
    ports=(("tcp", 80), ("tcp", 8080)),
    ics=False,
    client_speaks_first=True,
    dissector="http",
    connections={"login": 3},
    asks=asks,
)
