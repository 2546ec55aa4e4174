"""
EtherNet/IP and CIP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET
from tests.proof.judge.injected.s7 import CONNECT_S7

LIST_IDENTITY: Final = b"\x63" + bytes(23)


def _cip(service: bytes) -> bytes:
    """SendRRData with one unconnected request in session 1."""
    items = bytes(6) + b"\x02\x00" + bytes(4) + b"\xb2\x00" + len(service).to_bytes(2, "little")
    body = items + service
    return b"\x6f\x00" + len(body).to_bytes(2, "little") + b"\x01" + bytes(19) + body


def _register() -> bytes:
    return b"\x65\x00\x04\x00" + bytes(20) + b"\x01\x00\x00\x00"


def _routed(message: str, route: str = "01000103", path: str = "20062401") -> bytes:
    """Unconnected_Send; by default to slot 3."""
    inner = bytes.fromhex(message)
    head = bytes.fromhex(f"5202{path}01fa") + len(inner).to_bytes(2, "little")
    return _cip(head + inner + bytes(len(inner) % 2) + bytes.fromhex(route))


def _pccc(command: str) -> bytes:
    return bytes.fromhex("4b0220672401 07 0000 00000000" + command)


IDENTITY: Final = "010220012401"
TO_A_SLOT: Final = _routed(IDENTITY)
DIAGNOSTIC_STATUS: Final = _cip(_pccc("06 00 0100 03"))

WRITES: Requests = {
    "enip write tag": ("tcp", 44818, (_cip(bytes.fromhex("4d0391015841c3000100ff00")),)),
    "enip reset": ("tcp", 44818, (_cip(bytes.fromhex("05022001240100")),)),
    "enip stop": ("tcp", 44818, (_cip(bytes.fromhex("07022001 2401".replace(" ", ""))),)),
    "enip set attribute": ("tcp", 44818, (_cip(bytes.fromhex("10032001240130 0700ff".replace(
        " ", ""))),)),
    "enip PCCC": ("tcp", 44818, (_cip(bytes.fromhex(
        "4b022067240107 4d0001020304 0f00 0100 aa020189 0000ff00".replace(" ", ""))),)),
    "enip forward open": ("tcp", 44818, (_cip(
        bytes.fromhex("54022006240107f90000000001000000 0100 4d00 01020304 00000000".replace(
            " ", "")) + bytes.fromhex("40420f00 f843 40420f00 f843 a3 0320022401 2c01".replace(
                " ", ""))),)),
    "enip set sent on to a slot": ("tcp", 44818, (_routed("10032001240130070100"),)),
    "enip set of odd length sent on": ("tcp", 44818, (_routed("1003200124013007010000"),)),
    "enip reset sent on to a slot": ("tcp", 44818, (_routed("050220012401"),)),
    "enip stop sent on to a slot": ("tcp", 44818, (_routed("0702208e2401"),)),
    "enip tag written in a slot": ("tcp", 44818, (_routed("4d0391015841c3000100ff00"),)),
    "enip PCCC sent on to a slot": ("tcp", 44818, (_routed(_pccc("06 00 0100 03").hex()),)),
    "enip read sent on over two hops": ("tcp", 44818, (_routed(IDENTITY, "020001010102"),)),
    "enip read sent on over three hops": ("tcp", 44818, (
        _routed(IDENTITY, "0300010102020103"),)),
    "enip read sent on to another port": ("tcp", 44818, (_routed(IDENTITY, "01000203"),)),
    "enip read sent on nowhere": ("tcp", 44818, (_routed(IDENTITY, "0000"),)),
    "enip sent on twice": ("tcp", 44818, (_routed(
        "52022006240101fa0600010220012401 01000103".replace(" ", "")),)),
    "enip PCCC mode change": ("tcp", 44818, (_cip(_pccc("0f 00 0100 80 06")),)),
    "enip PCCC counters reset": ("tcp", 44818, (_cip(_pccc("06 00 0100 07")),)),
    "enip PCCC more behind the diagnostic status": ("tcp", 44818, (
        _cip(_pccc("06 00 0100 03 00")),)),
    "enip PCCC unprotected write": ("tcp", 44818, (_cip(_pccc("08 00 0100 0000 02 ffff")),)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "enip part of a tag": ("tcp", 44818, (_cip(bytes.fromhex(
        "520391015841c3000100 00000000".replace(" ", ""))),)),
    "enip Unconnected_Send to another class": ("tcp", 44818, (_routed(IDENTITY, path="20662401"),)),
}  # fmt: skip
"""Not known to the judge: a question that nobody planned is a finding, whatever it does."""

HARMLESS: Requests = {
    "enip identify": ("tcp", 44818, (LIST_IDENTITY,)),
    "enip identify by datagram": ("udp", 44818, (LIST_IDENTITY,)),
    "enip chassis": (
        "tcp",
        44818,
        (_register(), _cip(bytes.fromhex(IDENTITY)), TO_A_SLOT, _routed(IDENTITY, "01000110")),
    ),
    "enip PCCC diagnostic status": ("tcp", 44818, (_register(), DIAGNOSTIC_STATUS)),
}

FOREIGN: Foreign = {
    "HTTP to EtherNet/IP": ("tcp", 44818, GET),
    "S7 to EtherNet/IP": ("tcp", 44818, CONNECT_S7),
    "a stray byte behind ListIdentity": ("tcp", 44818, LIST_IDENTITY + b"\x00"),
}
