"""Who stands in more than one zone, and who in none."""

from __future__ import annotations

from collections import defaultdict

from scanner.model import DualHomed, Leg, OutsideDevice
from scanner.topology.graph import Graph
from scanner.topology.nodes import Node, address_order, listed


def dual_homed(graph: Graph) -> tuple[DualHomed, ...]:
    """
    Assets with legs in more than one zone, one entry for a device that is asked at several of its
    addresses. Sure where the device itself tells its addresses; where only its MAC address answers
    for another zone's address, it may be a router that answers for others.
    """
    by_macs: dict[str, dict[str, str]] = defaultdict(dict)
    for viewer in graph.known.values():
        for entry in viewer.spoken_to:
            name = graph.by_mac.get(entry.mac)
            if name in graph.known and graph.counts(entry.ip):
                by_macs[name].setdefault(entry.ip, f"its MAC address {entry.mac} answers there")
    found: dict[tuple[str, ...], DualHomed] = {}
    for node in graph.known.values():
        ways = {address: "asked there" for address in node.addresses}
        for address in node.legs:
            if graph.counts(address):
                ways.setdefault(address, "its own address table")
        own = len(ways)
        for address, how in by_macs[node.id].items():
            ways.setdefault(address, how)
        legs = tuple(
            Leg(address=address, zone=_leg_zone(graph, address, node), how=how)
            for address, how in ways.items()
        )
        if len({leg.zone for leg in legs}) < 2:
            continue
        sure = len({leg.zone for leg in legs[:own]}) > 1
        key = tuple(sorted(ways, key=address_order))
        if key not in found or (sure and not found[key].sure):
            found[key] = DualHomed(
                asset=node.id,
                legs=tuple(sorted(legs, key=lambda leg: address_order(leg.address))),
                sure=sure,
                note="" if sure else "or it is a router that answers for others",
            )
    return tuple(sorted(found.values(), key=lambda one: one.asset))


def _leg_zone(graph: Graph, address: str, node: Node) -> str | None:
    inside = graph.zones_of(address)
    if address in node.addresses or node.zone in inside:
        return node.zone
    if len(inside) > 1:
        graph.note(f"{address} of {node.id} lies in several zones alike: {listed(inside)}")
        return node.zone
    return inside[0] if inside else None


def outside(graph: Graph) -> tuple[OutsideDevice, ...]:
    """Strangers with an address in no zone. Only a site with networks has an outside."""
    if not graph.has_networks:
        return ()
    return tuple(
        OutsideDevice(
            node=node.id,
            address=address,
            mac=min(node.macs) if len(node.macs) == 1 else None,
            name=node.name,
            seen_by=tuple(sorted(node.seen_by)),
        )
        for node in sorted(graph.strangers.values(), key=lambda one: one.id)
        for address in sorted(node.addresses, key=address_order)
        if not graph.zones_of(address)
    )
