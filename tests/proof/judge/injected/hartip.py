"""
HART-IP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Final

from tests.proof.judge.injected.enip import LIST_IDENTITY
from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _message(number: int, body: bytes = b"") -> bytes:
    return bytes([1, 0, number, 0, 0, 7]) + (8 + len(body)).to_bytes(2, "big") + body


def _command(number: int, data: str = "") -> bytes:
    body = bytes.fromhex(data)
    frame = b"\x82\x26\x4e\x00\x00\xd2" + bytes([number, len(body)]) + body
    return _message(3, frame + bytes([reduce(xor, frame)]))


OPEN: Final = _message(0, bytes.fromhex("01 00007530"))
WHO: Final = _message(3, bytes.fromhex("0200000002"))
SHUT: Final = _message(1)

WRITES: Requests = {
    f"hart command {number}, {name}": ("tcp", 5094, (OPEN, _command(number, data)))
    for number, name, data in (
        (6, "write polling address", "0100"),
        (17, "write message", "00" * 24),
        (18, "write tag", "00" * 21),
        (19, "write final assembly number", "000001"),
        (22, "write long tag", "41" * 32),
        (34, "write damping", "3f800000"),
        (35, "write range", "0c42c8000000000000"),
        (38, "reset configuration changed flag", "0001"),
        (40, "fixed current mode", "41400000"),
        (41, "self test", ""),
        (42, "device reset", ""),
        (43, "set zero", ""),
        (45, "trim zero", "40800000"),
        (71, "lock device", "01"),
        (72, "squawk", "01"),
        (77, "send command to sub-device", "0001050206264e0000d20600"),
        (79, "write device variable", "000100410000000000"),
    )
}
WRITES |= {
    "hart device reset by datagram": ("udp", 5094, (_command(42),)),
    "hart direct PDU": ("tcp", 5094, (_message(4, bytes.fromhex("0000 0016 20" + "41" * 32)),)),
}

HARMLESS: Requests = {
    "hart identify": ("tcp", 5094, (OPEN, WHO, SHUT)),
    "hart identify by datagrams": ("udp", 5094, (OPEN, WHO, SHUT)),
    "hart read": ("tcp", 5094, (
        OPEN, WHO, _command(20), _command(13), _command(48), _command(74), _command(84, "0001"),
        SHUT)),
}  # fmt: skip

FOREIGN: Foreign = {
    "HTTP to HART-IP": ("tcp", 5094, GET),
    "EtherNet/IP to HART-IP": ("udp", 5094, LIST_IDENTITY),
    "a stray byte behind a HART-IP session": ("tcp", 5094, OPEN + b"\x00"),
}
