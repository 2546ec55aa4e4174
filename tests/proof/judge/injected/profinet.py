"""
PROFINET over UDP: what may never be sent, and what may. Sources: as in its grammar; the heads of
Connect, Write, Control and Read as recorded between a controller and its devices.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_MAPPER: Final = UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa")
_DEVICE: Final = UUID("dea00001-6c97-11d1-8271-00a02442df7d")


def _rpc(
    interface: UUID, operation: int, body: bytes, *, version: int, object_id: bytes = bytes(16)
) -> tuple[str, int, tuple[bytes, ...]]:
    pdu = (
        b"\x04\0\x20\0\x10\0\0\0" + object_id + interface.bytes_le
        + UUID("5f8e2b10-1234-11f1-8000-57616c6b646e").bytes_le + bytes(4)
        + version.to_bytes(4, "little") + bytes(4) + operation.to_bytes(2, "little")
        + b"\xff\xff\xff\xff" + len(body).to_bytes(2, "little") + bytes(4) + body
    )  # fmt: skip
    return ("udp", 34964, (pdu,))


def _io(operation: int, block: str, *, record: int = 0) -> tuple[str, int, tuple[bytes, ...]]:
    """One block of a PROFINET request: maximum, length, and an array of bytes around it."""
    data = bytes.fromhex(block)
    size = len(data).to_bytes(4, "little")
    body = (1024).to_bytes(4, "little") + size + (1024).to_bytes(4, "little") + bytes(4) + size
    station = bytes.fromhex("0000a0de976cd1118271000100440109")
    return _rpc(_DEVICE, operation, body + data + bytes(record), version=1, object_id=station)


_RELATION: Final = "0109f1a530c75f6d47b67f8073439dea"
_LOOKUP: Final = (
    bytes(4) + b"\1\0\0\0" + bytes(16) + b"\2\0\0\0" + _DEVICE.bytes_le + b"\1\0\0\0" * 2
    + bytes(20) + b"\1\0\0\0"
)  # fmt: skip
_FREE: Final = bytes(20)

WRITES: Requests = {
    "profinet connect": _io(
        0,
        "0101 0042 0100 0001" + _RELATION + "0002 001c060b26ed dea000006c971 1d182710064010d002a"
        .replace(" ", "") + "00000011 0258 8892 000e 706c6378626b6f6e7472373462 37",
    ),
    "profinet write": _io(
        3,
        "0008 003c 0100 0001" + _RELATION + "00000000 0002 0001 0000 0001 00000004" + "00" * 24
        + "01020304",
    ),
    "profinet control": _io(
        4, "0110 001c 0100 0000" + _RELATION + "0001 0000 0001 0000"
    ),
    "profinet release": _io(
        1, "0114 001c 0100 0000" + _RELATION + "0001 0000 0004 0000"
    ),
    "endpoint mapper insert": _rpc(_MAPPER, 0, bytes(8), version=3),
    "endpoint mapper delete": _rpc(_MAPPER, 1, bytes(8), version=3),
}  # fmt: skip

NOT_ONLY_READING: Requests = {
    "profinet read": _io(
        2, "0009 003c 0100 0001" + _RELATION + "00000000 0000 0001 0000 aff0 00001000" + "00" * 24
    ),
    "profinet read implicit": _io(
        5, "0009 003c 0100 0001" + "00" * 16 + "00000000 0000 0001 0000 aff0 00001000" + "00" * 24
    ),
    "endpoint mapper handle free": _rpc(_MAPPER, 4, _FREE, version=3),
}

HARMLESS: Requests = {
    "profinet lookup": _rpc(_MAPPER, 2, _LOOKUP, version=3),
}

FOREIGN: Foreign = {
    "HTTP to PROFINET": ("udp", 34964, GET),
    "a stray byte behind a lookup": (
        "udp", 34964, _rpc(_MAPPER, 2, _LOOKUP, version=3)[2][0] + b"\x00",
    ),
}  # fmt: skip
