"""Fixtures of the engine's room: places to keep a database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

Places = Callable[[], str | Path]


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
