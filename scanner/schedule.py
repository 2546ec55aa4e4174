"""
Periodic re-scans: when one is due, who runs it, and what is told about it.

A schedule names a rule in the plant's wall-clock time. When its time has come it becomes a job in
the site state; a runner takes the job under a lease, renews the lease while it scans, and hands in
the outcome with the lease's token. At most one job per zone runs at a time, and a job for the whole
site (zone "*") only alone. What follows from that:

- A runner that dies loses its lease; the job is taken again as the next attempt, which resumes the
  run and asks nothing twice. After MOST_ATTEMPTS it is given up as failed.
- A runner that was frozen and wakes up is told that its lease is gone, before any packet, and its
  late outcome is refused.
- A scan that ended in an error is not repeated before its next time: to ask again is to scan a
  fragile device again.
- Times missed while nothing ran become one catch-up, not many; so do times that pass while a job
  waits for its window.
- An outcome is stored first and told afterwards, so it is told at least once.

Local times that a clock change skips are read with the offset before the change (02:30 becomes
03:30), those that come twice mean the first time: every occurrence happens once.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrulestr
from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, delete, insert, select, update

from scanner.errors import StoreError, UsageError, WalkdownError
from scanner.state import SiteState, jobs_table, schedules_table
from scanner.windows import rule_problem

WHOLE_SITE = "*"
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3
_WAITING, _RUNNING, _DONE, _FAILED = "waiting", "running", "done", "failed"
WITHHELD, LOST = "withheld", "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    `start` is naive wall-clock time in `timezone` (IANA name) and the first occurrence; `rule` an
    RFC 5545 rule without "RRULE:", daily or rarer. `zone` is a zone id or "*". `notify` is an
    argument list, run without a shell; empty: nobody is told.
    """

    id: str
    rule: str
    start: datetime
    timezone: str
    zone: str = WHOLE_SITE
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    One occurrence to be scanned. `attempt` counts from 1; from 2 on, the run named by `run_name`
    is resumed. `token` and `lease_until` are set while it runs; `note` says why it waits.
    """

    id: int
    schedule: str
    zone: str
    due_at: datetime
    state: str
    attempt: int
    notify: tuple[str, ...]
    token: str | None
    lease_until: datetime | None
    note: str

    @property
    def run_name(self) -> str:
        """A folder name that is the same for every attempt at this job."""
        return f"{self.schedule}-{self.due_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOutcome:
    """What a scheduled scan has to tell: new devices (asset ids), a halt's reason, failures."""

    new_devices: tuple[str, ...] = ()
    halted: str | None = None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """
    What became of a due job. `state`: done, failed, withheld (waits; `reason` says for what) or
    lost (the lease went to another runner, which reports). `notify_error` tells that the command
    could not be told; it is tried again by the next `run_due`.
    """

    job: Job
    state: str
    outcome: ScanOutcome
    reason: str = ""
    notify_error: str | None = None


_SCHEDULE = TypeAdapter(Schedule)
_OUTCOME = TypeAdapter(ScanOutcome)


# --- schedules ---------------------------------------------------------------------------------


def add(state: SiteState, schedule: Schedule, now: datetime) -> None:
    """Keep a schedule. Raises UsageError when it cannot work or its id is taken."""
    if problem := schedule_problem(schedule):
        raise UsageError(f"schedule {schedule.id!r}: {problem}")
    with state.base.writing() as connection:
        s = schedules_table.c
        if connection.execute(select(s.id).where(s.id == schedule.id)).first():
            raise UsageError(f"schedule {schedule.id!r}: there is one with this name already")
        body = _SCHEDULE.dump_json(schedule).decode()
        row = {"id": schedule.id, "body": body, "seen_until": now}
        connection.execute(insert(schedules_table), row)


def schedules(state: SiteState) -> tuple[Schedule, ...]:
    with state.base.reading() as connection:
        return tuple(schedule for schedule, _ in _schedules(connection))


