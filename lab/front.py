"""
The lab's own front before every service port of every device.

It accepts (or receives), counts into the device's ledger, lets the device die where that is its
nature, and otherwise pipes bytes unchanged to a third-party server behind it. A front adds no
reset and hides none: when the client half-closes, the server behind is half-closed too, and the
client gets its FIN once the server is done. Sockets are used directly, because asyncio's streams
do not tell a reset that comes after a half-close.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from lab.errors import LabError
from lab.frames import Stream, classify_datagram, is_framed
from lab.ledger import Connection, Ledger

CHUNK = 65536
GOODBYE_S = 1.0
"""How long a server behind may take to end after the client's FIN, and a client after ours."""
SETTLE_S = 0.02
"""After our own FIN: a late RST of the client arrives on loopback well within this."""

_PEER_ENDED = frozenset({6, 7, 8, 9, 11})
"""Linux TCP states in which the peer's FIN or RST has arrived: TIME_WAIT, CLOSE, CLOSE_WAIT,
LAST_ACK, CLOSING (include/net/tcp_states.h)."""

Inner = tuple[str, int]
Answer = Callable[[bytes], Awaitable[bytes | None]]


def ended_by_peer(sock: socket.socket) -> bool:
    """Whether the client's FIN or RST has arrived, read or not."""
    if sock.fileno() < 0:
        return True
    if hasattr(socket, "TCP_INFO"):
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _PEER_ENDED
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def bind(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A non-blocking socket on a device's address. Raises LabError when that cannot be had."""
    sock = socket.socket(socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind is socket.SOCK_STREAM:
            sock.listen(32)
    except OSError as error:
        sock.close()
        raise LabError(
            f"cannot listen on {address}:{port} ({error.strerror}). Another lab may be running "
            "there: stop it with `walkdown lab down`, or use another plant."
        ) from error
    sock.setblocking(False)
    return sock


class TcpFront:
    """One TCP port of one device, piped to `inner`."""

    def __init__(
        self, *, ledger: Ledger, protocol: str, address: str, port: int, inner: Inner
    ) -> None:
        self.ledger = ledger
        self.protocol = protocol
        self.address = address
        self.port = port
        self._inner = inner
        self._sock: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._sock = bind(socket.SOCK_STREAM, self.address, self.port)
        self._spawn(self._accept(self._sock))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # the client gave up in the queue, or descriptors are short
                await asyncio.sleep(SETTLE_S)
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self.ledger.opened(
                self.port, self.protocol, partial(ended_by_peer, client)
            )
            self._spawn(self._serve(client, connection))

    async def _serve(self, client: socket.socket, connection: Connection) -> None:
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        inner.setblocking(False)
        try:
            await self._hang_if_dead()
            await asyncio.get_running_loop().sock_connect(inner, self._inner)
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._pipe(client, inner, connection)
        except (ConnectionResetError, BrokenPipeError):
            self.ledger.reset(connection)
        except OSError:  # the client's host has gone, or the server behind is stopping
            pass
        finally:
            inner.close()
            client.close()
            if connection.open:
                self.ledger.closed(connection)

    async def _pipe(
        self, client: socket.socket, inner: socket.socket, connection: Connection
    ) -> None:
        up = asyncio.ensure_future(self._up(client, inner, connection))
        down = asyncio.ensure_future(self._down(client, inner, connection))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                up.result()  # a reset ends it here
                await asyncio.wait({down}, timeout=GOODBYE_S)
                if down.done():
                    down.result()  # a reset may show itself only when the answer is sent
                self.ledger.closed(connection)  # before our FIN: the client may dial again at it
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
            else:
                down.result()
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
                await asyncio.wait({up}, timeout=GOODBYE_S * 5)
                if up.done():
                    up.result()
                self.ledger.closed(connection)
            await asyncio.sleep(SETTLE_S)
            if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.ledger.reset(connection)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _up(
        self, client: socket.socket, inner: socket.socket, connection: Connection
    ) -> None:
        """Client to device, until the client's FIN. Raises ConnectionResetError at its RST."""
        loop = asyncio.get_running_loop()
        stream = Stream(self.protocol)
        framed = is_framed(self.protocol)
        while data := await loop.sock_recv(client, CHUNK):
            if not framed:
                connection.requests = max(connection.requests, 1)
            for seen in stream.feed(data):
                if seen.kind == "foreign":
                    self.ledger.alien(self.protocol, seen.function)
                elif seen.kind == "malformed":
                    self.ledger.broken(self.protocol, seen.function)
                else:
                    connection.owed += seen.answered
                    self.ledger.request(
                        self.protocol, seen.function, write=seen.write, on=connection
                    )
            await self._hang_if_dead()
            try:
                await loop.sock_sendall(inner, data)
            except OSError:  # the server behind has already ended; what the client says is moot
                continue
        with suppress(OSError):
            inner.shutdown(socket.SHUT_WR)

    async def _down(
        self, client: socket.socket, inner: socket.socket, connection: Connection
    ) -> None:
        """Device to client, until the server behind ends."""
        loop = asyncio.get_running_loop()
        replies = Stream(self.protocol) if is_framed(self.protocol) else None
        while True:
            try:
                data = await loop.sock_recv(inner, CHUNK)
            except OSError:
                return
            if not data:
                return
            await self._hang_if_dead()
            if replies is not None:
                connection.owed = max(0, connection.owed - replies.count(data))
            else:
                connection.requests = max(connection.requests, 1)  # a server that speaks first
            await loop.sock_sendall(client, data)

    async def _hang_if_dead(self) -> None:
        """A dead device neither answers nor ends anything: its connections hang."""
        if not self.ledger.alive:
            await asyncio.Event().wait()


class UdpFront:
    """
    One UDP port of one device: each datagram goes to `answer`, its reply back to the sender.
    """

    def __init__(
        self, *, ledger: Ledger, protocol: str, address: str, port: int, answer: Answer
    ) -> None:
        self.ledger = ledger
        self.protocol = protocol
        self.address = address
        self.port = port
        self._answer = answer
        self._sock: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._sock = bind(socket.SOCK_DGRAM, self.address, self.port)
        self._spawn(self._receive(self._sock))

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, sender = await loop.sock_recvfrom(sock, CHUNK)
            except OSError:  # an ICMP error for an earlier reply: the client has gone
                continue
            self.ledger.datagram()
            seen = classify_datagram(self.protocol, data)
            if seen.kind == "foreign":
                self.ledger.alien(self.protocol, seen.function)
            elif seen.kind == "malformed":
                self.ledger.broken(self.protocol, seen.function)
            else:
                self.ledger.request(self.protocol, seen.function, write=seen.write)
            if self.ledger.alive and seen.kind == "request":
                self._spawn(self._reply(sock, data, sender))

    async def _reply(self, sock: socket.socket, data: bytes, sender: tuple[str, int]) -> None:
        reply = await self._answer(data)
        if reply is not None and self.ledger.alive:
            with suppress(OSError):
                await asyncio.get_running_loop().sock_sendto(sock, reply, sender)


async def ask_inner(inner: Inner, data: bytes, *, timeout_s: float = 2.0) -> bytes | None:
    """One datagram to a server behind, and its reply; None when it keeps silent."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(inner)
        await loop.sock_sendall(sock, data)
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.sock_recv(sock, CHUNK)
        except (TimeoutError, OSError):
            return None
