"""
LDAP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _ber(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def _message(operation: bytes) -> bytes:
    return _ber(0x30, b"\x02\x01\x07", operation)


def search(base: bytes, scope: int) -> bytes:
    limits = bytes.fromhex("0a0100020101020105010100")
    wanted = _ber(0x30, _ber(4, b"vendorName"))
    head = _ber(4, base) + _ber(10, bytes([scope]))
    return _message(_ber(0x63, head, limits, _ber(0x87, b"objectClass"), wanted))


_DN: Final = b"cn=pump,dc=plant"
UNBIND: Final = _message(b"\x42\0")
ROOT: Final = search(b"", 0)

WRITES: Requests = {
    "ldap bind": ("tcp", 389, (_message(_ber(0x60, b"\x02\x01\x03", _ber(4, _DN), b"\x80\x01x")),)),
    "ldap delete": ("tcp", 389, (_message(_ber(0x4A, _DN)),)),
    "ldap add": ("tcp", 389, (_message(_ber(0x68, _ber(4, _DN), _ber(0x30))),)),
    "ldap modify": ("tcp", 389, (_message(_ber(0x66, _ber(4, _DN), _ber(0x30))),)),
    "ldap StartTLS": (
        "tcp",
        389,
        (_message(_ber(0x77, _ber(0x80, b"1.3.6.1.4.1.1466.20037"))),),
    ),
}

NOT_ONLY_READING: Requests = {
    "ldap search of a tree": ("tcp", 389, (search(b"dc=plant", 2),)),
    "ldap search of everything": ("tcp", 389, (search(b"", 2),)),
}

HARMLESS: Requests = {
    "ldap root DSE": ("tcp", 389, (ROOT,)),
    "ldap root DSE and unbind": ("tcp", 389, (ROOT, UNBIND)),
}

FOREIGN: Foreign = {
    "HTTP to LDAP": ("tcp", 389, GET),
    "SNMP to LDAP": ("tcp", 389, _ber(0x30, b"\x02\x01\x01", _ber(4, b"public"), _ber(0xA0))),
}
