"""
The zone and conduit diagram as an inline SVG, laid out by hand.

Zones stand in rows by Purdue level, the highest on top. Between two rows runs a channel in which
every conduit has a lane of its own, and its label stands on that lane: labels never overlap,
however many conduits join the same two zones. A conduit that skips rows goes round on the right.
Colours come from the report's style sheet by class; remote access differs by its dashes as well.
Cables that were seen between the zones, with their ports, and hosts with a leg in each are drawn
like conduits, without an arrow.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from markupsafe import Markup, escape

from reports.inert import visible
from reports.network import name_of
from scanner.model import FR_IDS, FR_KEYS, Assessment, ConduitInfo, Flow, Level, Topology, ZoneInfo

BOX_W, BOX_H = 248, 128
GAP_X, PAD, LEVEL_W = 40, 14, 84
LANE_H, CHANNEL_PAD = 28, 18
GUTTER = 18
PER_ROW = 4
CHARACTER_W = 7.2
LABEL_LIMIT, NAME_LIMIT = 64, 23
MAX_SEEN = 12
"""Cables and hosts that are drawn between zones; the tables of the network list them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    zone: ZoneInfo
    row: int
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One conduit as drawn: its corners, where its arrow ends, and the box of its label. `kind` is
    "conduit", or "cable" or "host" for what was seen between two zones; `conduit` then holds the
    two ends only.
    """

    conduit: ConduitInfo
    kind: str
    points: tuple[tuple[float, float], ...]
    label: str
    label_x: float
    """Left edge of the label's box."""
    label_y: float
    """Middle of the label's box."""
    label_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    levels: tuple[tuple[str, float], ...]
    """Name of each Purdue level and the height at which it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    conduit: ConduitInfo
    kind: str
    label: str
    upper: str
    lower: str


def draw(assessment: Assessment) -> Markup:
    """The SVG element, complete, with nothing in it that was not escaped."""
    layout = arrange(assessment.zones, assessment.conduits, assessment.topology)
    seen = Counter(asset.zone for asset in assessment.assets)
    levels: dict[str, dict[str, Level]] = defaultdict(dict)
    for level in assessment.levels:
        if level.zone is not None:
            levels[level.zone][level.fr] = level
    parts = [
        *(_level(name, y, layout.width) for name, y in layout.levels),
        *(_line(line) for line in layout.lines),
        *(_box(box, levels[box.zone.id], seen[box.zone.id]) for box in layout.boxes),
        *(_label(line) for line in layout.lines),
    ]
    conduits = sum(line.kind == "conduit" for line in layout.lines)
    title = f"{len(layout.boxes)} zones and {conduits} conduits by Purdue level"
    return Markup(
        '<svg class="diagram" role="img" aria-label="{}" width="{:g}" height="{:g}" '
        'viewBox="0 0 {:g} {:g}">{}</svg>'
    ).format(
        title, layout.width, layout.height, layout.width, layout.height, Markup("").join(parts)
    )


def drawn(conduit: ConduitInfo, zones: Iterable[ZoneInfo]) -> bool:
    """Whether both ends are zones of this site; other conduits stand in the table only."""
    known = {zone.id for zone in zones}
    return conduit.from_zone in known and conduit.to_zone in known


# --- layout ------------------------------------------------------------------------------------


def arrange(
    zones: Sequence[ZoneInfo], conduits: Sequence[ConduitInfo], topology: Topology | None = None
) -> Layout:
    """Places of everything, in pixels."""
    rows = _rows(zones)
    row_of = {zone.id: n for n, row in enumerate(rows) for zone in row}
    routes = [_route(one, row_of, "conduit", label(one)) for one in conduits if drawn(one, zones)]
    routes += [
        _route(ends, row_of, kind, words)
        for ends, kind, words in seen_between(topology or Topology())
        if drawn(ends, zones)
    ][:MAX_SEEN]
    lanes = _lanes(routes, row_of)
    per_channel = Counter(channel for own in lanes for channel in own)

    content = max((_row_width(row) for row in rows), default=0.0)
    content = max([content, *(_width(route.label) + 24 for route in routes)])
    left = PAD + LEVEL_W
    tops: list[float] = []
    y: float = PAD
    for n in range(len(rows)):
        tops.append(y)
        y += BOX_H + _channel_height(per_channel[n], last=n == len(rows) - 1)

    boxes: dict[str, Box] = {}
    for n, row in enumerate(rows):
        x = left + (content - _row_width(row)) / 2
        for zone in row:
            boxes[zone.id] = Box(zone=zone, row=n, x=x, y=tops[n])
            x += BOX_W + GAP_X

    ports = _ports(routes, boxes)
    used: Counter[int] = Counter()
    gutters = 0
    lines = []
    for n, (route, own) in enumerate(zip(routes, lanes, strict=True)):
        heights = []
        for channel in own:
            used[channel] += 1
            heights.append(tops[channel] + BOX_H + CHANNEL_PAD + (used[channel] - 0.5) * LANE_H)
        gutters += len(own) == 2
        gutter = left + content + GUTTER * gutters
        lines.append(_drawn_line(route, boxes, ports[n], heights, gutter, left, content))
    levels: dict[str, float] = {}
    for n, row in enumerate(rows):
        levels.setdefault(_level_name(row[0]), tops[n])
    return Layout(
        width=left + content + GUTTER * (gutters + 1),
        height=y + PAD,
        boxes=tuple(boxes.values()),
        lines=tuple(lines),
        levels=tuple(levels.items()),
    )


def _rows(zones: Sequence[ZoneInfo]) -> list[list[ZoneInfo]]:
    by_level: dict[float, list[ZoneInfo]] = defaultdict(list)
    for zone in {zone.id: zone for zone in zones}.values():
        by_level[float("inf") if zone.purdue is None else zone.purdue].append(zone)
    return [
        own[n : n + PER_ROW]
        for _, own in sorted(by_level.items(), reverse=True)
        for n in range(0, len(own), PER_ROW)
    ]


def seen_between(topology: Topology) -> list[tuple[ConduitInfo, str, str]]:
    """(zones at the ends, kind, label) of every host in several zones and cable between zones."""
    nodes = {node.id: node for node in topology.nodes}
    found: list[tuple[ConduitInfo, str, str]] = []
    for host in topology.dual_homed:
        name = name_of(nodes[host.asset]) if host.asset in nodes else host.asset
        words = f"{_short(name, 30)} {'stands' if host.sure else 'may stand'} in both"
        found += [
            (_ends_of(one, other), "host", words) for one, other in combinations(host.zones, 2)
        ]
    for link in topology.links:
        a, b = nodes.get(link.a), nodes.get(link.b)
        if a is None or b is None or a.zone is None or b.zone is None or a.zone == b.zone:
            continue
        words = " – ".join(
            f"{_short(name_of(node), 18)} {_short(port or '?', 10)}"
            for node, port in ((a, link.a_port), (b, link.b_port))
        )
        found.append((_ends_of(a.zone, b.zone), "cable", words))
    return found


def _ends_of(one: str, other: str) -> ConduitInfo:
    return ConduitInfo(
        id="", from_zone=one, to_zone=other, sl_t={}, remote_access=False, monitored_by=None,
        allow=(),
    )  # fmt: skip


def _route(conduit: ConduitInfo, row_of: dict[str, int], kind: str, words: str) -> _Route:
    turned = row_of[conduit.from_zone] > row_of[conduit.to_zone]
    ends = (conduit.from_zone, conduit.to_zone)
    upper, lower = reversed(ends) if turned else ends
    return _Route(conduit=conduit, kind=kind, label=words, upper=upper, lower=lower)


def _lanes(routes: Sequence[_Route], row_of: dict[str, int]) -> list[tuple[int, ...]]:
    """The channels each route uses; channel n lies below row n."""
    found: list[tuple[int, ...]] = []
    for route in routes:
        top, bottom = row_of[route.upper], row_of[route.lower]
        found.append((top,) if bottom <= top + 1 else (top, bottom - 1))
    return found


def _ports(routes: Sequence[_Route], boxes: dict[str, Box]) -> list[tuple[float, float]]:
    """Where each route leaves its upper and its lower box: spread evenly, towards the other end."""
    sides: dict[tuple[str, bool], list[tuple[float, int, bool]]] = defaultdict(list)
    for n, route in enumerate(routes):
        upper, lower = boxes[route.upper], boxes[route.lower]
        below = upper.row == lower.row
        sides[route.upper, True].append((lower.x, n, True))
        sides[route.lower, below].append((upper.x, n, False))
    found: dict[tuple[int, bool], float] = {}
    for (zone, _), ends in sides.items():
        for place, (_, n, is_upper) in enumerate(sorted(ends), start=1):
            found[n, is_upper] = boxes[zone].x + BOX_W * place / (len(ends) + 1)
    return [(found[n, True], found[n, False]) for n in range(len(routes))]


def _drawn_line(
    route: _Route,
    boxes: dict[str, Box],
    ports: tuple[float, float],
    heights: Sequence[float],
    gutter: float,
    left: float,
    content: float,
) -> Line:
    upper, lower = boxes[route.upper], boxes[route.lower]
    end = lower.y + BOX_H if upper.row == lower.row else lower.y
    start_x, end_x = ports
    lane = heights[0]
    points = [(start_x, upper.y + BOX_H), (start_x, lane)]
    if len(heights) == 2:
        points += [(gutter, lane), (gutter, heights[1]), (end_x, heights[1]), (end_x, end)]
    else:
        points += [(end_x, lane), (end_x, end)]
    if route.upper != route.conduit.from_zone:
        points.reverse()
    text = route.label
    width = _width(text) + 16
    middle = (start_x + (gutter if len(heights) == 2 else end_x)) / 2
    return Line(
        conduit=route.conduit,
        kind=route.kind,
        points=tuple(points),
        label=text,
        label_x=min(max(middle - width / 2, left), max(left, left + content - width)),
        label_y=lane,
        label_w=width,
    )


def label(conduit: ConduitInfo) -> str:
    """What stands on a conduit's line: its id, its SL-T, remote access, the flows it allows."""
    targets = sorted(set(conduit.sl_t.values()))
    parts = [_short(conduit.id, 20)]
    if conduit.remote_access:
        parts.append("remote access")
    if targets and targets != [0]:
        span = str(targets[0]) if len(targets) == 1 else f"{targets[0]}–{targets[-1]}"
        parts.append(f"SL-T {span}")
    parts.append(flows(conduit.allow) or "no flow stated")
    return _short(" · ".join(parts), LABEL_LIMIT)


