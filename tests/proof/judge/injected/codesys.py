"""
CODESYS V3: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.modbus import IDENTIFY_MODBUS

RESOLVE: Final = bytes.fromhex("c5744003001012340009000002c2000478563412")
ACROSS: Final = bytes.fromhex("c57440030030123400030a4c0001000002c2000478563412")
"""With an address of three words, as from behind a router."""


def _service(number: int, content: str) -> bytes:
    return RESOLVE[:3] + bytes([number]) + RESOLVE[4:12] + bytes.fromhex(content)


WRITES: Requests = {
    # channel service, packet type C3: open a channel (request 1, 512 bytes)
    "codesys channel open": ("udp", 1740, (_service(0x40, "c30001010100000000020000"),)),
    # block of a channel: service group 2 (application), stop
    "codesys application stop": ("udp", 1740, (_service(0x40,
        "01810100010000000000000014000000" "55cd1000020011000000000004000000" "01840000"),)),
    "codesys address service": ("udp", 1740, (_service(0x01, "0100000000000000"),)),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "codesys resolve name": ("udp", 1740, (RESOLVE[:12] + b"\x01" + RESOLVE[13:],)),
    "codesys resolve gateway": ("udp", 1740, (RESOLVE[:12] + b"\x03" + RESOLVE[13:],)),
}

HARMLESS: Requests = {
    "codesys identify": ("udp", 1740, (RESOLVE,)),
    "codesys identify from another network": ("udp", 1740, (ACROSS,)),
}

FOREIGN: Foreign = {
    "Modbus to CODESYS": ("udp", 1740, IDENTIFY_MODBUS),
    "a stray byte behind a CODESYS datagram": ("udp", 1740, RESOLVE + b"\x00"),
}
