"""
The lab's own front before every service port of every device.

It accepts (or receives), counts into the device's ledger, lets the device die where that is its
nature, and otherwise pipes bytes unchanged to a third-party server behind it. A front adds no
reset and hides none: when the client half-closes, the server behind is half-closed too, and the
client gets its FIN once the server is done. Sockets are used directly, because asyncio's streams
do not tell a reset that comes after a half-close.

A device with faults (lab.faults) has them here: each fault sees the client's requests on their
way up and the server's replies on their way down, and may hold, change, drop or add to them, end
the connection, or make the port or the whole device deaf.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from lab.errors import LabError
from lab.faults.base import Ending, Fault, Line, close_unheard, drop_all, dropped, hang
from lab.frames import Seen, Splitter, Stream, classify_datagram, is_framed, protocol
from lab.ledger import Connection, Ledger

CHUNK = 65536
GOODBYE_S = 1.0
"""How long a server behind may take to end after the client's FIN, and a client after ours."""
TRANSFER_S = 1.0
"""How long a port that a datagram was answered from hears what is said to it."""
SETTLE_S = 0.02
"""After our own FIN: a late RST of the client arrives on loopback well within this."""

_PEER_ENDED = frozenset({6, 7, 8, 9, 11})
"""Linux TCP states in which the peer's FIN or RST has arrived: TIME_WAIT, CLOSE, CLOSE_WAIT,
LAST_ACK, CLOSING (include/net/tcp_states.h)."""

