"""
TFTP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected import snmp
from tests.proof.judge.injected.form import Foreign, Requests


def _asks(opcode: int, name: bytes, mode: bytes = b"octet", options: bytes = b"") -> bytes:
    return bytes([0, opcode]) + name + b"\0" + mode + b"\0" + options


NOBODYS = b"walkdown-no-such-file"

WRITES: Requests = {
    "tftp write": ("udp", 69, (_asks(2, b"startup-config"),)),
    "tftp write of no file": ("udp", 69, (_asks(2, NOBODYS),)),
    "tftp write with a size": ("udp", 69, (_asks(2, b"image.bin", options=b"tsize\x0065536\0"),)),
    "tftp data": ("udp", 69, (b"\0\3\0\1hostname X",)),
    "tftp acknowledgement": ("udp", 69, (b"\0\4\0\1",)),
    "tftp error": ("udp", 69, (b"\0\5\0\0stopped\0",)),
}

NOT_ONLY_READING: Requests = {
    "tftp read of a configuration": ("udp", 69, (_asks(1, b"startup-config"),)),
    "tftp read by a path": ("udp", 69, (_asks(1, b"../" + NOBODYS),)),
    "tftp read as text": ("udp", 69, (_asks(1, NOBODYS, b"netascii"),)),
    "tftp read with options": ("udp", 69, (_asks(1, NOBODYS, options=b"blksize\x001432\0"),)),
}

HARMLESS: Requests = {
    "tftp read of no file": ("udp", 69, (_asks(1, NOBODYS),)),
}

FOREIGN: Foreign = {
    "SNMP to TFTP": ("udp", 69, snmp.HARMLESS["snmp get"][2][0]),
    "half a read request": ("udp", 69, _asks(1, NOBODYS)[:-1]),
}
