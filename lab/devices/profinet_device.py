"""
The endpoint mapper of a PROFINET device, written from the DCE/RPC specification: one entry, its
annotation as IEC 61158-6-10 lays it out, and a tower of protocols that leads to it.

Settings: `device_type`, `order_number`, `hardware` (a number), `software` ("V4.5.1"), `annotation`
(a text in place of those four), `byte_order` (little or big), `empty`: true has no entry. Other
operations are answered with a fault, as by a device that knows them and refuses.
"""

from __future__ import annotations

import struct
from typing import Literal

from lab.bench import Bench, Server
from lab.errors import LabError

HEADER = 80
RESPONSE, FAULT = 2, 3
ACCESS_DENIED = 0x00000005
MAPPER = bytes.fromhex("e1af83085d1f11c991a408002b14a0fa")
DEVICE = bytes.fromhex("dea000016c9711d1827100a02442df7d")
NDR = bytes.fromhex("8a885d041ceb11c99fe808002b104860")
NO_MORE_ENTRIES = 0x16C9A0D6


def _le(raw: bytes) -> bytes:
    """An id as it stands in little-endian data: its first three fields turned around."""
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]


class Mapper:
    """What one device answers."""

    def __init__(self, bench: Bench) -> None:
        settings = bench.settings
        self._order: Literal["little", "big"] = (
            "big" if settings.get("byte_order") == "big" else "little"
        )
        self._empty = bool(settings.get("empty", False))
        self._port = bench.port
        if "annotation" in settings:
            self._annotation = str(settings["annotation"]).encode("latin-1", "replace")[:200]
            return
        prefix, *numbers = bench.text("software")[:1], *bench.text("software")[1:].split(".")
        if len(numbers) != 3:
            raise LabError(f"{bench.device}: software is a letter and three numbers: V4.5.1")
        software = prefix + "".join(f"{int(number):3}" for number in numbers)
        text = (
            f"{bench.text('device_type')[:25]:25} {bench.text('order_number')[:20]:20} "
            f"{int(settings.get('hardware', 0)):5} {software}"
        )
        self._annotation = text.encode("latin-1", "replace") + b"\0"

    def answer(self, request: bytes) -> bytes | None:
        if len(request) < HEADER or request[0] != 4 or request[1] != 0:
            return None
        asked_little = request[4] >> 4 == 1
        operation = int.from_bytes(request[68:70], "little" if asked_little else "big")
        mapper = request[24:40] == (_le(MAPPER) if asked_little else MAPPER)
        good = mapper and operation == 2
        mark = "<" if self._order == "little" else ">"
        body = self._lookup(mark) if good else struct.pack(mark + "I", ACCESS_DENIED)
        turned = asked_little != (self._order == "little")
        ids = [request[at : at + 16] for at in (8, 24, 40)]
        head = bytes([4, RESPONSE if good else FAULT, 0x0A, 0])
        head += bytes([0x10 if self._order == "little" else 0, 0, 0, request[7]])
        head += b"".join(_le(each) if turned else each for each in ids)
        sequence = int.from_bytes(request[64:68], "little" if asked_little else "big")
        version = int.from_bytes(request[60:64], "little" if asked_little else "big")
        head += struct.pack(
            mark + "IIIHHHHHBB", 0x5F000000, version, sequence, operation, 0xFFFF, 0xFFFF,
            len(body), 0, 0, 0,
        )  # fmt: skip
        return head + body

    def _lookup(self, mark: str) -> bytes:
        little = mark == "<"

        def ident(raw: bytes) -> bytes:
            return _le(raw) if little else raw

        if self._empty:
            return bytes(20) + struct.pack(mark + "IIIII", 0, 1, 0, 0, NO_MORE_ENTRIES)
        handle = bytes(4) + ident(bytes.fromhex("0f1e2d3c4b5a11f1800000a02442df7d"))
        entry = bytes(16) + struct.pack(mark + "III", 3, 0, len(self._annotation))
        entry += self._annotation + bytes(-len(self._annotation) % 4)
        tower = self._tower()
        body = handle + struct.pack(mark + "IIII", 1, 1, 0, 1) + entry
        body += struct.pack(mark + "II", len(tower), len(tower)) + tower
        body += bytes(-len(tower) % 4)
        return body + struct.pack(mark + "I", 0)

    def _tower(self) -> bytes:
        """Floors are little-endian always (C706 appendix L): interface, NDR, RPC, UDP, IP."""
        floors = [
            (b"\x0d" + _le(DEVICE) + struct.pack("<H", 1), struct.pack("<H", 0)),
            (b"\x0d" + _le(NDR) + struct.pack("<H", 2), struct.pack("<H", 0)),
            (b"\x0a", struct.pack("<H", 0)),
            (b"\x08", struct.pack(">H", self._port & 0xFFFF)),
            (b"\x09", bytes(4)),
        ]
        packed = struct.pack("<H", len(floors))
        for left, right in floors:
            packed += struct.pack("<H", len(left)) + left + struct.pack("<H", len(right)) + right
        return packed


async def serve(bench: Bench) -> Server:
    mapper = Mapper(bench)

    async def answer(data: bytes) -> bytes | None:
        return mapper.answer(data)

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"profinet": serve}
