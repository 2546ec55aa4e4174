"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

import pytest

from scanner.errors import BadReply, GuardRefused, Silent
from scanner.facts import Fact
from scanner.guards import open_guard
from scanner.model import Target, Tier
from scanner.spec import DefaultCredential, Framer, Login, Probe, Span, TlsInfo

Answer = Callable[[bytes | None], bytes]
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class RefusingAttempts:
    """A ledger without room: no attempt may be made unless a test brings its own."""

    async def begin(self, service: str, account: str) -> str | None:
        return "ledger"

    async def ended(
        self, service: str, account: str, *, accepted: bool, lockout_sign: str | None = None
    ) -> None:
        raise AssertionError("an attempt ended that never began")


class ReplaySession:
    """
    A Session without a network: each request passes the real guard, then `answer` replies.

    `answer(request)` returns the reply bytes (several requests: it keeps its own state) or raises
    a WireError. `sent` lists what was asked. Plaintext evidence is kept in `recorded`.
    """

    def __init__(
        self,
        probe: Probe,
        answer: Answer,
        *,
        port: int | None = None,
        options: Mapping[str, object] | None = None,
        known: tuple[Fact, ...] = (),
        login: Login | None = None,
        default_credentials: tuple[DefaultCredential, ...] = (),
        attempts: object | None = None,
        tls: TlsInfo | None = None,
    ) -> None:
        self.probe = probe
        self.answer = answer
        self.target = Target(
            zone="z", address="127.0.0.1", port=port or probe.ports[0], transport=probe.transport
        )
        self.tier: Tier = probe.tier
        self.options: Mapping[str, object] = options or {}
        self.known = known
        self.login = login
        self.default_credentials = default_credentials
        self.attempts = attempts or RefusingAttempts()
        self.fingerprint_key = bytes(32)
        self.tls = tls
        self.sent: list[bytes | None] = []
        self.secrets: list[tuple[Span, ...]] = []
        self.connections = 0
        self.recorded: list[tuple[str, bytes, bytes]] = []
        self._guard = None

    def now(self) -> datetime:
        return NOON

    async def pause(self, seconds: float) -> None:
        pass

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
    ) -> bytes:
        if self._guard is None:
            self._guard = open_guard(self.probe.protocol)
            self.connections += 1
            assert self.connections <= self.probe.connections, "more connections than planned"
        if request is not None:
            frames, rest = self._guard.split(request)
            assert not rest, "a request must be whole frames"
            for frame in frames:
                if reason := self._guard.judge(frame, self.tier):
                    raise GuardRefused(reason)
        self.sent.append(request)
        self.secrets.append(tuple(secrets))
        if framer is None:
            return b""
        reply = self.answer(request)[:max_reply]
        length = framer(reply)
        if length is None:
            if not reply:
                raise Silent("the recording has no answer")
            if not whatever_came:
                raise Silent("the recorded reply is incomplete")
            return reply
        if not 0 <= length <= len(reply):
            raise AssertionError("a framer returned a length beyond the reply")
        return reply[:length]

    async def start_tls(self, *, minimum: str | None = None, maximum: str | None = None) -> TlsInfo:
        if self.tls is None:
            raise BadReply("no TLS in this recording")
        return self.tls

    async def close(self) -> None:
        self._guard = None

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[tuple[str, int]]:
        raise AssertionError("a replay has no relay; test this against a server")
        yield ("", 0)

    @asynccontextmanager
    async def duplex(self) -> AsyncIterator[socket]:
        raise AssertionError("a replay has no socket; test this against a server")
        yield socket()

    async def blocking(self, call: Callable[[], object], *, deadline_s: float) -> object:
        return call()

    def judge_plaintext(self, protocol: str, frame: bytes) -> None:
        if reason := open_guard(protocol).judge(frame, self.tier):
            raise GuardRefused(reason)

    async def record_plaintext(
        self, label: str, request: bytes, reply: bytes, secrets: Sequence[Span] = ()
    ) -> None:
        self.recorded.append((label, request, reply))


@pytest.fixture
def replay() -> type[ReplaySession]:
    """The class; build one with `replay(PROBE, answer)`."""
    return ReplaySession


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder with real devices' bytes (WALKDOWN_CAPTURES, default ../shared/captures)."""
    folder = Path(
        os.environ.get("WALKDOWN_CAPTURES")
        or Path(__file__).resolve().parents[2] / "shared" / "captures"
    )
    if not folder.is_dir():
        pytest.skip(f"no captures at {folder}")
    return folder
