"""
A backup is not what it was when it was taken.

Why it matters: a backup that was cut short by a full disk, or changed by an intruder, shows it on
the day it is needed. A list of hashes made when it was taken shows it today.
Source: IEC 62443-3-3 SR 7.3 RE 1 (backups are verified); the list is a `manifest.sha256` as the
tool sha256sum writes it.
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
    note = f": {fact.manifest_note}" if fact.manifest_note else ""
    if fact.manifest_ok is None:
        verdict = Verdict.NOT_CHECKED
        summary = unknown(f"whether the backup is whole (no list of hashes{note})").summary
    elif fact.manifest_ok:
        verdict, summary = Verdict.PASS, f"the backup agrees with its list of hashes{note}"
    else:
        verdict, summary = Verdict.FAIL, f"the backup differs from its list of hashes{note}"
    return Judgement(verdict=verdict, summary=summary, about=fact.source, evidence=(source,))


CHECK = Check(
    id="backup_manifest_broken",
    title="Backup differs from its list of hashes",
    requirements=("SR 7.3 RE 1",),
    severity=Severity.HIGH,
    exploitability=Exploitability.THEORETICAL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Do not restore from this backup. Take a new one, write its list of hashes, and find out "
        "who or what changed the old one. Restore one backup per device type on a spare once a "
        "year: only that proves it."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0809",),
)
