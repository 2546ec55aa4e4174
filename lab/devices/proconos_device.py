"""
A controller with a ProConOS runtime: its information, for anybody.

No server for the protocol is to be had; the names stand where Redpoint's proconos-info reads them.
Settings: runtime, plc_type, project, boot_project, source (texts). All other functions are counted
as writes and end the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter
from lab.frames.proconos import INFORMATION

HEADER = 8
RUNTIME_AT, TYPE_AT, PROJECTS_AT = 12, 44, 77
CHECKSUM = b"\0\0"
"""Not reckoned: no answer of a device is at hand that shows over what."""


def information(settings: Mapping[str, Any]) -> bytes:
    def name(key: str, most: int) -> bytes:
        return str(settings.get(key, "")).encode("latin-1", "replace")[:most] + b"\0"

    data = bytes(RUNTIME_AT - HEADER) + name("runtime", TYPE_AT - RUNTIME_AT - 1)
    data = data.ljust(TYPE_AT - HEADER, b"\0") + name("plc_type", PROJECTS_AT - TYPE_AT - 1)
    data = data.ljust(PROJECTS_AT - HEADER, b"\0")
    data += b"".join(name(key, 60) for key in ("project", "boot_project", "source"))
    head = b"\xcc\x00\x00\x0b\x40\x02" + len(data).to_bytes(2, "little")
    return head + data + CHECKSUM


async def serve(bench: Bench) -> Server:
    reply = information(bench.settings)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("proconos")
        try:
            while data := await reader.read(4096):
                for frame in cut.feed(data):
                    if int.from_bytes(frame[2:4], "big") != INFORMATION:
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


SERVES = {"proconos": serve}
