"""
Network UPS Tools: lists, versions and values are read; logins, settings and commands act.

Source: RFC 9271, commands and responses.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

READS = {b"VER", b"NETVER", b"PROTVER", b"HELP", b"LIST", b"GET"}
ACTS = {
    b"USERNAME", b"PASSWORD", b"LOGIN", b"ATTACH", b"PRIMARY", b"MASTER", b"FSD", b"SET",
    b"INSTCMD", b"STARTTLS",
}  # fmt: skip
ENDS = {b"LOGOUT", b"DETACH"}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    *lines, rest = request.split(b"\n")
    if rest or not lines:
        raise Foreign("a line without end")
    for line in lines:
        word = line.split(b" ")[0]
        name = word.decode("latin-1")
        if word in READS:
            yield Named(protocol="nut", service=name, verdict="read")
        elif word in ENDS:
            yield Named(protocol="nut", service=name, verdict="session")
        elif word in ACTS:
            yield Named(protocol="nut", service=name, verdict="write")
        else:
            raise Foreign("no command of upsd")


READER = Reader(protocol="nut", read=read)
