"""
There is no backup of the device.

Why it matters: when the switch or controller burns out at night, the spare is worth nothing without
its configuration or program. Plants have stood for days while somebody wrote it anew.
Source: IEC 62443-3-3 SR 7.3 (backups of what recovery needs); the policy and the folder are the
site's own (`backups:`).
"""

from __future__ import annotations

from scanner.facts import BackupRecord
from scanner.model import Asset, DeviceClass, Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    records = [
        (fact, source)
        for fact, source in zip(asset.facts, asset.fact_sources, strict=True)
        if isinstance(fact, BackupRecord)
    ]
    if not records:
        return (without_record(asset, site),)
    evidence = tuple(source for _, source in records)
    found = [fact.path or fact.source for fact, _ in records if fact.found]
    if found:
        return (
            Judgement(
                verdict=Verdict.PASS, summary=f"backed up: {', '.join(found)}", evidence=evidence
            ),
        )
    sources = ", ".join(sorted({fact.source for fact, _ in records}))
    return (
        Judgement(verdict=Verdict.FAIL, summary=f"no backup found in {sources}", evidence=evidence),
    )


def without_record(asset: Asset, site: SitePolicy) -> Judgement:
    """The word of every check on backups about an asset for which no source was read."""
    if asset.parent is not None:
        return Judgement(
            verdict=Verdict.NOT_APPLICABLE, summary=f"backed up with {asset.parent}, judged there"
        )
    if not site.backup_sources:
        return unknown("backups: the site file names no backup source")
    if asset.device_class is DeviceClass.UNKNOWN:
        return unknown("whether the backup policy covers it: its class is not known")
    if asset.device_class not in site.backup_required:
        return Judgement(
            verdict=Verdict.NOT_APPLICABLE,
            summary=f"the backup policy does not cover the class {asset.device_class}",
        )
    return unknown("its backups: no source was read for it")


CHECK = Check(
    id="backup_missing",
    title="No backup of the device",
    requirements=("SR 7.3",),
    severity=Severity.HIGH,
    exploitability=Exploitability.THEORETICAL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Save the configuration or program now and put it into the backup folder under the asset's "
        "name. Then let the backup tool or the engineering tool do it on a schedule, and keep one "
        "copy off the network."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0809", "T0826"),
)
