"""A due scan is run once, inside its window, by one runner, and what came of it is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import insert

from scanner import schedule as sched
from scanner.errors import StoreError, UsageError
from scanner.schedule import LEASE, Job, JobReport, Lease, ScanOutcome, Schedule
from scanner.state import SiteState, jobs_table

Places = Callable[[], str | Path]
NIGHTLY = Schedule(
    id="nightly",
    rule="FREQ=DAILY",
    start=datetime(2026, 11, 20, 23, 0),  # noqa: DTZ001 - wall-clock time
    timezone="Europe/Berlin",
)


class Clock(Protocol):
    moment: datetime

    def now(self) -> datetime: ...
    def boottime(self) -> float: ...
    def move(self, seconds: float) -> None: ...


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def never(seconds: float) -> None:
    await asyncio.Event().wait()


async def quiet(job: Job, lease: Lease) -> ScanOutcome:
    return ScanOutcome()


def allowed(job: Job, now: datetime) -> str | None:
    return None


class Notices:
    """A command that keeps what it is told; it fails while `broken`."""

    def __init__(self) -> None:
        self.told: list[tuple[list[str], dict[str, object]]] = []
        self.broken = False

    async def __call__(self, argv: Sequence[str], message: str) -> None:
        if self.broken:
            raise UsageError("mail: no route")
        self.told.append((list(argv), json.loads(message)))


async def run_due(
    state: SiteState,
    clock: Clock,
    *,
    run: Callable[[Job, Lease], Awaitable[ScanOutcome]] = quiet,
    may_start: Callable[[Job, datetime], str | None] = allowed,
    notify: Callable[[Sequence[str], str], Awaitable[None]] | None = None,
    sleep: Callable[[float], Awaitable[None]] = never,
) -> tuple[JobReport, ...]:
    return await sched.run_due(
        state,
        now=clock.now,
        boottime=clock.boottime,
        sleep=sleep,
        may_start=may_start,
        run=run,
        notify=notify or Notices(),
    )


# --- recurrence --------------------------------------------------------------------------------


def between(rule: str, start: str, first: str, last: str) -> list[str]:
    schedule = replace(NIGHTLY, rule=rule, start=wall(start))
    found = sched.occurrences(schedule, utc(first), utc(last))
    return [moment.strftime("%m-%dT%H:%M") for moment in found]


def test_a_nightly_scan_keeps_its_wall_clock_time_through_the_spring_change() -> None:
    """Berlin 2026-03-29: 02:00 becomes 03:00. 01:30 is 00:30 UTC before and 23:30 UTC after."""
    found = between("FREQ=DAILY", "2026-03-01T01:30", "2026-03-27T12:00", "2026-03-31T12:00")

    assert found == ["03-28T00:30", "03-29T00:30", "03-29T23:30", "03-30T23:30"]


def test_a_time_that_the_spring_change_skips_happens_once_an_hour_later_by_the_clock() -> None:
    """02:30 does not exist on 2026-03-29; the scan is due at 03:30 summer time, 01:30 UTC."""
    found = between("FREQ=DAILY", "2026-03-01T02:30", "2026-03-27T12:00", "2026-03-31T12:00")

    assert found == ["03-28T01:30", "03-29T01:30", "03-30T00:30", "03-31T00:30"]


def test_a_time_that_comes_twice_in_autumn_is_used_once_the_first_time() -> None:
    """Berlin 2026-10-25: 03:00 becomes 02:00; 02:30 is 00:30 UTC and again 01:30 UTC."""
    found = between("FREQ=DAILY", "2026-10-01T02:30", "2026-10-23T12:00", "2026-10-27T12:00")

    assert found == ["10-24T00:30", "10-25T00:30", "10-26T01:30", "10-27T01:30"]


def test_a_nightly_scan_keeps_its_wall_clock_time_through_the_autumn_change() -> None:
    found = between("FREQ=DAILY", "2026-10-01T23:00", "2026-10-23T12:00", "2026-10-26T23:00")

    assert found == ["10-23T21:00", "10-24T21:00", "10-25T22:00", "10-26T22:00"]


def test_the_first_moment_is_excluded_and_the_last_included() -> None:
    weekly = "FREQ=WEEKLY"
    start, first, second = "2026-11-20T23:00", "2026-11-20T22:00", "2026-11-27T22:00"

    assert between(weekly, start, first, second) == ["11-27T22:00"]
    assert between(weekly, start, "2026-11-20T21:59", first) == ["11-20T22:00"]
    assert between(weekly, start, "2026-11-19T00:00", "2026-11-20T21:59") == []


def test_the_next_time_is_found_and_a_rule_that_ended_has_none() -> None:
    ending = replace(NIGHTLY, rule="FREQ=DAILY;COUNT=2")

    assert sched.next_occurrence(NIGHTLY, utc("2027-01-01T00:00")) == utc("2027-01-01T22:00")
    assert sched.next_occurrence(ending, utc("2026-11-20T22:00")) == utc("2026-11-21T22:00")
    assert sched.next_occurrence(ending, utc("2026-11-21T22:00")) is None


# --- schedules ---------------------------------------------------------------------------------


def test_schedules_are_kept_listed_and_removed(places: Places, clock: Clock) -> None:
    place = places()
    weekly = replace(NIGHTLY, id="weekly", rule="FREQ=WEEKLY", zone="dmz", notify=("mail", "a b"))
    with SiteState.open(place) as state:
        sched.add(state, weekly, clock.now())
        sched.add(state, NIGHTLY, clock.now())
    with SiteState.open(place) as state:
        assert sched.schedules(state) == (NIGHTLY, weekly)
        with pytest.raises(UsageError, match="already"):
            sched.add(state, NIGHTLY, clock.now())

        sched.remove(state, "nightly")

        assert sched.schedules(state) == (weekly,)
        with pytest.raises(UsageError, match="no schedule"):
            sched.remove(state, "nightly")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": ""}, "its name"),
        ({"id": "../x"}, "its name"),
        ({"id": "x" * 65}, "its name"),
        ({"timezone": "Europe/Atlantis"}, "no time zone"),
        ({"timezone": "../../etc/passwd"}, "no time zone"),
        ({"timezone": ""}, "no time zone"),
        ({"start": datetime(2026, 11, 20, tzinfo=UTC)}, "without offset"),
        ({"zone": ""}, "its zone is empty"),
        ({"rule": "FREQ=SECONDLY"}, "FREQ must be one of"),
        ({"rule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL must be"),
        ({"rule": "every night"}, "NAME=VALUE"),
        ({"rule": "FREQ=DAILY;UNTIL=20200101T000000"}, "rule"),
        ({"notify": ("",)}, "cannot be run"),
        ({"notify": ("mail", "a\x00b")}, "cannot be run"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_with_the_reason(
    tmp_path: Path, clock: Clock, change: dict[str, object], words: str
) -> None:
    with SiteState.open(tmp_path / "s.db") as state:
        with pytest.raises(UsageError, match=words):
            sched.add(state, replace(NIGHTLY, **change), clock.now())  # type: ignore[arg-type]
        assert sched.schedules(state) == ()


# --- jobs and leases ---------------------------------------------------------------------------


def nightly(state: SiteState, clock: Clock, **change: object) -> None:
    """Add a nightly schedule one day before its first time."""
    clock.moment = utc("2026-11-19T22:00")
    sched.add(state, replace(NIGHTLY, **change), clock.now())  # type: ignore[arg-type]
    clock.moment = utc("2026-11-20T22:00")


def test_nothing_is_due_before_its_time_and_one_job_at_it(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)

        assert sched.due(state, utc("2026-11-20T21:59")) == ()
        (job,) = sched.due(state, utc("2026-11-20T22:00"))
        assert sched.due(state, utc("2026-11-20T22:05")) == (job,)
        assert (job.due_at, job.run_name) == (clock.now(), "nightly-20261120T220000Z")


def test_times_that_were_missed_become_one_catch_up(places: Places, clock: Clock) -> None:
    place = places()
    with SiteState.open(place) as state:
        nightly(state, clock)
    clock.move(20 * 86400 + 3600)
    with SiteState.open(place) as state:
        (job,) = sched.due(state, clock.now())
        assert job.due_at == utc("2026-12-10T22:00")

        taken = sched.take(state, job.id, clock.now())
        assert taken is not None
        assert sched.finish(state, taken, ScanOutcome(), clock.now())
        assert sched.due(state, clock.now()) == ()


def test_times_that_pass_while_a_job_waits_are_part_of_it(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (first,) = sched.due(state, clock.now())
        clock.move(3 * 86400)

        assert sched.due(state, clock.now()) == (first,)


def test_a_job_is_taken_once(places: Places, clock: Clock) -> None:
    place = places()
    with SiteState.open(place) as state, SiteState.open(place) as other:
        nightly(state, clock)
        (job,) = sched.due(state, clock.now())

        taken = sched.take(state, job.id, clock.now())

        assert taken is not None
        assert (taken.attempt, taken.state) == (1, "running")
        assert sched.take(other, job.id, clock.now()) is None
        assert sched.due(other, clock.now()) == ()
        assert sched.running(other) == (taken,)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [("dmz", "dmz", False), ("dmz", "control", True), ("*", "dmz", False), ("dmz", "*", False)],
)
def test_at_most_one_job_runs_in_a_zone(
    places: Places, clock: Clock, first: str, second: str, together: bool
) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock, id="a", zone=first)
        nightly(state, clock, id="b", zone=second)
        jobs = sched.due(state, clock.now())

        taken = [sched.take(state, job.id, clock.now()) for job in jobs]

        assert len(jobs) == 2
        assert taken[0] is not None
        assert (taken[1] is not None) is together


def test_the_database_itself_refuses_a_second_running_job_in_a_zone(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock, zone="dmz")
        (job,) = sched.due(state, clock.now())
        sched.take(state, job.id, clock.now())
        row = {"schedule": "x", "zone": "dmz", "due_at": clock.now(), "state": "running"}
        more = {"attempt": 1, "notify": "[]", "note": "", "told": True}

        with pytest.raises(StoreError), state.base.writing() as connection:
            connection.execute(insert(jobs_table).values(row | more))


def test_a_job_whose_runner_died_is_resumed_after_its_lease(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (job,) = sched.due(state, clock.now())
        dead = sched.take(state, job.id, clock.now())
        assert dead is not None
        clock.move(LEASE.total_seconds() - 1)
        assert sched.due(state, clock.now()) == ()
        clock.move(1)

        (again,) = sched.due(state, clock.now())
        taken = sched.take(state, again.id, clock.now())

        assert taken is not None
        assert (taken.attempt, taken.run_name) == (2, dead.run_name)
        assert taken.token != dead.token


def test_a_renewed_lease_is_kept_and_a_late_result_is_refused(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (job,) = sched.due(state, clock.now())
        frozen = sched.take(state, job.id, clock.now())
        assert frozen is not None
        for _ in range(5):
            clock.move(LEASE.total_seconds() * 0.9)
            assert sched.renew(state, frozen, clock.now())
            assert sched.due(state, clock.now()) == ()
        clock.move(LEASE.total_seconds())
        (again,) = sched.due(state, clock.now())
        taken = sched.take(state, again.id, clock.now())
        assert taken is not None

        assert not sched.renew(state, frozen, clock.now())
        assert not sched.finish(state, frozen, ScanOutcome(failures=("late",)), clock.now())
        assert not sched.give_back(state, frozen, "late")
        assert sched.running(state) == (taken,)
        assert sched.finish(state, taken, ScanOutcome(), clock.now())


def test_a_job_that_breaks_off_three_times_is_given_up_and_told(
    places: Places, clock: Clock
) -> None:
    notices = Notices()
    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("tell",))
        for attempt in (1, 2, 3):
            (job,) = sched.due(state, clock.now())
            taken = sched.take(state, job.id, clock.now())
            assert taken is not None
            assert taken.attempt == attempt
            clock.move(LEASE.total_seconds())

        assert sched.due(state, clock.now()) == ()
        assert asyncio.run(sched.tell(state, notices)) == {}

    ((argv, notice),) = notices.told
    assert argv == ["tell"]
    assert notice["state"] == "failed"
    assert notice["failures"] == ["broke off 3 times; it is not tried again"]


def test_a_time_that_comes_while_a_job_runs_makes_the_next_job(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (job,) = sched.due(state, clock.now())
        taken = sched.take(state, job.id, clock.now(), timedelta(days=2))
        assert taken is not None
        clock.move(86400)

        (following,) = sched.due(state, clock.now())

        assert following.due_at == utc("2026-11-21T22:00")
        assert sched.take(state, following.id, clock.now()) is None
        assert sched.give_back(state, taken, "shutdown")
        (waiting,) = sched.due(state, clock.now())
        assert (waiting.id, waiting.attempt, waiting.note) == (job.id, 0, "shutdown")


def test_removing_a_schedule_drops_its_waiting_job_and_lets_a_running_one_end(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock, id="a", zone="dmz")
        nightly(state, clock, id="b", zone="dmz")
        first, _ = sched.due(state, clock.now())
        taken = sched.take(state, first.id, clock.now())
        assert taken is not None

        sched.remove(state, "a")
        sched.remove(state, "b")

        assert sched.due(state, clock.now()) == ()
        assert sched.finish(state, taken, ScanOutcome(), clock.now())


def test_a_schedule_made_again_does_not_double_a_time_that_was_done(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (job,) = sched.due(state, clock.now())
        taken = sched.take(state, job.id, clock.now())
        assert taken is not None
        sched.finish(state, taken, ScanOutcome(), clock.now())
        sched.remove(state, "nightly")
        nightly(state, clock)

        assert sched.due(state, clock.now()) == ()


@pytest.mark.parametrize("crash_at", ["taken", "renewed", "finishing"])
def test_kill_9_neither_loses_nor_doubles_a_job(
    places: Places, clock: Clock, crash_at: str
) -> None:
    place = places()
    with SiteState.open(place) as state:
        nightly(state, clock)
        sched.due(state, clock.now())
    script = f"""