def remove(state: SiteState, schedule_id: str) -> None:
    """Forget a schedule and its waiting job; a running one goes on. Raises UsageError."""
    j = jobs_table.c
    with state.base.writing() as connection:
        gone = delete(schedules_table).where(schedules_table.c.id == schedule_id)
        if connection.execute(gone).rowcount == 0:
            raise UsageError(f"there is no schedule {schedule_id!r}")
        connection.execute(delete(jobs_table).where(j.schedule == schedule_id, j.state == _WAITING))


def schedule_problem(schedule: Schedule) -> str | None:
    """Why a schedule cannot work, in words, or None."""
    name = schedule.id.replace("-", "").replace("_", "")
    if not (name.isascii() and name.isalnum() and len(schedule.id) <= 64):
        return "its name may have letters, digits, - and _ only, at most 64"
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"there is no time zone {schedule.timezone!r}; write it like Europe/Berlin"
    if schedule.start.tzinfo is not None:
        return "its start is wall-clock time; write it without offset"
    if not schedule.zone:
        return "its zone is empty; write * for the whole site"
    if any("\x00" in part for part in schedule.notify) or schedule.notify[:1] == ("",):
        return "the command to notify cannot be run"
    if problem := rule_problem(schedule.rule, schedule.start):
        return f"its rule {schedule.rule!r}: {problem}"
    return None


def occurrences(schedule: Schedule, after: datetime, until: datetime) -> tuple[datetime, ...]:
    """When it is due: after `after`, up to and including `until`, in UTC and in order."""
    zone = ZoneInfo(schedule.timezone)
    margin = timedelta(days=1)  # more than any clock change or offset
    rule = rrulestr(schedule.rule, dtstart=schedule.start)
    first = after.astimezone(zone).replace(tzinfo=None) - margin
    last = until.astimezone(zone).replace(tzinfo=None) + margin
    moments = {
        local.replace(tzinfo=zone).astimezone(UTC) for local in rule.between(first, last, inc=True)
    }
    return tuple(sorted(moment for moment in moments if after < moment <= until))


def next_occurrence(schedule: Schedule, now: datetime) -> datetime | None:
    """The first time after `now` (UTC), or None when there is none in ten years."""
    zone = ZoneInfo(schedule.timezone)
    rule = rrulestr(schedule.rule, dtstart=schedule.start)
    first = now.astimezone(zone).replace(tzinfo=None) - timedelta(days=1)
    for local in rule.xafter(first, inc=True):
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if moment > now:
            return moment if moment < now + timedelta(days=3660) else None
    return None


def due(state: SiteState, now: datetime) -> tuple[Job, ...]:
    """
    Make jobs of the times that have come, take back those whose lease ran out, and return the
    waiting ones, oldest first. Called twice, or by two runners, it makes no second job.
    """
    with state.base.writing() as connection:
        _recover(connection, now)
        for schedule, seen_until in _schedules(connection):
            missed = occurrences(schedule, seen_until, now)
            if missed:
                _make_job(connection, schedule, missed[-1])
                connection.execute(
                    update(schedules_table)
                    .where(schedules_table.c.id == schedule.id)
                    .values(seen_until=now)
                )
        return _jobs(connection, _WAITING)


def running(state: SiteState) -> tuple[Job, ...]:
    with state.base.reading() as connection:
        return _jobs(connection, _RUNNING)


# --- the lease ---------------------------------------------------------------------------------


def take(state: SiteState, job_id: int, now: datetime, lease: timedelta = LEASE) -> Job | None:
    """Take a waiting job; None when it is taken, or its zone is being scanned."""
    j = jobs_table.c
    with state.base.writing() as connection:
        _recover(connection, now)
        job = _job(connection, job_id)
        busy = {other.zone for other in _jobs(connection, _RUNNING)}
        if job is None or job.state != _WAITING:
            return None
        if busy and (job.zone == WHOLE_SITE or busy & {job.zone, WHOLE_SITE}):
            return None
        taken = {
            "state": _RUNNING,
            "attempt": job.attempt + 1,
            "token": secrets.token_hex(16),
            "lease_until": now + lease,
            "started_at": now,
            "note": "",
        }
        connection.execute(update(jobs_table).where(j.id == job_id).values(taken))
        return _job(connection, job_id)


