"""
A Red Lion panel: manufacturer and model from two registers of Crimson 3.

No server for the protocol is to be had; the form of the answers is that of a G303 in the 4SICS
captures. Settings: manufacturer, model (texts). Other registers are counted as writes and end the
connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter

TOLD = {b"\x01\x2b\x1b\x00": "manufacturer", b"\x01\x2a\x1a\x00": "model"}
CODE = b"\x03\x00"


def answer(settings: Mapping[str, Any], frame: bytes) -> bytes | None:
    key = TOLD.get(frame[2:])
    if key is None:
        return None
    text = str(settings.get(key, "")).encode("latin-1", "replace") + b"\0"
    return (4 + len(text)).to_bytes(2, "big") + frame[2:4] + CODE + text


async def serve(bench: Bench) -> Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("crimson")
        try:
            while data := await reader.read(4096):
                for frame in cut.feed(data):
                    reply = answer(bench.settings, frame)
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


SERVES = {"crimson": serve}
