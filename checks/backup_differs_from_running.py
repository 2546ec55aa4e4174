"""
The device runs something else than what was backed up.

Why it matters: either somebody changed it and told nobody, or the backup is not of this device. In
both cases a restore brings a surprise, and a change that nobody knows of is how intrusions look.
Source: IEC 62443-3-3 SR 7.3 and SR 3.4 (unexplained differences from the baseline are noticed).

Compared are hashes after the same lines (clocks, counters, time stamps) were dropped from both.
"""

from __future__ import annotations

from checks.backup_missing import without_record
from scanner.facts import BackupRecord
from scanner.model import Asset, Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    records = [
        (fact, source)
        for fact, source in zip(asset.facts, asset.fact_sources, strict=True)
        if isinstance(fact, BackupRecord)
    ]
    if not records:
        return (without_record(asset, site),)
    found = [(fact, source) for fact, source in records if fact.found]
    if not found:
        return (
            Judgement(
                verdict=Verdict.NOT_APPLICABLE, summary="there is no backup (see backup_missing)"
            ),
        )
    return tuple(_judge(fact, source) for fact, source in found)


def _judge(fact: BackupRecord, source: str) -> Judgement:
    if fact.matches_running is None:
        verdict = Verdict.NOT_CHECKED
        summary = unknown("whether it runs what was backed up").summary
    elif fact.matches_running:
        verdict, summary = Verdict.PASS, "the running configuration is the one that was backed up"
    else:
        verdict = Verdict.FAIL
        summary = "the running configuration differs from the newest backup"
        if fact.path:
            summary += f" ({fact.path})"
    return Judgement(verdict=verdict, summary=summary, about=fact.source, evidence=(source,))


CHECK = Check(
    id="backup_differs_from_running",
    title="Running configuration differs from the newest backup",
    requirements=("SR 3.4", "SR 7.3"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.THEORETICAL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Compare the two and ask who made the change. If it was meant, take a new backup. If "
        "nobody knows it, treat it as an incident before anything is overwritten."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0836", "T0889"),
)
