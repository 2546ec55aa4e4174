"""
Answers of an ILC 151 ETH, byte for byte as recorded by hi-KK (ICS-Protocol-identify, the file on
PC Worx) and told of in public test vectors; and the same with other names in their places.
"""

from __future__ import annotations

GREETED = bytes.fromhex("81010014000000010000000000020000004c0000")
ASKED = bytes.fromhex("81050012000100010000000000020000004c")
TOLD = bytes.fromhex(
    "810600b0000200010000000000020000004c0000000600988295004a0000494c4320313531204554"
    "4800000000000000000000000000000000000000000000000000342e343100000000000000000030"
    "392f32382f31350000000031343a33353a3031003034000000002000000000000000002000000000"
    "00000000000000000000002000000000000000002000000000000000003031003237303039373400"
    "42310000002000000000200000000000"
)


def told(**names: bytes) -> bytes:
    """`TOLD` with other bytes at a place: at30=b"ILC 330 ETH" and the zero behind it."""
    reply = bytearray(TOLD)
    for place, name in names.items():
        at = int(place.removeprefix("at"))
        reply[at : at + len(name) + 1] = name + b"\0"
    return bytes(reply)


def answer(request: bytes | None) -> bytes:
    """The recorded controller."""
    assert request is not None
    return {1: GREETED, 5: ASKED, 6: TOLD}[request[1]]