def renew(state: SiteState, job: Job, now: datetime, lease: timedelta = LEASE) -> bool:
    """Prolong the lease; False when the job has gone to somebody else: stop."""
    with state.base.writing() as connection:
        return _change(connection, job, {"lease_until": now + lease})


def finish(
    state: SiteState, job: Job, outcome: ScanOutcome, now: datetime, *, failed: bool = False
) -> bool:
    """Hand in the outcome; False when it is refused because the job has gone to somebody else."""
    with state.base.writing() as connection:
        values = {
            "state": _FAILED if failed else _DONE,
            "outcome": _OUTCOME.dump_json(outcome).decode(),
            "finished_at": now,
            "lease_until": None,
        }
        return _change(connection, job, values)


def give_back(state: SiteState, job: Job, reason: str) -> bool:
    """Let a job that was broken off by a shutdown wait again, to be resumed."""
    with state.base.writing() as connection:
        if not _change(connection, job, {"lease_until": None}):
            return False
        # A shutdown is no attempt that failed.
        _wait_again(connection, job, {"attempt": max(job.attempt - 1, 0), "note": reason})
        return True


class Lease:
    """
    What a scan asks before every packet: is the job still ours?

    It counts by a clock that goes on while the machine sleeps (CLOCK_BOOTTIME), from before each
    renewal that succeeded, and says no after two thirds of the lease: before anybody else may
    take the job.
    """

    def __init__(self, job: Job, lease: timedelta, boottime: Callable[[], float]) -> None:
        self.job = job
        self._lease_s = lease.total_seconds()
        self._boottime = boottime
        self._good_at = boottime()
        self.lost = False

    def held(self) -> bool:
        return not self.lost and self._boottime() - self._good_at < self._lease_s * 2 / 3

    def renewed(self, asked_at: float) -> None:
        self._good_at = asked_at

    def lose(self) -> None:
        self.lost = True


# --- the runner --------------------------------------------------------------------------------


async def run_due(
    state: SiteState,
    *,
    now: Callable[[], datetime],
    boottime: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    may_start: Callable[[Job, datetime], str | None],
    run: Callable[[Job, Lease], Awaitable[ScanOutcome]],
    notify: Callable[[Sequence[str], str], Awaitable[None]],
    lease: timedelta = LEASE,
) -> tuple[JobReport, ...]:
    """
    Run what is due, one job after another, and tell what came of it.

    `may_start(job, now)` returns None or why not (window, authorisation, another scan); such a job
    waits. `run` scans, asks `Lease.held` before every packet, and returns what there is to tell;
    the WalkdownErrors it raises end the job as failed. `notify(argv, json)` raises
    WalkdownError when the command cannot be told. Cancelling gives the job back.
    """
    reports: list[JobReport] = []
    for waiting in due(state, now()):
        if reason := may_start(waiting, now()):
            reports.append(_withhold(state, waiting, reason))
            continue
        job = take(state, waiting.id, now(), lease)
        if job is not None:
            reports.append(await _run_one(state, job, now, boottime, sleep, run, lease))
    errors = await tell(state, notify)
    return tuple(replace(report, notify_error=errors.get(report.job.id)) for report in reports)