Inner = tuple[str, int]
Answer = Callable[[bytes], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Installed:
    """A fault on one service. `after`: so many connections or datagrams go well first."""

    fault: Fault
    after: int = 0


def port_state(faults: Sequence[Installed], protocol: str, served: int) -> str:
    """What its faults make of a port after so many connections or datagrams."""
    states = {
        each.fault.port(protocol, max(0, served - each.after))
        for each in faults
        if served >= each.after
    }
    return next((state for state in ("closed", "dropped") if state in states), "open")


def answers_from_new_port(name: str) -> bool:
    known = protocol(name)
    return known is not None and known.answers_from_new_port


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
    """
    One TCP port of one device, piped to `inner`.

    `altered` is where connections after the first `altered_after` go: the same server with the
    settings that a fault has changed.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        protocol: str,
        address: str,
        port: int,
        inner: Inner,
        altered: Inner | None = None,
        altered_after: int = 0,
        faults: Sequence[Installed] = (),
    ) -> None:
        self.ledger = ledger
        self.protocol = protocol
        self.address = address
        self.port = port
        self._inner = inner
        self._altered = altered
        self._altered_after = altered_after
        self._faults = tuple(faults)
        self._accepted = 0
        self._sock: socket.socket | None = None
        self._deaf = False
        self._clients: set[socket.socket] = set()
        self._unheard: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self.ledger.on_death.append(self._die)
        self.ledger.unheard.append(lambda: sum(dropped(sock) for sock in self._unheard))
        if self._state() == "closed":
            return
        self._sock = bind(socket.SOCK_STREAM, self.address, self.port)
        self._spawn(self._accept(self._sock))
        self._restate()

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._unheard:
            close_unheard(sock)
        self._unheard.clear()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _spawn(self, coroutine: Awaitable[None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _state(self) -> str:
        return port_state(self._faults, self.protocol, self._accepted)

    def _restate(self) -> None:
        """Close the port, or make it deaf, if a fault has come to that."""
        state = self._state()
        if self._sock is None or state == "open":
            return
        if state == "closed":
            self._sock.close()
            self._sock = None
            self.ledger.misbehaved(f"port {self.port} closed")
        elif self._sock not in self._unheard:
            drop_all(self._sock)
            self._unheard.append(self._sock)
            self.ledger.misbehaved(f"port {self.port} dropped")

    def _die(self) -> None:
        """Nothing that arrives is heard from now on; no socket sends of its own either."""
        self._deaf = True
        for sock in (*self._clients, *((self._sock,) if self._sock else ())):
            if sock not in self._unheard:
                drop_all(sock)
                self._unheard.append(sock)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while listener.fileno() >= 0:
            try:
                client, source = await loop.sock_accept(listener)
            except OSError:  # the client gave up in the queue, or descriptors are short
                await asyncio.sleep(SETTLE_S)
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._deaf:  # it was in the queue when the device died
                drop_all(client)
                self._unheard.append(client)
                continue
            connection = self.ledger.opened(
                self.port, self.protocol, partial(ended_by_peer, client)
            )
            self._accepted += 1
            conversation = Conversation(
                self, client, connection, number=self._accepted, source=str(source[0])
            )
            self._clients.add(client)
            self._spawn(self._serve(conversation))
            self._restate()
            if self._sock is None:
                return

    def inner_of(self, number: int) -> Inner:
        if self._altered is not None and number > self._altered_after:
            return self._altered
        return self._inner

    def faults_of(self, number: int) -> list[Installed]:
        return [each for each in self._faults if number > each.after]

    async def _serve(self, conversation: Conversation) -> None:
        client = conversation.client
        try:
            await conversation.run()
        finally:
            self._clients.discard(client)
            if client not in self._unheard:
                client.close()
            conversation.over()


class Conversation:
    """One connection: its client, the server behind, and the faults between them."""

    def __init__(
        self,
        front: TcpFront,
        client: socket.socket,
        connection: Connection,
        *,
        number: int,
        source: str,
    ) -> None:
        self.client = client
        self._ledger = front.ledger
        self._protocol = front.protocol
        known = protocol(front.protocol)
        self._greets = not is_framed(front.protocol) or (known is not None and known.speaks_first)
        self._inner_address = front.inner_of(number)
        self._connection = connection
        self._finished = False
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._client_ended = asyncio.Event()
        self._answers = Stream(front.protocol)
        self._faults: list[tuple[Fault, Line]] = []
        forward: Callable[[bytes], Awaitable[None]] = self._to_client
        for each in reversed(front.faults_of(number)):
            line = Line(
                protocol=front.protocol,
                transport="tcp",
                number=number,
                served=number - each.after,
                source=source,
                ledger=front.ledger,
                forward=forward,
                finish=self._finish,
                end=self._end,
                client_ended=self._client_ended,
            )
            self._faults.insert(0, (each.fault, line))
            forward = partial(each.fault.down, line=line)
        self._down_first = forward

    async def run(self) -> None:
        """Until both sides have ended, or a fault has ended them."""
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        inner.setblocking(False)
        work = asyncio.ensure_future(self._converse(inner))
        try:
            waited: set[asyncio.Future[Any]] = {work, self._ended}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done() and not work.done():
                await self._end_by_fault(self._ended.result())
            else:
                work.result()
        except (ConnectionResetError, BrokenPipeError):
            self._ledger.reset(self._connection)
        except OSError:  # the client's host has gone, or the server behind is stopping
            pass
        finally:
            work.cancel()
            try:
                await asyncio.gather(work, return_exceptions=True)
            finally:  # the front may be stopped while it waits
                inner.close()

    def over(self) -> None:
        if self._connection.open:
            self._ledger.closed(self._connection)
        for fault, line in self._faults:
            fault.gone(line)

    async def _converse(self, inner: socket.socket) -> None:
        await self._hang_if_dead()
        for fault, line in self._faults:
            await fault.opened(line)
        await asyncio.get_running_loop().sock_connect(inner, self._inner_address)
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._pipe(inner)

    async def _end_by_fault(self, how: Ending) -> None:
        self._ledger.ended_by_device(self._connection)
        if how == "reset":
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):  # read on, so that our close sends no RST
            async with asyncio.timeout(GOODBYE_S * 5):
                while await loop.sock_recv(self.client, CHUNK):
                    pass

    async def _pipe(self, inner: socket.socket) -> None:
        client, connection = self.client, self._connection
        up = asyncio.ensure_future(self._up(inner))
        down = asyncio.ensure_future(self._down(inner))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done():
                up.result()  # a reset ends it here
                self._client_ended.set()
                await asyncio.wait({down}, timeout=GOODBYE_S)
                if down.done():
                    down.result()  # a reset may show itself only when the answer is sent
                self._ledger.closed(connection)  # before our FIN: the client may dial again at it
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
            else:
                down.result()
                with suppress(OSError):
                    client.shutdown(socket.SHUT_WR)
                await asyncio.wait({up}, timeout=GOODBYE_S * 5)
                if up.done():
                    up.result()
                self._ledger.closed(connection)
            await asyncio.sleep(SETTLE_S)
            if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._ledger.reset(connection)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _up(self, inner: socket.socket) -> None:
        """Client to device, until the client's FIN. Raises ConnectionResetError at its RST."""
        loop = asyncio.get_running_loop()
        connection = self._connection
        stream = Stream(self._protocol)
        requests = Splitter(self._protocol) if self._faults else None
        framed = is_framed(self._protocol)
        while data := await loop.sock_recv(self.client, CHUNK):
            if not framed:
                connection.requests = max(connection.requests, 1)
            for seen in stream.feed(data):
                if seen.kind == "foreign":
                    self._ledger.alien(self._protocol, seen.function)
                elif seen.kind == "malformed":
                    self._ledger.broken(self._protocol, seen.function)
                else:
                    connection.owed += seen.answered
                    self._ledger.request(
                        self._protocol, seen.function, write=seen.write, on=connection
                    )
            await self._hang_if_dead()
            for piece in [data] if requests is None else requests.feed(data):
                for fault, line in self._faults:
                    line.request = piece
                    piece = await fault.up(piece, line)
                    await self._hang_if_dead()
                    if not piece:
                        break
                if piece:
                    with suppress(OSError):  # the server behind has ended; what is said is moot
                        await loop.sock_sendall(inner, piece)
        with suppress(OSError):
            if requests is not None and (rest := requests.rest()):
                await loop.sock_sendall(inner, rest)
            inner.shutdown(socket.SHUT_WR)

    async def _down(self, inner: socket.socket) -> None:
        """Device to client, until the server behind ends."""
        loop = asyncio.get_running_loop()
        replies = Splitter(self._protocol) if self._faults else None
        while True:
            try:
                data = await loop.sock_recv(inner, CHUNK)
            except OSError:
                data = b""
            if not data and replies is not None and (data := replies.rest()):
                await self._down_first(data)
                return
            if not data:
                return
            for piece in [data] if replies is None else replies.feed(data):
                await self._down_first(piece)

    async def _to_client(self, data: bytes) -> None:
        await self._hang_if_dead()
        if self._finished:
            return
        connection = self._connection
        if is_framed(self._protocol):
            connection.owed = max(0, connection.owed - self._answers.count(data))
        if self._greets:
            connection.requests = max(connection.requests, 1)  # it was connected to for that
        await asyncio.get_running_loop().sock_sendall(self.client, data)

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            with suppress(OSError):
                self.client.shutdown(socket.SHUT_WR)

    def _end(self, how: Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(how)

    async def _hang_if_dead(self) -> None:
        """A dead device neither answers nor ends anything: its connections hang."""
        if not self._ledger.alive:
            await hang()


class UdpFront:
    """
    One UDP port of one device: each datagram goes to `answer`, its reply back to the sender.
    Where the protocol answers from a new port, whatever then comes to that one is counted, too.

    `altered` answers the datagrams after the first `altered_after`.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        protocol: str,
        address: str,
        port: int,
        answer: Answer,
        altered: Answer | None = None,
        altered_after: int = 0,
        faults: Sequence[Installed] = (),
    ) -> None:
        self.ledger = ledger
        self.protocol = protocol
        self.address = address
        self.port = port
        self._answer = answer
        self._altered = altered
        self._altered_after = altered_after
        self._faults = tuple(faults)
        self._received = 0
        self._elsewhere = answers_from_new_port(protocol)
        self._sock: socket.socket | None = None
        self._deaf = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self.ledger.on_death.append(self._die)
        self.ledger.unheard.append(
            lambda: dropped(self._sock) if self._deaf and self._sock is not None else 0
        )
        if self._state() == "closed":
            return
        self._sock = bind(socket.SOCK_DGRAM, self.address, self.port)
        self._spawn(self._receive(self._sock))
        self._restate()

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

    def _state(self) -> str:
        return port_state(self._faults, self.protocol, self._received)

    def _restate(self) -> None:
        state = self._state()
        if self._sock is None or state == "open":
            return
        if state == "closed":
            self._sock.close()
            self._sock = None
            self.ledger.misbehaved(f"port {self.port} closed")
        elif not self._deaf:
            self._die()
            self.ledger.misbehaved(f"port {self.port} dropped")

    def _die(self) -> None:
        if self._sock is not None and not self._deaf:
            drop_all(self._sock)
            self._deaf = True

    async def _receive(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while sock.fileno() >= 0:
            try:
                data, sender = await loop.sock_recvfrom(sock, CHUNK)
            except OSError:  # an ICMP error for an earlier reply: the client has gone
                await asyncio.sleep(0)
                continue
            seen = self._note(data)
            if self.ledger.alive and seen.kind == "request":
                self._received += 1
                reply = self._reply_elsewhere if self._elsewhere else partial(self._reply, sock)
                self._spawn(reply(data, sender, self._received))

    def _note(self, data: bytes) -> Seen:
        self.ledger.datagram()
        seen = classify_datagram(self.protocol, data)
        if seen.kind == "foreign":
            self.ledger.alien(self.protocol, seen.function)
        elif seen.kind == "malformed":
            self.ledger.broken(self.protocol, seen.function)
        else:
            self.ledger.request(self.protocol, seen.function, write=seen.write)
        return seen

    async def _reply_elsewhere(self, data: bytes, sender: tuple[str, int], number: int) -> None:
        loop = asyncio.get_running_loop()
        with bind(socket.SOCK_DGRAM, self.address, 0) as sock:
            await self._reply(sock, data, sender, number)
            with suppress(OSError, TimeoutError):  # an ICMP error: the client has gone
                async with asyncio.timeout(TRANSFER_S):
                    while True:
                        self._note(await loop.sock_recv(sock, CHUNK))

    async def _reply(
        self, sock: socket.socket, data: bytes, sender: tuple[str, int], number: int
    ) -> None:
        send: Callable[[bytes], Awaitable[None]] = partial(self._send, sock, sender)
        ended = asyncio.Event()
        layers: list[tuple[Fault, Line]] = []
        for each in reversed([each for each in self._faults if number > each.after]):
            line = Line(
                protocol=self.protocol,
                transport="udp",
                number=number,
                served=number - each.after,
                source=sender[0],
                ledger=self.ledger,
                forward=send,
                finish=ended.set,
                end=lambda _: ended.set(),
                client_ended=asyncio.Event(),
            )
            line.request = data
            layers.insert(0, (each.fault, line))
            send = partial(each.fault.down, line=line)
        task = asyncio.ensure_future(self._answer_through(layers, data, number, send))
        over = asyncio.ensure_future(ended.wait())
        try:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each_task in (task, over):
                each_task.cancel()
            await asyncio.gather(task, over, return_exceptions=True)
            for fault, line in layers:
                fault.gone(line)
            self._restate()

    async def _answer_through(
        self,
        layers: Sequence[tuple[Fault, Line]],
        data: bytes,
        number: int,
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        for fault, line in layers:
            await fault.opened(line)
            data = await fault.up(data, line)
            if not data:
                return
        answer = self._answer
        if self._altered is not None and number > self._altered_after:
            answer = self._altered
        reply = await answer(data)
        if reply is not None:
            await send(reply)

    async def _send(self, sock: socket.socket, sender: tuple[str, int], reply: bytes) -> None:
        if self.ledger.alive:
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
