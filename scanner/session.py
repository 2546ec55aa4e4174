"""
The only door to the network: a `Session` for one probe on one endpoint.

Steps of every frame, each able to refuse with its own error: guard, window, breaker, budget,
connection slot, pacing, wire, evidence (always, also on failure). The intent is on disk before the
frame leaves. See docs/architecture.md and docs/decisions/0003-governor-rings.md.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from scanner.errors import (
    BadReply,
    Closed,
    GuardRefused,
    Halted,
    Refused,
    Reset,
    Silent,
    ToolBug,
    WalkdownError,
    Withheld,
)
from scanner.facts import Fact
from scanner.governor import Device, Governor
from scanner.guards import open_guard, specs
from scanner.model import Outcome, Target, Tier, Transport
from scanner.relay import relayed
from scanner.spec import (
    Attempts,
    DefaultCredential,
    Framer,
    Guard,
    Login,
    Probe,
    Span,
    TlsInfo,
)
from scanner.wire import Wire

T = TypeVar("T")

READ_LIMIT = 256 * 1024
DUPLEX_LIMIT = 4 * 1024 * 1024
WINDOW_WATCH_S = 0.5
CLEAR_EVIDENCE = 8 * 1024
"""How much of an encrypted conversation's beginning is kept as bytes."""


