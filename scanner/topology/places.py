"""At which port a node hangs: looked up in forwarding tables, chosen only as far as one may."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from scanner.model import Certainty, KnownBy, Placement, SwitchPort, TopologyLink
from scanner.topology.graph import Graph
from scanner.topology.nodes import Node, Port, listed

MAX_OTHERS = 8
"""Other ports that are named where a device may hang."""


def placements(graph: Graph, links: Sequence[TopologyLink]) -> tuple[Placement, ...]:
    """
    Where each node hangs that is no bridge with a table of its own (the links tell of those), the
    assets first.
    """
    places = _Places(graph, links)
    every = (*graph.known.values(), *graph.strangers.values())
    return tuple(
        placement
        for node in sorted(every, key=lambda one: (one.asset is None, one.id))
        if not node.heard
        for placement in places.of(node)
    )


class _Places:
    """Looks up the ports at which a node is heard, and chooses among them as far as one may."""

    def __init__(self, graph: Graph, links: Sequence[TopologyLink]) -> None:
        self._graph = graph
        self._at: dict[str, list[Port]] = defaultdict(list)
        self._beside: dict[Port, set[str]] = defaultdict(set)
        self._told: dict[str, set[tuple[Port, KnownBy]]] = defaultdict(set)
        self._uplinks: set[Port] = set()
        self._beyond: dict[Port, set[str]] = defaultdict(set)
        for name, node in graph.known.items():
            for port, macs in node.heard.items():
                for mac in macs:
                    if graph.by_mac.get(mac) == name:
                        continue
                    self._at[mac].append((name, port))
                    self._beside[name, port].add(mac)
                    owner = graph.by_mac.get(mac)
                    if owner is not None and graph.node(owner).bridges:
                        self._lead((name, port), owner)
        for link in links:
            for name, own_port, other in (
                (link.a, link.a_port, link.b),
                (link.b, link.b_port, link.a),
            ):
                if own_port is None or name not in graph.known:
                    continue
                if graph.node(other).bridges:
                    self._lead((name, own_port), other)
                for way in link.known_by:
                    if way != "bridge table":
                        self._told[other].add(((name, own_port), way))

    def _lead(self, port: Port, other: str) -> None:
        self._uplinks.add(port)
        self._beyond[port].add(other)

    def of(self, node: Node) -> list[Placement]:
        told = self._told.get(node.id, set())
        found = [self._of_mac(node, mac, told) for mac in sorted(node.macs) if mac in self._at]
        if found:
            return found
        if told:
            ports = sorted({port for port, _ in told})
            ways = tuple(sorted({way for _, way in told}))
            if len(ports) == 1:
                return [
                    self._placed(
                        node, None, "on", ports[0], (), ways, "neighbour tables name this port"
                    )
                ]
            return [
                Placement(
                    node=node.id,
                    mac=None,
                    certainty="ambiguous",
                    at=None,
                    others=self._ports(ports, None),
                    known_by=ways,
                    reason="neighbour tables name several ports",
                )
            ]
        if node.asset is None and not node.macs:
            return []
        return [
            Placement(
                node=node.id,
                mac=None,
                certainty="unknown",
                at=None,
                others=(),
                known_by=(),
                reason=self._why_unknown(node),
            )
        ]

    def _why_unknown(self, node: Node) -> str:
        tables = [one for one in self._graph.known.values() if one.heard]
        if not tables:
            return "no forwarding table was read"
        if not node.macs:
            return "its MAC address is not known"
        partly = sum(not one.whole for one in tables)
        words = f"its MAC address is in none of the {len(tables)} forwarding tables that were read"
        return f"{words}, {partly} of them in part only" if partly else words

    def _of_mac(self, node: Node, mac: str, told: set[tuple[Port, KnownBy]]) -> Placement:
        ports = sorted(set(self._at[mac]))
        # A bridge is no uplink to itself: what leads to this node alone leads nowhere else.
        edges = [p for p in ports if p not in self._uplinks or self._beyond[p] <= {node.id}]
        announced = sorted({port for port, _ in told})
        if announced and not set(announced) & set(ports):
            return Placement(
                node=node.id,
                mac=mac,
                certainty="ambiguous",
                at=None,
                others=self._ports([*announced, *ports], mac),
                known_by=(*sorted({way for _, way in told}), "bridge table"),
                reason="neighbour tables name one port, and it is heard at another",
            )
        direct = [port for port in ports if port in announced]
        if len(direct) == 1 and direct[0] in (edges or ports):
            ways = (*sorted({way for _, way in told}), "bridge table")
            return self._chosen(
                node, mac, direct[0], ports, ways, "neighbour tables name this port"
            )
        if len(edges) == 1:
            return self._chosen(node, mac, edges[0], ports, ("bridge table",), "")
        fewest = self._fewest(edges or ports)
        if len(fewest) != 1:
            return Placement(
                node=node.id,
                mac=mac,
                certainty="ambiguous",
                at=None,
                others=self._ports(fewest, mac),
                known_by=("bridge table",),
                reason=f"heard at {len(fewest)} ports alike, and nothing tells them apart",
            )
        (port,) = fewest
        rest = [one for one in ports if one != port]
        count = len(self._beside[port])
        if edges:
            reason = (
                f"of {len(edges)} ports at which it is heard, the one with the fewest addresses "
                f"({count})"
            )
            return self._placed(node, mac, "on or behind", port, rest, ("bridge table",), reason)
        beyond = sorted(self._beyond[port] - {node.id})
        # Ports that lead to the bridge of the chosen one lead to the device over it: no rivals.
        rest = [one for one in rest if port[0] not in self._beyond[one]]
        names = [self._graph.node(one).name or one for one in beyond]
        reason = (
            f"heard only at ports that lead to other bridges; this one leads to {listed(names)}"
        )
        return self._placed(node, mac, "behind", port, rest, ("bridge table",), reason)

    def _chosen(
        self,
        node: Node,
        mac: str,
        port: Port,
        ports: Sequence[Port],
        ways: tuple[KnownBy, ...],
        why: str,
    ) -> Placement:
        """One port that leads to no other bridge: on it, or behind it where others are heard."""
        others = self._beside[port] - node.macs
        switch = self._graph.known[port[0]]
        rest = [one for one in ports if one != port and one not in self._uplinks]
        certainty: Certainty = "on or behind"
        if others:
            count = f"{len(others)} other address{'' if len(others) == 1 else 'es'}"
            reason = f"{count} heard on the same port"
        elif not switch.whole:
            reason = "no other address among those that were read of its table, which was cut short"
        else:
            reason, certainty = "no other address is heard there", "on"
        reason = f"{why}; {reason}" if why else reason
        return self._placed(node, mac, certainty, port, rest, ways, reason)

    def _placed(
        self,
        node: Node,
        mac: str | None,
        certainty: Certainty,
        port: Port,
        rest: Sequence[Port],
        ways: tuple[KnownBy, ...],
        reason: str,
    ) -> Placement:
        return Placement(
            node=node.id,
            mac=mac,
            certainty=certainty,
            at=self._port(port, mac),
            others=self._ports(rest, mac),
            known_by=ways,
            reason=reason,
        )

    def _fewest(self, ports: Sequence[Port]) -> list[Port]:
        least = min(len(self._beside[port]) for port in ports)
        fewest = [port for port in ports if len(self._beside[port]) == least]
        # Two ports of one bridge hear the same address only while it moves, or in a loop.
        twice = Counter(name for name, _ in ports)
        return list(ports) if any(twice[name] > 1 for name, _ in fewest) else fewest

    def _ports(self, ports: Sequence[Port], mac: str | None) -> tuple[SwitchPort, ...]:
        return tuple(self._port(port, mac) for port in sorted(set(ports))[:MAX_OTHERS])

    def _port(self, port: Port, mac: str | None) -> SwitchPort:
        vlans = self._graph.known[port[0]].heard.get(port[1], {}).get(mac or "", set())
        return SwitchPort(
            switch=port[0],
            port=port[1],
            vlan=min(vlans, key=lambda v: v or 0) if len(vlans) == 1 else None,
            heard=len(self._beside.get(port, ())),
        )
