"""
From observations to assets: who is there, what is it, and is it what the owner declared.

Pure. Nothing is dropped: sources that disagree become conflicts, responders that tell nothing
become assets with an empty identity, declared assets that were not asked stay as not visited.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final, Literal

from scanner.facts import (
    ClaimedDevice,
    Conversation,
    DeviceIdentity,
    Fact,
    LinkAddress,
    Neighbour,
)
from scanner.makers import maker
from scanner.model import (
    ACTIVE,
    IDENTITY_FIELDS,
    NOBODY_THERE,
    Asset,
    Confidence,
    Conflict,
    DeviceClass,
    Exchange,
    Flow,
    Identity,
    Observation,
    Outcome,
    Presence,
    Service,
)

DECLARED: Final = "declared"
"""Stands in `sources` and conflicts where a value comes from the site file."""

SETTLED = frozenset({Outcome.ANSWERED, Outcome.REFUSED, Outcome.SILENT, Outcome.GARBLED})
"""Outcomes that say something about the device; the others say something about us."""

SERVICE_ORDER = (
    Outcome.ANSWERED,
    Outcome.GARBLED,
    Outcome.REFUSED,
    Outcome.SILENT,
    Outcome.INTERRUPTED,
    Outcome.FAILED,
    Outcome.BUG,
    Outcome.WITHHELD,
)
"""What a service's outcome is when questions to it ended differently: the first that occurred."""

BASES = ("protocol", "table", "text")

