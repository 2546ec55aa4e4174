"""Periodic re-scans: what `walkdown schedule` does, around scanner.schedule."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from scanner import capture, diff, schedule, windows
from scanner.cli import assessing, scanning
from scanner.errors import UsageError
from scanner.model import Assessment
from scanner.schedule import Job, JobReport, Lease, ScanOutcome, Schedule
from scanner.site import Site
from scanner.state import SiteState

LOOK_EVERY_S = 30.0
LEASE = timedelta(minutes=2)
LOOK_BACK = 10
"""Earlier runs that are read to tell which devices are new."""


def add(
    site_file: Path,
    *,
    name: str,
    rule: str,
    start: str,
    timezone: str,
    zone: str,
    notify: tuple[str, ...],
    now: datetime,
) -> None:
    which = scanning.load_site(site_file)
    if zone != schedule.WHOLE_SITE and zone not in {one.id for one in which.zones}:
        raise UsageError(f"the site file has no zone {zone!r}")
    try:
        first = datetime.fromisoformat(start)
    except ValueError:
        raise UsageError(f"--start {start}: not a time\n  hint: as in 2026-11-21T22:00") from None
    kept = Schedule(
        id=name, rule=rule, start=first, timezone=timezone, zone=zone,
        notify=notify or which.notify,
    )  # fmt: skip
    with SiteState.open(which.state) as state:
        schedule.add(state, kept, now)


def listing(
    site_file: Path, now: datetime
) -> tuple[tuple[tuple[Schedule, datetime | None], ...], tuple[Job, ...]]:
    """Schedules with their next time, and the jobs that are due or run."""
    with SiteState.open(scanning.load_site(site_file).state) as state:
        rows = tuple((one, schedule.next_occurrence(one, now)) for one in schedule.schedules(state))
        return rows, (*schedule.running(state), *schedule.due(state, now))


def remove(site_file: Path, name: str) -> None:
    with SiteState.open(scanning.load_site(site_file).state) as state:
        schedule.remove(state, name)


async def run(
    site_file: Path,
    folder: Path,
    *,
    environment: Mapping[str, str],
    watch: bool,
    tell: Callable[[str], None],
    helper: capture.Helper | None = None,
    watch_packets: bool = True,
) -> tuple[JobReport, ...]:
    """Carry out what is due; with `watch`, until Ctrl-C. `helper` as in scanning.scan."""
    reports: tuple[JobReport, ...] = ()
    while True:
        found = await _once(site_file, folder, environment, helper, watch_packets)
        reports += found
        for report in found:
            tell(_words(report))
        if not watch:
            if not found:
                tell("nothing is due")
            return reports
        await asyncio.sleep(LOOK_EVERY_S)


def _words(report: JobReport) -> str:
    outcome = report.outcome
    parts = [f"{report.job.schedule}: {report.state}"]
    if report.reason:
        parts.append(report.reason)
    if outcome.new_devices:
        parts.append(f"new devices: {', '.join(outcome.new_devices)}")
    if outcome.halted:
        parts.append(f"halted: {outcome.halted}")
    parts += [f"failure: {one}" for one in outcome.failures]
    if report.notify_error:
        parts.append(f"could not tell: {report.notify_error}")
    return "; ".join(parts)


async def _once(
    site_file: Path,
    folder: Path,
    environment: Mapping[str, str],
    helper: capture.Helper | None,
    watch_packets: bool,
) -> tuple[JobReport, ...]:
    which = scanning.load_site(site_file)

    def may_start(job: Job, now: datetime) -> str | None:
        return why_not(which, job, now)

    async def carry_out(job: Job, lease: Lease) -> ScanOutcome:
        return await _scan(site_file, which, folder, job, lease, environment, helper, watch_packets)

    with SiteState.open(which.state) as state:
        return await schedule.run_due(
            state,
            now=scanning.utc_now,
            boottime=_boottime,
            sleep=asyncio.sleep,
            may_start=may_start,
            run=carry_out,
            notify=schedule.run_command,
            lease=LEASE,
        )


def why_not(which: Site, job: Job, now: datetime) -> str | None:
    """Why a due scan may not start now: authorisation, or the window of every zone it covers."""
    if problem := windows.authorisation_problem(which, now):
        return problem
    zones = [zone.id for zone in which.zones if job.zone in (schedule.WHOLE_SITE, zone.id)]
    if not zones:
        return f"the site file has no zone {job.zone!r} any more"
    allowed = [windows.permission(which, zone, now) for zone in zones]
    return None if any(one.allowed for one in allowed) else allowed[0].reason


async def _scan(
    site_file: Path,
    which: Site,
    folder: Path,
    job: Job,
    lease: Lease,
    environment: Mapping[str, str],
    helper: capture.Helper | None,
    watch_packets: bool,
) -> ScanOutcome:
    out = folder / job.run_name
    earlier = _newest_first(folder, out)
    order = scanning.ScanOrder(
        site_file=site_file,
        out=out,
        resume=(out / "walkdown.db").exists(),
        zone=None if job.zone == schedule.WHOLE_SITE else job.zone,
        capture=watch_packets,
    )
    assessing.check_inputs(which, now=scanning.utc_now(), environment=environment)
    end = await scanning.scan(
        order,
        environment=environment,
        lease_held=lease.held,
        handle_signals=False,
        helper=helper,
    )
    assessment = assessing.assess_runs(
        [end.store], which, now=scanning.utc_now(), environment=environment
    )
    assessing.write_reports(assessment, out)
    new = _new_devices(earlier, assessment)
    failures = tuple(
        f"{o.address} {o.protocol}: {o.outcome} ({o.reason})"
        for o in assessment.observations
        if o.outcome in ("failed", "bug")
    )
    halted = end.reason if end.state != "finished" else None
    return ScanOutcome(new_devices=new, halted=halted, failures=failures)


def _newest_first(folder: Path, current: Path) -> list[Path]:
    """The assessments of earlier scheduled runs, of this schedule and of others."""
    done = [path for path in folder.glob("*/assessment.json") if path.parent != current]
    return sorted(done, key=lambda path: path.stat().st_mtime, reverse=True)[:LOOK_BACK]


def _new_devices(earlier: Sequence[Path], assessment: Assessment) -> tuple[str, ...]:
    """
    What is here and was not when its address was last asked. A run of one zone says nothing about
    the others: for those the runs before it are looked at.
    """
    new: tuple[str, ...] = ()
    unknown: tuple[str, ...] | None = None
    for path in earlier:
        found = diff.diff(assessing.read_assessment(path), assessment)
        appeared, first = set(found.new_assets), set(found.first_visited)
        if unknown is None:
            unknown = (*found.new_assets, *found.first_visited)
        new += tuple(one for one in unknown if one in appeared)
        unknown = tuple(one for one in unknown if one in first)
        if not unknown:
            break
    return (*new, *(unknown or ()))


def _boottime() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
