"""
What changed between two assessments of one site.

Pure. Absence is not change: a device is gone only when the later run asked it and got silence, and
a failure is fixed only when the later run looked again and found it no more. What was not asked is
listed as such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scanner.correlate import clean, question, reach, same
from scanner.fold import spread
from scanner.model import (
    IDENTITY_FIELDS,
    Assessment,
    Asset,
    DeviceClass,
    Finding,
    Level,
    Observation,
    Outcome,
    Presence,
    Verdict,
)

SEEN = frozenset(
    {Presence.DECLARED_AND_SEEN, Presence.SEEN_AND_UNDECLARED, Presence.IDENTITY_DIFFERS}
)
CLOSED = frozenset({Outcome.REFUSED, Outcome.SILENT})
SETTLED = frozenset({Verdict.PASS, Verdict.NOT_APPLICABLE})

Judged = Mapping[tuple[str, ...], Sequence[tuple[str, Verdict]]]
"""(id, verdict) of the findings by check, scope and subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One thing about an asset that both runs saw and saw differently.

    `field` is a field of the identity, "device_class", or a service as "tcp/502 modbus" whose
    values are "open" and "closed".
    """

    asset: str
    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChange:
    """None stands for an FR that the other assessment does not have."""

    zone: str | None
    conduit: str | None
    fr: str
    low_before: int | None
    low_after: int | None
    high_before: int | None
    high_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """
    Assets and findings by id. `first_visited`: seen now, and the earlier run had not asked there.
    `not_visited`: seen before, and the later run did not ask. `unverified_findings`: failures of
    before that the later run could not judge.
    """

    before: str
    after: str
    new_assets: tuple[str, ...]
    first_visited: tuple[str, ...]
    gone_assets: tuple[str, ...]
    not_visited: tuple[str, ...]
    changes: tuple[Change, ...]
    new_findings: tuple[str, ...]
    regressed_findings: tuple[str, ...]
    fixed_findings: tuple[str, ...]
    open_findings: tuple[str, ...]
    unverified_findings: tuple[str, ...]
    levels: tuple[LevelChange, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing moved (failures that stay open are not a movement)."""
        return not (
            self.new_assets
            or self.first_visited
            or self.gone_assets
            or self.not_visited
            or self.changes
            or self.new_findings
            or self.regressed_findings
            or self.fixed_findings
            or self.unverified_findings
            or self.levels
        )


def diff(old: Assessment, new: Assessment) -> Diff:
    before = {asset.id: asset for asset in old.assets if asset.presence in SEEN}
    after = {asset.id: asset for asset in new.assets if asset.presence in SEEN}
    asked_before, asked_after = _Asked.of(old), _Asked.of(new)
    appeared = [asset for asset in after.values() if asset.id not in before]
    missing = [asset for asset in before.values() if asset.id not in after]
    old_fails = {f.id: f for f in old.findings if f.verdict is Verdict.FAIL}
    new_fails = {f.id: f for f in new.findings if f.verdict is Verdict.FAIL}
    passed = {f.id for f in old.findings if f.verdict is Verdict.PASS}
    judged = _by_subject(new.findings)
    closed = [finding for name, finding in old_fails.items() if name not in new_fails]
    fixed = [finding.id for finding in closed if _is_fixed(finding, judged)]
    return Diff(
        before=old.run.id,
        after=new.run.id,
        new_assets=_ids(a.id for a in appeared if asked_before.would_have_seen(a, asked_after)),
        first_visited=_ids(
            a.id for a in appeared if not asked_before.would_have_seen(a, asked_after)
        ),
        gone_assets=_ids(a.id for a in missing if asked_after.would_have_seen(a, asked_before)),
        not_visited=_ids(a.id for a in missing if not asked_after.would_have_seen(a, asked_before)),
        changes=tuple(
            change
            for name in sorted(before.keys() & after.keys())
            for change in _changes(before[name], after[name])
        ),
        new_findings=_ids(n for n in new_fails if n not in old_fails and n not in passed),
        regressed_findings=_ids(n for n in new_fails if n in passed),
        fixed_findings=_ids(fixed),
        open_findings=_ids(n for n in new_fails if n in old_fails),
        unverified_findings=_ids(f.id for f in closed if f.id not in fixed),
        levels=_levels(old.levels, new.levels),
    )


