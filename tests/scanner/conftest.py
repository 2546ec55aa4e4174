"""Fixtures of the engine's room: places to keep a database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

Places = Callable[[], str | Path]


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


_SCHEMAS = count()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)],
)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Gives a new empty place at each call; every test that uses it runs on both engines."""
    if request.param == "sqlite":
        numbers = count()
        return lambda: tmp_path / f"{next(numbers)}.db"
    url = request.getfixturevalue("postgres")
    return lambda: f"{url}&schema=t{os.getpid()}_{next(_SCHEMAS)}"


class Clock:
    """Wall clock and boot clock that stand still until they are moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def boottime(self) -> float:
        return self.moment.timestamp()

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()