class Evidence(Protocol):
    """Where exchanges are written; scanner.store.RunStore is the real one."""

    async def intent(
        self,
        *,
        target: Target,
        probe: str,
        tier: Tier,
        label: str,
        request: bytes,
        question: str,
        sent_at: datetime,
    ) -> str:
        """Store what is about to be sent; on return it is committed. Returns its id."""
        ...

    async def ended(
        self,
        exchange_id: str,
        *,
        outcome: Outcome,
        reason: str,
        reply: bytes,
        finished_at: datetime,
        wire_out: int,
        wire_in: int,
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What the composition root lends to sessions of one device."""

    options: Mapping[str, object] = field(default_factory=dict)
    known: tuple[Fact, ...] = ()
    login: Login | None = None
    default_credentials: tuple[DefaultCredential, ...] = ()
    attempts: Attempts
    fingerprint_key: bytes


def outcome_of(error: BaseException) -> Outcome:
    """The outcome that an error stands for."""
    match error:
        case Refused():
            return Outcome.REFUSED
        case Silent():
            return Outcome.SILENT
        case BadReply():
            return Outcome.GARBLED
        case Halted():
            return Outcome.INTERRUPTED
        case Withheld():
            return Outcome.WITHHELD
        case WalkdownError() if not isinstance(error, ToolBug):
            return Outcome.FAILED
        case asyncio.CancelledError():
            return Outcome.INTERRUPTED
        case _:
            return Outcome.BUG


def mask(request: bytes, secrets: Sequence[Span]) -> bytes:
    """The request with every secret span zeroed."""
    masked = bytearray(request)
    for start, end in secrets:
        end = min(end, len(masked))
        masked[start:end] = bytes(max(0, end - start))
    return bytes(masked)


def tls_context(minimum: str | None, maximum: str | None) -> ssl.SSLContext:
    """A context that also speaks with old panels; certificates are evidence, not trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing secret is sent on the strength of it
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # naming TLS 1.0 is the purpose
        context.minimum_version = _version(minimum or "TLSv1")
        context.maximum_version = _version(maximum or "TLSv1.3")
    return context


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


class GovernedSession:
    """Implements spec.Session. Made by the engine; `finish` must be awaited at the end."""

    def __init__(
        self,
        *,
        probe: Probe,
        target: Target,
        device: Device,
        governor: Governor,
        evidence: Evidence,
        grant: Grant,
        question: str,
        executor: Executor,
    ) -> None:
        self._probe = probe
        self._target = target
        self._device = device
        self._governor = governor
        self._evidence = evidence
        self._grant = grant
        self._question = question
        self._executor = executor
        self._guard: Guard | None = None
        self._wire: Wire | None = None
        self._tls: ssl.SSLObject | None = None
        self._tls_in = ssl.MemoryBIO()
        self._tls_out = ssl.MemoryBIO()
        self._leftover = b""
        self._connections = 0
        self._open = ExitStack()
        self._slot_held = False
        self._streams: list[socket.socket] = []
        self._deadline = governor.clock.monotonic() + probe.deadline_s
        self._waited_before = device.waited_s
        self._worst_s = 0.0
        self._secrets: set[bytes] = set()
        self.exchange_ids: list[str] = []
        self.connected = False
        """Whether a TCP connection came about: then somebody is there, whatever they say."""

    # --- what a probe may know ------------------------------------------------------------------

    @property
    def target(self) -> Target:
        return self._target

    @property
    def tier(self) -> Tier:
        return self._probe.tier

    @property
    def options(self) -> Mapping[str, object]:
        return self._grant.options

    @property
    def known(self) -> tuple[Fact, ...]:
        return self._grant.known

    @property
    def login(self) -> Login | None:
        return self._grant.login

    @property
    def default_credentials(self) -> tuple[DefaultCredential, ...]:
        return self._grant.default_credentials

    @property
    def attempts(self) -> Attempts:
        return self._grant.attempts

    @property
    def fingerprint_key(self) -> bytes:
        return self._grant.fingerprint_key

    def now(self) -> datetime:
        return self._governor.clock.wall()

    async def pause(self, seconds: float) -> None:
        await self._governor.sleep(min(seconds, max(self._left(), 0.0)))

    def _left(self) -> float:
        """Seconds that this session still has; waiting for our own pacing is not counted."""
        waited = self._device.waited_s - self._waited_before
        return self._deadline + waited - self._governor.clock.monotonic()

    def _check(self, worst_case_s: float) -> None:
        """The gates before a step; they are asked again before each of its packets."""
        self._worst_s = worst_case_s
        self._may_go()

    def _may_go(self) -> None:
        self._governor.check(self._device, self.tier, self._worst_s, zone=self._target.zone)

    # --- the sending verb -----------------------------------------------------------------------

    async def exchange(
        self,
        request: bytes | None,
        framer: Framer | None,
        *,
        label: str,
        secrets: Sequence[Span] = (),
        deadline_s: float = 5.0,
        max_reply: int = READ_LIMIT,
        whatever_came: bool = False,
    ) -> bytes:
        if request is not None:
            self._judge(request)
            self._secrets |= {request[start:end] for start, end in secrets if start < end}
        deadline_s = self._bounded(deadline_s)
        self._check(deadline_s)
        await self._take_slot()
        async with self._intent(label, mask(request or b"", secrets)) as record:
            if self._wire is None:
                await self._connect()
                self._check(deadline_s)
            if request is not None:
                await self._send(request)
            if framer is None:
                return b""
            record.reply = await self._read_reply(
                request, framer, label, deadline_s, max_reply, whatever_came, record
            )
            return record.reply

    def _bounded(self, deadline_s: float) -> float:
        left = self._left()
        if left <= 0:
            raise Silent(f"the whole conversation took longer than {self._probe.deadline_s:g} s")
        return min(deadline_s, left)

    def _judge(self, request: bytes) -> None:
        if self._guard is None:
            self._guard = open_guard(self._probe.protocol)
        try:
            frames, rest = self._guard.split(request)
            if rest or not frames:
                raise GuardRefused(f"not whole frames of {self._probe.protocol}")
            for frame in frames:
                if reason := self._guard.judge(frame, self.tier):
                    raise GuardRefused(f"{self._probe.protocol}: {reason}")
        except GuardRefused:
            self._device.figures.refusals[GuardRefused.rule] += 1
            raise

    async def _take_slot(self) -> None:
        if not self._slot_held:
            with self._governor.waiting(self._device):
                await self._device.slot.acquire()
            self._slot_held = True

    @asynccontextmanager
    async def _intent(self, label: str, masked: bytes) -> AsyncIterator[_Record]:
        """The intent is committed before the block; how it ended is stored whatever happens."""
        record = _Record()
        exchange_id = await self._evidence.intent(
            target=self._target,
            probe=self._probe.name,
            tier=self.tier,
            label=label,
            request=masked,
            question=self._question,
            sent_at=self.now(),
        )
        self.exchange_ids.append(exchange_id)
        out, into = self._counts()
        outcome, reason = Outcome.ANSWERED, ""
        try:
            yield record
        except BaseException as error:
            outcome, reason = outcome_of(error), _words(error)
            if isinstance(error, Silent) and self._wire is not None:
                self._wire.peer_dead = True
            raise
        finally:
            after_out, after_in = self._counts()
            self._governor.note_exchange(
                self._device, bytes_out=after_out - out, bytes_in=after_in - into
            )
            await self._evidence.ended(
                exchange_id,
                outcome=outcome,
                reason=reason,
                reply=self._without_secrets(record.reply),
                finished_at=self.now(),
                wire_out=after_out - out,
                wire_in=after_in - into,
            )

    def _without_secrets(self, reply: bytes) -> bytes:
        """A device may echo what it was told: the same bytes are zeroed in what is stored."""
        for secret in self._secrets:
            reply = reply.replace(secret, bytes(len(secret)))
        return reply

    def _counts(self) -> tuple[int, int]:
        return (self._wire.bytes_out, self._wire.bytes_in) if self._wire else (0, 0)

    async def _connect(self) -> None:
        if self._connections >= self._probe.connections:
            raise ToolBug(f"probe {self._probe.name} wants more connections than it declared")
        self._governor.check_scope(self._device, self._target.zone, self._target.address)
        self._connections += 1
        wire = Wire(self._target, self._device, self._governor, self._may_go)
        try:
            with ExitStack() as stack:
                if self._target.transport is Transport.TCP:
                    stack.enter_context(self._governor.connection(self._device))
                await wire.connect()
                if self._target.transport is Transport.TCP:
                    self._device.figures.connections += 1
                    self.connected = True
                self._open = stack.pop_all()
        except BaseException:
            await wire.close()
            raise
        self._wire = wire

    async def _send(self, data: bytes) -> None:
        assert self._wire is not None  # noqa: S101 - set by _connect
        if self._tls is not None:
            self._tls.write(data)
            data = self._tls_out.read()
            self._judge_records(data)
        await self._wire.send(data)

    async def _read_reply(
        self,
        request: bytes | None,
        framer: Framer,
        label: str,
        deadline_s: float,
        max_reply: int,
        whatever_came: bool,
        record: _Record,
    ) -> bytes:
        clock = self._governor.clock.monotonic
        started = clock()
        end = started + deadline_s
        datagram = self._target.transport is Transport.UDP
        resend_at = started + deadline_s / 2 if datagram and request is not None else None
        received, self._leftover = self._leftover, b""
        while True:
            if received and (length := framer(received)) is not None:
                self._answered(label, started, record)
                if not datagram:
                    self._leftover = received[length:]
                return received[:length]
            record.reply = received[:max_reply]
            try:
                wait_until = min(end, resend_at) if resend_at else end
                data = await self._receive(wait_until - clock())
            except Silent:
                if resend_at and clock() < end and not received:
                    resend_at = None
                    assert request is not None  # noqa: S101 - resend_at implies it
                    self._settle()
                    paused = clock()
                    await self._send(request)  # the one retry, for a lost datagram
                    end += clock() - paused
                    continue
                if received and whatever_came:
                    self._answered(label, started, record)
                    return received
                if not received:
                    self._governor.note_silence(self._device, self._target.port, label)
                raise
            except Reset:
                self._governor.note_reset(self._device, self._target.port, label)
                raise
            if record.first_byte_at is None:
                record.first_byte_at = clock()
            if not data:
                if received and whatever_came:
                    self._answered(label, started, record)
                    return received
                raise Closed("the device closed the connection before a whole reply came")
            received = data if datagram else received + data
            if len(received) > max_reply:
                if whatever_came:
                    self._answered(label, started, record)
                    return received[:max_reply]
                raise BadReply(f"a reply of more than {max_reply} bytes")
            if datagram and framer(received) is None and not whatever_came:
                received = b""  # not the reply to our question: wait for the one that is

    def _answered(self, label: str, started: float, record: _Record) -> None:
        first = record.first_byte_at or self._governor.clock.monotonic()
        exempt = self.tier is Tier.LOGIN or self._device.limits.name == "lab"
        self._governor.note_answer(
            self._device, self._target.port, label, first - started, exempt=exempt
        )
        self._settle()

    def _settle(self) -> None:
        if self._wire is not None:
            self._wire.settle()

    async def _receive(self, timeout_s: float) -> bytes:
        assert self._wire is not None  # noqa: S101 - set by _connect
        if self._tls is None:
            return await self._wire.receive(timeout_s)
        end = self._governor.clock.monotonic() + timeout_s
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                data = await self._wire.receive(end - self._governor.clock.monotonic())
                if not data:
                    return b""
                self._tls_in.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise BadReply(f"TLS: {error.reason}") from error

    # --- TLS ------------------------------------------------------------------------------------

    async def start_tls(self, *, minimum: str | None = None, maximum: str | None = None) -> TlsInfo:
        if self._wire is not None:
            raise ToolBug("start_tls comes before the first exchange of a connection")
        deadline_s = self._bounded(5.0)
        self._check(deadline_s)
        await self._take_slot()
        self._tls_in, self._tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = tls_context(minimum, maximum).wrap_bio(self._tls_in, self._tls_out)
        with_hello = self._handshake_step(tls)
        label = "TLS handshake" + (f" up to {maximum}" if maximum else "")
        async with self._intent(label, with_hello) as record:
            await self._connect()
            self._check(deadline_s)
            await self._handshake(tls, with_hello, deadline_s, record)
            self._tls = tls
        cipher = tls.cipher()
        return TlsInfo(
            version=tls.version() or "unknown",
            cipher=cipher[0] if cipher else "unknown",
            certificate_der=tls.getpeercert(binary_form=True),
        )

    def _handshake_step(self, tls: ssl.SSLObject) -> bytes:
        """Drive the handshake as far as it goes; what must be sent next."""
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise BadReply(f"TLS handshake: {error.reason}") from error
        return self._tls_out.read()

    async def _handshake(
        self, tls: ssl.SSLObject, data: bytes, deadline_s: float, record: _Record
    ) -> None:
        assert self._wire is not None  # noqa: S101 - set by _connect
        clock = self._governor.clock.monotonic
        started = clock()
        label = "TLS handshake"
        while True:
            if data:
                self._judge_records(data)
                await self._wire.send(data)
            if tls.version() is not None and _is_done(tls):
                self._answered(label, started, record)
                return
            try:
                received = await self._wire.receive(started + deadline_s - clock())
            except Silent:
                self._governor.note_silence(self._device, self._target.port, label)
                raise
            except Reset as error:
                if record.reply:
                    self._governor.note_reset(self._device, self._target.port, label)
                raise BadReply("the device reset the connection in the handshake") from error
            if record.first_byte_at is None:
                record.first_byte_at = clock()
            if not received:
                raise BadReply("the device closed the connection in the handshake")
            record.reply = (record.reply + received)[:CLEAR_EVIDENCE]
            self._settle()
            self._tls_in.write(received)
            data = self._handshake_step(tls)

    def _judge_records(self, data: bytes) -> None:
        guard = open_guard("tls")
        frames, rest = guard.split(data)
        if rest:
            raise GuardRefused("tls: half a record")
        for frame in frames:
            if reason := guard.judge(frame, self.tier):
                raise GuardRefused(f"tls: {reason}")

    # --- end ------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End this connection in order; the slot stays ours until `finish`."""
        wire, self._wire = self._wire, None
        tls, self._tls = self._tls, None
        self._guard = None
        self._leftover = b""
        if wire is None:
            return
        try:
            speaks = wire.connected and not wire.peer_dead and not self._governor.halted
            if tls is not None and speaks:
                await self._tls_goodbye(tls, wire)
            await wire.close()
        finally:
            self._open.close()

    async def _tls_goodbye(self, tls: ssl.SSLObject, wire: Wire) -> None:
        with suppress(ssl.SSLError, ValueError):
            tls.unwrap()
        if notify := self._tls_out.read():
            try:
                await wire.send(notify, closing=True)
            except WalkdownError:
                wire.peer_dead = True

    async def finish(self) -> None:
        """Close, and give the slot back. Always awaited by the engine."""
        try:
            await self.close()
        finally:
            if self._slot_held:
                self._slot_held = False
                self._device.slot.release()

    # --- libraries ------------------------------------------------------------------------------

    def relay(self) -> AbstractAsyncContextManager[tuple[str, int]]:
        spec = specs().get(self._probe.protocol)
        if spec is None:
            raise GuardRefused(f"no guard for protocol {self._probe.protocol!r}")
        return relayed(self, spec, self._governor)

    @asynccontextmanager
    async def duplex(self) -> AsyncIterator[socket.socket]:
        # A login that a window's end cuts short helps nobody: it must fit as a whole.
        self._check(self._bounded(self._probe.deadline_s))
        await self._take_slot()
        guard = self._guard = open_guard(self._probe.protocol)
        problem: list[BaseException] = []
        async with self._intent(f"{self._probe.protocol} connection", b"") as record:
            await self._connect()
            self._check(0.0)
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                self._streams = [ours, theirs]
                pumps = asyncio.ensure_future(self._pump(ours, guard, record, problem))
                try:
                    yield theirs
                except Exception:
                    await self._end(pumps)
                    for error in problem:
                        if isinstance(error, Withheld):
                            raise error from None  # a library only sees its connection end
                    raise
                finally:
                    await self._end(pumps)
            for error in problem:
                raise error

    async def _end(self, pumps: asyncio.Future[None]) -> None:
        self._break_streams()
        await asyncio.wait({pumps})
        self._streams = []

    async def _pump(
        self, ours: socket.socket, guard: Guard, record: _Record, problem: list[BaseException]
    ) -> None:
        """Carry bytes both ways until one side or the window ends; the first trouble is kept."""
        tasks = [
            asyncio.ensure_future(self._outward(ours, guard)),
            asyncio.ensure_future(self._inward(ours, record)),
            asyncio.ensure_future(self._watch_window()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Withheld | WalkdownError):
                    problem.append(result)
            with suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)

    async def _outward(self, ours: socket.socket, guard: Guard) -> None:
        loop = asyncio.get_running_loop()
        rest = b""
        carried = 0
        while data := await loop.sock_recv(ours, 16384):
            carried += len(data)
            if carried > DUPLEX_LIMIT:
                raise GuardRefused("more was written than a read-only session can need")
            frames, rest = guard.split(rest + data)
            for frame in frames:
                if reason := guard.judge(frame, self.tier):
                    self._device.figures.refusals[GuardRefused.rule] += 1
                    raise GuardRefused(f"{self._probe.protocol}: {reason}")
                self._check(0.0)
                assert self._wire is not None  # noqa: S101 - open while the pumps run
                self._wire.settle()
                await self._wire.send(frame)

    async def _watch_window(self) -> None:
        """A session in which nothing is sent for a while must not outlast its window."""
        while True:
            await self._governor.sleep(WINDOW_WATCH_S)
            self._check(0.0)

    async def _inward(self, ours: socket.socket, record: _Record) -> None:
        loop = asyncio.get_running_loop()
        carried = 0
        while True:
            assert self._wire is not None  # noqa: S101 - open while the pumps run
            try:
                data = await self._wire.receive(self._left())
            except Reset:
                label = f"{self._probe.protocol} connection"
                self._governor.note_reset(self._device, self._target.port, label)
                raise
            if not data:
                return
            carried += len(data)
            if carried > DUPLEX_LIMIT:
                raise BadReply("the device sent more than a session may bring")
            record.reply = (record.reply + data)[:CLEAR_EVIDENCE]
            await loop.sock_sendall(ours, data)

    def _break_streams(self) -> None:
        for stream in self._streams:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    async def blocking(self, call: Callable[[], T], *, deadline_s: float) -> T:
        work = asyncio.ensure_future(
            asyncio.get_running_loop().run_in_executor(self._executor, call)
        )
        halted = asyncio.ensure_future(self._governor.until_halted())
        try:
            either: set[asyncio.Future[object]] = {work, halted}  # type: ignore[arg-type]
            await asyncio.wait(
                either,
                timeout=min(deadline_s, max(self._left(), 0.001)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work.done():
                return work.result()
            if halted.done():
                raise Halted(self._governor.halt_reason or "halted")
            raise Silent(f"the library did not finish within {deadline_s:g} s")
        finally:
            halted.cancel()
            await asyncio.gather(halted, return_exceptions=True)
            if not work.done():
                self._break_streams()  # the device is busy until the thread is
                await asyncio.wait({work})
                work.exception()

    def judge_plaintext(self, protocol: str, frame: bytes) -> None:
        if reason := open_guard(protocol).judge(frame, self.tier):
            self._device.figures.refusals[GuardRefused.rule] += 1
            raise GuardRefused(f"{protocol}: {reason}")

    async def record_plaintext(
        self, label: str, request: bytes, reply: bytes, secrets: Sequence[Span] = ()
    ) -> None:
        async with self._intent(label, mask(request, secrets)) as record:
            record.reply = reply[:READ_LIMIT]


@dataclass(slots=True)
class _Record:
    """What an exchange has come to so far."""

    reply: bytes = b""
    first_byte_at: float | None = None


def _is_done(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError as error:
        raise BadReply(f"TLS handshake: {error.reason}") from error
    return True


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, WalkdownError) else type(error).__name__
