"""
From facts to findings: every check on every subject, and a word for what could not be judged.

Pure. A check judges what is there; this module turns what is not there into `not_checked`, with
the reason and, where granting something would help, with what to grant. A missing fact is never a
pass; what was read from an imported file may let a check fail, and never pass. One broken check
costs its own finding on that subject.

A check that reads a fact is judged per service that told it (a device may offer the same protocol
on two ports), so ids end in "port N" there. Ids are stable over runs:
"check/scope/subject[/port N][/about]".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Literal

from scanner.correlate import SERVICE_ORDER, reach
from scanner.facts import (
    Account,
    ClaimedDevice,
    DeviceSettings,
    Fact,
    LoginUnavailable,
    RunningConfiguration,
    ServiceAccess,
)
from scanner.model import (
    Asset,
    ConduitInfo,
    DeviceClass,
    Finding,
    Observation,
    Outcome,
    Place,
    Presence,
    Tier,
    Topology,
    Verdict,
    ZoneInfo,
)
from scanner.spec import Check, Conduit, Inventory, Judgement, SitePolicy, Zone

WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.NOT_CHECKED,
    Verdict.MANUAL,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)

NEVER_MET = frozenset(
    {
        Presence.DECLARED_AND_SILENT,
        Presence.NOT_VISITED,
        Presence.DECLARED_WITHOUT_ADDRESS,
        Presence.CLAIMED,
    }
)
"""Assets of which no question of ours has seen anything."""

SETTINGS = frozenset({Account, DeviceSettings, RunningConfiguration})
"""Facts that a login service only carries: they are about the device, not about the service."""

Scope = Literal["asset", "zone", "conduit", "site"]


def findings(
    checks: Sequence[Check],
    assets: Sequence[Asset],
    observations: Sequence[Observation],
    zones: Sequence[ZoneInfo],
    conduits: Sequence[ConduitInfo],
    site: SitePolicy,
    *,
    stale: Sequence[Observation] = (),
    granted: Mapping[tuple[str, str], Tier] | None = None,
    topology: Topology | None = None,
) -> tuple[Finding, ...]:
    """
    Judge every check on every subject, sorted by id.

    `stale` are answers that were too old to be used (correlate.merge); they serve as reasons only.
    `granted` tells, by zone and address, the tier of devices that have another than their zone.
    """
    seen = _Seen(
        observations={o.id: o for o in observations},
        stale=_by_address(stale),
        tiers={zone.id: zone.tier for zone in zones},
        granted=granted or {},
    )
    whole_zones = [_zone(zone, assets, observations, seen) for zone in zones]
    found: list[Finding] = []
    for check in checks:
        if check.reads is Zone:
            for judged, from_files in whole_zones:
                zone = judged.info
                subject = _Subject(scope="zone", key=zone.id, zone=zone.id)
                found += _whole(check, subject, judged, site, seen, from_files)
        elif check.reads is Conduit:
            for conduit in conduits:
                ends = Conduit(
                    info=conduit,
                    from_assets=tuple(a for a in assets if a.zone == conduit.from_zone),
                    to_assets=tuple(a for a in assets if a.zone == conduit.to_zone),
                )
                subject = _Subject(scope="conduit", key=conduit.id, conduit=conduit.id)
                found += _whole(check, subject, ends, site, seen)
        elif check.reads is Inventory:
            subject = _Subject(scope="site", key=site.site)
            inventory = Inventory(assets=tuple(assets), topology=topology or Topology())
            found += _whole(check, subject, inventory, site, seen)
        else:
            for asset in assets:
                found += _on_asset(check, asset, site, seen)
    return _one_per_id(found)


def _zone(
    zone: ZoneInfo, assets: Sequence[Asset], observations: Sequence[Observation], seen: _Seen
) -> tuple[Zone, frozenset[str]]:
    """The zone as its checks read it, and its assets that are known from imported files only."""
    own = tuple(asset for asset in assets if asset.zone == zone.id)
    judged = Zone(info=zone, assets=own, unasked=_unasked(zone, observations))
    return judged, frozenset(asset.id for asset in own if _from_files_only(asset, seen))


def _unasked(zone: ZoneInfo, observations: Sequence[Observation]) -> int:
    """How many device addresses of the zone's networks were not asked, or not to the end."""
    own = _by_address(o for o in observations if o.zone == zone.id)
    asked = {ip_address(a) for (_, a), seen in own.items() if reach(seen) != "not_visited"}
    numbers = {
        version: sorted(int(address) for address in asked if address.version == version)
        for version in (4, 6)
    }
    total = 0
    for text in zone.networks:
        network = ip_network(text)
        edges = 2 if network.version == 4 and network.prefixlen <= 30 else 0
        first, last = int(network.network_address), int(network.broadcast_address)
        known = numbers[network.version]
        inside = bisect_right(known, last) - bisect_left(known, first)
        total += max(network.num_addresses - edges - inside, 0)
    return total


