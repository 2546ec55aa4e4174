"""
IPMI: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET


def _sum(data: bytes) -> bytes:
    return bytes([-sum(data) & 0xFF])


def message(function: int, command: int, data: bytes = b"", *, session: bytes = bytes(4)) -> bytes:
    first, second = bytes([0x20, function << 2]), bytes([0x81, 0x08, command]) + data
    inside = first + _sum(first) + second + _sum(second)
    return b"\x06\0\xff\x07\0" + bytes(4) + session + bytes([len(inside)]) + inside


def _plus(payload: int, body: bytes) -> bytes:
    return (
        b"\x06\0\xff\x07\x06" + bytes([payload]) + bytes(8) + len(body).to_bytes(2, "little") + body
    )


WRITES: Requests = {
    "ipmi session challenge": (
        "udp",
        623,
        (message(6, 0x39, b"\x02" + b"admin".ljust(16, b"\0")),),
    ),
    "ipmi power off": ("udp", 623, (message(0, 0x02, b"\0", session=b"\1\2\3\4"),)),
    "ipmi cold reset": ("udp", 623, (message(6, 0x02),)),
    "ipmi password": ("udp", 623, (message(6, 0x47, b"\x02\x02" + bytes(16)),)),
    "ipmi open session": ("udp", 623, (_plus(0x10, bytes(32)),)),
    "ipmi RAKP 1": ("udp", 623, (_plus(0x12, bytes(28)),)),
}

NOT_ONLY_READING: Requests = {
    "ipmi device id": ("udp", 623, (message(6, 0x01),)),
}

HARMLESS: Requests = {
    "ipmi capabilities": ("udp", 623, (message(6, 0x38, b"\x8e\x04"),)),
    "ipmi capabilities of 1.5": ("udp", 623, (message(6, 0x38, b"\x0e\x02"),)),
}

FOREIGN: Foreign = {
    "HTTP to IPMI": ("udp", 623, GET),
    "an IPMI response": ("udp", 623, message(7, 0x38, bytes(9))),
}
