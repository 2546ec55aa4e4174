"""Zones that a site file might have, each with its reasons. Only ever proposals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from scanner.model import CONTROLLERS, DeviceClass, Placement, ZoneProposal
from scanner.topology.graph import Graph, Network
from scanner.topology.nodes import NAME_LIMIT, address_order, ip_of

PROPOSED_PREFIX = {4: 24, 6: 64}
"""Of a proposed network, where no device told the length of its own."""


LEVELS = {
    **dict.fromkeys(CONTROLLERS, 1.0),
    DeviceClass.HMI: 2.0,
    DeviceClass.WORKSTATION: 2.0,
    DeviceClass.SERVER: 3.0,
}
"""Purdue level that a kind of device speaks for; the others speak for none."""
LEVEL_NAMES = {1.0: "control", 2.0: "supervision", 3.0: "operations"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    node: str
    address: str
    level: float | None
    vlan: int | None


def propose(graph: Graph, placements: Sequence[Placement]) -> tuple[ZoneProposal, ...]:
    """
    Zones that a site file might have: a network each, parted by VLAN and by what stands in it.
    Only where the site file does not draw the line there already: networks outside every zone, and
    zones that hold more than one network, VLAN or level.
    """
    vlans: dict[str, set[int]] = defaultdict(set)
    for place in placements:
        if place.at is not None and place.at.vlan:
            vlans[place.node].add(place.at.vlan)
    decided = {zone.id for zone in graph.zones if zone.purdue is not None}
    titles = _vlan_titles(graph)
    lengths = _lengths(graph)
    groups: dict[tuple[str, Network, int | None], list[_Member]] = defaultdict(list)
    for node in (*graph.known.values(), *graph.strangers.values()):
        for address in node.addresses:
            network = _network_of(address, lengths)
            if network is None:
                continue
            zone = node.zone if node.asset else next(iter(graph.zones_of(address)), None)
            vlan = min(vlans[node.id]) if len(vlans[node.id]) == 1 else None
            member = _Member(
                node=node.id, address=address, level=LEVELS.get(node.device_class), vlan=vlan
            )
            groups[zone or "", network, vlan].append(member)
    groups = _joined(groups)
    parts = Counter(zone for zone, _, _ in groups)
    mixed = _mixed(groups, graph)
    found: list[tuple[str, tuple[str, ...], float | None, list[_Member], list[str]]] = []
    for (zone, network, vlan), members in sorted(groups.items(), key=_group_order):
        split = _by_level(members)
        if zone in decided and len(split) > 1:
            split = [(None, members)]  # its owner has said of which level the zone is
        if zone and parts[zone] == 1 and len(split) == 1:
            continue
        for level, own in split:
            reasons = _reasons(zone, network, vlan, level, own, split, parts[zone], titles, lengths)
            whole = len(split) == 1 and network not in mixed
            networks = (
                (str(network),)
                if whole
                else tuple(sorted({m.address for m in own}, key=address_order))
            )
            if not whole:
                reasons.append("shares its network with others: addresses would have to change")
            base = titles.get(vlan or 0) or LEVEL_NAMES.get(level or 0.0) or zone or "network"
            base = base if zone else f"outside {base}"
            found.append((base, networks, level, own, reasons))
    names: Counter[str] = Counter()
    proposals = []
    for base, networks, level, own, reasons in found:
        identifier = _identifier(base)
        names[identifier] += 1
        number = f"-{names[identifier]}" if names[identifier] > 1 else ""
        proposals.append(
            ZoneProposal(
                id=identifier + number,
                name=f"{base[:NAME_LIMIT]}{number.replace('-', ' ')}",
                purdue=level,
                networks=networks,
                nodes=tuple(sorted({member.node for member in own})),
                reasons=tuple(reasons),
            )
        )
    return tuple(proposals)


def _joined(
    groups: dict[tuple[str, Network, int | None], list[_Member]],
) -> dict[tuple[str, Network, int | None], list[_Member]]:
    """Devices whose VLAN is not known go with the one VLAN of their network, where it is one."""
    vlans: dict[tuple[str, Network], set[int]] = defaultdict(set)
    for zone, network, vlan in groups:
        if vlan is not None:
            vlans[zone, network].add(vlan)
    joined: dict[tuple[str, Network, int | None], list[_Member]] = defaultdict(list)
    for (zone, network, vlan), members in groups.items():
        own = vlans[zone, network]
        joined[zone, network, min(own) if vlan is None and len(own) == 1 else vlan] += members
    return joined


def _mixed(
    groups: Mapping[tuple[str, Network, int | None], Sequence[_Member]], graph: Graph
) -> set[Network]:
    """Networks that several groups share, or that lie in one another or in a zone of others."""
    times = Counter(network for _, network, _ in groups)
    taken = set(times) | {network for _, network in graph.networks}
    lengths = {(network.version, network.prefixlen) for network in taken}
    own = {(zone, network) for zone, network, _ in groups}
    mixed = {network for network, count in times.items() if count > 1}
    for network in taken:
        for version, length in lengths:
            if version == network.version and length < network.prefixlen:
                wider = network.supernet(new_prefix=length)
                if wider not in taken:
                    continue
                homes = {zone for zone, one in own if one == network}
                if wider in times or not homes <= {z for z, one in graph.networks if one == wider}:
                    mixed |= {network, wider}
    return mixed & set(times)


def _by_level(members: Sequence[_Member]) -> list[tuple[float | None, list[_Member]]]:
    """Parted by level; what speaks for none goes with the most."""
    levels = Counter(member.level for member in members if member.level is not None)
    if not levels:
        return [(None, list(members))]
    most = max(levels, key=lambda level: (levels[level], -level))
    parts: dict[float, list[_Member]] = defaultdict(list)
    for member in members:
        parts[most if member.level is None else member.level].append(member)
    return [(level, parts[level]) for level in sorted(parts, reverse=True)]


def _reasons(
    zone: str,
    network: Network,
    vlan: int | None,
    level: float | None,
    own: Sequence[_Member],
    split: Sequence[tuple[float | None, list[_Member]]],
    parts: int,
    titles: dict[int, str],
    lengths: Sequence[Network],
) -> list[str]:
    count = len({member.node for member in own})
    reasons = [f"{count} device{'' if count == 1 else 's'} in {network}"]
    if not any(network == one for one in lengths):
        reasons.append(f"/{network.prefixlen} is assumed: no device told the length of its network")
    if vlan is not None:
        title = f' ("{titles[vlan][:40]}")' if vlan in titles else ""
        reasons.append(f"heard in VLAN {vlan}{title}")
    if level is not None:
        reasons.append(f"what stands there speaks for Purdue level {level:g}")
    if not zone:
        reasons.append("outside every zone of the site file")
    elif parts > 1:
        reasons.append(f"zone {zone} holds {parts} networks or VLANs")
    if len(split) > 1:
        reasons.append(f"{network} holds devices of {len(split)} Purdue levels")
    return reasons


def _group_order(
    group: tuple[tuple[str, Network, int | None], list[_Member]],
) -> tuple[str, int, int, int, int]:
    (zone, network, vlan), _ = group
    return zone, network.version, int(network.network_address), network.prefixlen, vlan or 0


def _vlan_titles(graph: Graph) -> dict[int, str]:
    """Number of a VLAN to the one name that all bridges give it."""
    names: dict[int, set[str]] = defaultdict(set)
    for node in graph.known.values():
        for vlan, name in node.vlans.items():
            names[vlan].add(name)
    return {
        vlan: min(own)
        for vlan, own in names.items()
        if len(own) == 1 and min(own).casefold() != "default"
    }


def _lengths(graph: Graph) -> list[Network]:
    """
    The networks that devices tell by the length of their own, and those of the site file that are
    no wider than one would propose; the narrowest first.
    """
    found = {network for _, network in graph.networks if _is_narrow(network)}
    for node in graph.known.values():
        for address, length in node.legs.items():
            ip = ip_of(address)
            if ip is not None and length and 0 < length < ip.max_prefixlen:
                found.add(ip_network(f"{address}/{length}", strict=False))
    return sorted(found, key=lambda n: (-n.prefixlen, n.version, int(n.network_address)))


def _is_narrow(network: Network) -> bool:
    return network.prefixlen >= PROPOSED_PREFIX[network.version]


def _network_of(address: str, lengths: Sequence[Network]) -> Network | None:
    ip = ip_of(address)
    if ip is None:
        return None
    for network in lengths:
        if network.version == ip.version and ip in network:
            return network
    return ip_network(f"{address}/{PROPOSED_PREFIX[ip.version]}", strict=False)


def _identifier(text: str) -> str:
    """As the site file wants it: letters, digits and hyphens, beginning with a letter."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.casefold())
    kept = "-".join(part for part in kept.split("-") if part)[:40]
    return kept if kept[:1].isalpha() else f"zone-{kept}".rstrip("-")
