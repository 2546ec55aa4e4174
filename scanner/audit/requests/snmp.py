"""
SNMP in its three versions: the three PDUs that ask; whose community or name that is, is looked at.

Sources: RFC 3416 section 3; RFC 3412 section 6; RFC 3414 section 2.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.audit.requests.layers.ber import element
from scanner.model import Tier

READS = {0xA0, 0xA1, 0xA5}
PUBLIC = b"public"
"""The community that everybody knows; another one, or a user's name, is a sign-in."""


def _inside(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """(value, rest) of one element that must have this tag."""
    found, value, rest = element(data)
    if found != tag:
        raise Foreign("not an SNMP message")
    return value, rest


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    message, rest = _inside(request, 0x30)
    if rest:
        raise Foreign("more than one message")
    version, message = _inside(message, 0x02)
    if version == b"\x03":
        _, message = _inside(message, 0x30)
        security, message = _inside(message, 0x04)
        nobody = _user(security) == b""
        tag, scoped, _ = element(message)
        if tag != 0x30:
            yield Named(protocol="snmp", service="encrypted", verdict="unknown")
            return
        _, scoped = _inside(scoped, 0x04)
        _, message = _inside(scoped, 0x04)
    else:
        community, message = _inside(message, 0x04)
        nobody = community == PUBLIC
    pdu, _, rest = element(message)
    if rest:
        raise Foreign("more than one PDU")
    verdict = either(pdu in READS)
    if verdict == "read" and not nobody:
        verdict = "sign-in" if tier is Tier.LOGIN else "write"
    yield Named(protocol="snmp", service=f"PDU {pdu:#x}", verdict=verdict)


def _user(security: bytes) -> bytes:
    """The user's name in RFC 3414's parameters: behind engine id, boots and time."""
    rest, _ = _inside(security, 0x30)
    for _ in range(3):
        _, _, rest = element(rest)
    return _inside(rest, 0x04)[0]


READER = Reader(protocol="snmp", read=read)
