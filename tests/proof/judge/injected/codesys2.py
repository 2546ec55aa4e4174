"""
CODESYS 2.3: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

WHO: Final = bytes.fromhex("bbbb0100000001")
WHO_BIG: Final = bytes.fromhex("bbbb0100000101")


def _command(content: bytes) -> bytes:
    return (
        b"\xcc\xcc\x01\0" + len(content).to_bytes(2, "little") + bytes(10) + b"\1\0\0\0" + content
    )


def _shell(text: bytes) -> bytes:
    inner = b"\x92\0\0\0\0" + text + b"\0"
    return _command(b"\x23" + len(inner).to_bytes(2, "little") + b"\0" + inner)


def _file(kind: int, name: bytes) -> bytes:
    size = (len(name) + 1).to_bytes(2, "little")
    return _command(b"\x23\x10\0\0" + bytes([kind, 0]) + size + name + b"\0")


WRITES: Requests = {
    "codesys2 stop": ("tcp", 1200, (WHO, _shell(b"stopprg"))),
    "codesys2 reset": ("tcp", 2455, (WHO, _shell(b"reset"))),
    "codesys2 read file": ("tcp", 2455, (WHO, _file(0x31, b"../../etc/shadow"))),
    "codesys2 write file": ("tcp", 1200, (WHO, _file(0x2F, b"DEFAULT.PRG"))),
    "codesys2 second frame of a session": ("tcp", 1200, (bytes.fromhex("bbbb020000005110"),)),
}

HARMLESS: Requests = {
    "codesys2 identify": ("tcp", 1200, (WHO,)),
    "codesys2 identify big-endian": ("tcp", 2455, (WHO_BIG,)),
}

FOREIGN: Foreign = {
    "HTTP to CODESYS 2.3": ("tcp", 2455, GET),
    "one byte to CODESYS 2.3": ("tcp", 1200, b"\xbb"),
    "a stray byte behind a CODESYS 2.3 question": ("tcp", 1200, WHO + b"\x00"),
}
