"""
S7comm-plus: what may never be sent, and what may. Sources: as in its grammar; the request for a
session as recorded from a panel (S7-1200, HMI), with names of its own.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests


def _tpkt(tpdu: bytes) -> bytes:
    return b"\x03\x00" + (4 + len(tpdu)).to_bytes(2, "big") + tpdu


def _connect(seat: bytes) -> bytes:
    body = b"\xe0\0\0\0\x01\0\xc1\x02\x06\0\xc2" + bytes([len(seat)]) + seat + b"\xc0\x01\x0a"
    return _tpkt(bytes([len(body)]) + body)


def _plus(function: int, body: bytes, *, sequence: int = 1) -> bytes:
    head = b"\x31\0\0" + function.to_bytes(2, "big") + b"\0\0" + sequence.to_bytes(2, "big")
    length = (len(head) + len(body)).to_bytes(2, "big")
    return _tpkt(b"\x02\xf0\x80\x72\x01" + length + head + body + b"\x72\x01\0\0")


def _text(number: str, text: bytes) -> bytes:
    return b"\xa3" + bytes.fromhex(number) + b"\0\x15" + bytes([len(text)]) + text


_CREATE: Final = (
    bytes.fromhex("00000120360000011d00040000000000a1000000d3821f0000")
    + _text("8169", b"ServerSession_10000000") + _text("8221", b"1:::6.32::")
    + _text("8228", b"Walkdown") + _text("8229", b"Walkdown") + _text("822a", b"Walkdown")
    + bytes.fromhex("a3822b000402a3822c001210000000")
    + _text("822d", b"read-only identification")
    + bytes.fromhex("a1000000d3817f0000") + _text("8169", b"SubscriptionContainer")
    + b"\xa2\xa2\0\0\0\0"
)  # fmt: skip
_HMI: Final = _connect(b"SIMATIC-ROOT-HMI")
_ASK: Final = _plus(0x04CA, _CREATE)
_BYE: Final = bytes.fromhex("0300000b06800009000180")


def _said(function: int, body: str) -> tuple[str, int, tuple[bytes, ...]]:
    return ("tcp", 102, (_HMI, _ASK, _plus(function, bytes.fromhex(body), sequence=2)))


WRITES: Requests = {
    "s7plus set variables": _said(
        0x0542, "0000038734 00000387 01 02 8232 01 0017 0000013a 823b 0004 8200 00 00000000"
    ),
    "s7plus set variable": _said(0x04F2, "0000038734 00000034 01 8c38 0004 03 00000000"),
    "s7plus invoke": _said(0x056B, "0000038734 00000034 00000000"),
    "s7plus delete object": _said(0x04D4, "0000038734 00000387 00 00000000"),
    "s7plus create another object": _said(
        0x04CA, "0000038734 00000003 0004 00 00000000 a1000000d3 8169 0000 a2 00000000"
    ),
    "s7plus a subscription in a session": ("tcp", 102, (_HMI, _plus(0x04CA, _CREATE.replace(
        bytes.fromhex("a1000000d3817f0000"), bytes.fromhex("a1000000d387690000"))))),
    "s7plus seat of an engineering station": ("tcp", 102, (_connect(b"SIMATIC-ROOT-ES"),)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "s7plus get variables": _said(0x054C, "0000038734 00000000 01 01 0000000000 00000000"),
    "s7plus explore": _said(0x04BB, "0000038734 00000003 00 01 01 00 00 00000000"),
}

HARMLESS: Requests = {
    "s7plus ask": ("tcp", 102, (_HMI, _ASK, _BYE)),
}

FOREIGN: Foreign = {
    "a stray byte behind S7comm-plus": ("tcp", 102, _HMI + _ASK + b"\x00"),
}
