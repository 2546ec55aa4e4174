"""
SMB: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_PORT: Final = ("tcp", 445)


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(3, "big") + message


def _new(command: int, number: int, body: bytes) -> bytes:
    head = b"\xfeSMB\x40\0" + bytes(6) + bytes([command, 0, 1, 0]) + bytes(8)
    return _framed(head + number.to_bytes(8, "little") + bytes(32) + body)


def _old(command: int, words: bytes, data: bytes) -> bytes:
    head = b"\xffSMB" + bytes([command]) + bytes(4) + b"\x18\x01\xc8" + bytes(12)
    head += b"\xff\xff\x01\0\0\0\x01\0"
    return _framed(head + bytes([len(words) // 2]) + words + len(data).to_bytes(2, "little") + data)


_FIRST_LEG: Final = b"NTLMSSP\0\x01\0\0\0\x05\x82\x08\x02" + bytes(23) + b"\x0f"
_ANONYMOUS: Final = (
    b"NTLMSSP\0\x03\0\0\0" + b"\x01\0\x01\0\x40\0\0\0" + (bytes(4) + b"\x40\0\0\0") * 5
    + b"\x05\x82\x08\x02" + b"\0"
)  # fmt: skip
"""A null session: [MS-NLMP] section 3.2.5.1.2."""


def _setup(token: bytes, number: int = 1) -> bytes:
    body = b"\x19\0\0\x01" + bytes(8) + b"\x58\0" + len(token).to_bytes(2, "little") + bytes(8)
    return _new(1, number, body + token)


def _old_setup(token: bytes) -> bytes:
    words = b"\xff\0\0\0\x04\x11\x01\0" + bytes(6) + len(token).to_bytes(2, "little") + bytes(4)
    return _old(0x73, words + b"\x44\0\0\x80", token + bytes(5))


NEGOTIATE: Final = _new(
    0, 0, b"\x24\0\x02\0\x01\0" + bytes(6) + b"g" * 16 + bytes(8) + b"\x02\x02\x10\x02"
)
OLD_NEGOTIATE: Final = _old(0x72, b"", b"\x02NT LM 0.12\0")
_PATH: Final = "\\\\10.77.1.1\\IPC$".encode("utf-16-le")

WRITES: Requests = {
    "smb null session": (*_PORT, (NEGOTIATE, _setup(_FIRST_LEG), _setup(_ANONYMOUS, 2))),
    "smb tree connect": (*_PORT, (NEGOTIATE, _new(
        3, 3, b"\x09\0\0\0\x48\0" + len(_PATH).to_bytes(2, "little") + _PATH))),
    "smb write": (*_PORT, (NEGOTIATE, _new(
        9, 4, b"\x31\0\x70\0\x04\0\0\0" + bytes(8) + bytes(16) + bytes(16) + b"data"))),
    "smb logoff": (*_PORT, (NEGOTIATE, _new(2, 5, b"\x04\0\0\0"))),
    "smb1 null session": (*_PORT, (OLD_NEGOTIATE, _old_setup(_ANONYMOUS))),
    "smb1 tree connect": (*_PORT, (OLD_NEGOTIATE, _old(
        0x75, b"\xff\0\0\0\x08\0\x01\0", b"\0\0" + _PATH + b"\0\0?????\0"))),
}  # fmt: skip

HARMLESS: Requests = {
    "smb negotiation": (*_PORT, (NEGOTIATE,)),
    "smb1 negotiation": (*_PORT, (OLD_NEGOTIATE,)),
    "smb first leg": (*_PORT, (NEGOTIATE, _setup(_FIRST_LEG))),
    "smb1 first leg": (*_PORT, (OLD_NEGOTIATE, _old_setup(_FIRST_LEG))),
}

FOREIGN: Foreign = {
    "HTTP to SMB": (*_PORT, GET),
}
