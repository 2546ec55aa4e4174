"""
A MELSEC Q CPU on MELSOFT, over TCP and by datagrams on the same port.

The reply is that of a recorded Q03UDECPU, with this device's name and code in their places; a
write or a remote operation is answered as carried out, and the front has it in its ledger.
Settings: `model` (16 characters at most), `code` (hex), `datagrams` (false: on connections alone).
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

HEAD = bytes.fromhex("d700c80000111107000000e40300ffff030000")
BEHIND = bytes.fromhex("9c000c08000000001004") + bytes(4)
DONE = bytes.fromhex("01000000")
TAIL = bytes.fromhex("0008baba081020210316002002000101e802")
"""What a Q03UDECPU tells behind its code; nobody has published what it means."""


def reply(function: bytes, data: bytes) -> bytes:
    body = BEHIND + function + DONE + data
    return HEAD + len(body).to_bytes(2, "little") + body


async def serve(bench: Bench) -> Server:
    name = bench.text("model").encode("latin-1", "replace")[:16].ljust(16)
    told = name + int(bench.text("code"), 16).to_bytes(2, "little") + TAIL
    datagrams = bool(bench.settings.get("datagrams", True))

    def answered(frame: bytes) -> bytes:
        at = 23 + frame[23]
        function = frame[at : at + 2]
        return reply(function, told if function == b"\x01\x01" else b"")

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(21)
                body = await reader.readexactly(int.from_bytes(head[19:21], "little"))
                writer.write(answered(head + body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            pass
        finally:
            writer.close()

    async def answer(datagram: bytes) -> bytes | None:
        if not datagrams or len(datagram) < 41 or datagram[0] != 0x57:
            return None
        return answered(datagram)

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), answer=answer, stop=stop)


SERVES = {"melsoft": serve}
