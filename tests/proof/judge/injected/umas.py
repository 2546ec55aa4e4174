"""
UMAS on Modbus/TCP: what may never be sent, and what may. Sources: as in its grammar; reservation,
keep-alive, download and check as recorded from Unity Pro.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests


def _umas(pdu: str, *, unit: int = 0, transaction: int = 1) -> bytes:
    body = bytes([unit, 0x5A]) + bytes.fromhex(pdu)
    return transaction.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(2, "big") + body


_ID: Final = _umas("00 02")


def _said(pdu: str) -> tuple[str, int, tuple[bytes, ...]]:
    return ("tcp", 502, (_ID, _umas(pdu, transaction=2)))


WRITES: Requests = {
    "umas take reservation": _said("00 10 434c0000 0f 555345522d37313445373446323142"),
    "umas release reservation": _said("01 11"),
    "umas keep alive": _said("01 12"),
    "umas write memory block": _said("01 21 00 1400 0000 0000 0100 00"),
    "umas write variables": _said("01 23 00000000 01 01 3000 01 0000 00 01"),
    "umas write registers": _said("01 25 00 01 0000 0100 0100"),
    "umas upload to the controller": _said("01 30 0001"),
    "umas download from the controller": _said("01 33 0001 fb00"),
    "umas start": _said("01 40 ff00"),
    "umas stop": _said("01 41 ff00"),
    "umas monitor": _said("01 50 15 0001 0b"),
    "umas write I/O object": _said("01 71 00"),
    "umas read id with a pairing key": _said("01 02"),
}

NOT_ONLY_READING: Requests = {
    "umas read memory block": _said("00 20 00 1300 0000 0000 6400"),
    "umas read variables": _said("00 22 00000000 01 01 3000 01 0000 00"),
    "umas check": _said("00 58 0100000000ffff0070"),
    "umas repeat": _said("00 0a 00 00 01 02 03"),
    "umas project information of another kind": _said("00 03 04"),
    "umas to a unit of its own": ("tcp", 502, (_umas("00 02", unit=255),)),
}

HARMLESS: Requests = {
    "umas read": (
        "tcp", 502,
        tuple(
            _umas(pdu, transaction=number)
            for number, pdu in enumerate(("00 02", "00 01 00", "00 03 00", "00 04", "00 06 06"))
        ),
    ),
}  # fmt: skip

FOREIGN: Foreign = {
    "a stray byte behind UMAS": ("tcp", 502, _ID + b"\x00"),
}