def flows(allowed: Sequence[Flow]) -> str:
    return ", ".join(f"{visible(flow.protocol)} {flow.transport}/{flow.port}" for flow in allowed)


def _row_width(row: Sequence[ZoneInfo]) -> float:
    return len(row) * BOX_W + (len(row) - 1) * GAP_X


def _channel_height(lanes: int, *, last: bool) -> float:
    if last and not lanes:
        return 0
    return 2 * CHANNEL_PAD + max(lanes, 1) * LANE_H


def _level_name(zone: ZoneInfo) -> str:
    return "No level" if zone.purdue is None else f"Level {zone.purdue:g}"


def _width(text: str) -> float:
    """A generous estimate; wide characters count twice."""
    return CHARACTER_W * sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _short(text: str, limit: int) -> str:
    shown = visible(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


# --- drawing -----------------------------------------------------------------------------------


def _level(name: str, y: float, width: float) -> Markup:
    return Markup(
        '<line class="d-level" x1="{:g}" y1="{:g}" x2="{:g}" y2="{:g}"/>'
        '<text class="d-level-name" x="{:g}" y="{:g}">{}</text>'
    ).format(PAD, y - 7, width - PAD, y - 7, PAD, y + 18, name)


def _box(box: Box, levels: dict[str, Level], assets: int) -> Markup:
    known = [levels.get(fr) for fr in FR_IDS]
    css, word = _standing(levels.values())
    vectors: tuple[tuple[str, list[int | None]], ...] = (
        ("FR", list(range(1, len(FR_KEYS) + 1))),
        ("SL-T", [box.zone.sl_t.get(key, 0) for key in FR_KEYS]),
        ("SL-A low", [None if level is None else level.sl_a_low for level in known]),
        ("SL-A high", [None if level is None else level.sl_a_high for level in known]),
    )
    rows = Markup("").join(
        Markup('<text class="d-small" x="{:g}" y="{:g}">{}</text>{}').format(
            box.x + 12, box.y + 64 + 17.5 * n, name, _vector(box, values, box.y + 64 + 17.5 * n)
        )
        for n, (name, values) in enumerate(vectors)
    )
    return Markup(
        '<g class="d-zone {}"><title>{}</title>'
        '<rect x="{:g}" y="{:g}" width="{}" height="{}" rx="6"/>'
        '<text class="d-name" x="{:g}" y="{:g}">{}</text>'
        '<text class="d-small" x="{:g}" y="{:g}">{}</text>{}</g>'
    ).format(
        css,
        visible(f"{box.zone.name} ({box.zone.id}): {', '.join(box.zone.networks)}"),
        *(box.x, box.y, BOX_W, BOX_H),
        *(box.x + 12, box.y + 24, _short(box.zone.name or box.zone.id, NAME_LIMIT)),
        *(box.x + 12, box.y + 43),
        f"{assets} asset{'' if assets == 1 else 's'} · {word}",
        rows,
    )


def _standing(levels: Iterable[Level]) -> tuple[str, str]:
    """Class and words: is SL-T reached in every FR, missed in one, or is that open?"""
    known = list(levels)
    if any(level.sl_a_high < level.sl_t for level in known):
        return "d-below", "✗ below SL-T"
    if not known or any(level.sl_a_low < level.sl_t for level in known):
        return "d-open", "? SL-T not shown"
    return "d-reached", "✓ SL-T reached"


def _vector(box: Box, values: Sequence[int | None], y: float) -> Markup:
    """Seven numbers, FR 1 to FR 7, in columns."""
    return Markup("").join(
        Markup('<text class="d-number" x="{:g}" y="{:g}">{}</text>').format(
            box.x + 96 + 20 * n, y, "?" if value is None else value
        )
        for n, value in enumerate(values)
    )


def _css(line: Line) -> str:
    if line.kind != "conduit":
        return f" d-seen-{line.kind}"
    return " d-remote" if line.conduit.remote_access else ""


def _line(line: Line) -> Markup:
    corners = " ".join(f"{px:g},{py:g}" for px, py in line.points)
    if line.kind != "conduit":
        return Markup('<g class="d-seen{}"><polyline points="{}"/></g>').format(_css(line), corners)
    (_, before_y), (x, y) = line.points[-2:]
    back = 9 if y > before_y else -9
    arrow = f"{x:g},{y:g} {x - 5:g},{y - back:g} {x + 5:g},{y - back:g}"
    return Markup(
        '<g class="d-conduit{}"><polyline points="{}"/><polygon points="{}"/></g>'
    ).format(
        _css(line),
        corners,
        arrow,
    )


def _label(line: Line) -> Markup:
    conduit = line.conduit
    words = f"{conduit.id}: {conduit.from_zone} to {conduit.to_zone}; "
    words += flows(conduit.allow) or "no flow stated"
    if line.kind != "conduit":
        words = f"{line.kind} seen between {conduit.from_zone} and {conduit.to_zone}"
    return Markup(
        '<g class="d-label{}"><title>{}</title>'
        '<rect x="{:g}" y="{:g}" width="{:g}" height="22" rx="4"/>'
        '<text x="{:g}" y="{:g}">{}</text></g>'
    ).format(
        _css(line),
        visible(words),
        *(line.label_x, line.label_y - 11, line.label_w),
        *(line.label_x + line.label_w / 2, line.label_y + 4, escape(line.label)),
    )
