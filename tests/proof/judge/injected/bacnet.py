"""
BACnet/IP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.enip import LIST_IDENTITY
from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _bvlc(function: int, body: str) -> bytes:
    data = bytes.fromhex(body)
    return bytes([0x81, function]) + (4 + len(data)).to_bytes(2, "big") + data


def _confirmed(service: int, body: str) -> bytes:
    return _bvlc(0x0A, f"0104 0005 11 {service:02x} {body}")


WHICH: Final = _confirmed(12, "0c 023fffff 194b")
ANALOG_VALUE_1: Final = "0c 00800001"

WRITES: Requests = {
    "bacnet write property": ("udp", 47808, (
        _confirmed(15, f"{ANALOG_VALUE_1} 1955 3e 4442280000 3f 3908"),)),
    "bacnet write property multiple": ("udp", 47808, (
        _confirmed(16, f"{ANALOG_VALUE_1} 1e 0955 2e 4442280000 2f 3908 1f"),)),
    "bacnet device communication control": ("udp", 47808, (_confirmed(17, "0905 1901"),)),
    "bacnet reinitialize device": ("udp", 47808, (_confirmed(20, "0901"),)),
    "bacnet write file": ("udp", 47808, (
        _confirmed(7, "c402800001 0e 3100 6401020304 0f"),)),
    "bacnet create object": ("udp", 47808, (_confirmed(10, "0e 0902 0f"),)),
    "bacnet delete object": ("udp", 47808, (_confirmed(11, "c400800001"),)),
    "bacnet add list element": ("udp", 47808, (
        _confirmed(8, "0c 03c00001 1966 3e 2101 3f"),)),
    "bacnet subscribe COV": ("udp", 47808, (
        _confirmed(5, "0912 1c 00800001 2900 3978"),)),
    "bacnet time synchronisation": ("udp", 47808, (
        _bvlc(0x0A, "0100 1006 a4 7e0b1e01 b4 0c000000"),)),
    "bacnet who-is": ("udp", 47808, (_bvlc(0x0B, "0120 ffff00ff 1008"),)),
    "bacnet read property to everybody": ("udp", 47808, (
        _bvlc(0x0B, "0120 ffff00ff 0005110c 0c 023fffff 194b"),)),
    "bacnet read property to a whole network": ("udp", 47808, (
        _bvlc(0x0A, "0124 000300ff 0005110c 0c 023fffff 194b"),)),
    "bacnet register foreign device": ("udp", 47808, (_bvlc(0x05, "003c"),)),
    "bacnet write broadcast table": ("udp", 47808, (
        _bvlc(0x01, "0a4d0101 bac0 ffffffff"),)),
    "bacnet delete foreign device": ("udp", 47808, (_bvlc(0x08, "0a4d0101 bac0"),)),
    "bacnet initialize routing table": ("udp", 47808, (_bvlc(0x0A, "0180 06 01 0003 01 00"),)),
}  # fmt: skip

HARMLESS: Requests = {
    "bacnet which device": ("udp", 47808, (WHICH,)),
    "bacnet identity": ("udp", 47808, (
        _confirmed(14, "0c 0200001d 1e 0979 0946 0a0174 1f"),)),
    "bacnet identity behind a router": ("udp", 47808, (
        _bvlc(0x0A, "0124 0003 01 1d ff 0005110e 0c 0200001d 1e 0979 1f"),)),
    "bacnet tables of a BBMD": ("udp", 47808, (_bvlc(0x02, ""), _bvlc(0x06, ""))),
}  # fmt: skip

FOREIGN: Foreign = {
    "HTTP to BACnet": ("udp", 47808, GET),
    "EtherNet/IP to BACnet": ("udp", 47808, LIST_IDENTITY),
    "a stray byte behind a BACnet read": ("udp", 47808, WHICH + b"\x00"),
}
