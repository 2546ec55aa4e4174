"""
The guarded relay: a loopback endpoint for libraries that insist on dialling host and port.

Whole frames pass `session.exchange`, and so the same guard, window, pacing and evidence as our own
codecs. One connection for TCP; UDP until the block ends; each relay has a loopback address that is
never used again in this process (pysnmp keeps engine ids per address). Only sockets of our own
user are served, where the system tells whose they are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, cast

from scanner import tripwire
from scanner.errors import GuardRefused, WalkdownError, WireError, Withheld
from scanner.governor import Governor
from scanner.model import Target, Transport
from scanner.spec import Framer, Guard, GuardSpec

_addresses = itertools.count(1)
MAX_FRAME = 64 * 1024


class Exchanging(Protocol):
    """The part of a session that a relay needs."""

    @property
    def target(self) -> Target: ...

    async def exchange(
        self, request: bytes | None, framer: Framer | None, *, label: str
    ) -> bytes: ...


def _fresh_address() -> str:
    """127.64.0.1 onwards: Linux and Windows answer on all of 127.0.0.0/8 without set-up."""
    number = next(_addresses)
    return f"127.{64 + (number >> 16) % 64}.{number >> 8 & 0xFF}.{number & 0xFF}"


def _is_ours(peer: tuple[str, int], transport: str) -> bool:
    """Whether a loopback socket belongs to our user (Linux tells; elsewhere True)."""
    table = Path(f"/proc/net/{transport}")
    if not table.exists():
        return True
    port = f":{peer[1]:04X}"
    ours = {socket.inet_aton(peer[0])[::-1].hex().upper() + port, "00000000" + port}
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] in ours:  # a datagram socket is often bound to any address
            return int(fields[7]) == os.getuid()
    return False


@asynccontextmanager
async def relayed(
    session: Exchanging, spec: GuardSpec, governor: Governor
) -> AsyncIterator[tuple[str, int]]:
    """
    Serve one library conversation. Raises, at the end of the block, the refusal that a frame met
    (GuardRefused, OutsideWindow, …), so that a library's own error cannot hide it; where the
    library gave up, what the device really did (BadReply, Reset, …) in place of its guess.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    relay = _Relay(session, spec, task)
    serve = _tcp if session.target.transport is Transport.TCP else _udp
    try:
        async with serve(relay) as endpoint:
            with tripwire.grant(*endpoint):
                yield endpoint
    except Withheld:
        raise
    except asyncio.CancelledError:
        why = relay.refusal or relay.trouble
        if relay.ended_wait and why is not None and task.uncancel() == 0:
            raise why from None
        raise
    except Exception:
        if relay.refusal is not None:
            raise relay.refusal from None
        if relay.trouble is not None:
            raise relay.trouble from None
        raise
    if relay.refusal is not None:
        raise relay.refusal


class _Relay:
    def __init__(self, session: Exchanging, spec: GuardSpec, task: asyncio.Task[object]) -> None:
        self.session = session
        self._task = task
        self.ended_wait = False
        self.guard: Guard = spec.open()
        self._framer: Framer = spec.reply_framer or len
        self._is_answer = spec.is_answer
        self.refusal: Withheld | None = None
        self.trouble: WireError | None = None

    async def ask(self, frame: bytes) -> bytes:
        """One frame through the session. Raises WireError, or Withheld after keeping it."""

        def framer(reply: bytes) -> int | None:
            length = self._framer(reply)
            return length if self._is_answer(reply, frame) else None

        try:
            return await self.session.exchange(frame, framer, label="by a library")
        except Withheld as refusal:
            self.refusal = self.refusal or refusal
            raise
        except WireError as trouble:
            self.trouble = trouble
            raise

    def end_wait(self) -> None:
        """
        A library that waits for a datagram is not told that none will come: it would wait out its
        own time. The task that uses it is cancelled, as asyncio.timeout does.
        """
        if not self.ended_wait:
            self.ended_wait = True
            self._task.cancel()


@asynccontextmanager
async def _tcp(relay: _Relay) -> AsyncIterator[tuple[str, int]]:
    served = asyncio.Event()
    conversations: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        conversations.append(task)
        try:
            if served.is_set() or not _is_ours(writer.get_extra_info("peername"), "tcp"):
                return
            served.set()
            await _converse(relay, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, _fresh_address(), 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield str(host), int(port)
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        if conversations:
            await asyncio.wait(conversations)


async def _converse(
    relay: _Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    rest = b""
    while data := await reader.read(16384):
        try:
            frames, rest = relay.guard.split(rest + data)
            if len(rest) > MAX_FRAME:
                raise GuardRefused("a library sent a frame without an end")
        except GuardRefused as refusal:
            relay.refusal = relay.refusal or refusal
            return
        for frame in frames:
            try:
                reply = await relay.ask(frame)
            except WalkdownError:
                return  # the library sees its connection end and says so in its own words
            writer.write(reply)
            await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, relay: _Relay) -> None:
        self._relay = relay
        self._peer: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # no subclass in Python 3.11

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._peer is None and _is_ours(addr[:2], "udp"):
            self._peer = addr
        if addr == self._peer and len(self.tasks) < 4:
            task = asyncio.ensure_future(self._answer(data))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, data: bytes) -> None:
        try:
            reply = await self._relay.ask(data)
        except (WireError, Withheld):
            self._relay.end_wait()
            return
        if self._transport is not None and self._peer is not None:
            with tripwire.grant(*self._peer[:2]):
                self._transport.sendto(reply, self._peer)


@asynccontextmanager
async def _udp(relay: _Relay) -> AsyncIterator[tuple[str, int]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(relay), local_addr=(_fresh_address(), 0)
    )
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        yield str(host), int(port)
    finally:
        pending = set(protocol.tasks)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        transport.close()
