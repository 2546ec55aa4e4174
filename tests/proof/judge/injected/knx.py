"""
KNXnet/IP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.enip import LIST_IDENTITY
from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _knx(service: int, body: str) -> bytes:
    data = bytes.fromhex(body)
    return b"\x06\x10" + service.to_bytes(2, "big") + (6 + len(data)).to_bytes(2, "big") + data


ENDPOINT: Final = "0801 00000000 0000"
DESCRIBE: Final = _knx(0x0203, ENDPOINT)

WRITES: Requests = {
    "knx tunnel": ("udp", 3671, (_knx(0x0205, f"{ENDPOINT} {ENDPOINT} 04040200"),)),
    "knx management connection": ("udp", 3671, (_knx(0x0205, f"{ENDPOINT} {ENDPOINT} 0203"),)),
    "knx disconnect": ("udp", 3671, (_knx(0x0209, f"0100 {ENDPOINT}"),)),
    "knx device configuration": ("udp", 3671, (
        _knx(0x0310, "04010000 f6 000b 01 34 1001 01"),)),
    "knx tunnelled group write": ("udp", 3671, (
        _knx(0x0420, "04010000 11 00 bce0 0000 0801 01 0081"),)),
    "knx routed group write": ("udp", 3671, (
        _knx(0x0530, "29 00 bcd0 1101 0801 01 0081"),)),
}  # fmt: skip

HARMLESS: Requests = {
    "knx description": ("udp", 3671, (DESCRIBE,)),
    "knx extended search": ("udp", 3671, (
        _knx(0x020B, ENDPOINT), _knx(0x020B, f"{ENDPOINT} 060401020608"))),
}  # fmt: skip

FOREIGN: Foreign = {
    "HTTP to KNXnet/IP": ("udp", 3671, GET),
    "EtherNet/IP to KNXnet/IP": ("udp", 3671, LIST_IDENTITY),
    "a stray byte behind a KNXnet/IP description": ("udp", 3671, DESCRIBE + b"\x00"),
}
