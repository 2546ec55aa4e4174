"""
SNMP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _snmp(tag: int, *, community: bytes = b"private") -> bytes:
    # sysLocation.0 = "x" (an OCTET STRING)
    bind = bytes.fromhex("30 0d 06 08 2b060102010106 00 04 01 78".replace(" ", ""))
    binds = b"\x30" + bytes([len(bind)]) + bind
    pdu = bytes.fromhex("020101 020100 020100".replace(" ", "")) + binds
    message = b"\x02\x01\x01\x04" + bytes([len(community)]) + community
    message += bytes([tag, len(pdu)]) + pdu
    return b"\x30" + bytes([len(message)]) + message


def _snmp_user(name: bytes) -> bytes:
    """An SNMPv3 get of nothing, without authentication, as somebody (RFC 3412, RFC 3414)."""

    def ber(tag: int, *parts: bytes) -> bytes:
        whole = b"".join(parts)
        return bytes([tag, len(whole)]) + whole

    number = bytes.fromhex("020101")
    head = ber(0x30, number, bytes.fromhex("020205dc"), ber(4, b"\x04"), bytes.fromhex("020103"))
    user = ber(4, ber(0x30, ber(4), number, number, ber(4, name), ber(4), ber(4)))
    asked = ber(0xA0, number, bytes.fromhex("020100020100"), ber(0x30))
    scoped = ber(0x30, ber(4), ber(4), asked)
    return ber(0x30, bytes.fromhex("020103"), head, user, scoped)


WRITES: Requests = {
    "snmp set": ("udp", 161, (_snmp(0xA3),)),
    "snmp trap": ("udp", 161, (_snmp(0xA7),)),
}  # fmt: skip

SIGNING_IN: Requests = {
    "snmp under a guessed community": ("udp", 161, (_snmp(0xA0, community=b"cisco"),)),
    "snmp as a user": ("udp", 161, (_snmp_user(b"admin"),)),
}  # fmt: skip

GRANTED: Requests = {
    "snmp under a published community": SIGNING_IN["snmp under a guessed community"],
}  # fmt: skip

HARMLESS: Requests = {
    "snmp get": ("udp", 161, (_snmp(0xA0, community=b"public"),)),
}

FOREIGN: Foreign = {
    "HTTP to SNMP": ("udp", 161, GET),
}
