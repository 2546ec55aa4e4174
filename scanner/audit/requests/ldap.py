"""
LDAP messages by operation: a search of the base object "" reads, unbind ends, all else acts.

Source: RFC 4511 sections 4.1.1 and 4.2 to 4.12; its appendix B (tags).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

OPERATIONS = {
    0x60: "bind", 0x42: "unbind", 0x63: "search", 0x66: "modify", 0x68: "add", 0x4A: "delete",
    0x6C: "modify DN", 0x6E: "compare", 0x50: "abandon", 0x77: "extended",
}  # fmt: skip
ROOT = b"\x04\x00\x0a\x01\x00"
"""Base object "", scope base."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        message, request = _take(request, 0x30)
        _, operation = _take(message, 0x02)
        if not operation or operation[0] not in OPERATIONS:
            raise Foreign("not LDAP")
        inside, _ = _take(operation, operation[0])
        name = OPERATIONS[operation[0]]
        if name == "search" and inside.startswith(ROOT):
            yield Named(protocol="ldap", service="search of the root DSE", verdict="read")
        elif name == "unbind":
            yield Named(protocol="ldap", service=name, verdict="session")
        else:
            yield Named(protocol="ldap", service=name, verdict="write")


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the element that `data` begins with, and what is behind it."""
    if len(data) < 2 or data[0] != tag:
        raise Foreign(f"expected BER tag {tag:02x}")
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 3:
            raise Foreign("a BER length of another form")
        length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if at + length > len(data):
        raise Foreign("cut off")
    return data[at : at + length], data[at + length :]


READER = Reader(protocol="ldap", read=read)