# --- assets ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What one run asked, by address and by observation."""

    by_address: Mapping[tuple[str, str], Sequence[Observation]]
    by_question: Mapping[tuple[object, ...], Observation]
    own: Mapping[str, Observation]

    @classmethod
    def of(cls, assessment: Assessment) -> _Asked:
        by_address: dict[tuple[str, str], list[Observation]] = defaultdict(list)
        for observation in assessment.observations:
            by_address[observation.zone, observation.address].append(observation)
        return cls(
            by_address=by_address,
            by_question={question(o): o for o in assessment.observations},
            own={o.id: o for o in assessment.observations},
        )

    def would_have_seen(self, asset: Asset, seen: _Asked) -> bool:
        """
        Whether this run, which did not see the asset, would have seen it had it been there.

        A device: something was asked at one of its addresses and silence came. A device behind a
        device: the question that told of it in the other run, `seen`, was answered here too.
        """
        if asset.parent is None:
            own = [o for a in asset.addresses for o in self.by_address.get((asset.zone, a), ())]
            return reach(own) == "silent"
        questions = [question(seen.own[name]) for name in asset.observations if name in seen.own]
        return any(
            self.by_question[one].outcome is Outcome.ANSWERED
            for one in questions
            if one in self.by_question
        )


def _changes(before: Asset, after: Asset) -> list[Change]:
    found: list[Change] = []
    for name in IDENTITY_FIELDS:
        one = clean(getattr(before.identity, name))
        other = clean(getattr(after.identity, name))
        if one is not None and other is not None and not same(name, one, other):
            found.append(Change(asset=after.id, field=name, before=one, after=other))
    kinds = (before.device_class, after.device_class)
    if kinds[0] is not kinds[1] and DeviceClass.UNKNOWN not in kinds:
        found.append(
            Change(
                asset=after.id, field="device_class", before=kinds[0].value, after=kinds[1].value
            )
        )
    services = {(s.transport, s.port, s.protocol): s.outcome for s in before.services}
    for service in after.services:
        was = services.get((service.transport, service.port, service.protocol))
        name = f"{service.transport}/{service.port} {service.protocol}"
        if was in CLOSED and service.outcome is Outcome.ANSWERED:
            found.append(Change(asset=after.id, field=name, before="closed", after="open"))
        if was is Outcome.ANSWERED and service.outcome in CLOSED:
            found.append(Change(asset=after.id, field=name, before="open", after="closed"))
    return found


def _ids(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


# --- findings ----------------------------------------------------------------------------------


def _by_subject(findings: Sequence[Finding]) -> Judged:
    found: dict[tuple[str, ...], list[tuple[str, Verdict]]] = defaultdict(list)
    for finding in findings:
        if finding.of_several:
            for name, asset in spread(finding):
                found[finding.check, "asset", asset].append((name, finding.verdict))
        else:
            found[_subject(finding)].append((finding.id, finding.verdict))
    return found


def _subject(finding: Finding) -> tuple[str, ...]:
    return (
        finding.check,
        finding.scope,
        finding.asset or finding.conduit or finding.zone or "",
    )


def _is_fixed(failure: Finding, judged: Judged) -> bool:
    """
    Whether the later run looked again and the failure is no more.

    When its id is there, its verdict decides. When it is not (the service is closed, the account
    removed), the check must have settled everything else on that subject, so that nothing hides.
    """
    now = judged.get(_subject(failure), ())
    for name, verdict in now:
        if name == failure.id:
            return verdict in SETTLED
    return bool(now) and all(v in SETTLED or v is Verdict.FAIL for _, v in now)


# --- levels ------------------------------------------------------------------------------------


def _levels(old: Sequence[Level], new: Sequence[Level]) -> tuple[LevelChange, ...]:
    before = {(level.zone, level.conduit, level.fr): level for level in old}
    after = {(level.zone, level.conduit, level.fr): level for level in new}
    found: list[LevelChange] = []
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        change = LevelChange(
            zone=key[0],
            conduit=key[1],
            fr=key[2],
            low_before=one.sl_a_low if one else None,
            low_after=other.sl_a_low if other else None,
            high_before=one.sl_a_high if one else None,
            high_after=other.sl_a_high if other else None,
        )
        if (change.low_before, change.high_before) != (change.low_after, change.high_after):
            found.append(change)
    return tuple(found)
