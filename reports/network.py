"""
The network as an inline SVG, laid out by hand: bridges as boxes that list their ports, cables
between them as lines that carry the ports' names.

The bridge with the most cables stands on top, those one cable away below it, and so on; whatever
is joined to none of these begins a picture of its own further down. A line leaves and enters at a
place of its own, and its ports stand at its ends. What is not certain is dashed.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.inert import visible
from scanner.model import Placement, Topology, TopologyLink, TopologyNode

BOX_W, HEAD_H, ROW_H, BOX_PAD = 280, 46, 19, 10
GAP_X, LAYER_GAP, LANE_H, PAD = 36, 56, 24, 14
PER_ROW = 4
MAX_BOXES = 60
MAX_ROWS = 16
NAME_LIMIT, ROW_LIMIT, PORT_LIMIT = 30, 40, 16

SURE = frozenset({"on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    node: TopologyNode
    x: float
    y: float
    height: float
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    link: TopologyLink
    points: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, float, str], tuple[float, float, str]]
    """Where the name of each end's port stands, and the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    width: float
    height: float
    boxes: tuple[Box, ...]
    cables: tuple[Cable, ...]
    left_out: int


def name_of(node: TopologyNode) -> str:
    return node.name or (node.addresses[0] if node.addresses else node.id)


def draw(topology: Topology) -> Markup:
    """The SVG element; empty where no bridge is known."""
    picture = arrange(topology)
    if not picture.boxes:
        return Markup("")
    parts = [*(_cable(one) for one in picture.cables), *(_box(one) for one in picture.boxes)]
    parts += [_ends(one) for one in picture.cables]
    title = f"{len(picture.boxes)} bridges and {len(picture.cables)} cables between them"
    return Markup(
        '<svg class="diagram" role="img" aria-label="{}" width="{:g}" height="{:g}" '
        'viewBox="0 0 {:g} {:g}">{}</svg>'
    ).format(
        title, picture.width, picture.height, picture.width, picture.height,
        Markup("").join(parts),
    )  # fmt: skip


# --- layout ------------------------------------------------------------------------------------


def arrange(topology: Topology) -> Picture:
    """Places of everything, in pixels."""
    nodes = {node.id: node for node in topology.nodes}
    joined = {end for link in topology.links for end in (link.a, link.b)}
    placed_at = {place.at.switch for place in topology.placements if place.at is not None}
    wanted = [n for n in topology.nodes if n.id in placed_at or (n.bridges and n.id in joined)]
    cables = Counter(end for link in topology.links for end in (link.a, link.b))
    wanted.sort(key=lambda node: (-cables[node.id], node.id))
    shown = {node.id: node for node in wanted[:MAX_BOXES]}
    links = [link for link in topology.links if link.a in shown and link.b in shown]
    rows = _port_rows(topology, nodes, shown)
    boxes: dict[str, Box] = {}
    row_of: dict[str, int] = {}
    y = float(PAD)
    width = 0.0
    layers = [
        layer[n : n + PER_ROW]
        for layer in _layers(shown, links)
        for n in range(0, len(layer), PER_ROW)
    ]
    for number, layer in enumerate(layers):
        row_of |= dict.fromkeys(layer, number)
    lanes = Counter(_lane(link, row_of) for link in links)
    tops: list[float] = []
    for number, layer in enumerate(layers):
        height = max(HEAD_H + BOX_PAD + ROW_H * len(rows[name]) for name in layer)
        for column, name in enumerate(layer):
            x = PAD + column * (BOX_W + GAP_X)
            boxes[name] = Box(node=shown[name], x=x, y=y, height=height, rows=rows[name])
            width = max(width, x + BOX_W)
        y += height
        tops.append(y)
        y += LAYER_GAP + lanes[number] * LANE_H
    drawn, gutters = _cables(links, boxes, row_of, tops, width)
    return Picture(
        width=width + PAD + gutters * 14,
        height=y,
        boxes=tuple(boxes.values()),
        cables=drawn,
        left_out=len(wanted) - len(shown),
    )


def _layers(shown: Mapping[str, TopologyNode], links: Sequence[TopologyLink]) -> list[list[str]]:
    """By distance from the best joined of each part; every node once, also in a ring."""
    beside: dict[str, set[str]] = defaultdict(set)
    for link in links:
        beside[link.a].add(link.b)
        beside[link.b].add(link.a)
    layers: list[list[str]] = []
    seen: set[str] = set()
    for start in shown:
        if start in seen:
            continue
        seen.add(start)
        waiting = deque([(start, len(layers))])
        while waiting:
            name, depth = waiting.popleft()
            while len(layers) <= depth:
                layers.append([])
            layers[depth].append(name)
            for other in sorted(beside[name] - seen):
                seen.add(other)
                waiting.append((other, depth + 1))
    return layers


