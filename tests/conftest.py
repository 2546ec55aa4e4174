"""Fixtures that every room's tests share."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import NoReturn

import pytest

from scanner.errors import BadReply, GuardRefused, Silent
from scanner.facts import Fact
from scanner.governor import Clock, Governor
from scanner.guards import open_guard
from scanner.model import Target, Tier
from scanner.profiles import LAB, Profile
from scanner.session import GovernedSession, Grant
from scanner.spec import DefaultCredential, Framer, Login, OwnEnd, Probe, Span, TlsInfo
from scanner.windows import Permission

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
        own: OwnEnd = OwnEnd(address="192.0.2.9", port=1740, prefix=24),  # noqa: B008 - frozen
    ) -> None:
        self.own = own
        self.probe = probe
        self.answer = answer
        self.target = Target(
            zone="z",
            address="127.0.0.1",
            port=port or next(iter(probe.ports), 1),
            transport=probe.transport,
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
        self.connected = True
        self.recorded: list[tuple[str, bytes, bytes]] = []
        self._guard = None

    def now(self) -> datetime:
        return NOON

    async def own_end(self) -> OwnEnd:
        return self.own

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
        may_reset: bool = False,
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


def missing(what: str) -> NoReturn:
    """Something this machine lacks: skips here, fails where everything has to be there (CI)."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder with real devices' bytes (WALKDOWN_CAPTURES, default ../shared/captures)."""
    folder = Path(
        os.environ.get("WALKDOWN_CAPTURES")
        or Path(__file__).resolve().parents[2] / "shared" / "captures"
    )
    if not folder.is_dir():
        missing(f"no captures at {folder}: set WALKDOWN_CAPTURES")
    return folder


class MemoryEvidence:
    """Evidence in memory, with the rule that matters checked: intent first, end afterwards."""

    def __init__(self) -> None:
        self.intents: list[dict[str, object]] = []
        self.ends: dict[str, dict[str, object]] = {}

    async def intent(self, **row: object) -> str:
        self.intents.append(row)
        return f"x{len(self.intents)}"

    async def ended(self, exchange_id: str, **row: object) -> None:
        assert exchange_id not in self.ends
        self.ends[exchange_id] = row


def real_clock() -> Clock:
    return Clock(monotonic=time.monotonic, wall=lambda: datetime.now(UTC), sleep=asyncio.sleep)


@pytest.fixture
def governed() -> Callable[..., AbstractAsyncContextManager[GovernedSession]]:
    """
    `async with governed(PROBE, port, …) as session`: the real door, to a server on loopback.

    Keyword arguments: address, key, options, known, login, default_credentials, attempts, evidence,
    governor, profile, tier, link. `session.evidence_kept`, `session.device` and `session.governor`
    are there to look at.
    """

    @asynccontextmanager
    async def open_session(
        probe: Probe,
        port: int,
        *,
        address: str = "127.0.0.1",
        key: str | None = None,
        evidence: MemoryEvidence | None = None,
        governor: Governor | None = None,
        profile: Profile = LAB,
        tier: Tier | None = None,
        budget: int = 10_000,
        attempts: object | None = None,
        link: object | None = None,
        **grant: object,
    ) -> AsyncIterator[GovernedSession]:
        governor = governor or Governor(
            real_clock(),
            lambda zone, now: Permission(allowed=True, until=None, reason=""),
            lambda zone, address: True,
        )
        evidence = evidence or MemoryEvidence()
        device = governor.device(
            zone="z",
            zone_cap=None,
            key=key or address,
            address=address,
            limits=profile,
            tier=tier or probe.tier,
            budget=budget,
        )
        with ThreadPoolExecutor(2) as executor:
            session = GovernedSession(
                probe=probe,
                target=Target(zone="z", address=address, port=port, transport=probe.transport),
                device=device,
                governor=governor,
                evidence=evidence,
                grant=Grant(
                    attempts=attempts or RefusingAttempts(), fingerprint_key=bytes(32), **grant
                ),
                question="q",
                executor=executor,
                link=link,
            )
            session.evidence_kept = evidence
            session.device = device
            session.governor = governor
            try:
                yield session
            finally:
                await session.finish()

    return open_session


def postgres_program(name: str) -> str | None:
    """A PostgreSQL server program from PATH or from where Debian keeps it."""
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or next((str(h / name) for h in homes if (h / name).exists()), None)


def unprivileged() -> tuple[list[str], int]:
    """Words to put before a command, and the user id it then has: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return [], os.geteuid()
    known = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    name = "postgres" if "postgres" in known else "nobody"
    return ["runuser", "-u", name, "--"], known[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own, reachable through a Unix socket only."""
    initdb, pg_ctl = postgres_program("initdb"), postgres_program("pg_ctl")
    if initdb is None or pg_ctl is None or postgres_program("postgres") is None:
        what = "no PostgreSQL programs on this machine: install Debian's package postgresql"
        if os.environ.get("CI"):
            pytest.fail(what)
        pytest.skip(what)
    prefix, uid = unprivileged()
    # Not tmp_path: the server's user could not enter it, and a socket's path must be short.
    home = Path(tempfile.mkdtemp(prefix="wd-pg-"))
    os.chown(home, uid, -1)
    home.chmod(0o755)  # a scan of root's gives up root's power over other people's files
    data = home / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": home, "check": True}
    words = ["-A", "trust", "-U", "walkdown", "-E", "UTF8", "--locale=C", "--no-sync"]
    try:
        subprocess.run([*prefix, initdb, *words, "-D", str(data)], **quiet)
        options = f"-c listen_addresses='' -k {home} -c fsync=off -c max_connections=40"
        start = ["-w", "-o", options, "-l", str(home / "log"), "start"]
        subprocess.run([*prefix, pg_ctl, "-D", str(data), *start], **quiet)
        try:
            yield f"postgresql://walkdown@/postgres?host={home}"
        finally:
            subprocess.run([*prefix, pg_ctl, "-D", str(data), "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(home, ignore_errors=True)