Reach = Literal["seen", "silent", "not_visited"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """
    One asset as the owner declares it. `addresses` are further addresses of the same chassis.

    `identity` holds what the owner says it is; None in a field means the owner does not say.
    """

    zone: str
    address: str | None
    addresses: tuple[str, ...] = ()
    name: str | None = None
    identity: Identity = field(default_factory=Identity)
    device_class: DeviceClass | None = None
    criticality: str | None = None
    expected_services: tuple[Flow, ...] = ()


# --- several runs ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """`stale` are the newest answers to questions that nobody asked again in time."""

    observations: tuple[Observation, ...]
    stale: tuple[Observation, ...]


Question = tuple[str, str, int, str, str, str]


def question(observation: Observation) -> Question:
    """What makes two observations answers to the same question."""
    return (
        observation.zone,
        observation.address,
        observation.port,
        observation.transport.value,
        observation.probe,
        observation.tier.value,
    )


def merge(
    observations: Iterable[Observation],
    *,
    now: datetime | None = None,
    max_age: timedelta | None = None,
) -> Merged:
    """
    Keep the newest observation per question; put those older than `max_age` at `now` aside.

    A question that was withheld, interrupted or failed is no answer: it never displaces an older
    one that is (a second night that had no time left for a device takes nothing away).
    """
    newest: dict[Question, Observation] = {}
    for observation in sorted(observations, key=_age_order):
        newest[question(observation)] = observation
    kept = sorted(newest.values(), key=lambda o: (o.started_at, question(o), o.id))
    if now is None or max_age is None:
        return Merged(observations=tuple(kept), stale=())
    return Merged(
        observations=tuple(o for o in kept if now - o.finished_at <= max_age),
        stale=tuple(o for o in kept if now - o.finished_at > max_age),
    )


def _age_order(observation: Observation) -> tuple[bool, datetime, str]:
    return (observation.outcome in SETTLED, observation.finished_at, observation.id)


def qualified(
    run: str, observations: Sequence[Observation], exchanges: Sequence[Exchange]
) -> tuple[tuple[Observation, ...], tuple[Exchange, ...]]:
    """Append "@run" to every id, so that runs which both count from 1 can stand side by side."""
    return (
        tuple(
            replace(o, id=f"{o.id}@{run}", exchanges=tuple(f"{x}@{run}" for x in o.exchanges))
            for o in observations
        ),
        tuple(replace(x, id=f"{x.id}@{run}") for x in exchanges),
    )


# --- comparing values --------------------------------------------------------------------------


def clean(value: str | None) -> str | None:
    """Without blanks and NULs at the ends; None when nothing is left."""
    stripped = (value or "").strip(" \t\r\n\0")
    return stripped or None


def normal(name: str, value: str) -> str:
    """
    The form in which two values of the identity field `name` are compared.

    Numbers for ordering and serial numbers are printed with and without blanks, versions with and
    without a "V"; neither makes a difference.
    """
    text = " ".join(value.replace("\0", " ").split()).casefold()
    if name in ("order_number", "serial"):
        return text.replace(" ", "")
    if name in ("hardware", "firmware"):
        return re.sub(r"\bv\.?\s*(?=\d)", "", text)
    return text


def same(name: str, one: str, other: str) -> bool:
    return normal(name, one) == normal(name, other)


def contains(name: str, longer: str, shorter: str) -> bool:
    """Whether `longer` says all that `shorter` says: "SIMATIC S7-1200" holds "S7-1200"."""
    whole, part = normal(name, longer), normal(name, shorter)
    start = whole.find(part)
    while start >= 0 and part:
        # Only whole words: version 4.2 is no part of version 14.2.
        before, after = whole[:start][-1:], whole[start + len(part) :][:1]
        if not (before.isalnum() and part[0].isalnum()) and not (
            after.isalnum() and part[-1].isalnum()
        ):
            return True
        start = whole.find(part, start + 1)
    return False


def agree(name: str, one: str, other: str) -> bool:
    return contains(name, one, other) or contains(name, other, one)


# --- assets ------------------------------------------------------------------------------------


def reach(observations: Iterable[Observation]) -> Reach:
    """
    Whether something was there.

    A connection that came about proves a device, even one that hangs up or says nothing (many let
    only known masters speak). A refused one does too, except on loopback, where the local kernel
    refuses for every address; there it counts as silence. What was read from files (port 0) shows
    nothing, but for a capture or log of the device's own packets (connected). Silence needs every
    question asked to its end: a device of which some were withheld, interrupted or failed may have
    answered just those.
    """
    silent = open_ = False
    for observation in observations:
        if observation.port == 0 and not observation.connected:
            continue
        if observation.connected or observation.outcome in (Outcome.ANSWERED, Outcome.GARBLED):
            return "seen"
        if observation.outcome is Outcome.REFUSED and not _is_loopback(observation.address):
            return "seen"
        if observation.outcome in SETTLED:
            silent = True
        elif observation.reason != NOBODY_THERE:
            open_ = True
    return "silent" if silent and not open_ else "not_visited"


def assets(observations: Sequence[Observation], declared: Sequence[Declared]) -> tuple[Asset, ...]:
    """
    One asset per declared device and per responder, devices behind devices after their parent.

    Identities come from DeviceIdentity facts: what was asked before what was imported; then per
    field a value made for the purpose before one from a table before one recognised in text, then
    the deeper tier, then the older observation (of imported ones: the newer). A longer value of the
    same standing that contains the preferred one replaces it; any other value is a conflict.

    What a list claims (ClaimedDevice) is no part of an identity: where it differs it is a conflict,
    and a device that only lists name is an asset of its own, claimed.
    """
    chassis = {
        (entry.zone, address): entry.address
        for entry in declared
        if entry.address is not None
        for address in (entry.address, *entry.addresses)
    }
    by_device: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for observation in observations:
        key = (observation.zone, observation.address)
        by_device[observation.zone, chassis.get(key, observation.address)].append(observation)

    found: list[Asset] = []
    for entry in declared:
        if entry.address is None:
            found.append(_without_address(entry))
        else:
            own = by_device.pop((entry.zone, entry.address), [])
            found += _device(entry.zone, entry.address, own, entry)
    for (zone, address), own in by_device.items():
        if reach(own) == "seen":
            found += _device(zone, address, own, None)
        elif any(isinstance(fact, ClaimedDevice) for o in own for fact in o.facts):
            found.append(_claimed(zone, address, own))
    return tuple(sorted(found, key=_asset_order))


def asset_id(zone: str, address: str | None, sub_address: str | None, name: str | None) -> str:
    """As model.Asset describes it."""
    if address is None:
        return f"{zone}/name:{name or ''}"
    return f"{zone}/{address}" + (f"#{sub_address}" if sub_address is not None else "")


def _device(
    zone: str, address: str, observations: Sequence[Observation], declared: Declared | None
) -> list[Asset]:
    ordered = sorted(observations, key=lambda o: (o.started_at, question(o), o.id))
    outdated = _outdated(ordered)
    facts = [
        (fact, o)
        for o in ordered
        if o.outcome is Outcome.ANSWERED
        for fact in o.facts
        if o.id not in outdated or isinstance(fact, LASTING)
    ]
    own = [(fact, o) for fact, o in facts if _sub_address(fact) is None]
    behind: dict[str, list[tuple[Fact, Observation]]] = defaultdict(list)
    for fact, observation in facts:
        sub_address = _sub_address(fact)
        if sub_address is not None:
            behind[sub_address].append((fact, observation))

    parent = asset_id(zone, address, None, None)
    resolved = _resolve(own, declared)
    device = Asset(
        id=parent,
        zone=zone,
        address=address,
        sub_address=None,
        parent=None,
        name=(declared.name if declared else None) or resolved.identity.name,
        device_class=resolved.device_class,
        identity=resolved.identity,
        services=_services([o for o in ordered if o.id not in outdated]),
        sources=resolved.sources,
        conflicts=resolved.conflicts,
        presence=_presence(ordered, declared, resolved.identity),
        declared=declared.identity if declared else None,
        criticality=declared.criticality if declared else None,
        addresses=_unique((address, *(declared.addresses if declared else ()))),
        facts=tuple(fact for fact, _ in own),
        fact_sources=tuple(o.id for _, o in own),
        observations=tuple(o.id for o in ordered),
        expected_services=declared.expected_services if declared else (),
        origins=_unique(map(origin, ordered)),
        confidence=resolved.confidence,
        interface_makers=_interface_makers(fact for fact, _ in own),
    )
    return [device, *(_behind(device, sub, behind[sub]) for sub in sorted(behind, key=_natural))]


def _behind(device: Asset, sub_address: str, facts: Sequence[tuple[Fact, Observation]]) -> Asset:
    """A device behind a device. Nobody declares it: it is as declared as the one in front."""
    resolved = _resolve(facts, None)
    undeclared = device.presence is Presence.SEEN_AND_UNDECLARED
    return Asset(
        id=asset_id(device.zone, device.address, sub_address, None),
        zone=device.zone,
        address=device.address,
        sub_address=sub_address,
        parent=device.id,
        name=resolved.identity.name,
        device_class=resolved.device_class,
        identity=resolved.identity,
        services=(),
        sources=resolved.sources,
        conflicts=resolved.conflicts,
        presence=Presence.SEEN_AND_UNDECLARED if undeclared else Presence.DECLARED_AND_SEEN,
        declared=None,
        criticality=device.criticality,
        addresses=device.addresses,
        facts=tuple(fact for fact, _ in facts),
        fact_sources=tuple(o.id for _, o in facts),
        observations=_unique(o.id for _, o in facts),
        origins=_unique(origin(o) for _, o in facts),
        confidence=resolved.confidence,
    )


def _interface_makers(facts: Iterable[Fact]) -> dict[str, str]:
    """What the MAC addresses that were told of a device say of its interfaces."""
    macs = (
        fact.mac for fact in facts if isinstance(fact, LinkAddress | ClaimedDevice) and fact.mac
    )
    return {mac: made_by for mac in macs if (made_by := maker(mac))}


def origin(observation: Observation) -> str:
    """Where an observation comes from, in the words of Asset.origins."""
    if not observation.imported:
        return "asked" if observation.source == ACTIVE else observation.source
    return observation.source.partition(DIGEST)[0]


DIGEST = " (SHA-256 "
"""Parts an imported observation's source: before it the file, after it digest and place."""

BY_NAME = "name:"
"""Before the name of a claimed device that has no address, where others have their address."""


def _claimed(zone: str, address: str, observations: Sequence[Observation]) -> Asset:
    """A device that lists name and nobody saw. `declared` is what the newest of them says."""
    ordered = sorted(observations, key=lambda o: (o.finished_at, question(o), o.id))
    told = [(fact, o) for o in ordered for fact in o.facts]
    newest = next(fact for fact, _ in reversed(told) if isinstance(fact, ClaimedDevice))
    named = address.startswith(BY_NAME)
    return Asset(
        id=f"{zone}/{address}",
        zone=zone,
        address=None if named else address,
        sub_address=None,
        parent=None,
        name=newest.name,
        device_class=DeviceClass.UNKNOWN,
        identity=Identity(),
        services=(),
        sources={},
        conflicts=(),
        presence=Presence.CLAIMED,
        declared=_as_identity(newest),
        criticality=None,
        addresses=() if named else (address,),
        facts=tuple(fact for fact, _ in told),
        fact_sources=tuple(o.id for _, o in told),
        observations=tuple(o.id for o in ordered),
        origins=_unique(map(origin, ordered)),
        interface_makers=_interface_makers(fact for fact, _ in told),
    )


def _as_identity(claim: ClaimedDevice) -> Identity:
    return Identity(
        vendor=claim.vendor,
        model=claim.model,
        order_number=claim.order_number,
        hardware=claim.hardware,
        firmware=claim.firmware,
        serial=claim.serial,
        name=claim.own_name,
    )


def _without_address(declared: Declared) -> Asset:
    return Asset(
        id=asset_id(declared.zone, None, None, declared.name),
        zone=declared.zone,
        address=None,
        sub_address=None,
        parent=None,
        name=declared.name,
        device_class=declared.device_class or DeviceClass.UNKNOWN,
        identity=Identity(),
        services=(),
        sources={"device_class": (DECLARED,)} if declared.device_class else {},
        confidence={"device_class": DECLARED} if declared.device_class else {},
        conflicts=(),
        presence=Presence.DECLARED_WITHOUT_ADDRESS,
        declared=declared.identity,
        criticality=declared.criticality,
        addresses=(),
        facts=(),
        fact_sources=(),
        observations=(),
        expected_services=declared.expected_services,
    )


def _presence(
    observations: Sequence[Observation], declared: Declared | None, seen: Identity
) -> Presence:
    reached = reach(observations)
    if declared is None:
        return Presence.SEEN_AND_UNDECLARED
    if reached == "not_visited":
        return Presence.NOT_VISITED
    if reached == "silent":
        return Presence.DECLARED_AND_SILENT
    if differences(declared.identity, seen):
        return Presence.IDENTITY_DIFFERS
    return Presence.DECLARED_AND_SEEN


def differences(declared: Identity, seen: Identity) -> tuple[str, ...]:
    """Identity fields that both sides tell and that do not agree."""
    return tuple(
        name
        for name in IDENTITY_FIELDS
        if (one := clean(getattr(declared, name))) is not None
        and (other := clean(getattr(seen, name))) is not None
        and not agree(name, one, other)
    )


# --- fields ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resolved:
    identity: Identity
    device_class: DeviceClass
    sources: dict[str, tuple[str, ...]]
    conflicts: tuple[Conflict, ...]
    confidence: dict[str, Confidence]


def _resolve(facts: Sequence[tuple[Fact, Observation]], declared: Declared | None) -> _Resolved:
    told = sorted(
        ((fact, o) for fact, o in facts if isinstance(fact, DeviceIdentity)), key=_preference
    )
    claims = [
        (_as_identity(fact), o)
        for fact, o in sorted(facts, key=lambda pair: (pair[1].finished_at, pair[1].id))
        if isinstance(fact, ClaimedDevice)
    ]
    values: dict[str, str] = {}
    sources: dict[str, tuple[str, ...]] = {}
    conflicts: list[Conflict] = []
    confidence: dict[str, Confidence] = {}
    for name in IDENTITY_FIELDS:
        candidates = [
            (value, o.id) for fact, o in told if (value := clean(getattr(fact, name))) is not None
        ]
        if not candidates:
            continue
        imported = [o.imported for fact, o in told if clean(getattr(fact, name)) is not None]
        shown, source = _choose(name, candidates[: imported.count(imported[0])])
        values[name] = shown
        confidence[name] = next(
            fact.basis for fact, o in told if o.id == source and clean(getattr(fact, name)) == shown
        )
        sources[name] = _unique(
            (source, *(origin for value, origin in candidates if agree(name, shown, value)))
        )
        claimed = [
            (value, o.id) for said, o in claims if (value := clean(getattr(said, name))) is not None
        ]
        others = _distinct(name, shown, [*candidates, *claimed])
        if others:
            conflicts.append(Conflict(field=name, values=((shown, source), *others)))

    classes = [(kind, o.id) for fact, o in told if (kind := _class(fact.device_class))]
    bases: list[Confidence] = [fact.basis for fact, _ in told if _class(fact.device_class)]
    if declared and declared.device_class and declared.device_class is not DeviceClass.UNKNOWN:
        classes.append((declared.device_class, DECLARED))
        bases.append(DECLARED)
    device_class = classes[0][0] if classes else DeviceClass.UNKNOWN
    if classes:
        confidence["device_class"] = bases[0]
        sources["device_class"] = _unique(o for kind, o in classes if kind is device_class)
        rest = {kind: origin for kind, origin in reversed(classes) if kind is not device_class}
        if rest:
            first = (device_class.value, classes[0][1])
            others = tuple((kind.value, origin) for kind, origin in reversed(rest.items()))
            conflicts.append(Conflict(field="device_class", values=(first, *others)))
    return _Resolved(
        identity=Identity(**values),
        device_class=device_class,
        sources=sources,
        conflicts=tuple(conflicts),
        confidence=confidence,
    )


def _preference(
    told: tuple[DeviceIdentity, Observation],
) -> tuple[bool, int, int, float, str, int, datetime, str]:
    """
    Never by time first: a scan that was broken off and resumed shows what a whole one shows.
    Only among imported files, which may be years apart, the newer one comes first.
    """
    fact, observation = told
    imported = observation.imported
    return (
        imported,
        BASES.index(fact.basis),
        -observation.tier.rank,
        -observation.finished_at.timestamp() if imported else 0.0,
        observation.protocol,
        observation.port,
        observation.finished_at,
        observation.id,
    )


def _choose(name: str, candidates: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """The preferred value, or the longest one that says the same and more."""
    preferred = candidates[0]
    fuller = [one for one in candidates if contains(name, one[0], preferred[0])]
    return max(fuller, key=lambda one: len(normal(name, one[0])), default=preferred)


def _distinct(
    name: str, shown: str, candidates: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    differing: dict[str, tuple[str, str]] = {}
    for value, origin in candidates:
        if not agree(name, shown, value):
            differing.setdefault(normal(name, value), (value, origin))
    return tuple(differing.values())


def _class(value: str | None) -> DeviceClass | None:
    try:
        kind = DeviceClass(value or "")
    except ValueError:
        return None
    return None if kind is DeviceClass.UNKNOWN else kind


LASTING = (DeviceIdentity, ClaimedDevice, Conversation, LinkAddress, Neighbour)
"""Facts about the device and its network; the others are about the state of a service."""


def _outdated(observations: Sequence[Observation]) -> frozenset[str]:
    """Ids of imported observations of a service that was asked since: of it they are history."""
    asked: dict[tuple[str, int, str], datetime] = {}
    for one in observations:
        if not one.imported and one.port > 0 and one.outcome in SETTLED:
            end = (one.address, one.port, one.transport.value)
            asked[end] = max(one.finished_at, asked.get(end, one.finished_at))
    return frozenset(
        one.id
        for one in observations
        if one.imported
        and (since := asked.get((one.address, one.port, one.transport.value))) is not None
        and one.finished_at <= since
    )


def _services(observations: Sequence[Observation]) -> tuple[Service, ...]:
    ends: Mapping[tuple[str, int, str], list[Observation]] = defaultdict(list)
    for observation in observations:
        if observation.port > 0:
            key = (observation.transport.value, observation.port, observation.protocol)
            ends[key].append(observation)
    return tuple(
        Service(
            transport=own[0].transport,
            port=own[0].port,
            protocol=own[0].protocol,
            outcome=min((o.outcome for o in own), key=SERVICE_ORDER.index),
        )
        for _, own in sorted(ends.items())
    )


def _sub_address(fact: Fact) -> str | None:
    return getattr(fact, "sub_address", None)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _asset_order(asset: Asset) -> tuple[str, int, int, list[tuple[int, str]], str]:
    """By zone, then address as a number, then sub-address with "unit 2" before "unit 10"."""
    version, number = 9, 0
    if asset.address is not None:
        try:
            ip = ip_address(asset.address)
        except ValueError:
            pass
        else:
            version, number = ip.version, int(ip)
    return (asset.zone, version, number, _natural(asset.sub_address or ""), asset.id)


def _natural(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]{1,18})", text)
    return [(int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)]


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
