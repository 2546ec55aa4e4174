"""
HTTP, plain or in TLS: the start page, and the pages and forms of the shipped credential sets.

Source: RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.audit.requests.layers import tls
from scanner.model import Tier

READS = {b"GET", b"HEAD"}
HEADERS = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
"""All that is said beside the request line; another header may make another request of it."""
START = {b"/", b"/favicon.ico"}
LOGIN = START | {
    b"/secure/embedded/http_passwd_config.htm?Language=English",
    b"/secure/system/globaldata.htm?Language=English",
}
FORMS = {b"/cgi-bin/login.cgi"}
"""The pages that want a login, and the forms that take one, of the shipped credential sets."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if tls.is_record(request):
        yield from tls.records(request)
        return
    head, end, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[0].isalpha() or not end:
        raise Foreign("no HTTP request")
    method, path = words[:2]
    more = {line.partition(b":")[0].strip().lower() for line in lines} - HEADERS
    verdict: Verdict = "write"  # a page that is not known may be one that acts
    if method in READS and not body:
        if path in START and not more:
            verdict = "read"
        elif tier is Tier.LOGIN and path in LOGIN and more <= {b"authorization"}:
            verdict = "sign-in"
    elif method == b"POST" and tier is Tier.LOGIN and path in FORMS:
        form = {b"authorization", b"content-type", b"content-length"}
        verdict = "sign-in" if more <= form else "write"
    place = path[:40].decode("ascii", "replace")
    service = method.decode("ascii") + ("" if path in START else f" {place}")
    yield Named(protocol="http", service=service, verdict=verdict)


READER = Reader(protocol="http", read=read, sealed=tls.SEALED)
