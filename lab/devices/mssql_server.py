"""
A SQL Server up to the login, its answer laid out as MS-TDS section 2.2.6.5 has it.

Settings: `version` ("15.0.2000"), `encryption` (off, on, not supported, required): what it answers
a client that cannot encrypt. A login is refused and noted.
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

ENCRYPTION = {"off": 0, "on": 1, "not supported": 2, "required": 3}


def prelogin(version: str, encryption: str) -> bytes:
    """VERSION, ENCRYPTION, INSTOPT, THREADID, MARS, as a server lists them."""
    major, minor, build = (int(each) for each in version.split("."))
    values = [
        bytes([major, minor]) + build.to_bytes(2, "big") + b"\0\0",
        bytes([ENCRYPTION[encryption]]),
        b"\0",
        b"",
        b"\0",
    ]
    at = 5 * len(values) + 1
    head, data = b"", b""
    for token, value in enumerate(values):
        head += bytes([token]) + (at + len(data)).to_bytes(2, "big")
        head += len(value).to_bytes(2, "big")
        data += value
    return _packet(head + b"\xff" + data)


def _packet(body: bytes) -> bytes:
    return b"\x04\x01" + (8 + len(body)).to_bytes(2, "big") + b"\0\0\1\0" + body


def login_failed() -> bytes:
    """ERROR token 18456 (login failed), then DONE."""
    text = "Login failed.".encode("utf-16-le")
    inside = (18456).to_bytes(4, "little") + b"\x01\x0e" + (len(text) // 2).to_bytes(2, "little")
    inside += text + b"\0\0" + b"\x01\0\0\0"
    error = b"\xaa" + len(inside).to_bytes(2, "little") + inside
    return _packet(error + b"\xfd\x02\0\0\0" + bytes(8))


async def serve(bench: Bench) -> Server:
    version = bench.text("version", "15.0.2000")
    encryption = bench.text("encryption", "off")

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(8)
                await reader.readexactly(max(0, int.from_bytes(head[2:4], "big") - 8))
                if head[0] == 0x12:
                    writer.write(prelogin(version, encryption))
                    await writer.drain()
                    continue
                bench.ledger.login("mssql", "unknown", accepted=False)
                writer.write(login_failed())
                await writer.drain()
                break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"mssql": serve}
