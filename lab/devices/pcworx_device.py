"""
A Phoenix Contact inline controller: the greeting, question 0295, its answer.

No server for the protocol is to be had; the answers are those of an ILC 151 ETH as recorded
(hi-KK, ICS-Protocol-identify), with this device's names in their places. Settings: plc_type,
version, built_date, built_time, order_number (texts). Other questions and services are counted as
writes and end the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import count
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter
from lab.frames.pcworx import ASK, FETCH, OPEN, WHAT_ARE_YOU

FIELDS = {
    "plc_type": (30, 36), "version": (66, 13), "built_date": (79, 12), "built_time": (91, 9),
    "order_number": (152, 8),
}  # fmt: skip
INFO_BYTES = 176
FIRST_SESSION = 0x4C


def _head(request: bytes, session: int) -> bytes:
    """What all answers have in common, behind their length: number, state, session."""
    return request[4:6] + b"\0\x01" + bytes(4) + b"\0\x02\0\0" + session.to_bytes(2, "big")


def _answer(service: int, body: bytes) -> bytes:
    return bytes([0x81, service]) + (4 + len(body)).to_bytes(2, "big") + body


def info(settings: Mapping[str, Any], request: bytes, session: int) -> bytes:
    reply = bytearray(INFO_BYTES)
    told = _answer(FETCH, _head(request, session) + bytes(2))
    reply[: len(told)] = told
    reply[2:4] = INFO_BYTES.to_bytes(2, "big")
    reply[20:28] = bytes.fromhex("0006 0098 8295 004a")
    for key, (at, size) in FIELDS.items():
        name = str(settings.get(key, "")).encode("latin-1", "replace")[: size - 1]
        reply[at : at + len(name)] = name
    return bytes(reply)


class Conversation:
    """One connection: its session, and whether a question waits to be fetched."""

    def __init__(self, settings: Mapping[str, Any], session: int) -> None:
        self._settings = settings
        self._session = session
        self._opened = self._asked = False

    def answer(self, frame: bytes) -> bytes | None:
        """None ends the connection."""
        if frame[1] == OPEN:
            self._opened = True
            return _answer(OPEN, _head(frame, self._session) + bytes(2))
        if not self._opened or frame[10:12] != self._session.to_bytes(2, "big"):
            return None
        if frame[1] == ASK and frame[18:20] == WHAT_ARE_YOU:
            self._asked = True
            return _answer(ASK, _head(frame, self._session))
        if frame[1] == FETCH and self._asked:
            self._asked = False
            return info(self._settings, frame, self._session)
        return None


async def serve(bench: Bench) -> Server:
    sessions = count(FIRST_SESSION)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(bench.settings, next(sessions) & 0xFFFF)
        cut = Splitter("pcworx")
        try:
            while data := await reader.read(4096):
                for frame in cut.feed(data):
                    reply = conversation.answer(frame)
                    if reply is None:
                        return
                    writer.write(reply)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"pcworx": serve}
