"""
An RDP server as far as its negotiation: the confirmations that recorded Windows servers gave.

Settings: `security`, what it takes: "rdp", "tls", "credssp", "credssp_early"; `flags` (of the
response, 0x1f as Windows 10 sends); `negotiates` false for one from before negotiation. What a
client says after it is noted as a write and ends the connection.

Source: [MS-RDPBCGR] sections 2.2.1.2 and 3.3.5.3.1 (which failure is told when).
"""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from lab.bench import LOOPBACK, Bench, Server
from lab.errors import LabError

BITS = {"rdp": 0, "tls": 1, "credssp": 2, "credssp_early": 8}
SSL_REQUIRED, SSL_NOT_ALLOWED, HYBRID_REQUIRED = 1, 2, 5
SOURCE = b"\x12\x34"
"""Windows gives this reference to every connection."""


def confirmed(request: bytes, security: list[str], flags: int) -> bytes:
    """The negotiation part of the confirmation of a request."""
    offered = 0
    if len(request) >= 8 and request[-8:-4] == b"\x01\x00\x08\x00":
        offered = int.from_bytes(request[-4:], "little")
    common = [BITS[each] for each in security if BITS[each] & offered]
    if common or (offered == 0 and "rdp" in security):
        return bytes([2, flags, 8, 0]) + max(common, default=0).to_bytes(4, "little")
    failure = HYBRID_REQUIRED
    if "tls" in security:
        failure = SSL_REQUIRED
    elif security == ["rdp"]:
        failure = SSL_NOT_ALLOWED
    return bytes([3, 0, 8, 0]) + failure.to_bytes(4, "little")


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    security = [str(each) for each in settings.get("security", ["tls", "credssp", "credssp_early"])]
    if unknown := set(security) - set(BITS):
        raise LabError(f"{bench.device}: RDP knows no security {', '.join(sorted(unknown))}")
    flags = int(settings.get("flags", 0x1F))
    negotiates = bool(settings.get("negotiates", True))

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readexactly(4)
            if head[0] == 3:
                rest = await reader.readexactly(int.from_bytes(head[2:], "big") - 4)
                negotiation = confirmed(rest, security, flags) if negotiates else b""
                body = b"\xd0\0\0" + SOURCE + b"\0" + negotiation
                size = 5 + len(body)
                writer.write(b"\x03\0" + size.to_bytes(2, "big") + bytes([len(body)]) + body)
                await writer.drain()
                await reader.read(4096)
        writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=server.sockets[0].getsockname()[:2], stop=stop)


SERVES = {"rdp": serve}
