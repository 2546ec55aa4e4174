"""
The report as one HTML file that opens from disk without a network.

Pure: the assessment is the only input, so equal assessments give equal bytes. Foreign text passes
twice: Jinja2 escapes the markup, and before that every value printed by a template goes through
`reports.inert` (the environment's `finalize`), so no template can forget it. The style and the
script stand inline, and the content security policy names their hashes: nothing else may run,
load or be sent.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import diagram, network
from reports.inert import bounded
from scanner.facts import Fact
from scanner.model import (
    FR_IDS,
    IDENTITY_FIELDS,
    Assessment,
    Asset,
    Exchange,
    Finding,
    Gap,
    Level,
    Observation,
    Outcome,
    OutsideDevice,
    Placement,
    Presence,
    RequirementResult,
    RequirementVerdict,
    Severity,
    TopologyLink,
    Verdict,
    ZoneInfo,
    ZoneScore,
)

TEXT_LIMIT = 4000
"""Characters of one value that are shown."""

DUMP_LIMIT, DUMP_LIMIT_BESIDE = 512, 160
"""Bytes shown of a request or reply that a failing finding rests on, and of any other."""

DUMPS, DUMPS_BESIDE = 8, 3
"""Exchanges of one question shown with their bytes, likewise."""

FACTS = 40
"""Decoded facts shown per question."""

TOP_GAPS = 5

NETWORK_ROWS = 1_000
"""Rows of each table of the network; a forwarding table may be full of invented devices."""

REASONS = 3
"""Reasons named per outcome in the summary."""

OPENING = 120
"""Characters of a long text that stand in a table; the rest unfolds."""

VERDICT_SIGNS = {
    RequirementVerdict.MET: "✓",
    RequirementVerdict.PARTIALLY_MET: "◐",
    RequirementVerdict.NOT_MET: "✗",
    RequirementVerdict.COMPENSATED: "⇄",
    RequirementVerdict.NOT_APPLICABLE: "–",
    RequirementVerdict.NOT_ASSESSED: "?",
}
"""What stands beside the colour, for print and for eyes that see no difference of colours."""

PRESENCE_WORDS = {
    Presence.DECLARED_AND_SEEN: "Declared and seen",
    Presence.DECLARED_AND_SILENT: "Declared and silent",
    Presence.SEEN_AND_UNDECLARED: "Seen and undeclared",
    Presence.IDENTITY_DIFFERS: "Identity differs from what is declared",
    Presence.DECLARED_WITHOUT_ADDRESS: "Declared without an address",
    Presence.NOT_VISITED: "Not visited",
    Presence.CLAIMED: "Named by an imported list only, neither declared nor seen",
}

PHASES = {1: "0 to 3 months", 2: "3 to 12 months", 3: "12 to 24 months"}

UNSEEN = {
    Outcome.WITHHELD: "withheld by a safety rule, a tier or the window",
    Outcome.SILENT: "without any answer",
    Outcome.REFUSED: "met a closed port",
    Outcome.GARBLED: "answered with something that could not be read",
    Outcome.INTERRUPTED: "interrupted before their end",
    Outcome.FAILED: "failed on the way",
    Outcome.BUG: "lost to a fault of this tool",
}
"""What became of questions that taught nothing, in words."""

HOW_SURE = {
    "protocol": "told in a field for it",
    "table": "looked up by a number",
    "text": "recognised in a text",
    "declared": "the site file's word",
}
"""How a field of an identity is known, the surest first."""


def render(assessment: Assessment) -> bytes:
    """The whole report, UTF-8."""
    style, script = _part("style.css"), _part("script.js")
    text = (
        _environment()
        .get_template("report.html")
        .render(
            a=assessment,
            view=_view(assessment),
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            diagram=diagram.draw(assessment),
            network=network.draw(assessment.topology),
        )
    )
    return text.encode("utf-8")


# --- what the templates are given --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A zone or a conduit as a column of the matrix."""

    name: str
    kind: str
    anchor: str
    zone: str | None
    conduit: str | None

    @property
    def key(self) -> tuple[str | None, str | None]:
        return self.zone, self.conduit


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    id: str
    title: str
    sl: int
    enhancement: bool
    cells: tuple[RequirementResult | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixGroup:
    fr: str
    title: str
    levels: tuple[Level | None, ...]
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneCard:
    zone: ZoneInfo
    anchor: str
    assets: int
    score: ZoneScore | None
    levels: tuple[tuple[str, Level | None], ...]
    presence: tuple[tuple[str, tuple[Asset, ...]], ...]
    failing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRow:
    asset: Asset
    anchor: str
    depth: int
    head: str
    """Anchor of the outermost parent, which keeps a family together when rows are sorted."""
    answered: str
    unanswered: str
    unidentified: bool
    fields: tuple[FieldRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRow:
    name: str
    value: str | None
    how: str
    """How sure the value is, in words; "" where nothing is shown."""
    sources: tuple[str, ...]
    declared: str | None
    others: tuple[tuple[str, str], ...]
    """Values of other sources that disagree, with the observation of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """The failing findings of one check at one severity."""

    check: str
    title: str
    severity: Severity
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactView:
    kind: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """The first `shown` of `total` bytes as lines of a hex dump."""

    text: Markup
    shown: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeView:
    exchange: Exchange
    anchor: str
    request: Dump | None
    reply: Dump | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """One question, what it taught and the bytes it rests on; without one: bytes by themselves."""

    anchor: str
    observation: Observation | None
    title: str
    facts: tuple[FactView, ...]
    facts_left: int
    exchanges: tuple[ExchangeView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    columns: tuple[Column, ...]
    matrix: tuple[MatrixGroup, ...]
    cards: tuple[ZoneCard, ...]
    inventory: tuple[InventoryRow, ...]
    overall: ZoneScore | None
    severities: tuple[tuple[Severity, int], ...]
    not_seen: tuple[str, ...]
    failing: tuple[FindingGroup, ...]
    others: tuple[tuple[Verdict, tuple[Finding, ...]], ...]
    evidence: tuple[tuple[str, tuple[EvidenceView, ...]], ...]
    """Per device."""
    phases: tuple[tuple[str, tuple[object, ...]], ...]
    names: Mapping[str, str]
    """Asset ids to the names that people use for them."""
    nodes: Mapping[str, str]
    """The same for the nodes of the network, strangers included."""
    placements: tuple[Placement, ...]
    links: tuple[TopologyLink, ...]
    outside: tuple[OutsideDevice, ...]
    """As many as a table of the report holds."""
    bridges_left_out: int
    anchors: Mapping[str, str]
    """"finding:ID", "asset:ID", "gap:ID", "zone:ID", "o…" and "x…" to the anchor of each."""

    @property
    def top_gaps(self) -> int:
        return TOP_GAPS


def _view(a: Assessment) -> View:
    columns = _columns(a)
    evidence = _evidence(a)
    anchors = _anchors(a, evidence)
    return View(
        columns=columns,
        matrix=_matrix(a, columns),
        cards=tuple(_card(n, zone, a) for n, zone in enumerate(a.zones)),
        inventory=_inventory(a, anchors),
        overall=next((score for score in a.score if score.zone is None), None),
        severities=_severities(a.findings),
        not_seen=_not_seen(a),
        failing=_failing(a),
        others=_others(a),
        evidence=evidence,
        phases=tuple(
            (words, tuple(item for item in a.roadmap if item.phase == phase))
            for phase, words in PHASES.items()
        ),
        names={
            asset.id: asset.name or asset.identity.name or asset.address or asset.id
            for asset in a.assets
        },
        nodes={node.id: network.name_of(node) for node in a.topology.nodes},
        placements=a.topology.placements[:NETWORK_ROWS],
        links=a.topology.links[:NETWORK_ROWS],
        outside=a.topology.outside[:NETWORK_ROWS],
        bridges_left_out=network.arrange(a.topology).left_out,
        anchors=anchors,
    )


def _columns(a: Assessment) -> tuple[Column, ...]:
    with_results = {result.conduit for result in a.requirements}
    return (
        *(
            Column(
                name=zone.name or zone.id,
                kind="zone",
                anchor=f"zone-{n}",
                zone=zone.id,
                conduit=None,
            )
            for n, zone in enumerate(a.zones)
        ),
        *(
            Column(
                name=conduit.id,
                kind="conduit",
                anchor=f"conduit-{n}",
                zone=None,
                conduit=conduit.id,
            )
            for n, conduit in enumerate(a.conduits)
            if conduit.id in with_results
        ),
    )


def _matrix(a: Assessment, columns: Sequence[Column]) -> tuple[MatrixGroup, ...]:
    results = {(r.zone, r.conduit, r.id): r for r in a.requirements}
    levels = {(level.zone, level.conduit, level.fr): level for level in a.levels}
    named = {r.id: r for r in reversed(a.requirements)}
    frs = dict.fromkeys((*FR_IDS, *sorted({r.fr for r in a.requirements})))
    return tuple(
        MatrixGroup(
            fr=fr,
            title=a.titles.get(fr, ""),
            levels=tuple(levels.get((*column.key, fr)) for column in columns),
            rows=tuple(
                MatrixRow(
                    id=name,
                    title=named[name].title,
                    sl=named[name].sl,
                    enhancement=" RE " in name,
                    cells=tuple(results.get((*column.key, name)) for column in columns),
                )
                for name in sorted(named, key=_natural)
                if named[name].fr == fr
            ),
        )
        for fr in frs
    )


def _natural(text: str) -> list[tuple[int, str]]:
    """SR 1.2 before SR 1.10, an SR before its REs."""
    return [
        (int(part), "") if part.isascii() and part.isdigit() else (-1, part)
        for part in re.split(r"([0-9]{1,9})", text)
    ]


def _card(n: int, zone: ZoneInfo, a: Assessment) -> ZoneCard:
    assets = [asset for asset in a.assets if asset.zone == zone.id]
    levels = {level.fr: level for level in a.levels if level.zone == zone.id}
    return ZoneCard(
        zone=zone,
        anchor=f"zone-{n}",
        assets=len(assets),
        score=next((score for score in a.score if score.zone == zone.id), None),
        levels=tuple((fr, levels.get(fr)) for fr in FR_IDS),
        presence=tuple(
            (words, tuple(asset for asset in assets if asset.presence is presence))
            for presence, words in PRESENCE_WORDS.items()
        ),
        failing=sum(
            finding.verdict is Verdict.FAIL
            and zone.id in {finding.zone, *(place.zone for place in finding.places)}
            for finding in a.findings
        ),
    )


def _severities(findings: Iterable[Finding]) -> tuple[tuple[Severity, int], ...]:
    found = Counter(f.severity for f in findings if f.verdict is Verdict.FAIL)
    return tuple((severity, found[severity]) for severity in Severity)


def _not_seen(a: Assessment) -> tuple[str, ...]:
    """What the run did not see, sentence by sentence; empty only where it saw everything."""
    asked = a.run.observations
    said = [
        f"{_count(asked[outcome], 'question')} {words}{_reasons(a.observations, outcome)}"
        for outcome, words in UNSEEN.items()
        if asked.get(outcome, 0)
    ]
    for presence, words in (
        (Presence.DECLARED_AND_SILENT, "declared and silent"),
        (Presence.NOT_VISITED, "declared and not visited"),
        (Presence.DECLARED_WITHOUT_ADDRESS, "declared without an address"),
        (Presence.CLAIMED, "named by an imported list only"),
    ):
        number = sum(asset.presence is presence for asset in a.assets)
        if number:
            said.append(f"{_count(number, 'asset')} {words}")
    unknown = sum(_unidentified(asset) for asset in a.assets)
    if unknown:
        said.append(f"{_count(unknown, 'asset')} answered without telling what they are")
    unchecked = sum(
        f.number for f in a.findings if f.verdict in (Verdict.NOT_CHECKED, Verdict.ERROR)
    )
    if unchecked:
        said.append(f"{_count(unchecked, 'check result')} could not be judged")
    return tuple(said)


def _reasons(observations: Iterable[Observation], outcome: Outcome) -> str:
    """The commonest reasons in brackets; silence and closed ports need none."""
    if outcome in (Outcome.SILENT, Outcome.REFUSED):
        return ""
    found = Counter(o.reason for o in observations if o.outcome is outcome and o.reason)
    common = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = [f"{reason}: {number}" for reason, number in common[:REASONS]]
    if len(common) > REASONS:
        listed.append(f"{len(common) - REASONS} more reasons")
    return f" ({'; '.join(listed)})" if listed else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- inventory ---------------------------------------------------------------------------------


def _inventory(a: Assessment, anchors: Mapping[str, str]) -> tuple[InventoryRow, ...]:
    """Every asset once, each below its parent; a parent that is not there counts as none."""
    known = {asset.id for asset in a.assets}
    children: dict[str | None, list[int]] = {}
    for n, asset in enumerate(a.assets):
        parent = asset.parent if asset.parent in known and asset.parent != asset.id else None
        children.setdefault(parent, []).append(n)
    rows: list[InventoryRow] = []
    listed: set[int] = set()

    def add(start: int, depth: int, head: str) -> None:
        stack = [(start, depth)]
        while stack:
            n, deep = stack.pop()
            if n in listed:
                continue
            listed.add(n)
            rows.append(_inventory_row(a.assets[n], f"asset-{n}", deep, head))
            stack += [(own, deep + 1) for own in reversed(children.get(a.assets[n].id, []))]

    for n in children.get(None, []):
        add(n, 0, f"asset-{n}")
    for n in range(len(a.assets)):  # parents that name each other
        if n not in listed:
            add(n, 0, f"asset-{n}")
    return tuple(rows)


def _inventory_row(asset: Asset, anchor: str, depth: int, head: str) -> InventoryRow:
    conflicts = {conflict.field: conflict for conflict in asset.conflicts}
    answered = [s for s in asset.services if s.outcome is Outcome.ANSWERED]
    others = [s for s in asset.services if s.outcome is not Outcome.ANSWERED]
    rows = [
        FieldRow(
            name=name,
            value=_value(asset, name),
            how=HOW_SURE.get(asset.confidence.get(name, ""), ""),
            sources=asset.sources.get(name, ()),
            declared=(
                getattr(asset.declared, name)
                if asset.declared is not None and name in IDENTITY_FIELDS
                else None
            ),
            others=conflicts[name].values if name in conflicts else (),
        )
        for name in dict.fromkeys((*IDENTITY_FIELDS, "device_class", *sorted(conflicts)))
    ]
    return InventoryRow(
        asset=asset,
        anchor=anchor,
        depth=min(depth, 3),
        head=head,
        answered=", ".join(f"{s.protocol} {s.transport}/{s.port}" for s in answered),
        unanswered=", ".join(f"{s.protocol} {s.transport}/{s.port} {s.outcome}" for s in others),
        unidentified=_unidentified(asset),
        fields=tuple(row for row in rows if row.value or row.sources or row.declared or row.others),
    )


def _value(asset: Asset, name: str) -> str | None:
    if name == "device_class":
        return str(asset.device_class)
    return getattr(asset.identity, name) if name in IDENTITY_FIELDS else None


def _unidentified(asset: Asset) -> bool:
    """It answered, and nobody knows what it is."""
    told = any(getattr(asset.identity, name) for name in IDENTITY_FIELDS)
    return not told and any(s.outcome is Outcome.ANSWERED for s in asset.services)


# --- findings and evidence ---------------------------------------------------------------------


def _failing(a: Assessment) -> tuple[FindingGroup, ...]:
    groups: dict[tuple[int, str], list[Finding]] = {}
    for finding in a.findings:
        if finding.verdict is Verdict.FAIL:
            groups.setdefault((finding.severity.rank, finding.check), []).append(finding)
    return tuple(
        FindingGroup(
            check=own[0].check,
            title=own[0].title,
            severity=own[0].severity,
            findings=tuple(sorted(own, key=lambda finding: _natural(finding.id))),
        )
        for _, own in sorted(groups.items())
    )


def _others(a: Assessment) -> tuple[tuple[Verdict, tuple[Finding, ...]], ...]:
    return tuple(
        (verdict, tuple(f for f in a.findings if f.verdict is verdict))
        for verdict in (
            Verdict.ERROR,
            Verdict.NOT_CHECKED,
            Verdict.MANUAL,
            Verdict.PASS,
            Verdict.NOT_APPLICABLE,
        )
    )


def _evidence(a: Assessment) -> tuple[tuple[str, tuple[EvidenceView, ...]], ...]:
    """Every question that a finding, an identity or a conflict rests on, per device."""
    proof = {name for f in a.findings if f.verdict is Verdict.FAIL for name in f.evidence}
    beside = {name for f in a.findings if f.verdict is not Verdict.FAIL for name in f.evidence}
    for asset in a.assets:
        beside.update(source for own in asset.sources.values() for source in own)
        beside.update(asset.fact_sources)
        beside.update(source for c in asset.conflicts for _, source in c.values)
    exchanges = {exchange.id: exchange for exchange in a.exchanges}
    anchor_of = {exchange.id: f"x-{n}" for n, exchange in enumerate(a.exchanges)}
    devices: dict[tuple[str, str], list[EvidenceView]] = {}
    placed: set[str] = set()
    for n, observation in enumerate(a.observations):
        in_proof = observation.id in proof or not proof.isdisjoint(observation.exchanges)
        if not in_proof and observation.id not in beside:
            continue
        own = [exchanges[name] for name in observation.exchanges if name in exchanges]
        own = [exchange for exchange in own if exchange.id not in placed]
        placed.update(exchange.id for exchange in own)
        shown = observation.facts[:FACTS]
        view = EvidenceView(
            anchor=f"o-{n}",
            observation=observation,
            title=_title(observation),
            facts=tuple(_fact(fact) for fact in shown),
            facts_left=len(observation.facts) - len(shown),
            exchanges=_dumped(own, anchor_of, proof=in_proof),
        )
        devices.setdefault((observation.zone, observation.address), []).append(view)
    for n, exchange in enumerate(a.exchanges):
        if exchange.id in placed or exchange.id not in proof | beside:
            continue
        view = EvidenceView(
            anchor=f"stray-{n}",
            observation=None,
            title=f"{exchange.probe} on {exchange.target.transport} port {exchange.target.port}",
            facts=(),
            facts_left=0,
            exchanges=_dumped([exchange], anchor_of, proof=exchange.id in proof),
        )
        devices.setdefault((exchange.target.zone, exchange.target.address), []).append(view)
    ordered = sorted(devices.items(), key=lambda pair: [_natural(part) for part in pair[0]])
    return tuple((f"{zone} / {address}", tuple(views)) for (zone, address), views in ordered)


def _title(observation: Observation) -> str:
    """What was asked where; of an import, the file with the place in it and the time."""
    where = f"{observation.transport} port {observation.port}"
    if observation.imported:
        service = f"{observation.protocol} on {where}: " if observation.port else ""
        at = observation.finished_at
        return f"{service}{observation.source} ({at:%Y-%m-%d %H:%M} {at.tzname() or ''})"
    if observation.port:
        return f"{observation.probe} on {where}"
    return f"{observation.probe} ({observation.source})"


def _dumped(
    exchanges: Sequence[Exchange], anchor_of: Mapping[str, str], *, proof: bool
) -> tuple[ExchangeView, ...]:
    limit = DUMP_LIMIT if proof else DUMP_LIMIT_BESIDE
    dumps = DUMPS if proof else DUMPS_BESIDE
    return tuple(
        ExchangeView(
            exchange=exchange,
            anchor=anchor_of[exchange.id],
            request=dump(exchange.request, limit) if n < dumps else None,
            reply=dump(exchange.reply, limit) if n < dumps else None,
        )
        for n, exchange in enumerate(exchanges)
    )


def dump(data: bytes, limit: int) -> Dump:
    """Sixteen bytes to a line: offset, hex, printable ASCII; any other byte is a dot."""
    lines = []
    for offset in range(0, min(len(data), limit), 16):
        row = data[offset : min(offset + 16, limit)]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{offset:04x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {text}")
    return Dump(text=escape("\n".join(lines)), shown=min(len(data), limit), total=len(data))


def _fact(fact: Fact) -> FactView:
    values = ((one.name, getattr(fact, one.name)) for one in fields(fact) if one.name != "kind")
    return FactView(
        kind=fact.kind,
        values=tuple((name, _plain(v)) for name, v in values if v is not None and v != ()),
    )


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, tuple):
        return ", ".join(_plain(one) for one in value)
    return str(value)


def _anchors(
    a: Assessment, evidence: Sequence[tuple[str, tuple[EvidenceView, ...]]]
) -> dict[str, str]:
    found = {f"finding:{f.id}": f"finding-{n}" for n, f in enumerate(a.findings)}
    found |= {f"asset:{asset.id}": f"asset-{n}" for n, asset in enumerate(a.assets)}
    found |= {f"gap:{gap.id}": f"gap-{n}" for n, gap in enumerate(a.gaps)}
    found |= {f"zone:{zone.id}": f"zone-{n}" for n, zone in enumerate(a.zones)}
    found |= {f"conduit:{one.id}": f"conduit-{n}" for n, one in enumerate(a.conduits)}
    for _, views in evidence:
        for view in views:
            if view.observation is not None:
                found[f"evidence:{view.observation.id}"] = view.anchor
            found |= {f"evidence:{own.exchange.id}": own.anchor for own in view.exchanges}
    return found


# --- words -------------------------------------------------------------------------------------


def when(moment: datetime | None) -> str:
    """Time with its offset in full; it is shown in the zone in which it was recorded."""
    if moment is None:
        return "not recorded"
    offset = f"{moment:%z}"
    zone = "UTC" if offset in ("", "+0000") else f"{offset[:3]}:{offset[3:5]}"
    return f"{moment:%Y-%m-%d %H:%M:%S} {zone}"


def percent(share: float | None) -> str:
    """Rounded down: a report may say less than is known, never more."""
    return "not applicable" if share is None else f"{int(share * 100 + 1e-9)}%"


def words(value: object) -> str:
    """A word of the model as people write it: known_tool becomes "known tool"."""
    return str(value.value if isinstance(value, Enum) else value).replace("_", " ")


def span(level: Level) -> str:
    """SL-A as low to high; one number where both agree."""
    if level.sl_a_low == level.sl_a_high:
        return str(level.sl_a_low)
    return f"{level.sl_a_low}–{level.sl_a_high}"


def standing(level: Level) -> str:
    """Class of a level cell: is SL-T reached for certain, possibly, or not."""
    if level.sl_t == 0:
        return "none"
    if level.sl_a_low >= level.sl_t:
        return "reached"
    return "open" if level.sl_a_high >= level.sl_t else "below"


def place_of(item: Gap | Finding | RequirementResult | Level) -> str:
    """The zone or conduit in words."""
    if item.zone is not None:
        return item.zone
    return f"conduit {item.conduit}" if item.conduit is not None else "whole site"


def opening(text: str) -> tuple[str, str]:
    """The first sentence or so of a long text, and the rest."""
    if len(text) <= OPENING + OPENING // 3:
        return text, ""
    stop = text.find(". ", OPENING // 3, OPENING)
    cut = stop + 1 if stop >= 0 else text.rfind(" ", 0, OPENING)
    return (text[:cut], text[cut:].lstrip()) if cut > 0 else (text, "")


def size(number: int) -> str:
    return f"{number:,}"


# --- machinery ---------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "when": when,
        "percent": percent,
        "words": words,
        "span": span,
        "standing": standing,
        "place": place_of,
        "size": size,
        "opening": opening,
    }
    environment.globals |= {"SIGNS": VERDICT_SIGNS, "FR_IDS": FR_IDS}
    return environment


def _inert(value: object) -> object:
    """Whatever a template prints; only what is markup already (our own) passes untouched."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return "–"
    if isinstance(value, str):
        return bounded(str(value), TEXT_LIMIT)
    return value


@cache
def _part(name: str) -> str:
    return (files("reports") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
