"""How a command ends when the machine or the person in front of it does not play along."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import assess
from scanner.cli import app, scanning
from scanner.cli.scanning import total_figures
from scanner.errors import StoreError
from scanner.governor import Clock, Governor
from scanner.model import RunInfo, Safety, Tier, ZoneInfo
from scanner.windows import Permission

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EMPTY = assess.assess(
    site="Harbour waterworks",
    run=RunInfo(
        id="r1", started_at=NOON, finished_at=NOON, state="finished", reason="", version="0.1",
        tiers=(), authorisation="", authorised_by="", runs=("r1",), chain_head="",
        observations={}, limits={},
    ),
    zones=(
        ZoneInfo(
            id="control", name="Control", purdue=1, networks=(), sl_t={}, tier=Tier.IDENTIFY,
            profile="default",
        ),
    ),
    conduits=(), assets=(), observations=(), exchanges=(), checks=(), findings=(),
    attestations=(),
    safety=Safety(
        total=total_figures(()), devices=(), loosenings=(), halted=None, withheld={}
    ),
)  # fmt: skip


def governor() -> Governor:
    return Governor(
        Clock(monotonic=time.monotonic, wall=lambda: datetime.now(UTC), sleep=asyncio.sleep),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )


@pytest.fixture
def hangup() -> Iterator[None]:
    """Whatever a test does about SIGHUP is undone."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("name", "words"), [("SIGTERM", "SIGTERM"), ("SIGHUP", "the end of its terminal")]
)
async def test_a_signal_ends_a_scan_in_order(hangup: None, name: str, words: str) -> None:
    stopped = governor()
    with scanning._stopping_on_signals(stopped, True):
        os.kill(os.getpid(), signal.Signals[name])
        await asyncio.wait_for(stopped.until_halted(), 5)

    assert (stopped.halt_reason, stopped.halt_rule) == (f"stopped by {words}", "stop")


class Notes:
    """A store that cannot write the first time, and may be slow."""

    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.go_on = threading.Event()
        self.kept: list[dict[str, object]] = []

    def note(self, kind: str, content: dict[str, object]) -> None:
        assert self.go_on.wait(5)
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        self.kept.append(content)


async def test_a_stop_that_could_not_be_written_is_written_at_the_end_with_its_moment() -> None:
    """It counted as kept before it was written, and its failure was told to nobody."""
    stopped, notes = governor(), Notes(failures=1)
    notes.go_on.set()
    halt = scanning._HaltKept(stopped, notes, (datetime.now(UTC), time.monotonic()))
    stopped.halt("stopped by SIGTERM", rule="stop")
    with pytest.raises(StoreError):
        await halt.when_it_comes()
    came = datetime.now(UTC)

    halt.at_the_end()
    halt.at_the_end()

    assert [one["reason"] for one in notes.kept] == ["stopped by SIGTERM"]
    assert datetime.fromisoformat(str(notes.kept[0]["at"])) <= came


async def test_a_stop_that_is_just_being_written_is_written_once() -> None:
    stopped, notes = governor(), Notes()
    halt = scanning._HaltKept(stopped, notes, (datetime.now(UTC), time.monotonic()))
    stopped.halt("stopped by SIGTERM", rule="stop")
    keeping = asyncio.create_task(halt.when_it_comes())
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    notes.go_on.set()

    halt.at_the_end()

    assert len(notes.kept) == 1


async def test_a_scan_under_nohup_outlives_its_terminal(hangup: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    running = governor()
    with scanning._stopping_on_signals(running, True):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)

    assert not running.halted


def test_a_reader_that_goes_away_ends_the_words_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        console = app.err()
        for _ in range(3):
            console.print("10 devices found")


def ended(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["walkdown", *words])
    with pytest.raises(SystemExit) as end:
        app.run()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        ("missing/site.yaml", "make the folder first"),
        ("file/site.yaml", "part of the path is a file"),
        ("full", "free some space"),
    ],
)
def test_a_place_that_cannot_be_written_is_no_bug_of_ours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    hint: str,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").symlink_to("/dev/full")
    target = tmp_path / place

    code = ended(
        monkeypatch, "init", "--cidr", "10.1.0.0/24", "--zone", "z", "--force", "--out", str(target)
    )

    said = capsys.readouterr().err
    assert code == app.USAGE
    assert hint in said
    assert "internal error" not in said


def test_a_zone_or_a_lab_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(tmp_path / "assessment.json")
    Path(run).write_bytes(assess.to_json(EMPTY))

    assert ended(monkeypatch, "inventory", run, "--zone", "contrl") == app.USAGE
    assert "known are: control" in capsys.readouterr().err
    assert ended(monkeypatch, "inventory", run, "--zone", "control") == 0
    assert ended(monkeypatch, "lab", "score", run, "--dir", str(tmp_path / "gone")) == app.USAGE
    assert "no ledgers in" in capsys.readouterr().err
