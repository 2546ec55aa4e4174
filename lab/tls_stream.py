"""
TLS on one server connection, by hand over memory buffers.

asyncio's own TLS drops the connection when a handshake fails; a device sends the alert that tells
why, and only then ends. That is all the difference.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

CHUNK = 16384


class TlsStream:
    """Reads and writes plaintext. `handshake` comes first; it raises ssl.SSLError."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        await self._pump(self._tls.do_handshake)

    async def read(self, size: int) -> bytes:
        """Plaintext, b"" when the client has ended, with close_notify or without."""
        try:
            return await self._pump(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, data: bytes) -> None:
        self._tls.write(data)

    async def drain(self) -> None:
        self._writer.write(self._outgoing.read())
        await self._writer.drain()

    def close(self) -> None:
        with suppress(ssl.SSLError):
            self._tls.unwrap()  # queues our close_notify; the client's own is not waited for
        self._writer.write(self._outgoing.read())
        self._writer.close()

    async def _pump(self, call: Callable[[], T]) -> T:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                await self.drain()
                data = await self._reader.read(CHUNK)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await self.drain()  # the alert
                raise
            else:
                await self.drain()
                return result
