"""
A Redis server by the answers that its documentation prints.

Settings: `login` (true: it wants a password, which is never right), `protected` (it turns away
strangers), `version`, `os`, `mode`. Commands that write are answered as carried out, and the front
has them in its ledger. A real server stands in tests/integration/test_databases.py.

Source: Redis documentation: commands PING, INFO; errors NOAUTH, WRONGPASS, DENIED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter

NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONG = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
DENIED = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"


def info(settings: Mapping[str, Any]) -> bytes:
    """The section `server` as a bulk string."""
    lines = [
        "# Server",
        f"redis_version:{settings.get('version', '7.0.15')}",
        f"redis_mode:{settings.get('mode', 'standalone')}",
        f"os:{settings.get('os', 'Linux 6.1.0-18-amd64 x86_64')}",
        "arch_bits:64",
        "tcp_port:6379",
        "",
    ]
    body = "\r\n".join(lines).encode("utf-8", "replace")
    return b"$%d\r\n%s\r\n" % (len(body), body)


def answer(settings: Mapping[str, Any], words: list[bytes]) -> bytes:
    name = words[0].upper()
    if settings.get("protected"):
        return DENIED
    if name == b"AUTH":
        return WRONG
    if settings.get("login"):
        return NOAUTH
    if name == b"PING":
        return b"+PONG\r\n"
    if name == b"INFO":
        return info(settings)
    if name in (b"GET", b"KEYS"):
        return b"$0\r\n\r\n"
    return b"+OK\r\n"


async def serve(bench: Bench) -> Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("redis")
        try:
            while data := await reader.read(4096):
                for command in cut.feed(data):
                    words = command.split(b"\r\n")[2::2] or [b""]
                    if words[0].upper() == b"AUTH":
                        bench.ledger.login("redis", "default", accepted=False)
                    writer.write(answer(bench.settings, words))
                await writer.drain()
                if bench.settings.get("protected"):
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"redis": serve}
