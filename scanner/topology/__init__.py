"""
From what devices tell of their neighbours to the network as a graph: who is there, what cable
leads where, at which port each device hangs, who stands in two zones and who in none.

Pure, and of one order for the same facts. Nothing is guessed: what has two explanations is listed
with both. Addresses are those of a zone (two cells may both have 192.168.0.10), so an address in a
table counts for the device of the zone in which the table was read.

1. Which MAC addresses are whose: a device's own interfaces, bridge and SNMP engine, and what the
   scanner's own system resolved; then what ARP tables say. An address that two devices claim is
   nobody's.
2. Neighbours of LLDP and CDP are found by MAC address, by management address, by name; whoever is
   not found becomes a node of its own. A cable that both ends tell of is one link.
3. Bridges that hear each other, with no third bridge heard between, are linked by their tables.
4. A device hangs on the port at which its address is heard and that leads to no other bridge. Of
   several such ports it is the one at which the fewest are heard; a tie is told as such.

5. Assets that share a serial number, an engine id, a host key or a MAC address are told as such:
   they may be one device with several addresses.

Source: IEEE 802.1Q-2018 clause 8.8 (filtering database: which addresses are heard at a port),
IEEE 802.1AB-2009 (neighbours), RFC 826 (address resolution).
"""

from __future__ import annotations

from collections.abc import Sequence

from scanner.model import Asset, Topology, ZoneInfo
from scanner.topology.chassis import same_device
from scanner.topology.graph import MAX_NOTES, Graph
from scanner.topology.legs import dual_homed, outside
from scanner.topology.links import find_links
from scanner.topology.places import placements
from scanner.topology.proposals import propose


def build(assets: Sequence[Asset], zones: Sequence[ZoneInfo]) -> Topology:
    """The network as the assets' facts tell it. Never raises, whatever devices have said."""
    graph = Graph(zones)
    for asset in sorted(assets, key=lambda a: a.id):
        if asset.parent is None and asset.address is not None:
            graph.add(asset)
    graph.settle_macs()
    graph.meet_strangers()
    links = find_links(graph)
    places = placements(graph, links)
    legs = dual_homed(graph)
    return Topology(
        nodes=graph.nodes(),
        links=links,
        placements=places,
        dual_homed=legs,
        outside=outside(graph),
        proposals=propose(graph, places),
        notes=tuple(dict.fromkeys((*graph.notes, *same_device(graph))))[:MAX_NOTES],
    )