def _one_per_id(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """
    Sorted by id, the worst where an id came twice: one port of a chassis with two addresses may
    tell a fact at the one and not at the other.
    """
    worst: dict[str, Finding] = {}
    for finding in sorted(found, key=lambda f: (f.id, WORST_FIRST.index(f.verdict))):
        worst.setdefault(finding.id, finding)
    return tuple(worst.values())


# --- subjects ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    scope: Scope
    key: str
    zone: str | None = None
    asset: str | None = None
    conduit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the judgements rest on, looked up by id."""

    observations: Mapping[str, Observation]
    stale: Mapping[tuple[str, str], list[Observation]]
    tiers: Mapping[str, Tier]
    granted: Mapping[tuple[str, str], Tier]

    def tier(self, asset: Asset) -> Tier | None:
        own = self.granted.get((asset.zone, asset.address or ""))
        return own or self.tiers.get(asset.zone)

    def of(self, asset: Asset) -> tuple[Observation, ...]:
        return tuple(
            self.observations[name] for name in asset.observations if name in self.observations
        )

    def outdated(self, asset: Asset) -> tuple[Observation, ...]:
        return tuple(o for a in asset.addresses for o in self.stale.get((asset.zone, a), ()))


def _from_files_only(asset: Asset, seen: _Seen) -> bool:
    """Whether imported files alone show that this device is there."""
    own = seen.of(asset)
    return reach(own) == "seen" and reach(o for o in own if not o.imported) != "seen"


def _class_from_files(asset: Asset, seen: _Seen) -> bool:
    """Whether imported files alone say what kind of device it is: that excuses it from nothing."""
    told = [seen.observations.get(name) for name in asset.sources.get("device_class", ())]
    return bool(told) and all(one is not None and one.imported for one in told)


def _no_pass(judgement: Judgement, why: str) -> Judgement:
    """What somebody recorded or wrote elsewhere lets nothing pass: the device has to be asked."""
    return replace(
        judgement, verdict=Verdict.NOT_CHECKED, summary=f"{judgement.summary}, but {why}"
    )


def _whole(
    check: Check,
    subject: _Subject,
    judged: object,
    site: SitePolicy,
    seen: _Seen,
    from_files: frozenset[str] = frozenset(),
) -> list[Finding]:
    by_id: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in _judge(check, judged, site):
        if judgement.verdict is Verdict.PASS and from_files:
            number = f"{len(from_files)} device{'' if len(from_files) == 1 else 's'}"
            why = f"{number} of the zone were seen in imported files only; ask them"
            judgement = _no_pass(judgement, why)
        by_id[_id(check, subject, "", judgement.about)].append(judgement)
    return [
        _finding(check, subject, name, _worst(own), seen, evidence=_evidence(own))
        for name, own in by_id.items()
    ]


def _on_asset(check: Check, asset: Asset, site: SitePolicy, seen: _Seen) -> list[Finding]:
    subject = _Subject(scope="asset", key=asset.id, zone=asset.zone, asset=asset.id)

    def alone(verdict: Verdict, summary: str, about: str = "") -> Finding:
        name = _id(check, subject, about, "")
        judgement = Judgement(verdict=verdict, summary=summary)
        return _finding(check, subject, name, judgement, seen, evidence=())

    if check.only_for and asset.device_class not in check.only_for:
        concerned = ", ".join(sorted(check.only_for))
        if asset.device_class is not DeviceClass.UNKNOWN and not _class_from_files(asset, seen):
            return [
                alone(Verdict.NOT_APPLICABLE, f"concerns {concerned}, this is {asset.device_class}")
            ]
        if check.reads is Asset or not any(_is_read(check, f) for f in asset.facts):
            return [
                alone(Verdict.NOT_CHECKED, f"concerns {concerned}; what this is was not learned")
            ]
    if check.reads is Asset:
        return _asset_alone(check, subject, asset, site, seen)
    judged = _facts(check, subject, asset, site, seen)
    if asset.parent is not None:
        # The services of a device behind a device are those of the one in front, judged there.
        return judged
    judged += [
        alone(verdict, summary, about) for about, verdict, summary in _missing(check, asset, seen)
    ]
    return judged


def _asset_alone(
    check: Check, subject: _Subject, asset: Asset, site: SitePolicy, seen: _Seen
) -> list[Finding]:
    answered = tuple(o.id for o in seen.of(asset) if o.outcome is Outcome.ANSWERED)
    by_id: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in _judge(check, asset, site):
        told = any(not isinstance(fact, ClaimedDevice) for fact in asset.facts)
        if judgement.verdict is Verdict.PASS and _from_files_only(asset, seen):
            judgement = _no_pass(judgement, "it was seen in imported files only; ask it")
        elif judgement.verdict is Verdict.PASS and not told and asset.presence in NEVER_MET:
            judgement = Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=f"nothing is known about this device: {_why_unseen(asset, seen)}",
                about=judgement.about,
            )
        by_id[_id(check, subject, "", judgement.about)].append(judgement)
    return [
        _finding(check, subject, name, _worst(own), seen, evidence=_evidence(own) or answered)
        for name, own in by_id.items()
    ]


def _is_read(check: Check, fact: Fact) -> bool:
    """Whether the check is about this fact; one that many services tell says of which it is."""
    if isinstance(fact, ServiceAccess) and fact.protocol not in check.protocols:
        return False
    return isinstance(fact, check.reads)


def _facts(
    check: Check, subject: _Subject, asset: Asset, site: SitePolicy, seen: _Seen
) -> list[Finding]:
    """
    Judge each fact of the type that the check reads.

    Judgements that share an id come from several facts of one service. A failure or an error
    anywhere stands; else what the deepest tier told, and there the worst.
    """
    by_id: dict[str, list[tuple[Tier, Judgement]]] = defaultdict(list)
    rests_on: dict[str, list[str]] = defaultdict(list)
    for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
        if not _is_read(check, fact):
            continue
        observation = seen.observations.get(source)
        port = _port(observation)
        for judgement in _judge(check, fact, site):
            if (
                judgement.verdict is Verdict.PASS
                and observation is not None
                and observation.imported
            ):
                judgement = _no_pass(judgement, f"only {observation.source} says so; ask it")
            if judgement.verdict is Verdict.NOT_CHECKED and observation is not None:
                judgement = _with_reason(judgement, check, asset, observation, seen)
            name = _id(check, subject, port, judgement.about)
            by_id[name].append((observation.tier if observation else Tier.PASSIVE, judgement))
            rests_on[name] += [source, *judgement.evidence]
    found = []
    for name, own in by_id.items():
        deepest = max(tier.rank for tier, _ in own)
        told = [
            judgement
            for tier, judgement in own
            if tier.rank == deepest or judgement.verdict in (Verdict.FAIL, Verdict.ERROR)
        ]
        found.append(
            _finding(check, subject, name, _worst(told), seen, evidence=tuple(rests_on[name]))
        )
    return found


def _with_reason(
    judgement: Judgement, check: Check, asset: Asset, observation: Observation, seen: _Seen
) -> Judgement:
    """A fact from a gentler tier lacks what only the check's own tier tells: say why it is not."""
    if observation.tier.allows(check.tier):
        return judgement
    end = (observation.address, observation.port, observation.protocol)
    own = [o for o in seen.of(asset) if (o.address, o.port, o.protocol) == end]
    reason = _why_nothing(check, asset, own, seen).removeprefix("not learned: ")
    return replace(judgement, summary=f"{judgement.summary} ({reason})")


# --- what is not there -------------------------------------------------------------------------


def _missing(check: Check, asset: Asset, seen: _Seen) -> list[tuple[str, Verdict, str]]:
    """
    (about, verdict, summary) for everything that should have told the fact and did not.

    A service that refused has nothing to judge. When that holds for every service in question of
    a device that answered elsewhere, the check is not applicable; of a device that answered
    nowhere, nothing is known. Silence settles nothing: a firewall may stand before the service.
    Nor does a missing login service make a device's settings inapplicable: it has a clock and
    accounts all the same, and they were not read.
    """
    observations = seen.of(asset)
    told = {
        source
        for fact, source in zip(asset.facts, asset.fact_sources, strict=True)
        if _is_read(check, fact)
    }
    if not check.protocols:
        if told:
            return []
        return [("", Verdict.NOT_CHECKED, _why_nothing(check, asset, (), seen))]

    services: dict[tuple[str, int, str], list[Observation]] = defaultdict(list)
    for observation in observations:
        if observation.protocol in check.protocols:
            end = (observation.address, observation.port, observation.transport.value)
            services[end].append(observation)

    missing: list[tuple[str, Verdict, str]] = []
    absent = 0
    for end in sorted(services):
        own = services[end]
        if any(o.id in told for o in own):
            continue
        outcome = min((o.outcome for o in own), key=SERVICE_ORDER.index)
        if outcome is Outcome.REFUSED:
            absent += 1
        else:
            reason = _why_nothing(check, asset, own, seen)
            missing.append((_port(own[0]), Verdict.NOT_CHECKED, reason))
    if missing or told:
        return _one_per_port(missing)
    if absent and asset.presence not in NEVER_MET:
        ports = ", ".join(f"{port}/{transport}" for _, port, transport in sorted(services))
        if check.reads in SETTINGS:
            reason = (
                f"not learned: settings are read over {' or '.join(check.protocols)}, and {ports}"
            )
            return [("", Verdict.NOT_CHECKED, f"{reason} refused")]
        return [("", Verdict.NOT_APPLICABLE, f"no such service: {ports} refused")]
    return [("", Verdict.NOT_CHECKED, _why_nothing(check, asset, (), seen))]


def _one_per_port(
    missing: Iterable[tuple[str, Verdict, str]],
) -> list[tuple[str, Verdict, str]]:
    """Two addresses of one chassis may lack the same fact on the same port."""
    return list({about: (about, verdict, summary) for about, verdict, summary in missing}.values())


def _why_nothing(check: Check, asset: Asset, own: Sequence[Observation], seen: _Seen) -> str:
    """Why the fact is not there, in words that say what to do about it where one can."""
    if asset.presence in NEVER_MET:
        return f"not learned: {_why_unseen(asset, seen)}"
    for fact in asset.facts:
        if isinstance(fact, LoginUnavailable) and fact.service in check.protocols:
            return f"not learned: the login could not be used ({fact.reason})"
    asked = [o for o in own if o.tier is check.tier]
    for observation in sorted(asked, key=lambda o: SERVICE_ORDER.index(o.outcome)):
        return _why(observation)
    if own and all(o.imported for o in own):
        return f"not learned: seen in {own[0].source}; the device was not asked"
    granted = seen.tier(asset)
    if granted is not None and not granted.allows(check.tier):
        return (
            f"not learned: told in the {check.tier} tier, and {granted} is granted; "
            f"grant `tier: {check.tier}` to learn it"
        )
    if check.tier is Tier.LOGIN and own:
        return "not learned: no published default is known for what it was seen to be"
    for observation in sorted(own, key=lambda o: SERVICE_ORDER.index(o.outcome)):
        if observation.outcome is not Outcome.ANSWERED:
            return _why(observation)
    outdated = [o for o in seen.outdated(asset) if o.protocol in check.protocols]
    if outdated:
        newest = max(outdated, key=lambda o: o.finished_at)
        return f"not learned: last asked {newest.finished_at:%Y-%m-%d}, too long ago to count"
    return "not learned: never asked"


def _why(observation: Observation) -> str:
    place = f"{observation.probe} on {observation.port}/{observation.transport.value}"
    detail = f": {observation.reason}" if observation.reason else ""
    words = {
        Outcome.ANSWERED: "answered, but did not tell",
        Outcome.GARBLED: "answered with bytes that could not be read",
        Outcome.REFUSED: "refused",
        Outcome.SILENT: "kept silent",
        Outcome.INTERRUPTED: "was interrupted",
        Outcome.FAILED: "failed",
        Outcome.BUG: "met an error of our own",
        Outcome.WITHHELD: "was withheld",
    }
    return f"not learned: {place} {words[observation.outcome]}{detail}"


def _why_unseen(asset: Asset, seen: _Seen) -> str:
    if asset.presence is Presence.DECLARED_WITHOUT_ADDRESS:
        return "declared without an address"
    if asset.presence is Presence.CLAIMED:
        return "named by an imported list only"
    observations = seen.of(asset)
    if asset.presence is Presence.DECLARED_AND_SILENT or reach(observations) == "silent":
        return "it answered no question"
    for observation in observations:
        if observation.reason:
            return f"not visited ({observation.reason})"
    outdated = seen.outdated(asset)
    if outdated:
        newest = max(o.finished_at for o in outdated)
        return f"last asked {newest:%Y-%m-%d}, too long ago to count"
    return "not visited"


# --- judgements --------------------------------------------------------------------------------


def _judge(check: Check, subject: Fact | object, site: SitePolicy) -> tuple[Judgement, ...]:
    """What the check says; silence and exceptions become judgements too."""
    judge: Callable[..., tuple[Judgement, ...]] = check.judge
    try:
        said = tuple(judge(subject, site))
        wrong = next((type(one).__name__ for one in said if not isinstance(one, Judgement)), None)
    except Exception as error:
        # Only the type: the text of an exception may quote what a device sent.
        return (
            Judgement(
                verdict=Verdict.ERROR,
                summary=f"the check broke with {type(error).__name__}; nothing is known",
            ),
        )
    if wrong is not None:
        return (
            Judgement(
                verdict=Verdict.ERROR, summary=f"the check returned {wrong}; nothing is known"
            ),
        )
    return said or (Judgement(verdict=Verdict.NOT_CHECKED, summary="the check had nothing to say"),)


def _worst(judgements: Sequence[Judgement]) -> Judgement:
    """The worst of several on one subject; among equals the severest weight and every place."""
    verdict = min((j.verdict for j in judgements), key=WORST_FIRST.index)
    equal = [j for j in judgements if j.verdict is verdict]
    weights = [j.severity for j in equal if j.severity is not None]
    return Judgement(
        verdict=verdict,
        summary="; ".join(dict.fromkeys(j.summary for j in equal)),
        places=tuple(dict.fromkeys(place for j in equal for place in j.places)),
        severity=min(weights, key=lambda s: s.rank) if weights else None,
        about=equal[0].about,
        evidence=tuple(dict.fromkeys(name for j in equal for name in j.evidence)),
        requirements=_union(equal),
    )


def _union(judgements: Sequence[Judgement]) -> tuple[str, ...] | None:
    """The requirements that several touch together; None: all of the check's."""
    named: dict[str, None] = {}
    for judgement in judgements:
        if judgement.requirements is None:
            return None
        named.update(dict.fromkeys(judgement.requirements))
    return tuple(named)


def _finding(
    check: Check,
    subject: _Subject,
    name: str,
    judgement: Judgement,
    seen: _Seen,
    *,
    evidence: Sequence[str],
) -> Finding:
    places = judgement.places
    if subject.scope == "asset":
        own = Place(zone=subject.zone, asset=subject.asset)
        places = (own, *(place for place in places if place != own))
    return Finding(
        id=name,
        check=check.id,
        title=check.title,
        scope=subject.scope,
        zone=subject.zone,
        asset=subject.asset,
        conduit=subject.conduit,
        places=places,
        verdict=judgement.verdict,
        severity=judgement.severity or check.severity,
        exploitability=check.exploitability,
        effort=check.effort,
        requirements=(
            check.requirements if judgement.requirements is None else judgement.requirements
        ),
        summary=judgement.summary,
        remedy=check.remedy,
        needs_outage=check.needs_outage,
        evidence=_with_exchanges(evidence, seen),
    )


def _evidence(judgements: Sequence[Judgement]) -> tuple[str, ...]:
    return tuple(name for judgement in judgements for name in judgement.evidence)


def _with_exchanges(names: Iterable[str], seen: _Seen) -> tuple[str, ...]:
    """Each observation followed by the exchanges it rests on, each id once."""
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        observation = seen.observations.get(name)
        if observation is not None:
            found.update(dict.fromkeys(observation.exchanges))
    return tuple(found)


def _id(check: Check, subject: _Subject, port: str, about: str) -> str:
    return "/".join(part for part in (check.id, subject.scope, subject.key, port, about) if part)


def _port(observation: Observation | None) -> str:
    """Which service, as part of an id; what was read from files (port 0) has none."""
    return f"port {observation.port}" if observation is not None and observation.port else ""


def _by_address(
    observations: Iterable[Observation],
) -> dict[tuple[str, str], list[Observation]]:
    found: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for observation in observations:
        found[observation.zone, observation.address].append(observation)
    return found
