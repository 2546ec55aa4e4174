"""
VNC: a client's version is a session; the security type and all that follows acts on a desktop.

Source: RFC 6143 sections 7.1.1 and 7.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

LINE = 12


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    line, rest = request[:LINE], request[LINE:]
    digits = line[4:7] + line[8:11]
    if not (line.startswith(b"RFB ") and line[7:8] == b"." and line[11] == 0x0A):
        raise Foreign("no RFB version")
    if not digits.isdigit():
        raise Foreign("no RFB version")
    yield Named(protocol="vnc", service="ProtocolVersion", verdict="session")
    if rest:
        yield Named(protocol="vnc", service="behind the version", verdict="write")


READER = Reader(protocol="vnc", read=read)