def _port_rows(
    topology: Topology, nodes: Mapping[str, TopologyNode], shown: Mapping[str, TopologyNode]
) -> dict[str, tuple[str, ...]]:
    """What hangs on each port of a box, a line each."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in shown}
    for place in topology.placements:
        if place.at is not None and place.at.switch in found:
            node = nodes.get(place.node)
            name = name_of(node) if node else place.node
            found[place.at.switch].append((place.at.port, f"{name}{_doubt(place)}"))
    return {name: _lines(sorted(set(own))) for name, own in found.items()}


def _doubt(place: Placement) -> str:
    return "" if place.certainty in SURE else f" ({place.certainty})"


def _lines(ports: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    lines = [
        f"{_short(port, PORT_LIMIT)}: {_short(name, ROW_LIMIT - min(len(port), PORT_LIMIT) - 2)}"
        for port, name in ports[:MAX_ROWS]
    ]
    if len(ports) > MAX_ROWS:
        lines.append(f"… and {len(ports) - MAX_ROWS} more")
    return tuple(lines)


def _lane(link: TopologyLink, row_of: Mapping[str, int]) -> int:
    """The channel, below the row of its number, in which a cable runs."""
    return min(row_of[link.a], row_of[link.b])


def _cables(
    links: Sequence[TopologyLink],
    boxes: Mapping[str, Box],
    row_of: Mapping[str, int],
    tops: Sequence[float],
    width: float,
) -> tuple[tuple[Cable, ...], int]:
    """
    Every cable from a place of its own on each box. One that skips a row goes round on the right.
    """
    sides: Counter[tuple[str, bool]] = Counter()
    for link in links:
        for name, other in ((link.a, link.b), (link.b, link.a)):
            sides[name, row_of[name] <= row_of[other]] += 1
    used: Counter[tuple[str, bool]] = Counter()
    lanes: Counter[int] = Counter()
    gutters = 0
    drawn = []

    def leave(name: str, below: bool) -> tuple[float, float]:
        used[name, below] += 1
        box = boxes[name]
        x = box.x + BOX_W * used[name, below] / (sides[name, below] + 1)
        return x, box.y + box.height if below else box.y

    for link in links:
        upper, lower = link.a, link.b
        ports = (link.a_port, link.b_port)
        if row_of[upper] > row_of[lower]:
            upper, lower, ports = lower, upper, (ports[1], ports[0])
        same = row_of[upper] == row_of[lower]
        start, end = leave(upper, True), leave(lower, same)
        lane = _lane(link, row_of)
        lanes[lane] += 1
        y = tops[lane] + LAYER_GAP / 2 + (lanes[lane] - 0.5) * LANE_H
        points = [start, (start[0], y)]
        if row_of[lower] - row_of[upper] > 1:
            gutters += 1
            gutter = width + gutters * 14
            above = boxes[lower].y - 12
            points += [(gutter, y), (gutter, above), (end[0], above)]
        else:
            points.append((end[0], y))
        points.append(end)
        down = 15 if same else -6
        drawn.append(
            Cable(
                link=link,
                points=tuple(points),
                ends=(
                    (start[0] + 4, start[1] + 15, _short(ports[0] or "?", PORT_LIMIT)),
                    (end[0] + 4, end[1] + down, _short(ports[1] or "?", PORT_LIMIT)),
                ),
            )
        )
    return tuple(drawn), gutters


def _short(text: str, limit: int) -> str:
    shown = visible(text[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


# --- drawing -----------------------------------------------------------------------------------


def _box(box: Box) -> Markup:
    node = box.node
    kind = str(node.device_class) if node.known == "asset" else "not asked"
    where = node.addresses[0] if node.addresses else "no address known"
    rows = Markup("").join(
        Markup('<text class="d-small" x="{:g}" y="{:g}">{}</text>').format(
            box.x + 12, box.y + HEAD_H + 12 + ROW_H * n, row
        )
        for n, row in enumerate(box.rows)
    )
    return Markup(
        '<g class="d-zone{}"><title>{}</title>'
        '<rect x="{:g}" y="{:g}" width="{:g}" height="{:g}" rx="6"/>'
        '<text class="d-name" x="{:g}" y="{:g}">{}</text>'
        '<text class="d-small" x="{:g}" y="{:g}">{}</text>{}</g>'
    ).format(
        "" if node.known == "asset" else " d-stranger",
        visible(node.id[:200]),
        *(box.x, box.y, BOX_W, box.height),
        *(box.x + 12, box.y + 21, _short(name_of(node), NAME_LIMIT)),
        *(box.x + 12, box.y + 38, _short(f"{where} · {node.zone or 'no zone'} · {kind}", 44)),
        rows,
    )


def _cable(cable: Cable) -> Markup:
    link = cable.link
    sure = link.both_sides and not link.note
    said = "both ends tell" if link.both_sides else "one end tells"
    return Markup('<g class="d-cable{}"><title>{}</title><polyline points="{}"/></g>').format(
        "" if sure else " d-unsure",
        visible(f"{', '.join(link.known_by)}; {said}{'; ' if link.note else ''}{link.note}"),
        " ".join(f"{x:g},{y:g}" for x, y in cable.points),
    )


def _ends(cable: Cable) -> Markup:
    return Markup("").join(
        Markup('<text class="d-port" x="{:g}" y="{:g}">{}</text>').format(x, y, text)
        for x, y, text in cable.ends
    )
