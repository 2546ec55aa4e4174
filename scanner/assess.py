"""
From findings and attestations to requirement verdicts, achieved levels, gaps, score and roadmap.

Pure. Every SR and RE gets a verdict in every zone; none is dropped. The rules, in short:

- `met` by machine only where the catalogue calls an item fully observable and every check of it
  ran and passed on everything concerned; everything else needs an accepted attestation.
- A failure that was seen beats an attestation that says `met` or `not_applicable`; one that says
  `compensated` stands, and the verdict names what it compensates.
- Unknown counts against the low bound of SL-A and for the high one. Levels are never averaged.

Source: IEC 62443-3-3:2013 Annex A (levels, vectors), clause 4.3 (compensating countermeasures).
The order of gaps and the phases of the roadmap are our own.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from scanner import iec62443
from scanner.errors import StoreError
from scanner.facts import Account, DeviceSettings, RunningConfiguration
from scanner.fold import folded, renamed_in
from scanner.iec62443 import FR_KEY, Catalogue, Requirement
from scanner.model import (
    FR_IDS,
    SCHEMA,
    Assessment,
    Asset,
    AttestationInfo,
    ConduitInfo,
    Effort,
    EvidenceClass,
    Exchange,
    Exploitability,
    Finding,
    Gap,
    Level,
    Observation,
    Outcome,
    RequirementResult,
    RequirementVerdict,
    RoadmapItem,
    RunInfo,
    Safety,
    Severity,
    Topology,
    Verdict,
    ZoneInfo,
    ZoneScore,
)
from scanner.spec import Check, Conduit, Inventory, Zone

CONDUIT_FR = "FR 5"
"""The FR that is assessed as a whole on a conduit that has an SL-T of its own."""

UNKNOWN = frozenset({Verdict.NOT_CHECKED, Verdict.MANUAL, Verdict.ERROR})

CONFIGURATION_FACTS = (DeviceSettings, Account, RunningConfiguration)

SEGMENTATION_AND_INVENTORY = frozenset({"SR 5.1", "SR 5.2", "SR 7.8"})
"""What other controls are built upon, with their REs."""

ADVANCED = frozenset({"SR 2.12", "SR 3.3", "SR 6.2"})
"""What makes sense only once the others stand: evaluation, verification, analysis."""

FIRST_QUARTER = frozenset(
    {"SR 1.1 RE 2", "SR 1.5", "SR 2.8 RE 1", "SR 5.1", "SR 5.2", "SR 6.1", "SR 7.8"}
)
"""
Worth a project in the first three months: second factor for remote access, default credentials,
central log collection, basic segmentation, inventory.
"""

EFFORTS = (Effort.QUICK, Effort.PROJECT, Effort.PROCUREMENT)


def assess(
    *,
    site: str,
    run: RunInfo,
    zones: Sequence[ZoneInfo],
    conduits: Sequence[ConduitInfo],
    assets: Sequence[Asset],
    observations: Sequence[Observation],
    exchanges: Sequence[Exchange],
    checks: Sequence[Check],
    findings: Sequence[Finding],
    attestations: Sequence[AttestationInfo],
    safety: Safety,
    topology: Topology | None = None,
) -> Assessment:
    """
    `checks` are those that were to run: a check without a finding on something it concerns leaves
    that unknown. Of `exchanges` only those are kept that a finding or an identity rests on.

    Raises ToolBug when a check or a finding names a requirement that does not exist.
    """
    catalogue = iec62443.load()
    for named in (*(c.requirements for c in checks), *(f.requirements for f in findings)):
        for requirement in named:
            catalogue.get(requirement)
    findings = sorted(findings, key=lambda finding: finding.id)
    known_places = {zone.id for zone in zones} | {conduit.id for conduit in conduits}
    attestations = tuple(
        attestation if attestation.zone in known_places else replace(attestation, state="unknown")
        for attestation in attestations
    )
    evidence = _Evidence(
        checks=tuple(checks),
        attestations=attestations,
        zones=tuple(zones),
        conduits=tuple(conduits),
    )
    results: list[RequirementResult] = []
    levels: list[Level] = []
    for place in _places(zones, conduits, assets, findings, catalogue):
        own = [_result(item, place, evidence) for item in place.items]
        results += own
        levels += [_level(fr, place, own, catalogue) for fr in place.frs]
    by_id = {finding.id: finding for finding in findings}
    gaps = _gaps(results, by_id, zones, conduits, catalogue)
    roadmap = _roadmap(gaps, by_id, catalogue)
    used = _used(exchanges, findings, assets, observations)
    titles = {finding.check: finding.title for finding in findings}
    told, renamed = folded(findings)
    results = [replace(result, findings=renamed_in(result.findings, renamed)) for result in results]
    return Assessment(
        schema=SCHEMA,
        site=site,
        run=run,
        zones=tuple(zones),
        conduits=tuple(conduits),
        assets=tuple(assets),
        observations=tuple(observations),
        exchanges=used,
        findings=told,
        requirements=tuple(results),
        levels=tuple(levels),
        gaps=tuple(replace(gap, findings=renamed_in(gap.findings, renamed)) for gap in gaps),
        score=_scores(results, zones, catalogue),
        roadmap=roadmap,
        attestations=attestations,
        safety=safety,
        topology=topology or Topology(),
        titles={
            **catalogue.fr_titles,
            **{item.id: item.title for item in catalogue.requirements},
            **titles,
            **{check.id: check.title for check in checks},
        },
    )


# --- places ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A zone or a conduit, with the items assessed there and the findings that speak of it."""

    zone: str | None
    conduit: str | None
    sl_t: Mapping[str, int]
    frs: tuple[str, ...]
    items: tuple[Requirement, ...]
    assets: tuple[Asset, ...]
    touching: Mapping[str, tuple[Finding, ...]]
    """Findings by requirement."""

    @property
    def id(self) -> str:
        return self.zone if self.zone is not None else self.conduit or ""

    def target(self, fr: str) -> int:
        return self.sl_t.get(FR_KEY[fr], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    checks: tuple[Check, ...]
    attestations: tuple[AttestationInfo, ...]
    zones: tuple[ZoneInfo, ...]
    conduits: tuple[ConduitInfo, ...]


def _places(
    zones: Sequence[ZoneInfo],
    conduits: Sequence[ConduitInfo],
    assets: Sequence[Asset],
    findings: Sequence[Finding],
    catalogue: Catalogue,
) -> list[_Place]:
    ends = {conduit.id: (conduit.from_zone, conduit.to_zone) for conduit in conduits}
    everywhere = frozenset(zone.id for zone in zones)
    concerned = [(finding, _zones_of(finding, ends, everywhere)) for finding in findings]
    places = [
        _Place(
            zone=zone.id,
            conduit=None,
            sl_t=zone.sl_t,
            frs=FR_IDS,
            items=catalogue.requirements,
            assets=tuple(asset for asset in assets if asset.zone == zone.id),
            touching=_by_requirement(f for f, where in concerned if zone.id in where),
        )
        for zone in zones
    ]
    for conduit in conduits:
        if not any(conduit.sl_t.values()):
            continue
        touching = _by_requirement(f for f in findings if f.conduit == conduit.id)
        places.append(
            _Place(
                zone=None,
                conduit=conduit.id,
                sl_t=conduit.sl_t,
                frs=(CONDUIT_FR,),
                items=tuple(
                    item
                    for item in catalogue.requirements
                    if item.fr == CONDUIT_FR or item.id in touching
                ),
                assets=(),
                touching=touching,
            )
        )
    return places


def _zones_of(
    finding: Finding, ends: Mapping[str, tuple[str, str]], everywhere: frozenset[str]
) -> frozenset[str]:
    """
    The zones whose requirements a finding touches: its own and those its places name. Without
    places, a conduit's finding touches the zones at both ends, and a site's touches all.
    """
    named = {place.zone for place in finding.places if place.zone is not None}
    if finding.zone is not None:
        named.add(finding.zone)
    if not named and finding.conduit is not None:
        return frozenset(ends.get(finding.conduit, ()))
    if not named and finding.scope == "site":
        return everywhere
    return frozenset(named)


def _by_requirement(findings: Iterable[Finding]) -> dict[str, tuple[Finding, ...]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        for requirement in dict.fromkeys(finding.requirements):
            found[requirement].append(finding)
    return {requirement: tuple(own) for requirement, own in found.items()}


# --- one requirement ---------------------------------------------------------------------------


def _result(item: Requirement, place: _Place, evidence: _Evidence) -> RequirementResult:
    findings = place.touching.get(item.id, ())
    checks = tuple(check for check in evidence.checks if item.id in check.requirements)
    attested = [
        attestation
        for attestation in evidence.attestations
        if attestation.zone == place.id and attestation.requirement == item.id
    ]
    accepted = max(
        (one for one in attested if one.state == "accepted"), key=lambda a: a.date, default=None
    )
    verdict, evidence_class, notes = _verdict(item, place, findings, checks, accepted, evidence)
    notes += [_rejected(one) for one in attested if one.state != "accepted"]
    return RequirementResult(
        zone=place.zone,
        conduit=place.conduit,
        id=item.id,
        title=item.title,
        fr=item.fr,
        sl=item.sl,
        required_by_sl_t=item.sl <= place.target(item.fr),
        verdict=verdict,
        evidence_class=evidence_class,
        findings=tuple(
            finding.id
            for finding in sorted(findings, key=_worst_first)
            if finding.verdict is not Verdict.NOT_APPLICABLE
        ),
        note=". ".join(note for note in notes if note),
    )


def _verdict(
    item: Requirement,
    place: _Place,
    findings: Sequence[Finding],
    checks: Sequence[Check],
    accepted: AttestationInfo | None,
    evidence: _Evidence,
) -> tuple[RequirementVerdict, EvidenceClass, list[str]]:
    failing = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    if failing:
        seen = _what_fails(failing)
        if accepted is not None and accepted.verdict is RequirementVerdict.COMPENSATED:
            notes = [f"{_attested(accepted)}; it compensates: {seen}", accepted.note]
            return RequirementVerdict.COMPENSATED, accepted.evidence_class, notes
        notes = [seen]
        if accepted is not None:
            notes.append(f"this contradicts what is attested ({_attested(accepted)})")
        verdict = (
            RequirementVerdict.PARTIALLY_MET
            if _some_assets_pass(findings, failing)
            else RequirementVerdict.NOT_MET
        )
        return verdict, _class_of(failing, checks), notes

    passing = [finding for finding in findings if finding.verdict is Verdict.PASS]
    ran = {finding.check for finding in passing}
    complete = (
        bool(checks)
        and not any(finding.verdict in UNKNOWN for finding in findings)
        and all(_ran_everywhere(check, place, findings, evidence) for check in checks)
    )
    if item.observable == "full" and passing and complete:
        notes = [f"{_count(len(ran), 'check')} passed on everything concerned"]
        if accepted is not None:
            notes.append(_attested(accepted))
        return RequirementVerdict.MET, _class_of(passing, checks), notes
    if accepted is not None:
        return accepted.verdict, accepted.evidence_class, [_attested(accepted), accepted.note]
    return (
        RequirementVerdict.NOT_ASSESSED,
        EvidenceClass.NONE,
        [_why_not_assessed(item, findings, checks, complete=complete)],
    )


def _some_assets_pass(findings: Sequence[Finding], failing: Sequence[Finding]) -> bool:
    """Whether the failures are those of single assets while others pass in every respect."""
    failed: set[str] = set()
    for finding in failing:
        assets = {place.asset for place in finding.places if place.asset is not None}
        if finding.asset is not None:
            assets.add(finding.asset)
        if not assets:
            return False
        failed |= assets
    verdicts: dict[str, set[Verdict]] = defaultdict(set)
    for finding in findings:
        if finding.asset is not None and finding.asset not in failed:
            verdicts[finding.asset].add(finding.verdict)
    return any(Verdict.PASS in own and not own & UNKNOWN for own in verdicts.values())


def _ran_everywhere(
    check: Check, place: _Place, findings: Sequence[Finding], evidence: _Evidence
) -> bool:
    """Whether a check spoke of everything in this place that it concerns, whatever it said."""
    own = [finding for finding in findings if finding.check == check.id]
    if check.reads is Inventory:
        return any(finding.scope == "site" for finding in own)
    if check.reads is Conduit:
        conduits = [
            conduit.id
            for conduit in evidence.conduits
            if (place.id == conduit.id if place.zone is None else place.zone in _ends(conduit))
        ]
        return all(any(finding.conduit == one for finding in own) for one in conduits)
    if place.zone is None:
        # Whatever reads assets, facts or zones says nothing about a conduit.
        return True
    if check.reads is Zone:
        return any(finding.scope == "zone" and finding.zone == place.zone for finding in own)
    ids = {finding.id for finding in own}
    return all(_spoke_of(check, asset, ids) for asset in place.assets)


def _spoke_of(check: Check, asset: Asset, ids: set[str]) -> bool:
    """Whether there is a finding of this check on this asset, and on each service it concerns."""
    whole = f"{check.id}/asset/{asset.id}"
    if whole in ids:
        return True
    parts = {name for name in ids if name.startswith(f"{whole}/")}
    if check.reads is Asset:
        return bool(parts)
    if asset.parent is not None:
        return bool(parts) or not any(isinstance(fact, check.reads) for fact in asset.facts)
    ports = [
        f"{whole}/port {service.port}"
        for service in asset.services
        if service.outcome is Outcome.ANSWERED and service.protocol in check.protocols
    ]
    return bool(parts) and all(
        any(name == port or name.startswith(f"{port}/") for name in parts) for port in ports
    )


def _ends(conduit: ConduitInfo) -> tuple[str, str]:
    return conduit.from_zone, conduit.to_zone


def _class_of(findings: Sequence[Finding], checks: Sequence[Check]) -> EvidenceClass:
    reads = {check.id: check.reads for check in checks}
    if all(reads.get(finding.check) in CONFIGURATION_FACTS for finding in findings):
        return EvidenceClass.CONFIGURATION
    return EvidenceClass.MACHINE


# --- words -------------------------------------------------------------------------------------


def _what_fails(failing: Sequence[Finding]) -> str:
    titles: dict[str, set[str]] = defaultdict(set)
    for finding in sorted(failing, key=_worst_first):
        assets = {place.asset for place in finding.places if place.asset is not None}
        titles[finding.title] |= assets
    return "; ".join(
        title + (f" ({_count(len(assets), 'asset')})" if assets else "")
        for title, assets in titles.items()
    )


def _why_not_assessed(
    item: Requirement, findings: Sequence[Finding], checks: Sequence[Check], *, complete: bool
) -> str:
    passing = {finding.check for finding in findings if finding.verdict is Verdict.PASS}
    unknown = [finding for finding in findings if finding.verdict in UNKNOWN]
    if not checks and not findings:
        if item.observable == "no":
            return "no scan can tell; needs an attestation with a document"
        return "no check covers it; needs an attestation with a document"
    if unknown:
        subjects = {finding.asset or finding.id for finding in unknown}
        said = f"{_count(len({f.check for f in unknown}), 'check')} could not judge "
        said += f"{_count(len(subjects), 'subject')}: {unknown[0].summary}"
        return (
            f"no contrary evidence from {_count(len(passing), 'check')}; {said}"
            if passing
            else said
        )
    if passing and not complete:
        return f"no contrary evidence from {_count(len(passing), 'check')}; not all of them ran"
    if passing:
        return f"no contrary evidence from {_count(len(passing), 'check')}"
    return f"{_count(len(checks), 'check')} found nothing that it concerns"


def _attested(attestation: AttestationInfo) -> str:
    return (
        f"{attestation.verdict.replace('_', ' ')} as attested by {attestation.owner} on "
        f"{attestation.date} ({attestation.document})"
    )


def _rejected(attestation: AttestationInfo) -> str:
    reason = {
        "expired": f"expired on {attestation.expires}",
        "document_missing": f"does not count: {attestation.document} is missing",
        "document_changed": f"does not count: {attestation.document} has changed since",
    }.get(attestation.state, "does not count")
    return f"the attestation by {attestation.owner} of {attestation.date} {reason}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _worst_first(finding: Finding) -> tuple[int, int, int, str]:
    order = (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_CHECKED, Verdict.MANUAL, Verdict.PASS)
    rank = order.index(finding.verdict) if finding.verdict in order else len(order)
    return (rank, finding.severity.rank, finding.exploitability.rank, finding.id)


# --- levels and score --------------------------------------------------------------------------


def achieved(
    items: Iterable[Requirement],
    verdicts: Mapping[str, RequirementVerdict],
    *,
    unknown_counts: bool,
) -> int:
    """
    The greatest level L in 0..4 such that every item with level at most L counts as met.

    All or nothing: one missing item of SL 1 keeps the FR at 0. An item without a verdict is not
    assessed; `unknown_counts` tells whether such items count for or against.
    """
    missing = [
        item.sl
        for item in items
        if not (verdict := verdicts.get(item.id, RequirementVerdict.NOT_ASSESSED)).counts_as_met
        and not (unknown_counts and verdict is RequirementVerdict.NOT_ASSESSED)
    ]
    return min(missing, default=5) - 1


def _level(
    fr: str, place: _Place, results: Sequence[RequirementResult], catalogue: Catalogue
) -> Level:
    own = {result.id: result.verdict for result in results if result.fr == fr}
    required = [result for result in results if result.fr == fr and result.required_by_sl_t]
    return Level(
        zone=place.zone,
        conduit=place.conduit,
        fr=fr,
        sl_t=place.target(fr),
        sl_c=None,
        sl_a_low=achieved(catalogue.items(fr), own, unknown_counts=False),
        sl_a_high=achieved(catalogue.items(fr), own, unknown_counts=True),
        blocking=tuple(r.id for r in required if not r.verdict.counts_as_met),
        items_met=sum(r.verdict.counts_as_met for r in required),
        items_total=len(required),
    )


def _scores(
    results: Sequence[RequirementResult], zones: Sequence[ZoneInfo], catalogue: Catalogue
) -> tuple[ZoneScore, ...]:
    per_zone = [
        _score(zone.id, [result for result in results if result.zone == zone.id], catalogue)
        for zone in zones
    ]
    compliant = sum(score.compliant for score in per_zone)
    applicable = sum(score.applicable for score in per_zone)
    met = sum(score.items_met for score in per_zone)
    total = sum(score.items_total for score in per_zone)
    assessed = sum(score.items_assessed for score in per_zone)
    overall = ZoneScore(
        zone=None,
        compliant=compliant,
        applicable=applicable,
        score=_share(compliant, applicable),
        items_met=met,
        items_total=total,
        items_share=_share(met, total),
        items_assessed=assessed,
        assessed_share=_share(assessed, total),
    )
    return (overall, *per_zone)


def _score(zone: str, results: Sequence[RequirementResult], catalogue: Catalogue) -> ZoneScore:
    required = {result.id: result for result in results if result.required_by_sl_t}
    applicable = {
        name: result
        for name, result in required.items()
        if result.verdict is not RequirementVerdict.NOT_APPLICABLE
    }
    bases = [name for name in applicable if catalogue.get(name).base is None]
    compliant = sum(
        all(
            required[item].verdict.counts_as_met
            for item in (base, *(re.id for re in catalogue.enhancements(base)))
            if item in required
        )
        for base in bases
    )
    met = sum(result.verdict.counts_as_met for result in applicable.values())
    assessed = sum(
        result.verdict is not RequirementVerdict.NOT_ASSESSED for result in applicable.values()
    )
    return ZoneScore(
        zone=zone,
        compliant=compliant,
        applicable=len(bases),
        score=_share(compliant, len(bases)),
        items_met=met,
        items_total=len(applicable),
        items_share=_share(met, len(applicable)),
        items_assessed=assessed,
        assessed_share=_share(assessed, len(applicable)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


# --- gaps --------------------------------------------------------------------------------------


def _gaps(
    results: Sequence[RequirementResult],
    findings: Mapping[str, Finding],
    zones: Sequence[ZoneInfo],
    conduits: Sequence[ConduitInfo],
    catalogue: Catalogue,
) -> tuple[Gap, ...]:
    impact = _impact(zones, conduits)
    place_in_catalogue = {item.id: n for n, item in enumerate(catalogue.requirements)}
    found: list[tuple[tuple[object, ...], Gap]] = []
    for result in results:
        if not result.required_by_sl_t or result.verdict.counts_as_met:
            continue
        gap = _gap(result, findings, catalogue)
        failing = _failing(gap, findings)
        effort = max((EFFORTS.index(finding.effort) for finding in failing), default=0)
        order = (
            # What is proven comes before what is merely unknown.
            gap.verdict is RequirementVerdict.NOT_ASSESSED,
            # Risk impact, exploitability, dependency, quick wins.
            *impact[result.zone, result.conduit],
            gap.exploitability.rank,
            gap.severity.rank,
            _dependency(result.id, catalogue),
            effort,
            gap.needs_outage,
            place_in_catalogue[result.id],
            gap.id,
        )
        found.append((order, gap))
    found.sort(key=lambda pair: pair[0])
    return tuple(replace(gap, priority=n) for n, (_, gap) in enumerate(found, start=1))


def _gap(result: RequirementResult, findings: Mapping[str, Finding], catalogue: Catalogue) -> Gap:
    touching = [findings[name] for name in result.findings]
    failing = [finding for finding in touching if finding.verdict is Verdict.FAIL]
    unknown = [finding for finding in touching if finding.verdict in UNKNOWN]
    item = catalogue.get(result.id)
    if failing:
        remedy = " ".join(dict.fromkeys(finding.remedy for finding in failing))
        phase = max(phase_of(finding) for finding in failing)
    else:
        remedy = (
            f"Let the open checks run, or attest with a document that this holds: {item.intent}"
            if unknown
            else f"Attest with a document that this holds: {item.intent}"
        )
        # Evidence in the order of the levels: a higher one is worth nothing without the lower.
        phase = min(item.sl, 3)
    return Gap(
        id="/".join(
            ("gap", "zone", result.zone, result.id)
            if result.zone is not None
            else ("gap", "conduit", result.conduit or "", result.id)
        ),
        zone=result.zone,
        conduit=result.conduit,
        requirement=result.id,
        title=result.title,
        fr=result.fr,
        verdict=result.verdict,
        severity=min((f.severity for f in failing), key=lambda s: s.rank, default=Severity.INFO),
        exploitability=min(
            (f.exploitability for f in failing),
            key=lambda e: e.rank,
            default=Exploitability.THEORETICAL,
        ),
        priority=0,
        phase=phase,
        findings=tuple(finding.id for finding in (failing or unknown)),
        remedy=remedy,
        needs_outage=any(finding.needs_outage for finding in failing),
        reason=result.note,
    )


def phase_of(finding: Finding) -> int:
    """
    When a failure can be closed: 1 in 0-3 months, 2 in 3-12, 3 in 12-24.

    Quick wins need neither procurement nor an outage. A few foundations are worth a project at
    once. What has to be bought waits, unless other controls are built upon it.
    """
    foundation = bool(FIRST_QUARTER.intersection(finding.requirements))
    if finding.effort is Effort.PROCUREMENT:
        return 2 if foundation else 3
    if foundation or (finding.effort is Effort.QUICK and not finding.needs_outage):
        return 1
    return 2


def _failing(gap: Gap, findings: Mapping[str, Finding]) -> list[Finding]:
    return [f for f in (findings[name] for name in gap.findings) if f.verdict is Verdict.FAIL]


def _dependency(requirement: str, catalogue: Catalogue) -> int:
    item = catalogue.get(requirement)
    base = item.base or item.id
    return 0 if base in SEGMENTATION_AND_INVENTORY else 2 if base in ADVANCED else 1


def _impact(
    zones: Sequence[ZoneInfo], conduits: Sequence[ConduitInfo]
) -> dict[tuple[str | None, str | None], tuple[int, bool, float]]:
    """
    What a gap in a place may cost, smallest first: high SL-T, then safety zones as the owner's
    names tell them, then low Purdue levels. A conduit is as grave as the graver of its ends.
    """
    found: dict[tuple[str | None, str | None], tuple[int, bool, float]] = {}
    for zone in zones:
        safety = re.search(
            r"\b(safety|sis|esd)\b", f"{zone.id} {zone.name}".replace("_", " "), re.I
        )
        purdue = zone.purdue if zone.purdue is not None else float("inf")
        found[zone.id, None] = (-max(zone.sl_t.values(), default=0), safety is None, purdue)
    for conduit in conduits:
        ends = [found[zone, None] for zone in _ends(conduit) if (zone, None) in found]
        _, no_safety, purdue = min(ends, default=(0, True, float("inf")), key=lambda end: end[1:])
        found[None, conduit.id] = (-max(conduit.sl_t.values(), default=0), no_safety, purdue)
    return found


# --- roadmap -----------------------------------------------------------------------------------


def _roadmap(
    gaps: Sequence[Gap], findings: Mapping[str, Finding], catalogue: Catalogue
) -> tuple[RoadmapItem, ...]:
    """
    One item per remedy with every gap that it helps to close, and one per FR and phase for what is
    not assessed. A gap that needs several remedies stands in several items.
    """
    by_remedy: dict[str, list[tuple[Gap, Finding]]] = defaultdict(list)
    unassessed: dict[tuple[int, str], list[Gap]] = defaultdict(list)
    for gap in gaps:
        failing = _failing(gap, findings)
        for finding in failing:
            by_remedy[finding.remedy].append((gap, finding))
        if not failing:
            unassessed[gap.phase, gap.fr].append(gap)

    items: list[tuple[tuple[int, bool, int, str], RoadmapItem]] = []
    for remedy, pairs in by_remedy.items():
        own = list(dict.fromkeys(gap for gap, _ in pairs))
        causes = [finding for _, finding in pairs]
        item = RoadmapItem(
            phase=max(phase_of(finding) for finding in causes),
            title=remedy,
            effort=max((f.effort for f in causes), key=EFFORTS.index),
            needs_outage=any(finding.needs_outage for finding in causes),
            why=_why_now(own, causes),
            **_scope(own),
        )
        items.append(((item.phase, False, own[0].priority, remedy), item))
    for (phase, fr), own in unassessed.items():
        item = RoadmapItem(
            phase=phase,
            title=f"Gather evidence on {fr}, {catalogue.fr_titles[fr]}",
            effort=Effort.QUICK,
            needs_outage=False,
            why=f"{_count(len(own), 'requirement')} of SL-T nobody has assessed; until then "
            "they count against SL-A",
            **_scope(own),
        )
        items.append(((phase, True, own[0].priority, fr), item))
    items.sort(key=lambda pair: pair[0])
    return tuple(item for _, item in items)


def _scope(gaps: Sequence[Gap]) -> dict[str, Any]:
    return {
        "zones": tuple(dict.fromkeys(gap.zone for gap in gaps if gap.zone is not None)),
        "requirements": tuple(dict.fromkeys(gap.requirement for gap in gaps)),
        "gaps": tuple(gap.id for gap in gaps),
    }


def _why_now(gaps: Sequence[Gap], causes: Sequence[Finding]) -> str:
    worst = min(causes, key=_worst_first)
    assets = {p.asset for f in causes for p in f.places if p.asset is not None}
    ease = {
        Exploitability.TRIVIAL: "trivial to exploit",
        Exploitability.KNOWN_TOOL: "exploitable with known tools",
        Exploitability.SKILLED: "exploitable with skill",
        Exploitability.THEORETICAL: "exploitable in theory",
    }[min((f.exploitability for f in causes), key=lambda e: e.rank)]
    words = f"closes or narrows {_count(len(gaps), 'gap')}"
    if assets:
        words += f", seen on {_count(len(assets), 'asset')}"
    return f"{words}; worst severity {worst.severity}, {ease}"


# --- the document ------------------------------------------------------------------------------


def _used(
    exchanges: Sequence[Exchange],
    findings: Sequence[Finding],
    assets: Sequence[Asset],
    observations: Sequence[Observation],
) -> tuple[Exchange, ...]:
    rests_on = {o for asset in assets for own in asset.sources.values() for o in own}
    rests_on |= {source for asset in assets for source in asset.fact_sources}
    used = {name for finding in findings for name in finding.evidence}
    rests_on |= used
    used |= {x for o in observations if o.id in rests_on for x in o.exchanges}
    return tuple(exchange for exchange in exchanges if exchange.id in used)


@cache
def _adapter() -> TypeAdapter[Assessment]:
    return TypeAdapter(Assessment)


def to_json(assessment: Assessment) -> bytes:
    """Pure ASCII: what a device sent stays inert when the file is shown in a terminal."""
    document = _adapter().dump_json(assessment, indent=1, ensure_ascii=True)
    return document.replace(b"\x7f", b"\\u007f")  # ASCII too, and only ever within a string


def from_json(document: bytes) -> Assessment:
    """Raises StoreError for what is not a whole assessment of this version."""
    try:
        assessment = _adapter().validate_json(document)
    except ValidationError as error:
        raise StoreError(_what_is_wrong(document, error)) from None
    if assessment.schema != SCHEMA:
        raise StoreError(_other_version(assessment.schema))
    return assessment


def json_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **_adapter().json_schema(mode="serialization"),
    }


def _what_is_wrong(document: bytes, error: ValidationError) -> str:
    again = "run `walkdown assess` on the run's folder to write it again from its database"
    try:
        read = json.loads(document)
    except (ValueError, RecursionError):
        return f"the assessment is cut off or damaged (it is not whole JSON); {again}"
    schema = read.get("schema") if isinstance(read, dict) else None
    if not isinstance(schema, str):
        return (
            f"this is not an assessment (it has no `schema`); name an assessment.json, or {again}"
        )
    if schema != SCHEMA:
        return _other_version(schema)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"the assessment is damaged at {where} ({first['msg']}); {again}"


def _other_version(schema: str) -> str:
    return (
        f"the assessment has the format {schema[:60]!r}, this version reads {SCHEMA!r}; "
        "run `walkdown assess` on its run's folder to write it in this format"
    )
