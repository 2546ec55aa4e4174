"""
The network as a graph in Graphviz's language: bridges as boxes, cables with their ports, devices
at the port on which they hang.

Text from devices is made visible and quoted, so that it cannot end its string; nothing in the
output is a link, an image or HTML.

Source: the DOT grammar, where a quoted string has two escapes of its own, for a quote and for a
backslash.
"""

from __future__ import annotations

from reports.inert import visible
from reports.network import name_of
from scanner.model import Topology, TopologyLink, TopologyNode

TEXT_LIMIT = 120
MAX_NODES = 5_000


def render(topology: Topology) -> str:
    """The graph; what is not certain is dashed."""
    shown = {node.id: f"n{number}" for number, node in enumerate(topology.nodes[:MAX_NODES])}
    lines = ["graph network {", "  node [shape=ellipse];"]
    lines += [f"  {shown[node.id]} [{_node(node)}];" for node in topology.nodes[:MAX_NODES]]
    lines += [
        f"  {shown[link.a]} -- {shown[link.b]} [{_cable(link)}];"
        for link in topology.links
        if link.a in shown and link.b in shown
    ]
    told = {(link.a, link.b) for link in topology.links}
    for place in topology.placements:
        at = place.at
        if at is None or place.node not in shown or at.switch not in shown:
            continue
        if (place.node, at.switch) in told or (at.switch, place.node) in told:
            continue
        dashed = "" if place.certainty == "on" else ", style=dashed"
        words = at.port if place.certainty == "on" else f"{at.port} ({place.certainty})"
        lines.append(
            f"  {shown[at.switch]} -- {shown[place.node]} [taillabel={quoted(words)}{dashed}];"
        )
    return "\n".join((*lines, "}", ""))


def _node(node: TopologyNode) -> str:
    words = name_of(node)
    if node.addresses and words != node.addresses[0]:
        words = f"{words} ({node.addresses[0]})"
    shape = ", shape=box" if node.bridges else ""
    style = ", style=dashed" if node.known == "neighbour" else ""
    return f"label={quoted(words)}{shape}{style}"


def _cable(link: TopologyLink) -> str:
    ends = f"taillabel={quoted(link.a_port or '?')}, headlabel={quoted(link.b_port or '?')}"
    return ends + (", style=dashed" if link.note or not link.both_sides else "")


def quoted(text: str) -> str:
    """A string that Graphviz reads back as this text, cut at TEXT_LIMIT."""
    inner = visible(text[:TEXT_LIMIT]).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'