import os, signal, sys
from datetime import datetime
from scanner import schedule as sched
from scanner.state import SiteState
state, now = SiteState.open(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
die = lambda *rest: os.kill(os.getpid(), signal.SIGKILL)
job = sched.take(state, sched.due(state, now)[0].id, now)
if {crash_at!r} == "renewed":
    sched.renew(state, job, now)
if {crash_at!r} == "finishing":  # inside the transaction, before its commit
    with state.base.writing() as connection:
        sched._change(connection, job, {{"state": "done", "outcome": "{{}}"}})
        die()
die()
"""
    ended = subprocess.run([sys.executable, "-c", script, str(place), clock.now().isoformat()])

    assert ended.returncode == -9
    with SiteState.open(place) as state:
        assert sched.due(state, clock.now()) == ()
        (running,) = sched.running(state)
        clock.move(LEASE.total_seconds())
        (job,) = sched.due(state, clock.now())
        taken = sched.take(state, job.id, clock.now())
        assert taken is not None
        assert (taken.id, taken.attempt) == (running.id, 2)
        assert sched.finish(state, taken, ScanOutcome(), clock.now())
        assert sched.due(state, clock.now()) == ()


def test_a_lease_is_not_held_well_before_anybody_else_may_take_the_job(clock: Clock) -> None:
    job = Job(
        id=1, schedule="s", zone="*", due_at=clock.now(), state="running", attempt=1, notify=(),
        token="t", lease_until=None, note="",
    )  # fmt: skip
    lease = Lease(job, timedelta(seconds=60), clock.boottime)

    clock.move(39)
    assert lease.held()
    clock.move(1)
    assert not lease.held()
    lease.renewed(clock.boottime() - 10)
    clock.move(29)
    assert lease.held()
    clock.move(1)
    assert not lease.held()
    lease.renewed(clock.boottime())
    lease.lose()
    assert not lease.held()


# --- the runner --------------------------------------------------------------------------------


async def test_a_due_scan_is_run_once_and_its_outcome_told(places: Places, clock: Clock) -> None:
    notices, ran = Notices(), []

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        assert lease.held()
        ran.append((job.run_name, job.attempt))
        return ScanOutcome(new_devices=("dmz/127.30.3.9",), halted="window closed")

    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("mail", "-s", "a b; rm -rf /"))
        (report,) = await run_due(state, clock, run=run, notify=notices)
        assert await run_due(state, clock, run=run, notify=notices) == ()

    assert ran == [("nightly-20261120T220000Z", 1)]
    assert (report.state, report.notify_error) == ("done", None)
    ((argv, notice),) = notices.told
    assert argv == ["mail", "-s", "a b; rm -rf /"]
    assert notice == {
        "schema": "walkdown.notice/1",
        "schedule": "nightly",
        "zone": "*",
        "due_at": "2026-11-20T22:00:00+00:00",
        "state": "done",
        "attempt": 1,
        "started_at": "2026-11-20T22:00:00+00:00",
        "finished_at": "2026-11-20T22:00:00+00:00",
        "reason": "",
        "new_devices": ["dmz/127.30.3.9"],
        "halted": "window closed",
        "failures": [],
    }


async def test_a_scan_outside_its_window_waits_is_told_once_and_runs_later(
    places: Places, clock: Clock
) -> None:
    notices, ran = Notices(), []
    closed: list[str | None] = ["the window night is closed"]

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        ran.append(job.id)
        return ScanOutcome()

    def may_start(job: Job, now: datetime) -> str | None:
        return closed[0]

    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("tell",))
        for _ in range(3):
            (report,) = await run_due(state, clock, run=run, may_start=may_start, notify=notices)
            assert (report.state, report.reason) == ("withheld", "the window night is closed")
            clock.move(600)
        assert ran == []
        assert [notice["state"] for _, notice in notices.told] == ["withheld"]
        closed[0] = None

        (report,) = await run_due(state, clock, run=run, may_start=may_start, notify=notices)

    assert (report.state, len(ran)) == ("done", 1)
    assert [notice["state"] for _, notice in notices.told] == ["withheld", "done"]


async def test_a_scan_that_failed_is_told_and_not_repeated(places: Places, clock: Clock) -> None:
    notices, ran = Notices(), []

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        ran.append(job.id)
        raise StoreError("the disk is full")

    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("tell",))
        (report,) = await run_due(state, clock, run=run, notify=notices)
        assert await run_due(state, clock, run=run, notify=notices) == ()

    assert (report.state, report.outcome.failures, len(ran)) == ("failed", ("the disk is full",), 1)
    assert notices.told[0][1]["failures"] == ["the disk is full"]


async def test_our_own_bug_ends_the_job_and_is_not_hidden(places: Places, clock: Clock) -> None:
    notices = Notices()

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        raise ZeroDivisionError("with a path in it")

    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("tell",))
        with pytest.raises(ZeroDivisionError):
            await run_due(state, clock, run=run, notify=notices)
        assert await run_due(state, clock, run=run, notify=notices) == ()

    assert [notice["failures"] for _, notice in notices.told] == [
        ["internal error: ZeroDivisionError"]
    ]


async def test_an_outcome_that_could_not_be_told_is_told_next_time(
    places: Places, clock: Clock
) -> None:
    notices = Notices()
    notices.broken = True
    with SiteState.open(places()) as state:
        nightly(state, clock, notify=("tell",))
        (report,) = await run_due(state, clock, notify=notices)
        assert (report.state, report.notify_error) == ("done", "mail: no route")
        notices.broken = False
        await run_due(state, clock, notify=notices)
        await run_due(state, clock, notify=notices)

    assert len(notices.told) == 1


async def test_a_schedule_without_a_command_tells_nobody(places: Places, clock: Clock) -> None:
    notices = Notices()
    with SiteState.open(places()) as state:
        nightly(state, clock)
        (report,) = await run_due(state, clock, notify=notices)

    assert (report.state, notices.told) == ("done", [])


async def test_the_lease_is_renewed_while_the_scan_goes_on(places: Places, clock: Clock) -> None:
    enough = asyncio.Event()
    beats = 0

    async def sleep(seconds: float) -> None:
        nonlocal beats
        assert seconds <= LEASE.total_seconds() / 3
        clock.move(seconds)
        beats += 1
        if beats > 20:
            enough.set()
            await never(0)

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        await enough.wait()
        assert lease.held()
        return ScanOutcome()

    with SiteState.open(places()) as state:
        nightly(state, clock)
        (report,) = await run_due(state, clock, run=run, sleep=sleep)

    assert report.state == "done"


async def test_a_runner_that_lost_its_lease_stops_its_scan_and_hands_in_nothing(
    places: Places, clock: Clock
) -> None:
    """The machine slept for an hour; another runner has the job by now."""
    place = places()
    stopped: list[bool] = []
    other = SiteState.open(place)

    async def sleep(seconds: float) -> None:
        clock.move(3600)
        (job,) = sched.due(other, clock.now())
        assert sched.take(other, job.id, clock.now()) is not None

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        try:
            await never(0)
        except asyncio.CancelledError:
            stopped.append(lease.held())
            raise
        return ScanOutcome()

    with SiteState.open(place) as state, other:
        nightly(state, clock)
        (report,) = await run_due(state, clock, run=run, sleep=sleep)
        (running,) = sched.running(state)

    assert (report.state, stopped) == ("lost", [False])
    assert running.attempt == 2


async def test_a_shutdown_gives_the_job_back_to_be_resumed(places: Places, clock: Clock) -> None:
    begun = asyncio.Event()

    async def run(job: Job, lease: Lease) -> ScanOutcome:
        begun.set()
        await never(0)
        return ScanOutcome()

    with SiteState.open(places()) as state:
        nightly(state, clock)
        working = asyncio.ensure_future(run_due(state, clock, run=run))
        await begun.wait()
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working

        (job,) = sched.due(state, clock.now())
        assert (job.attempt, job.note) == (0, "broken off by a shutdown")
        (report,) = await run_due(state, clock)
        assert report.state == "done"


# --- the command that is told ------------------------------------------------------------------


async def test_a_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"

    await sched.run_command([sys.executable, "-c", code, str(out)], '{"a": "$(reboot)"}')

    assert out.read_text() == '{"a": "$(reboot)"}'


@pytest.mark.parametrize(
    ("argv", "deadline_s", "words"),
    [
        (["/nonexistent/mail"], 30.0, "cannot start /nonexistent/mail"),
        ([sys.executable, "-c", "raise SystemExit(3)"], 30.0, "ended with code 3"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.2, "did not end within"),
    ],
)
async def test_a_command_that_fails_is_told(argv: list[str], deadline_s: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await sched.run_command(argv, "x" * 100_000, deadline_s=deadline_s)
