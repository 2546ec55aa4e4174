"""
Beckhoff ADS: what may never be sent to a router, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests


def _router(service: int, *tags: tuple[int, bytes], sender: bytes = bytes(6)) -> bytes:
    head = b"\x03\x66\x14\x71" + bytes(4) + service.to_bytes(4, "little") + sender + b"\x10\x27"
    body = b"".join(
        number.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value
        for number, value in tags
    )
    return head + len(tags).to_bytes(4, "little") + body


def _one(datagram: bytes) -> tuple[str, int, tuple[bytes, ...]]:
    return "udp", 48899, (datagram,)


_WHO: Final = _router(1)

WRITES: Requests = {
    "ads add a route": _one(_router(
        6, (12, b"intruder\0"), (7, bytes.fromhex("c0a801630101")), (13, b"Administrator\0"),
        (2, b"1\0"), (5, b"192.168.1.99\0"))),
    "ads another service": _one(_router(2)),
    "ads delete a route": _one(_router(7, (12, b"intruder\0"))),
    "ads a question with tags": _one(_router(1, (12, b"name\0"))),
}  # fmt: skip

HARMLESS: Requests = {"ads who are you": _one(_WHO)}

FOREIGN: Foreign = {
    "a word to an AMS router": ("udp", 48899, b"HF-A11ASSISTHREAD"),
    "a stray byte behind an AMS datagram": ("udp", 48899, _WHO + b"\x00"),
}
