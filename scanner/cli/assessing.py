"""Turns runs into an assessment and its files. Sends nothing; works months later, elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reports import html, tables, workbook
from scanner import __version__, assess, attest, correlate, discovery, judge, site, topology
from scanner.backups import folder as backup_folder
from scanner.backups import git
from scanner.cli import certifying
from scanner.cli.scanning import (
    SAFETY,
    add_figures,
    make_plan,
    total_figures,
    write_atomically,
)
from scanner.errors import Damaged, SiteErrors, StoreError, UsageError
from scanner.facts import BackupRecord
from scanner.importers.gather import OUTSIDE
from scanner.importers.ios import normalise
from scanner.model import (
    Assessment,
    Asset,
    AttestationInfo,
    Certificate,
    Exchange,
    Observation,
    Outcome,
    RunInfo,
    Safety,
    SafetyFigures,
    Tier,
    Transport,
)
from scanner.store import RunMeta, RunStatus, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    meta: RunMeta
    status: RunStatus
    observations: tuple[Observation, ...]
    exchanges: tuple[Exchange, ...]
    safety: Safety | None
    chain_head: str
    certificate: Certificate


def place_of(run: str) -> str | Path:
    """The database behind what a user names: a run's folder, a database file, or a URL."""
    if "://" in run:
        return run
    path = Path(run)
    if path.is_dir():
        path = path / "walkdown.db"
    if not path.exists():
        raise UsageError(f"{run}: there is no run here\n  hint: name the folder given to --out")
    return path


def _read(place: str | Path, beside: Path | None) -> _Run:
    """`beside` is where the files of a run lie that has no folder of its own (PostgreSQL)."""
    folder = place.parent if isinstance(place, Path) else beside
    with RunStore.open(place, read_only=True) as store:
        if problems := store.verify().problems:
            raise Damaged(
                f"{store.place}: its record is not intact, so nothing is judged from it "
                f"({problems[0]}); `walkdown evidence verify` tells all"
            )
        safety = store.safety()
        return _Run(
            meta=store.meta(),
            status=store.status(),
            observations=store.observations(),
            exchanges=tuple(store.exchanges()),
            safety=SAFETY.validate_json(safety) if safety else None,
            chain_head=store.chain_head(),
            certificate=certifying.signed(store, folder) or certifying.make(store, folder),
        )


def site_of(run: str | Path, given: Path | None) -> site.Site:
    """
    The site file that a run belongs to: the given one, else where it lay, else the copy in the
    run itself (its neighbours, such as attestations, are then not there).
    """
    if given is not None:
        return site.load(given)
    with RunStore.open(run, read_only=True) as store:
        meta = store.meta()
    recorded = Path(meta.limits.get("site file", ""))
    try:
        if recorded.is_file():
            return site.load(recorded)
    except SiteErrors as problems:
        raise UsageError(
            f"the site file of this run has been changed and cannot be read:\n{problems}"
            "\n  hint: mend it, or name another with --site"
        ) from problems
    raise UsageError(f"the site file of this run is not at {recorded}\n  hint: name it with --site")


def assess_runs(
    places: Sequence[str | Path],
    which: site.Site,
    *,
    now: datetime,
    environment: Mapping[str, str],
    beside: Path | None = None,
) -> Assessment:
    """
    One assessment of one or several runs of a site. `beside` is the folder with the files of a run
    that is kept in PostgreSQL. Raises UsageError and StoreError.
    """
    runs = [_read(place, beside) for place in places]
    for run in runs:
        if run.meta.site != which.name:
            raise UsageError(f"a run of {run.meta.site!r} is not part of {which.name!r}")
    observations: list[Observation] = []
    exchanges: list[Exchange] = []
    for run in runs:
        own, bytes_of = run.observations, run.exchanges
        if len(runs) > 1:
            own, bytes_of = correlate.qualified(run.meta.id, own, bytes_of)
        observations += own
        exchanges += bytes_of
    observations += _left_open(runs, which)
    merged = correlate.merge(observations, now=now, max_age=which.demands.max_age)
    declared = which.declared()
    seen = correlate.assets(merged.observations, declared)
    backed_up = backup_observations(which, seen, now, environment)
    assets = correlate.assets((*merged.observations, *backed_up), declared)
    everything = (*merged.observations, *backed_up)
    checks = discovery.checks()
    zones, conduits = which.zone_infos(), which.conduit_infos()
    network = topology.build(assets, zones)
    findings = judge.findings(
        checks,
        # What an import found outside every zone is listed; no zone's requirement touches it.
        tuple(asset for asset in assets if asset.zone != OUTSIDE),
        everything,
        zones,
        conduits,
        which.for_checks(now),
        stale=merged.stale,
        granted=_granted(which),
        topology=network,
    )
    return assess.assess(
        site=which.name,
        run=_run_info(runs, everything),
        zones=zones,
        conduits=conduits,
        assets=assets,
        observations=everything,
        exchanges=exchanges,
        checks=checks,
        findings=findings,
        attestations=_attestations(which, now),
        safety=_safety(runs, which),
        topology=network,
    )


