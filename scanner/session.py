"""
The only door to the network: a `Session` for one probe on one endpoint.

Steps of every frame, each able to refuse with its own error: guard, window, breaker, budget,
connection slot, pacing, wire, evidence (always, also on failure). The intent is on disk before the
frame leaves. See docs/architecture.md and docs/decisions/0003-governor-rings.md.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from scanner.governor import SUSPICIOUS_STEP_S, Device, Governor
from scanner.guards import open_guard, specs
from scanner.link import Helper
from scanner.model import Outcome, Target, Tier, Transport
from scanner.relay import relayed
from scanner.spec import (
    Attempts,
    DefaultCredential,
    Framer,
    Guard,
    Login,
    OwnEnd,
    Probe,
    Span,
    TlsInfo,
)
from scanner.wire import LinkWire, Wire

T = TypeVar("T")

READ_LIMIT = 256 * 1024
DUPLEX_LIMIT = 4 * 1024 * 1024
REQUEST_S = 5.0
"""No request, handshake or wait of a library for an answer takes longer."""
IDENTIFY_S = 15.0
DEEP_S = 120.0
"""What one session may take, whatever its probe asks for: to identify, and beyond."""
HALTED_REPLY_S = 0.4
"""After a halt, how long the one request of a connection just made waits for its reply."""
OVERTIME_S = 0.5
"""Until a probe that does not see its own deadline is ended."""
IN_DOUBT_S = 2.5
"""
After a question in a library's session that was answered late: so long the session may go on, that
its end and the canary's last packet still leave within 5 s.
"""
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


class CanaryAnswered(Withheld):
    """The canary has its answer: nothing more needs to be said."""

    rule = "canary"


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
        canary: bool = False,
        at_most_s: float = math.inf,
        ask_canary: Callable[[], Awaitable[None]] | None = None,
        link: Helper | None = None,
    ) -> None:
        """
        `question` is its key, "" for a canary, which is over (CanaryAnswered) with its first
        answer. `at_most_s` is what its device has left of its time. `ask_canary` is called between
        two connections where a sign was seen on the first; None: there is no second then. `link`
        sends what goes on layer 2; None: nothing does.
        """
        self._link = link
        self._ask_canary = ask_canary
        self._canary = canary
        self._answers = 0
        self._lost = False
        """The device ended this conversation itself: no goodbye is due."""
        self._failed: WalkdownError | None = None
        """How the last step of this conversation ended, where it brought no answer."""
        self._begun = False
        """Whether the connection was made for the step under way, which is not said yet."""
        self._quiet: str | None = None
        """The question of this connection that brought no byte."""
        self._probe = probe
        self._target = target
        self._device = device
        self._governor = governor
        self._evidence = evidence
        self._grant = grant
        self._question = question
        self._executor = executor
        self._guard: Guard | None = None
        self._wire: Wire | LinkWire | None = None
        self._tls: ssl.SSLObject | None = None
        self._tls_in = ssl.MemoryBIO()
        self._tls_out = ssl.MemoryBIO()
        self._leftover = b""
        self._connections = 0
        self._silence: Silent | None = None
        """What this connection left unanswered: then there is no TLS goodbye."""
        self._open = ExitStack()
        self._slot_held = False
        self._streams: list[socket.socket] = []
        self._asked_at: float | None = None
        """Since when a library waits for the device; None while the device waits for it."""
        longest = IDENTIFY_S if probe.tier is Tier.IDENTIFY else DEEP_S
        self._time_s = min(probe.deadline_s, longest, max(at_most_s, 0.0))
        self._deadline = governor.clock.monotonic() + self._time_s
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

    async def own_end(self) -> OwnEnd:
        if self._target.transport is not Transport.UDP:
            raise ToolBug("only a datagram conversation has its own end before it begins")
        await self._after_canary()
        self._check(0.0)
        await self._take_slot()
        if self._wire is None:
            await self._connect("own end")
        assert self._wire is not None  # noqa: S101 - set by _connect
        return self._wire.own_end()

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

    def _may_go(self, begun: bool = False) -> None:
        self._governor.check(
            self._device, self.tier, self._worst_s, zone=self._target.zone, begun=begun
        )

    async def in_time(self, work: Awaitable[T]) -> T:
        """
        Carry out a probe's run on this session, and end it when its time is over also where it
        waits for something else than this session (a library, a process). Raises Silent then.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                left = self._left() + OVERTIME_S
                if left <= 0:
                    raise Silent(self._too_long())
                await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
                if not task.cancelled():
                    task.exception()

    def _too_long(self) -> str:
        return f"the whole conversation took longer than {self._time_s:.0f} s"

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
        may_reset: bool = False,
    ) -> bytes:
        if request is not None:
            self._judge(request)
            self._secrets |= {request[start:end] for start, end in secrets if start < end}
        goodbye = self._is_goodbye(label)
        last_word = goodbye or framer is None
        if last_word and self._lost:
            raise Closed("the device has ended the conversation itself")
        if self._canary and not (goodbye and self._answers and self._wire is not None):
            self._be_brief(label)
        self._no_second_knock()
        self._begun = False
        deadline_s = self._bounded(deadline_s)
        await self._after_canary(last_word=last_word)
        self._check(self._with_connect(deadline_s))
        await self._take_slot()
        async with self._intent(label, mask(request or b"", secrets)) as record:
            if self._wire is None:
                await self._connect(label)
                deadline_s = self._go_on(deadline_s, says_something=request is not None)
            if request is not None:
                try:
                    await self._send(request)
                except Reset:
                    self._governor.note_reset(self._device, self._target.port, label)
                    raise
            if framer is None:
                return b""
            record.reply = await self._read_reply(
                request, framer, label, deadline_s, max_reply, whatever_came, may_reset, record
            )
            return record.reply

    def _is_goodbye(self, label: str) -> bool:
        return any(one.goodbye for one in self._probe.questions if one.label == label)

    def _be_brief(self, label: str) -> None:
        """
        A canary is one question, and one that this device has answered: what else its probe asks
        is not sent, but for the goodbye of a session that was opened with it. Raises CanaryAnswered
        when it has its answer, Silent when it got none.
        """
        if self._answers:
            raise CanaryAnswered("the device answers")
        if self._failed is not None and self._wire is None:
            raise self._failed  # its one connection is over, and told what it can
        port = self._target.port
        known = {told for one, told in self._device.health.identified_by if one == port}
        if not known:
            return  # it answered in an earlier sitting, and which question is not kept
        if self._silence is not None:
            raise self._silence
        if label not in known:
            raise Silent("it did not answer this before")

    async def _after_canary(self, *, last_word: bool = False) -> None:
        """
        Raises BreakerOpen where a device that is paused must not get what comes next. Between two
        connections of one question the canary is asked first, and the question goes on if it is
        answered. A device that answered, though late, is still told what ends its session
        (`last_word`: a goodbye, or a frame that awaits nothing, as our name at an SSH server):
        leaving without it would cost it a seat.
        """
        if self._canary:
            return
        between = self._wire is None
        if between and self._ask_canary is not None and self._device.health.needs_canary:
            self._release_slot()
            await self._ask_canary()
        if last_word and not between and self._silence is None:
            return
        self._governor.check_pause(self._device, connecting=between)

    def _no_second_knock(self) -> None:
        """A probe that goes on to its next question after a silent connect: nobody is there."""
        spent = self._connections >= self._probe.connections
        if self._wire is None and spent and not self.connected and self._silence is not None:
            raise Silent(str(self._silence))

    def _with_connect(self, deadline_s: float) -> float:
        """The worst case of a step, with the connection that is made for it."""
        if self._wire is not None or self._target.transport is not Transport.TCP:
            return deadline_s
        return deadline_s + self._governor.connect_s(self._device)

    def _go_on(self, deadline_s: float, *, says_something: bool) -> float:
        """
        The gates once more when a connection has been made, and what is left of the deadline. A
        connection is not left without the request that it was made for: where a halt came
        meanwhile, or most of the window was spent waiting for our turn, it is still sent and
        waits as long as there is time.
        """
        self._worst_s = deadline_s
        if self._target.transport is not Transport.TCP or not says_something:
            self._may_go()
            return deadline_s
        self._begun = True
        self._may_go(begun=True)
        return min(deadline_s, max(self._governor.window_left(self._target.zone), 0.0))

    def _bounded(self, deadline_s: float) -> float:
        left = self._left()
        if left <= 0:
            raise Silent(self._too_long())
        return min(deadline_s, REQUEST_S, left)

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
            if isinstance(error, Silent):
                self._silence = error
            elif isinstance(error, Refused | Reset | Closed):
                self._lost = True
            if isinstance(error, WalkdownError):
                self._failed = error
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

    async def _connect(self, label: str) -> None:
        if self._connections >= self._probe.connections:
            raise ToolBug(f"probe {self._probe.name} wants more connections than it declared")
        self._governor.check_scope(self._device, self._target.zone, self._target.address)
        self._connections += 1
        self._silence, self._quiet, self._lost = None, None, False
        wire = self._new_wire()
        port = self._target.port
        try:
            with ExitStack() as stack:
                if self._target.transport is Transport.TCP:
                    stack.enter_context(self._governor.connection(self._device))
                await wire.connect(self._governor.connect_s(self._device))
                if self._target.transport is Transport.TCP:
                    self._device.figures.connections += 1
                    self.connected = True
                    self._governor.note_connected(self._device, port, wire.round_trip_s)
                self._open = stack.pop_all()
        except BaseException as error:
            if isinstance(error, Silent):
                self._note_silence(label)
            elif isinstance(error, Refused):
                self._governor.note_refused(self._device, port)
            elif isinstance(error, Reset) and not self._canary:
                self._governor.note_reset_at_once(self._device, port)
            await wire.close()
            raise
        self._wire = wire

    def _new_wire(self) -> Wire | LinkWire:
        whose = (self._target, self._device, self._governor, self._may_go)
        if self._target.transport is Transport.LINK:
            return LinkWire(*whose, self._link)
        return Wire(*whose, self._probe.own_ports, any_port=self._probe.answers_from_any_port)

    def _note_silence(self, label: str, since: float | None = None) -> None:
        """What a silence means, unless it is a canary's own: its failure is told by the engine."""
        if self._canary:
            return
        wire, port = self._wire, self._target.port
        datagram = self._target.transport is not Transport.TCP
        if datagram and self.tier is Tier.LOGIN:
            return  # it is how an agent refuses a community
        if wire is not None and wire.peer_dead:
            self._governor.note_dead(self._device, port, label)
            return
        if wire is not None and wire.bytes_in == 0:
            self._quiet = label
        deep = self.tier is Tier.READ
        self._governor.note_silence(
            self._device, port, label, datagram=datagram, deep=deep, since=since
        )

    def _patience(self, deadline_s: float) -> float:
        return self._governor.patience_s(
            self._device,
            deadline_s,
            datagram=self._target.transport is not Transport.TCP,
            canary=self._canary,
            exempt=self.tier is Tier.LOGIN,
        )

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
        may_reset: bool,
        record: _Record,
    ) -> bytes:
        clock = self._governor.clock.monotonic
        asked_at = started = clock()
        end = started + deadline_s
        datagram = self._target.transport is not Transport.TCP
        patience_s = self._patience(deadline_s)
        # Where this port has just left another question unanswered, one datagram is enough.
        once = patience_s < deadline_s and self._target.port in self._device.health.silent_ports
        # A secret is sent once for each attempt that the ledger counts, and a goodbye is said once.
        udp = self._target.transport is Transport.UDP
        once_only = self.tier is Tier.LOGIN or self._is_goodbye(label)
        resends = udp and request is not None and not once_only
        resend_at = started + patience_s / 2 if resends and not once else None
        if resends and once:
            patience_s /= 2
        heard_before = self._heard()
        received, self._leftover = self._leftover, b""
        while True:
            if received and (length := framer(received)) is not None:
                self._answered(label, started, record)
                if not datagram:
                    self._leftover = received[length:]
                return received[:length]
            record.reply = received[:max_reply]
            quiet = self._heard() == heard_before
            last = min(end, started + patience_s) if quiet else end
            try:
                data = await self._receive((resend_at or last) - clock())
            except Silent:
                if resend_at and clock() < last and not received:
                    resend_at = None
                    assert request is not None  # noqa: S101 - resend_at implies it
                    self._settle()
                    paused = clock()
                    await self._send(request)  # the one retry, for a lost datagram
                    started += clock() - paused
                    end += clock() - paused
                    continue
                if quiet and self._heard() != heard_before and clock() < end:
                    continue  # something came, if less than a TLS record
                if received and whatever_came:
                    self._answered(label, started, record)
                    return received
                if not received:
                    self._note_silence(label, asked_at)
                raise
            except Reset:
                if not may_reset or received:
                    self._governor.note_reset(self._device, self._target.port, label)
                elif not self._canary:
                    self._governor.note_refusing_reset(self._device, self._target.port, label)
                raise
            except Refused:  # of a datagram
                self._governor.note_refused(self._device, self._target.port)
                raise
            if record.first_byte_at is None:
                record.first_byte_at = max(clock() - self._wire_age(), started)
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
                # Not the reply to our question: wait for the one that is, as if nothing had come.
                received, record.first_byte_at, heard_before = b"", None, self._heard()

    def _wire_age(self) -> float:
        """How long the kernel had kept what was just received: our own delay, not the device's."""
        return self._wire.heard_ago_s() if self._wire is not None else 0.0

    def _heard(self) -> int:
        return self._wire.bytes_in if self._wire is not None else 0

    def _answered(self, label: str, started: float, record: _Record) -> None:
        self._answers += 1
        self._begun = False
        first = record.first_byte_at or self._governor.clock.monotonic()
        exempt = self.tier is Tier.LOGIN
        if self.tier is Tier.IDENTIFY:
            self._device.health.identified_by.add((self._target.port, label))
        self._governor.note_answer(
            self._device, self._target.port, label, first - started, exempt=exempt
        )
        self._settle()

    def _settle(self) -> None:
        if self._wire is not None:
            self._wire.settle()

    async def _receive(self, timeout_s: float) -> bytes:
        assert self._wire is not None  # noqa: S101 - set by _connect
        after_halt_s = HALTED_REPLY_S if self._begun else 0.0
        if self._tls is None:
            return await self._wire.receive(timeout_s, after_halt_s=after_halt_s)
        end = self._governor.clock.monotonic() + timeout_s
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                left = end - self._governor.clock.monotonic()
                data = await self._wire.receive(left, after_halt_s=after_halt_s)
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
        if self._canary:
            self._be_brief("TLS handshake")
        self._no_second_knock()
        deadline_s = self._bounded(REQUEST_S)
        await self._after_canary()
        self._check(self._with_connect(deadline_s))
        await self._take_slot()
        self._tls_in, self._tls_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = tls_context(minimum, maximum).wrap_bio(self._tls_in, self._tls_out)
        with_hello = self._handshake_step(tls)
        label = "TLS handshake" + (f" up to {maximum}" if maximum else "")
        async with self._intent(label, with_hello) as record:
            await self._connect(label)
            deadline_s = self._go_on(deadline_s, says_something=True)
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
        patience_s = self._patience(deadline_s)
        sent_at: float | None = None
        flights = 1
        while True:
            if data:
                self._judge_records(data)
                try:
                    await self._wire.send(data)
                except Reset as error:
                    self._note_handshake_reset(label, record)
                    raise BadReply("the device reset the connection in the handshake") from error
                sent_at = clock()
            if tls.version() is not None and _is_done(tls):
                return
            left = started + (deadline_s if record.reply else patience_s) - clock()
            after_halt_s = HALTED_REPLY_S if self._begun and not record.reply else 0.0
            try:
                received = await self._wire.receive(left, after_halt_s=after_halt_s)
            except Silent:
                self._note_silence(label)
                raise
            except Reset as error:
                self._note_handshake_reset(label, record)
                raise BadReply("the device reset the connection in the handshake") from error
            if record.first_byte_at is None:
                record.first_byte_at = max(clock() - self._wire_age(), started)
            if not received:
                raise BadReply("the device closed the connection in the handshake")
            if not record.reply:
                self._answered(label, started, record)
            elif sent_at is not None:
                took = clock() - self._wire_age() - sent_at
                flights += 1
                self._governor.note_flight(
                    self._device, self._target.port, f"{label}, step {flights}", took
                )
            sent_at = None
            if not self._canary:
                self._governor.check_pause(self._device, connecting=True)
            record.reply = (record.reply + received)[:CLEAR_EVIDENCE]
            self._settle()
            self._tls_in.write(received)
            data = self._handshake_step(tls)

    def _note_handshake_reset(self, label: str, record: _Record) -> None:
        if record.reply:
            self._governor.note_reset(self._device, self._target.port, label)
        elif not self._canary:
            self._governor.note_refusing_reset(self._device, self._target.port, "TLS handshake")

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
        self._begun = False
        if wire is None:
            return
        judged = wire.peer_dead
        try:
            over = self._governor.is_over(self._target.zone)
            speaks = wire.connected and self._silence is None and not over
            if tls is not None and speaks:
                await self._tls_goodbye(tls, wire)
            await wire.close(at_leisure=self._canary)
        finally:
            self._open.close()
        if not judged and not self._governor.is_over(self._target.zone):
            self._judge_end(wire)

    def _judge_end(self, wire: Wire | LinkWire) -> None:
        """A connection's end tells as much as an answer: who is alive acknowledges it."""
        if self._target.transport is not Transport.TCP:
            return
        port = self._target.port
        if wire.peer_dead:
            self._governor.note_dead(self._device, port, "the end of a connection")
        elif self._quiet is not None and not wire.peer_closed:
            self._governor.note_hung(self._device, port, self._quiet)

    async def _tls_goodbye(self, tls: ssl.SSLObject, wire: Wire | LinkWire) -> None:
        with suppress(ssl.SSLError, ValueError):
            tls.unwrap()
        if notify := self._tls_out.read():
            try:
                await wire.send(notify, closing=True)
            except WalkdownError:
                return  # the close that follows finds out how the peer is

    async def finish(self) -> None:
        """Close, and give the slot back. Always awaited by the engine."""
        try:
            await self.close()
        finally:
            self._release_slot()

    def _release_slot(self) -> None:
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
        whole_s = self._left()
        if whole_s <= 0:
            raise Silent(self._too_long())
        self._check(self._with_connect(whole_s))
        await self._take_slot()
        guard = self._guard = open_guard(self._probe.protocol)
        problem: list[BaseException] = []
        label = f"{self._probe.protocol} connection"
        async with self._intent(label, b"") as record:
            await self._connect(label)
            self._go_on(0.0, says_something=True)
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                self._streams = [ours, theirs]
                self._asked_at = None
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
            if self._governor.halted and self._wire is not None and not self._wire.bytes_out:
                await asyncio.wait(tasks[:1], timeout=HALTED_REPLY_S)  # it says its first words
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
                assert self._wire is not None  # noqa: S101 - open while the pumps run
                self._worst_s = 0.0
                self._may_go(begun=self._wire.bytes_out == 0)
                self._wire.settle()
                await self._wire.send(frame)
                self._asked_at = self._asked_at or self._governor.clock.monotonic()
                if self._governor.halted:
                    raise Halted(self._governor.halt_reason or "halted")

    async def _watch_window(self) -> None:
        """A session in which nothing is sent for a while must not outlast its window."""
        while True:
            await self._governor.sleep(WINDOW_WATCH_S)
            self._check(0.0)

    async def _inward(self, ours: socket.socket, record: _Record) -> None:
        loop = asyncio.get_running_loop()
        clock = self._governor.clock.monotonic
        label = f"{self._probe.protocol} connection"
        carried = flights = 0
        began = clock()
        is_computing = specs()[self._probe.protocol].is_computing
        port, doubt_ends = self._target.port, math.inf
        excused: float | None = None
        """When the question was put whose late answer was granted."""
        while True:
            assert self._wire is not None  # noqa: S101 - open while the pumps run
            asked_at = self._asked_at
            end = clock() + REQUEST_S if asked_at is None else asked_at + REQUEST_S
            end = min(end, doubt_ends)
            try:
                data = await self._wire.receive(min(self._left(), end - clock()))
            except Silent:
                if clock() >= doubt_ends:
                    self._governor.check_pause(self._device, connecting=False)
                if self._left() > 0 and asked_at is None and not self._wire.peer_dead:
                    continue  # it is not the device's turn, or has just become it
                self._note_silence(label)
                raise
            except Reset:
                self._governor.note_reset(self._device, self._target.port, label)
                raise
            if not data:
                return
            flights += 1
            asked_at = self._asked_at  # the question may have left while we listened
            timed = asked_at is not None or flights == 1  # what comes unasked answers nothing
            if timed and self.tier is not Tier.LOGIN:
                took = max(clock() - self._wire.heard_ago_s() - (asked_at or began), 0.0)
                if took > SUSPICIOUS_STEP_S and excused is None and is_computing(record.reply):
                    excused = asked_at or began  # once, and not beside how fast it had been
                elif self._governor.note_new(
                    self._device, port, label, took, suspicious_s=SUSPICIOUS_STEP_S
                ):
                    doubt_ends = min(doubt_ends, (excused or asked_at or began) + IN_DOUBT_S)
                if clock() >= doubt_ends:
                    self._governor.check_pause(self._device, connecting=False)
            self._asked_at = None
            self._governor.note_alive(self._device, self._target.port)
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
