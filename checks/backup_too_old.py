"""
The newest backup is older than the site allows.

Why it matters: a restored backup brings back the plant as it was then. Every change since, from an
alarm limit to a new pump, is lost and has to be remembered by somebody.
Source: IEC 62443-3-3 SR 7.3; the longest age is the site's own (`backups: policy:`).
"""

from __future__ import annotations

from checks.backup_missing import without_record
from scanner.facts import BackupRecord
from scanner.model import Asset, Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

DAY_S = 86_400


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
    dated = [
        (fact.age_s, fact, source)
        for fact, source in found
        if fact.age_s is not None and fact.age_s >= 0
    ]
    if not dated:
        return (unknown("when the backup was taken (no date, or one in the future)"),)
    age_s, newest, source = min(dated, key=lambda row: row[0])
    days = age_s // DAY_S
    if newest.max_age_s is None:
        return (unknown(f"how old it may be: the newest is {days} days old, no max_age is set"),)
    longest = newest.max_age_s // DAY_S
    if age_s > newest.max_age_s:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"the newest backup is {days} days old, the policy allows {longest}",
                evidence=(source,),
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"the newest backup is {days} days old, the policy allows {longest}",
            evidence=(source,),
        ),
    )


CHECK = Check(
    id="backup_too_old",
    title="Newest backup is older than the policy allows",
    requirements=("SR 7.3",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.THEORETICAL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Take a backup now and find out why none was taken since: a job that fails in silence, or "
        "a round that nobody owns. Take one after every change, too."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0826",),
)