def _left_open(runs: Sequence[_Run], which: site.Site) -> Iterator[Observation]:
    """
    One observation per question that a run which did not end had yet to ask devices it had begun
    with. Without them such a device would pass for silent, and a port not reached for closed.
    """
    broken_off = [run for run in runs if run.status.state != "finished"]
    if not broken_off:
        return
    plan = make_plan(which)
    number = 0
    for run in broken_off:
        answered = {correlate.question(observation) for observation in run.observations}
        begun = {(observation.zone, observation.address) for observation in run.observations}
        why = run.status.reason or "it broke off"
        for device in plan.devices:
            if not begun & {(device.zone, address) for address in device.addresses}:
                continue
            for asked in device.questions:
                left = Observation(
                    id=f"u{number + 1}",
                    zone=device.zone,
                    address=asked.target.address,
                    port=asked.target.port,
                    transport=asked.target.transport,
                    protocol=asked.service,
                    probe=asked.probe.name,
                    tier=asked.probe.tier,
                    outcome=Outcome.WITHHELD,
                    reason=f"the run ended before this was asked and answered ({why})",
                    started_at=run.status.at,
                    finished_at=run.status.at,
                    facts=(),
                    exchanges=(),
                )
                if not asked.only_if and correlate.question(left) not in answered:
                    number += 1
                    yield left


def _granted(which: site.Site) -> dict[tuple[str, str], Tier]:
    return {
        (asset.zone, address): which.settings(asset.zone, address).tier
        for zone in which.zones
        for asset in zone.assets
        for address in asset.every_address
        if which.zone_of(address) == asset.zone
    }


def backup_observations(
    which: site.Site, assets: tuple[Asset, ...], now: datetime, environment: Mapping[str, str]
) -> tuple[Observation, ...]:
    """What the owner's backup sources hold, as observations that needed no packet."""
    policy = {str(kind): int(age.total_seconds()) for kind, age in which.backups.max_age.items()}
    records: dict[str, BackupRecord] = {}
    for source in which.backups.sources:
        if source.kind == "git":
            told = git.read(
                source.path, source=source.id, assets=assets, policy=policy, now=now,
                run=git.start, environment=environment, normalise=normalise,
            )  # fmt: skip
        else:
            told = backup_folder.read(
                source.path, source=source.id, assets=assets, policy=policy, now=now,
                normalise=normalise,
            )  # fmt: skip
        for asset_id, record in told.items():
            if asset_id not in records or not records[asset_id].found:
                records[asset_id] = record  # the first source that has one speaks
    return tuple(
        Observation(
            id=f"b{number}",
            zone=asset.zone,
            address=asset.address or "",
            port=0,
            transport=Transport.TCP,
            protocol="backup",
            probe="backup",
            tier=Tier.PASSIVE,
            outcome=Outcome.ANSWERED,
            reason="",
            started_at=now,
            finished_at=now,
            facts=(records[asset.id],),
            exchanges=(),
            source=f"backup:{records[asset.id].source}",
        )
        for number, asset in enumerate(assets, 1)
        if asset.id in records and asset.address is not None and asset.sub_address is None
    )


