"""
A Modicon controller: UMAS from a table, and behind it the server of lab.devices.modbus_device.

Each reply is laid out as the recorded ones of a 140 CPU 311 10, byte for byte where the plant file
says what that one said. Frames of other functions go to pymodbus unchanged and come back unchanged.

Settings: those of the Modbus server, and `cpu`, `version` ("2.70"), `project`, `revision`
("0.0.8"), `changed` ("2014-01-14T12:59:12"), `signature` (hex), `memory_card` (none: the request is
refused), `reserved_by` (none: not reserved). A reservation is granted with pairing key 1, all else
that acts is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.devices import modbus_device
from lab.frames import Splitter

UMAS = 0x5A
OK, ERROR = 0xFE, 0xFD


class Controller:
    """What one controller answers in UMAS."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._cpu = _bytes(settings.get("cpu", ""))
        self._project = _bytes(settings.get("project", ""))
        self._card = settings.get("memory_card")
        self._owner = settings.get("reserved_by")
        self._signature = bytes.fromhex(str(settings.get("signature", "00000001")))[::-1]
        major, _, minor = str(settings.get("version", "2.70")).partition(".")
        self._version = bytes([int(minor, 16), int(major, 16)])
        self._revision = bytes(
            int(part) for part in reversed(str(settings.get("revision", "0.0.1")).split("."))
        )
        at = datetime.fromisoformat(str(settings.get("changed", "2020-01-01T00:00:00")))
        self._changed = bytes([at.second, at.minute, at.hour, at.day, at.month])
        self._changed += at.year.to_bytes(2, "little")

    def answer(self, request: bytes) -> bytes:
        """The PDU behind function 90 in, the one behind it out: pairing, verdict, data."""
        pairing, asked = request[:1], request[1:]
        data = self._data(asked)
        if data is None:
            return pairing + bytes([ERROR, 0x83, 0xA1])
        return pairing + bytes([OK]) + data

    def _data(self, asked: bytes) -> bytes | None:
        match asked:
            case b"\x02":
                return self._id()
            case b"\x01\x00":
                owner = _bytes(self._owner or "")
                return bytes.fromhex("fd00 0104 00003200 00000000") + bytes([len(owner)]) + owner
            case b"\x03\x00":
                return self._project_info()
            case b"\x04":
                return self._state()
            case b"\x06\x06" if self._card:
                card = _bytes(self._card)
                return b"\x06\0\x01\0\0\0" + bytes([len(card)]) + card
            case _ if asked[:1] == b"\x10" and not self._owner:
                return b"\x01"  # the pairing key of whoever took the reservation
        return None

    def _id(self) -> bytes:
        head = bytes.fromhex("10ff 5a010100 0000") + self._version
        head += bytes.fromhex("0000 2700 0900 08000000 0000")
        return head + bytes([len(self._cpu)]) + self._cpu + bytes.fromhex("010101 0000000011 00")

    def _project_info(self) -> bytes:
        ident = bytes.fromhex("020500009888010000")
        dates = (b"\x02" + self._changed) * 2
        name = self._project + b"\0"
        return ident * 2 + dates + self._revision + b"\0" + bytes([len(name)]) + name

    def _state(self) -> bytes:
        flags = 0x82 | (0x08 if self._owner else 0)
        blocks = bytes.fromhex("b0d56f1b") + self._signature + bytes(4) + self._signature * 2
        tail = b"\x03" + bytes(11) + b"\x01" + bytes(19) + bytes.fromhex("0108040001010000fa00")
        return bytes([0x02, flags, 0x80, 0x06]) + blocks + tail


def _bytes(text: object) -> bytes:
    return str(text).encode("latin-1", "replace")[:200]


async def serve(bench: Bench) -> Server:
    controller = Controller(bench.settings)
    behind = await modbus_device.serve(bench)
    address = behind.inner
    assert address is not None  # noqa: S101 - a Modbus server has a TCP side

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("umas")
        inner_reader, inner_writer = await asyncio.open_connection(*address)
        answers = Splitter("umas")
        try:
            while data := await reader.read(4096):
                for frame in cut.feed(data):
                    if len(frame) >= 10 and frame[7] == UMAS:
                        said = controller.answer(frame[8:])
                        head = frame[:4] + (2 + len(said)).to_bytes(2, "big") + frame[6:8]
                        writer.write(head + said)
                        continue
                    inner_writer.write(frame)
                    whole: list[bytes] = []
                    while not whole and (more := await inner_reader.read(4096)):
                        whole = answers.feed(more)
                    writer.write(b"".join(whole))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            for each in (inner_writer, writer):
                each.close()
                with suppress(ConnectionError):
                    await each.wait_closed()

    server = await asyncio.start_server(converse, LOOPBACK, 0)
    inner = server.sockets[0].getsockname()

    async def stop() -> None:
        server.close()
        await behind.stop()

    return Server(inner=(str(inner[0]), int(inner[1])), stop=stop)


SERVES = {"umas": serve}
