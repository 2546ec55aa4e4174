"""
S7 on ISO-on-TCP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET
from tests.proof.judge.injected.modbus import IDENTIFY_MODBUS

CONNECT_S7: Final = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
SETUP_S7: Final = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
SZL_S7: Final = bytes.fromhex(
    "0300002102f08032070000000200080008000112041144010 0ff09000400110000".replace(" ", "")
)


def _s7(parameters: bytes, data: bytes = b"", *, kind: int = 1) -> bytes:
    sizes = len(parameters).to_bytes(2, "big") + len(data).to_bytes(2, "big")
    body = b"\x02\xf0\x80\x32" + bytes([kind]) + b"\0\0\0\x05" + sizes + parameters + data
    return b"\x03\x00" + (4 + len(body)).to_bytes(2, "big") + body


WRITES: Requests = {
    "s7 write variable": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0501120a10020001000084000000"), bytes.fromhex("0004000801")))),
    "s7 stop": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(b"\x29" + bytes(5) + b"\x09P_PROGRAM"))),
    "s7 start": (
        "tcp", 102,
        (CONNECT_S7, SETUP_S7, _s7(b"\x28" + bytes(6) + b"\xfd\0\0\x09P_PROGRAM")),
    ),
    "s7 download": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        b"\x1a" + bytes(7) + b"\x09_0800001P" + b"\x0d1000206000132"))),
    "s7 upload": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(b"\x1d" + bytes(7) + b"\x09_0800001A"))),
    "s7 set clock": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411470200"), bytes.fromhex("ff09000a0019261122040506 0001".replace(
            " ", "")), kind=7))),
    "s7 password": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411450100"), bytes.fromhex("ff0900080011223344556677"), kind=7))),
    "s7 force": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411410900"), bytes.fromhex("ff09000400000000"), kind=7))),
    "s7 seat of a programming device": (
        "tcp", 102, (CONNECT_S7.replace(b"\xc2\x02\x03\x02", b"\xc2\x02\x01\x02"),),
    ),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "s7 read variable": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0401120a10020064000184000000")))),
    "s7 list blocks": ("tcp", 102, (CONNECT_S7, SETUP_S7, _s7(
        bytes.fromhex("0001120411430100"), bytes.fromhex("0a000000"), kind=7))),
    "s7 diagnostics buffer": (
        "tcp", 102, (CONNECT_S7, SETUP_S7, SZL_S7[:-4] + bytes.fromhex("00a00000")),
    ),
}  # fmt: skip

HARMLESS: Requests = {
    "s7 identify": ("tcp", 102, (CONNECT_S7, SETUP_S7, SZL_S7)),
}

FOREIGN: Foreign = {
    "HTTP to S7": ("tcp", 102, GET),
    "Modbus to S7": ("tcp", 102, IDENTIFY_MODBUS),
    "a stray byte behind an S7 request": ("tcp", 102, CONNECT_S7 + b"\x00"),
}