def _attestations(which: site.Site, now: datetime) -> tuple[AttestationInfo, ...]:
    if which.attestations is None:
        return ()
    return attest.load(which.attestations, read_file=Path.read_bytes, today=now.date())


def check_inputs(which: site.Site, *, now: datetime, environment: Mapping[str, str]) -> None:
    """
    Before a scan: is there what will be needed to judge it? Raises UsageError.

    A night's scan must not end without a report for a name that is misspelt in the site file.
    """
    _attestations(which, now)
    backup_observations(which, (), now, environment)


def _run_info(runs: Sequence[_Run], observations: Sequence[Observation]) -> RunInfo:
    newest = max(runs, key=lambda run: run.status.at)
    counts: dict[str, int] = {}
    for observation in observations:
        counts[observation.outcome] = counts.get(observation.outcome, 0) + 1
    limits = {name: words for run in runs for name, words in run.meta.limits.items()}
    return RunInfo(
        id="+".join(run.meta.id for run in runs),
        started_at=min(run.meta.started_at for run in runs),
        finished_at=None if newest.status.state == "running" else newest.status.at,
        state=newest.status.state,
        reason=newest.status.reason,
        version=__version__,
        tiers=tuple(sorted({tier for run in runs for tier in run.meta.tiers})),
        authorisation=", ".join(dict.fromkeys(r.meta.authorisation for r in runs)),
        authorised_by=", ".join(dict.fromkeys(r.meta.authorised_by for r in runs)),
        runs=tuple(run.meta.id for run in runs),
        chain_head="+".join(run.chain_head for run in runs),
        observations=dict(sorted(counts.items())),
        limits={name: words for name, words in limits.items() if name != "site file"},
        probe_set=", ".join(dict.fromkeys(r.meta.probe_set for r in runs if r.meta.probe_set)),
    )


def _safety(runs: Sequence[_Run], which: site.Site) -> Safety:
    kept = [run.safety for run in runs if run.safety is not None]
    devices: tuple[SafetyFigures, ...] = add_figures(
        tuple(figures for safety in kept for figures in safety.devices)
    )
    withheld: dict[str, int] = {}
    for safety in kept:
        for rule, count in safety.withheld.items():
            withheld[rule] = withheld.get(rule, 0) + count
    missing = len(runs) - len(kept)
    halted = "; ".join(safety.halted for safety in kept if safety.halted)
    if missing:
        halted = "; ".join(filter(None, (halted, f"{missing} run(s) broke off without figures")))
    return Safety(
        total=total_figures(devices),
        devices=devices,
        loosenings=tuple(dict.fromkeys(w for s in kept for w in s.loosenings))
        or which.loosenings(),
        halted=halted or None,
        withheld=withheld,
        fragile=tuple(dict.fromkeys(w for s in kept for w in s.fragile)),
        certificates=tuple(run.certificate for run in runs),
    )


def write_reports(assessment: Assessment, out: Path) -> tuple[Path, ...]:
    """assessment.json, report.html and the tables (XLSX, CSV, JSON), each whole or not at all."""
    files: dict[str, bytes] = {
        "assessment.json": assess.to_json(assessment),
        "report.html": html.render(assessment),
    }
    for name, content in tables.render(assessment).items():
        files[f"tables/{name}"] = content
    files[f"tables/{workbook.NAME}"] = workbook.render(assessment)
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            written.append(path)
    except OSError as error:
        raise StoreError(
            f"{out}: the report cannot be written ({error.strerror});"
            " the run itself is kept: make room or mend the permissions, then `walkdown assess`"
        ) from error
    return tuple(written)


def read_assessment(path: Path) -> Assessment:
    """An assessment from its file, or from the folder of a run."""
    file = path / "assessment.json" if path.is_dir() else path
    try:
        return assess.from_json(file.read_bytes())
    except StoreError as error:
        raise StoreError(f"{file}: {error}") from error
    except OSError as error:
        raise UsageError(
            f"{file}: {error.strerror}\n"
            "  hint: name the folder given to --out, or an assessment.json"
        ) from error
