"""
A VNC server up to the desktop: what recorded servers say before a client has chosen.

Settings: `version` ("003.008"), `types` (numbers; 3.3 dictates the first), `reason` (then no type
is offered), `desktop` (name). The versions, lists and the refusal of the plants are those of
recorded servers. A choice is carried out and noted as a write: type 1 opens the desktop, type 2
sends a challenge and refuses whatever answers it.

Source: RFC 6143 sections 7.1 to 7.3.2.
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from lab.bench import LOOPBACK, Bench, Server

CHALLENGE = bytes(range(16))
NONE, VNC_AUTHENTICATION = 1, 2
FORMAT = bytes.fromhex("20180001 00ff 00ff 00ff 10 08 00 000000")
"""32 bits a pixel, 24 of them colour, as most servers have it."""


def _text(value: str) -> bytes:
    raw = value.encode("utf-8", "replace")
    return len(raw).to_bytes(4, "big") + raw


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    version = str(settings.get("version", "003.008"))
    types = [int(each) for each in settings.get("types", [VNC_AUTHENTICATION])]
    reason = settings.get("reason")
    desktop = str(settings.get("desktop", bench.device))

    def offer(minor: int) -> bytes:
        if reason is not None:
            return bytes(4 if minor < 7 else 1) + _text(str(reason))
        if minor < 7:
            return types[0].to_bytes(4, "big")
        return bytes([len(types), *types])

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(f"RFB {version}\n".encode("ascii"))
            theirs = await reader.readexactly(12)
            if not theirs.startswith(b"RFB 003."):
                bench.ledger.broken("vnc", "no version")
                return
            bench.ledger.request("vnc", f"version {theirs[4:11].decode('ascii', 'replace')}")
            minor = int(theirs[8:11]) if theirs[8:11].isdigit() else 3
            writer.write(offer(minor))
            if reason is None:
                await choose(reader, writer, minor)
            await writer.drain()
        writer.close()

    async def choose(reader: StreamReader, writer: StreamWriter, minor: int) -> None:
        chosen = types[0]
        if minor >= 7:
            chosen = (await reader.readexactly(1))[0]
            bench.ledger.request("vnc", f"security type {chosen}", write=True)
        if chosen == VNC_AUTHENTICATION:
            writer.write(CHALLENGE)
            await reader.readexactly(16)
            bench.ledger.login("vnc", "password", accepted=False)
            writer.write(b"\0\0\0\1")
        elif chosen == NONE:
            if minor >= 8:
                writer.write(bytes(4))
            await reader.readexactly(1)  # ClientInit
            bench.ledger.request("vnc", "ClientInit", write=True)
            writer.write(b"\x04\x00\x03\x00" + FORMAT + _text(desktop))
            while await reader.read(4096):
                bench.ledger.request("vnc", "a message to the desktop", write=True)

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=server.sockets[0].getsockname()[:2], stop=stop)


SERVES = {"vnc": serve}
