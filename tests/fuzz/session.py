"""
A Session without a network whose peer damages what it says. It keeps the door's own rules: the
guard judges every request, framers see replies in pieces and are cut off at `max_reply`, budgets
of connections and questions hold. No method suspends, so a probe runs without an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol, TypeVar

from scanner.errors import BadReply, Closed, GuardRefused, Reset, Silent
from scanner.facts import Fact
from scanner.guards import open_guard
from scanner.model import Target, Tier
from scanner.spec import DefaultCredential, Framer, Login, OwnEnd, Probe, Span, TlsInfo
from tests.probes.ledger import Ledger

T = TypeVar("T")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Answer = Callable[[bytes | None], bytes]
VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "unknown")


class Broken(Exception):
    """A promise that a framer or a probe broke against the door; the text says which."""


class Damage(Protocol):
    """How replies are changed. A Session asks it at every reply; `None` leaves them alone."""

    rng: Random

    def reply(self, data: bytes) -> bytes: ...

    def value(self, name: str, value: Any) -> Any: ...


@dataclass(slots=True, kw_only=True)
class Dialogue:
    """
    A probe and the device that it talks to. `answer` makes one conversation's answers anew;
    `values` are what a vendor library hands to the probe, `certificate` the one in a handshake.
    """

    name: str
    probe: Probe
    answer: Callable[[], Answer]
    options: Mapping[str, object] = field(default_factory=dict)
    known: tuple[Fact, ...] = ()
    login: Login | None = None
    default_credentials: tuple[DefaultCredential, ...] = ()
    certificate: bytes | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


class FuzzSession:
    """One run of one probe. `current` is the session that a patched library belongs to."""

    current: FuzzSession

    def __init__(self, dialogue: Dialogue, damage: Damage | None) -> None:
        FuzzSession.current = self
        probe = self.probe = dialogue.probe
        self.dialogue = dialogue
        self.damage = damage
        self.target = Target(
            zone="z",
            address="192.0.2.1",
            port=next(iter(probe.ports), 1),
            transport=probe.transport,
        )
        self.tier: Tier = probe.tier
        self.options = dialogue.options
        self.known = dialogue.known
        self.login = dialogue.login
        self.default_credentials = dialogue.default_credentials
        self.attempts = Ledger()
        self.fingerprint_key = bytes(32)
        self.replies: list[bytes] = []
        self.outputs: dict[str, str] | None = None
        self.exchanges = 0
        self.connections = 0
        self.connected = True
        self._answer = dialogue.answer()
        self._guard: Any = None
        self._most = sum(q.at_most for q in probe.questions) + probe.connections

    def now(self) -> datetime:
        return NOON

    async def own_end(self) -> OwnEnd:
        return OwnEnd(address="192.0.2.9", port=1740, prefix=24)

    async def pause(self, seconds: float) -> None:
        return None

    def _open(self) -> None:
        self._guard = open_guard(self.probe.protocol)
        self.connections += 1
        if self.connections > self.probe.connections:
            raise Broken(f"connection {self.connections} of {self.probe.connections} planned")

    async def exchange(
        self,
        request: bytes | None,
        framer: Framer | None,
        *,
        label: str,
        secrets: Sequence[Span] = (),
        deadline_s: float = 5.0,
        max_reply: int = 256 * 1024,
        whatever_came: bool = False,
        may_reset: bool = False,
    ) -> bytes:
        if self._guard is None:
            self._open()
        self.exchanges += 1
        if self.exchanges > self._most:
            raise Broken(f"exchange {self.exchanges} of {self._most} planned")
        if request is not None:
            frames, rest = self._guard.split(request)
            for frame in frames:
                if reason := self._guard.judge(frame, self.tier):
                    raise GuardRefused(reason)
            if rest:
                raise GuardRefused("half a frame")
        if framer is None:
            return b""
        reply = self._answer(request)
        damage = self.damage
        if damage is None:
            self.replies.append(reply)
            pieces = (len(reply),)
        else:
            rng = damage.rng
            draw = rng.random()
            if draw < 0.03:
                raise (Silent, Closed, Reset)[int(draw * 100)]("made up")
            reply = damage.reply(reply)
            whole = len(reply)
            pieces = (whole,) if draw < 0.5 else (int(whole * (draw - 0.5) * 2), whole)
        for upto in pieces:
            heard = reply[: min(upto, max_reply)]
            if not heard:
                continue
            length = framer(heard)
            if length is not None:
                if not 0 < length <= len(heard):
                    raise Broken(f"a framer said {length} of {len(heard)} bytes")
                return heard[:length]
        if not reply:
            raise Silent("nothing came")
        if not whatever_came:
            if len(reply) >= max_reply:
                raise BadReply("larger than the cap")
            raise Silent("the reply stays incomplete")
        return reply[:max_reply]

    async def start_tls(self, *, minimum: str | None = None, maximum: str | None = None) -> TlsInfo:
        self._open()
        damage = self.damage
        version, cipher, der = "TLSv1.2", "ECDHE-RSA-AES128-SHA", self.dialogue.certificate
        if damage is not None:
            draw = damage.rng.random()
            if draw < 0.1:
                raise (BadReply, Silent, Reset, Closed)[int(draw * 40)]("made up")
            version = VERSIONS[int(damage.rng.random() * 5)]
            der = damage.value("certificate", der)
        elif der is not None:
            self.replies.append(der)
        return TlsInfo(version=version, cipher=cipher, certificate_der=der)

    async def close(self) -> None:
        self._guard = None

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[tuple[str, int]]:
        self._open()
        yield ("127.64.0.1", 1)

    @asynccontextmanager
    async def duplex(self) -> AsyncIterator[None]:
        self._open()
        yield None
        self._guard = None

    async def blocking(self, call: Callable[[], T], *, deadline_s: float) -> T:
        return call()

    def judge_plaintext(self, protocol: str, frame: bytes) -> None:
        if reason := open_guard(protocol).judge(frame, self.tier):
            raise GuardRefused(reason)

    async def record_plaintext(
        self, label: str, request: bytes, reply: bytes, secrets: Sequence[Span] = ()
    ) -> None:
        return None

    def told(self, name: str) -> Any:
        """What the library of this dialogue tells under `name`, damaged if damage is done."""
        value = self.dialogue.values[name]
        return value if self.damage is None else self.damage.value(name, value)


def drive(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits. Raises Broken when it does."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    work.close()
    raise Broken("the probe waited for something that is not the session")
