"""LDAP: root DSEs of two kinds of directory, refusals, a success without an entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.ldap
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("told",)


def _ber(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def _done(code: int) -> bytes:
    return _ber(0x30, b"\x02\x01\x01", _ber(0x65, bytes([10, 1, code]), b"\x04\0\x04\0"))


def _entry(**attributes: bytes) -> bytes:
    pairs = (
        _ber(0x30, _ber(4, name.encode()), _ber(0x31, _ber(4, value)))
        for name, value in attributes.items()
    )
    return _ber(0x30, b"\x02\x01\x01", _ber(0x64, b"\x04\0", _ber(0x30, *pairs)))


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for name, reply in (
        ("a domain", _entry(supportedLDAPVersion=b"3", defaultNamingContext=b"DC=plant")),
        ("a vendor", _entry(vendorName=b"The OpenLDAP Project", vendorVersion=b"2.5" * 60)),
        ("nothing", b""),
    ):
        answer = script(reply + _done(0), b"")
        yield Dialogue(name=name, probe=probes.ldap.PROBE, answer=answer)
    for code in (1, 8, 51):
        yield Dialogue(name=f"result {code}", probe=probes.ldap.PROBE, answer=script(_done(code)))