async def tell(
    state: SiteState, notify: Callable[[Sequence[str], str], Awaitable[None]]
) -> dict[int, str]:
    """
    Tell every outcome that was not told yet, also of earlier runners that died before they could.
    Returns the words of what failed, by job; those are tried again next time.
    """
    j = jobs_table.c
    with state.base.reading() as connection:
        rows = connection.execute(
            select(jobs_table).where(~j.told, j.state != _RUNNING).order_by(j.id)
        ).all()
    errors: dict[int, str] = {}
    for row in rows:
        argv: list[str] = json.loads(row.notify)
        try:
            if argv:
                await notify(argv, _message(row))
        except WalkdownError as error:
            errors[row.id] = str(error)
            continue
        with state.base.writing() as connection:
            told = update(jobs_table).where(j.id == row.id, j.state == row.state)
            connection.execute(told.where(j.note == row.note).values(told=True))
    return errors


async def run_command(argv: Sequence[str], message: str, *, deadline_s: float = 30.0) -> None:
    """
    Start a command without a shell and give it the message on its standard input.

    Raises UsageError when it cannot be started, takes too long, or ends with an error.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise UsageError(f"cannot start {argv[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(deadline_s):
            await process.communicate(message.encode())
    except TimeoutError:
        raise UsageError(f"{argv[0]} did not end within {deadline_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise UsageError(f"{argv[0]} ended with code {process.returncode}")


async def _run_one(
    state: SiteState,
    job: Job,
    now: Callable[[], datetime],
    boottime: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    run: Callable[[Job, Lease], Awaitable[ScanOutcome]],
    lease: timedelta,
) -> JobReport:
    held = Lease(job, lease, boottime)
    scanning = asyncio.ensure_future(run(job, held))
    beating = asyncio.ensure_future(_keep(state, held, now, boottime, sleep, lease, scanning))
    failed = False
    try:
        outcome = await scanning
    except asyncio.CancelledError:
        ourselves = asyncio.current_task()
        if held.lost and not (ourselves and ourselves.cancelling()):
            return JobReport(job=job, state=LOST, outcome=ScanOutcome(), reason="lease lost")
        await asyncio.to_thread(give_back, state, job, "broken off by a shutdown")
        raise
    except WalkdownError as error:
        outcome, failed = ScanOutcome(failures=(str(error),)), True
    except Exception as error:
        # A bug is not worth scanning again for: end the job before anybody retries it.
        outcome = ScanOutcome(failures=(f"internal error: {type(error).__name__}",))
        await asyncio.to_thread(finish, state, job, outcome, now(), failed=True)
        raise
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    if not await asyncio.to_thread(finish, state, job, outcome, now(), failed=failed):
        return JobReport(job=job, state=LOST, outcome=outcome, reason="handed in too late")
    return JobReport(job=job, state=_FAILED if failed else _DONE, outcome=outcome)


async def _keep(
    state: SiteState,
    held: Lease,
    now: Callable[[], datetime],
    boottime: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    lease: timedelta,
    scanning: asyncio.Future[ScanOutcome],
) -> None:
    """Renew the lease until cancelled; end the scan when it is lost."""
    while held.held():
        await sleep(lease.total_seconds() / 4)
        asked_at = boottime()
        try:
            if not await asyncio.to_thread(renew, state, held.job, now(), lease):
                break
        except StoreError:
            continue  # the database may come back; until then the lease runs out by itself
        held.renewed(asked_at)
    held.lose()
    scanning.cancel()


def _withhold(state: SiteState, job: Job, reason: str) -> JobReport:
    """Note why a job waits; a reason that is new is told."""
    j = jobs_table.c
    with state.base.writing() as connection:
        connection.execute(
            update(jobs_table)
            .where(j.id == job.id, j.state == _WAITING, j.note != reason)
            .values(note=reason, told=False)
        )
    return JobReport(job=job, state=WITHHELD, outcome=ScanOutcome(), reason=reason)


def _message(row: Row[tuple[object, ...]]) -> str:
    outcome = _OUTCOME.validate_json(row.outcome) if row.outcome else ScanOutcome()
    return json.dumps(
        {
            "schema": "walkdown.notice/1",
            "schedule": row.schedule,
            "zone": row.zone,
            "due_at": row.due_at.isoformat(),
            "state": WITHHELD if row.state == _WAITING else row.state,
            "attempt": row.attempt,
            "started_at": row.started_at.isoformat() if row.started_at else None,
            "finished_at": row.finished_at.isoformat() if row.finished_at else None,
            "reason": row.note,
            "new_devices": list(outcome.new_devices),
            "halted": outcome.halted,
            "failures": list(outcome.failures),
        }
    )


# --- rows --------------------------------------------------------------------------------------


def _recover(connection: Connection, now: datetime) -> None:
    """Take back the jobs whose runner has not been heard of for a whole lease."""
    j = jobs_table.c
    for job in _jobs(connection, _RUNNING):
        if job.lease_until is not None and job.lease_until > now:
            continue
        if job.attempt >= MOST_ATTEMPTS:
            words = f"broke off {job.attempt} times; it is not tried again"
            outcome = _OUTCOME.dump_json(ScanOutcome(failures=(words,))).decode()
            values = {"state": _FAILED, "outcome": outcome, "finished_at": now, "told": False}
            connection.execute(update(jobs_table).where(j.id == job.id).values(values))
        else:
            _wait_again(connection, job, {})


def _wait_again(connection: Connection, job: Job, values: dict[str, object]) -> None:
    """Let a job that was broken off wait; a time that has come meanwhile becomes part of it."""
    j = jobs_table.c
    connection.execute(delete(jobs_table).where(j.schedule == job.schedule, j.state == _WAITING))
    waits = values | {"state": _WAITING, "token": None, "lease_until": None}
    connection.execute(update(jobs_table).where(j.id == job.id).values(waits))


def _make_job(connection: Connection, schedule: Schedule, due_at: datetime) -> None:
    """One waiting job per schedule: a time that comes while one waits is part of that one."""
    j = jobs_table.c
    there = select(j.id).where(
        j.schedule == schedule.id, (j.state == _WAITING) | (j.due_at == due_at)
    )
    if connection.execute(there).first() is not None:
        return
    row: dict[str, object] = {
        "schedule": schedule.id,
        "zone": schedule.zone,
        "due_at": due_at,
        "state": _WAITING,
        "attempt": 0,
        "notify": json.dumps(list(schedule.notify)),
        "note": "",
        "told": True,
    }
    connection.execute(insert(jobs_table), row)


def _change(connection: Connection, job: Job, values: dict[str, object]) -> bool:
    """Change a running job as the holder of its token. An end is news to be told."""
    j = jobs_table.c
    if values.get("state") in (_DONE, _FAILED):
        values = values | {"told": False}
    mine = update(jobs_table).where(j.id == job.id, j.state == _RUNNING, j.token == job.token)
    return connection.execute(mine.values(values)).rowcount == 1


def _schedules(connection: Connection) -> tuple[tuple[Schedule, datetime], ...]:
    rows = connection.execute(select(schedules_table).order_by(schedules_table.c.id)).all()
    return tuple((_SCHEDULE.validate_json(row.body), row.seen_until) for row in rows)


def _jobs(connection: Connection, state: str) -> tuple[Job, ...]:
    j = jobs_table.c
    wanted = select(jobs_table).where(j.state == state).order_by(j.due_at, j.id)
    return tuple(_job_of(row) for row in connection.execute(wanted))


def _job(connection: Connection, job_id: int) -> Job | None:
    row = connection.execute(select(jobs_table).where(jobs_table.c.id == job_id)).one_or_none()
    return None if row is None else _job_of(row)


def _job_of(row: Row[tuple[object, ...]]) -> Job:
    return Job(
        id=row.id,
        schedule=row.schedule,
        zone=row.zone,
        due_at=row.due_at,
        state=row.state,
        attempt=row.attempt,
        notify=tuple(json.loads(row.notify)),
        token=row.token,
        lease_until=row.lease_until,
        note=row.note,
    )
