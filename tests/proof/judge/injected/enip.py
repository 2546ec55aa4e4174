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
}  # fmt: skip

HARMLESS: Requests = {
    "enip identify": ("tcp", 44818, (LIST_IDENTITY,)),
    "enip identify by datagram": ("udp", 44818, (LIST_IDENTITY,)),
}

FOREIGN: Foreign = {
    "HTTP to EtherNet/IP": ("tcp", 44818, GET),
    "S7 to EtherNet/IP": ("tcp", 44818, CONNECT_S7),
    "a stray byte behind ListIdentity": ("tcp", 44818, LIST_IDENTITY + b"\x00"),
}
