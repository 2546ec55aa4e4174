"""
An Omron controller on FINS: datagrams, and FINS/TCP with the exchange of node addresses.

Settings: `model` (16 bytes at most), `version` and `internal_version` (10 each), `node`, `mode`
(program, monitor, run), `fatal` (the fatal error word), `datagrams` (false: it answers on
connections alone). Replies are laid out as the recorded ones of a CP1L; memory reads give zeros,
every other command is carried out in words only, and the front has it in its ledger.

Source: Omron W342 section 5-3 (commands); W421 section 7-4 (FINS/TCP).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server

MODES = {"program": 0, "debug": 1, "monitor": 2, "run": 4}
CLIENT_NODE = 251
NORMAL = b"\0\0"
AREAS = bytes.fromhex("00000000000000000000000000010000000000000000000000000000")
"""Memory sizes and the first unit behind them, as a CP1L tells them."""


class Controller:
    """The answers of one CPU unit; it keeps nothing."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.node = int(settings.get("node", 1))
        self._data = (
            _field(settings.get("model", ""), 16).ljust(20)
            + _field(settings.get("version", ""), 10)
            + _field(settings.get("internal_version", ""), 10)
            + AREAS
        )
        mode = MODES[str(settings.get("mode", "run"))]
        fatal = int(settings.get("fatal", 0))
        running = 0 if fatal or not mode else 1
        self._status = bytes([running, mode]) + fatal.to_bytes(2, "big") + bytes(6) + b" " * 16

    def answer(self, command: bytes) -> bytes | None:
        """None: the command wants no response, or is none."""
        if len(command) < 12 or command[0] & 0xC1 != 0x80:
            return None
        code = command[10:12]
        source = bytes([command[3], self.node, command[5]])
        header = bytes([0xC0, 0, 2]) + command[6:9] + source + command[9:10]
        return header + code + self._carried_out(code.hex(), command[12:])

    def _carried_out(self, code: str, parameter: bytes) -> bytes:
        if code == "0501":
            return NORMAL + self._data
        if code == "0601":
            return NORMAL + self._status
        if code == "0101" and len(parameter) == 6:
            return NORMAL + bytes(2 * min(int.from_bytes(parameter[4:6], "big"), 500))
        return NORMAL


def _field(text: object, size: int) -> bytes:
    return str(text).encode("latin-1", "replace")[:size].ljust(size, b"\0")


def _framed(command: int, body: bytes) -> bytes:
    return (
        b"FINS" + (8 + len(body)).to_bytes(4, "big") + command.to_bytes(4, "big") + bytes(4) + body
    )


async def serve(bench: Bench) -> Server:
    controller = Controller(bench.settings)
    datagrams = bool(bench.settings.get("datagrams", True))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(16)
                body = await reader.readexactly(int.from_bytes(head[4:8], "big") - 8)
                if head[8:12] == bytes(4):
                    nodes = CLIENT_NODE.to_bytes(4, "big") + controller.node.to_bytes(4, "big")
                    writer.write(_framed(1, nodes))
                elif (reply := controller.answer(body)) is not None:
                    writer.write(_framed(2, reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(datagram: bytes) -> bytes | None:
        return controller.answer(datagram) if datagrams else None

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), answer=answer, stop=stop)


SERVES = {"fins": serve}
