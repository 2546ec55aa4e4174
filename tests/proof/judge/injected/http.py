"""
HTTP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests

GET: Final = b"GET / HTTP/1.1\r\nHost: 10.77.1.1\r\n\r\n"


def _get(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 10.77.1.1\r\n{more}\r\n".encode()


WRITES: Requests = {
    "http put": (
        "tcp", 80, (b"PUT /config HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx=",),
    ),
    "http post": (
        "tcp", 80, (b"POST /reboot HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",),
    ),
    "http page that reboots": ("tcp", 80, (_get("/reboot.cgi"),)),
    "http page that resets": ("tcp", 80, (_get("/cgi-bin/factory_reset"),)),
    "http page with an order behind it": ("tcp", 80, (_get("/outlet?1=off"),)),
    "http form that acts": (
        "tcp", 80, (b"POST /command HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n\r\npump=start",),
    ),
    "http delete": ("tcp", 80, (b"DELETE /user HTTP/1.1\r\nHost: a\r\n\r\n",)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "http with another method in a header": (
        "tcp", 80, (_get("/", "X-HTTP-Method-Override: DELETE\r\n"),),
    ),
    "http with a cookie": ("tcp", 80, (_get("/", "Cookie: session=1\r\n"),)),
    "http page of no product": ("tcp", 80, (_get("/config.xml"),)),
}  # fmt: skip

SIGNING_IN: Requests = {
    "http page of a login": ("tcp", 80, (_get("/secure/system/globaldata.htm?Language=English"),)),
    "http with a password": ("tcp", 80, (_get("/", "Authorization: Basic YTpi\r\n"),)),
}  # fmt: skip

GRANTED: Requests = {
    "http page of a login": SIGNING_IN["http page of a login"],
    "http with a password": SIGNING_IN["http with a password"],
    "http form of a login": (
        "tcp", 80, (b"POST /cgi-bin/login.cgi HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                    b"Content-Type: application/x-www-form-urlencoded\r\n\r\na=b",),
    ),
}  # fmt: skip

HARMLESS: Requests = {
    "http get": ("tcp", 80, (GET,)),
}

FOREIGN: Foreign = {
    "SSH to HTTP": ("tcp", 80, b"SSH-2.0-x\r\n"),
}
