"""
Cables: what LLDP and CDP tell of them from either end, and what forwarding tables tell besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from scanner.model import KnownBy, TopologyLink
from scanner.topology.graph import Graph
from scanner.topology.nodes import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """One end's word on a cable: its own port, and the other's as it was announced."""

    own: str | None
    other: str | None
    known_by: frozenset[KnownBy]


def find_links(graph: Graph) -> tuple[TopologyLink, ...]:
    said: dict[tuple[str, str], dict[tuple[str | None, str | None], set[KnownBy]]] = {}
    for viewer in graph.known.values():
        for neighbour in viewer.neighbours:
            name = graph.found(neighbour, viewer)
            if name is None or name == viewer.id:
                continue
            ports = (viewer.port(neighbour.local_port), graph.node(name).port(neighbour.port_id))
            ways = said.setdefault((viewer.id, name), {}).setdefault(ports, set())
            ways.add(neighbour.protocol)
    found: list[TopologyLink] = []
    for a, b in sorted({(min(pair), max(pair)) for pair in said}):
        found += _cables(graph, a, b, _reports(said, a, b), _reports(said, b, a))
    return tuple(sorted(_with_tables(graph, found), key=_link_order))


def _reports(
    said: dict[tuple[str, str], dict[tuple[str | None, str | None], set[KnownBy]]], a: str, b: str
) -> list[_Report]:
    reports = [
        _Report(own=own, other=other, known_by=frozenset(ways))
        for (own, other), ways in said.get((a, b), {}).items()
    ]
    return sorted(reports, key=lambda one: (one.own or "", one.other or ""))


def _cables(
    graph: Graph, a: str, b: str, from_a: list[_Report], from_b: list[_Report]
) -> list[TopologyLink]:
    """The cables between two nodes, each once."""
    found = []
    for agreement in (_agree_on_both, _agree_on_one):
        for one in list(from_a):
            fits = [other for other in from_b if agreement(one, other)]
            if len(fits) == 1 and sum(agreement(each, fits[0]) for each in from_a) == 1:
                found.append(_both(a, b, one, fits[0]))
                from_a.remove(one)
                from_b.remove(fits[0])
    if len(from_a) == len(from_b) == 1:
        # One word each is left. Unless one names a port that the other has and did not mean, they
        # speak of the same cable, each with its own name for the other's port.
        (one,), (other,) = from_a, from_b
        if not graph.node(b).has_port(one.other) and not graph.node(a).has_port(other.other):
            return [*found, _both(a, b, one, other)]
    return [
        *found,
        *(_one_sided(a, one.own, b, one.other, one.known_by) for one in from_a),
        *(_one_sided(a, one.other, b, one.own, one.known_by) for one in from_b),
    ]


def _agree_on_both(one: _Report, other: _Report) -> bool:
    return (one.own, one.other) == (other.other, other.own) and one.own is not None


def _agree_on_one(one: _Report, other: _Report) -> bool:
    return (one.own is not None and one.own == other.other) or (
        other.own is not None and other.own == one.other
    )


def _both(a: str, b: str, one: _Report, other: _Report) -> TopologyLink:
    """Each end knows its own port best."""
    return TopologyLink(
        a=a,
        a_port=one.own if one.own is not None else other.other,
        b=b,
        b_port=other.own if other.own is not None else one.other,
        known_by=_ordered(one.known_by | other.known_by),
        both_sides=True,
    )


def _one_sided(
    a: str, a_port: str | None, b: str, b_port: str | None, known_by: Iterable[KnownBy]
) -> TopologyLink:
    return TopologyLink(
        a=a, a_port=a_port, b=b, b_port=b_port, known_by=_ordered(known_by), both_sides=False
    )


def _ordered(ways: Iterable[KnownBy]) -> tuple[KnownBy, ...]:
    return tuple(sorted(ways, key=("lldp", "cdp", "bridge table").index))


def _with_tables(graph: Graph, links: list[TopologyLink]) -> list[TopologyLink]:
    """Links of bridges that hear each other, and "bridge table" on those that were told."""
    hears: dict[Port, set[str]] = {}
    at: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, node in graph.known.items():
        for port, macs in node.heard.items():
            owners = {graph.by_mac[mac] for mac in macs if mac in graph.by_mac} - {name}
            bridges = {one for one in owners if one in graph.known and graph.known[one].heard}
            hears[name, port] = bridges
            for bridge in bridges:
                at[name, bridge].add(port)
    found = list(links)
    for a, b in sorted(pair for pair in at if pair[0] < pair[1]):
        if len(at[a, b]) != 1 or len(at.get((b, a), ())) != 1:
            continue
        (here,), (there,) = at[a, b], at[b, a]
        if hears[a, here] & hears[b, there]:
            continue  # a third bridge stands between them
        between = [n for n, link in enumerate(found) if (link.a, link.b) == (a, b)]
        same = [n for n in between if _fits(found[n], here, there)]
        if len(same) == 1:
            link = found[same[0]]
            found[same[0]] = replace(
                link,
                a_port=link.a_port or here,
                b_port=link.b_port or there,
                known_by=(*link.known_by, "bridge table"),
            )
        elif not between:
            found.append(
                TopologyLink(
                    a=a,
                    a_port=here,
                    b=b,
                    b_port=there,
                    known_by=("bridge table",),
                    both_sides=True,
                    note="directly, or through bridges that nobody read",
                )
            )
    return found


def _fits(link: TopologyLink, here: str, there: str) -> bool:
    return link.a_port in (None, here) and link.b_port in (None, there)


def _link_order(link: TopologyLink) -> tuple[str, ...]:
    return link.a, link.b, link.a_port or "", link.b_port or "", "/".join(link.known_by)
