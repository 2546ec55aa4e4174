"""
The graph while it grows: whose a MAC address is, which device an address in a table stands for,
and who is spoken of without having been met.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from scanner.facts import AddressEntry, Neighbour
from scanner.model import Asset, TopologyNode, ZoneInfo
from scanner.topology.nodes import (
    NAME_LIMIT,
    Node,
    address_of,
    address_order,
    ip_of,
    label,
    listed,
    mac_of,
    read_asset,
    shortened,
)

MAX_STRANGERS = 2_000
"""Devices that others speak of and nobody has met; a table full of invented ones ends there."""
MAX_NOTES = 200

Network = IPv4Network | IPv6Network


class Graph:
    """What is known while the steps of the module's story are taken, one after another."""

    def __init__(self, zones: Sequence[ZoneInfo]) -> None:
        self.zones = tuple(zones)
        self.known: dict[str, Node] = {}
        self.strangers: dict[str, Node] = {}
        self.notes: list[str] = []
        self.by_mac: dict[str, str] = {}
        self.networks = networks_of(zones)
        self._loopback = any(network.is_loopback for _, network in self.networks)
        self._inside: dict[str, tuple[str, ...]] = {}
        self._by_address: dict[str, list[str]] = defaultdict(list)
        self._by_name: dict[str, set[str]] = {}
        self._stranger_of: dict[tuple[str, ...], str] = {}

    def add(self, asset: Asset) -> None:
        node = read_asset(asset)
        self.known[node.id] = node
        for address in node.addresses:
            self._by_address[address].append(node.id)

    @property
    def has_networks(self) -> bool:
        return bool(self.networks)

    def note(self, words: str) -> None:
        if len(self.notes) < 4 * MAX_NOTES:
            self.notes.append(words)

    def node(self, name: str) -> Node:
        return self.known[name] if name in self.known else self.strangers[name]

    # --- addresses ---

    def zones_of(self, address: str) -> tuple[str, ...]:
        """The zones in whose networks an address lies; more than one where cells are alike."""
        if address not in self._inside:
            ip = ip_of(address)
            self._inside[address] = tuple(
                dict.fromkeys(
                    zone
                    for zone, network in self.networks
                    if ip is not None and ip.version == network.version and ip in network
                )
            )
        return self._inside[address]

    def counts(self, address: str) -> bool:
        """Whether an address is one device's own, and not one that every device has."""
        ip = ip_of(address)
        return not (
            ip is None
            or ip.is_multicast
            or ip.is_unspecified
            or ip.is_link_local
            or str(ip) == "255.255.255.255"
            or (ip.is_loopback and (not self._loopback or str(ip) in ("127.0.0.1", "::1")))
        )

    def owner(self, address: str, viewer: Node) -> str | None:
        """The asset that an address stands for in a table of `viewer`; None: nobody, or unclear."""
        owners = self._by_address.get(address, [])
        near = [name for name in owners if self.known[name].zone == viewer.zone]
        if len(near) == 1:
            return near[0]
        if len(owners) != 1:
            if owners:
                self.note(f"{address} in a table of {viewer.id} may be any of {listed(owners)}")
            return None
        inside = self.zones_of(address)
        if viewer.zone in inside or len(inside) > 1:
            self.note(
                f"{address} in a table of {viewer.id} need not be {owners[0]}: it lies in "
                f"{listed(inside)}"
            )
            return None
        return owners[0]

    # --- step 1 ---

    def settle_macs(self) -> None:
        claims: dict[str, set[str]] = defaultdict(set)
        for node in self.known.values():
            for mac in node.own:
                claims[mac].add(node.id)
        for mac, owners in sorted(claims.items()):
            if len(owners) > 1:
                binding = {name for name in owners if mac in self.known[name].bound}
                if len(binding) == 1:
                    owners = binding
                elif not self._one_box(owners):
                    self.note(f"{mac} is claimed by {listed(sorted(owners))}: by none")
                    continue
            self.by_mac[mac] = min(owners)
        told: dict[str, set[str]] = defaultdict(set)
        for viewer in self.known.values():
            for entry in viewer.spoken_to:
                if entry.mac in claims or not self.counts(entry.ip):
                    continue
                if owner := self.owner(entry.ip, viewer):
                    told[entry.mac].add(owner)
        for mac, owners in sorted(told.items()):
            if len(owners) == 1:
                self.by_mac[mac] = min(owners)
            else:
                self.note(
                    f"{mac} answers for {listed(sorted(owners))}: one device with several "
                    "addresses, or a router that answers for others"
                )
        for mac, name in self.by_mac.items():
            self.known[name].macs.add(mac)
        for node in self.known.values():
            for name in node.names:
                self._by_name.setdefault(name.casefold(), set()).add(node.id)
                self._by_name.setdefault(label(name), set()).add(node.id)

    def _one_box(self, owners: Iterable[str]) -> bool:
        """Whether each of these assets says that the addresses of all the others are its own."""
        nodes = [self.known[name] for name in owners]
        return all(
            one is other or other.addresses <= set(one.legs) for one in nodes for other in nodes
        )

    # --- step 2 ---

    def meet_strangers(self) -> None:
        for viewer in self.known.values():
            for neighbour in viewer.neighbours:
                name = self.found(neighbour, viewer)
                if name is not None:
                    self.node(name).capabilities |= set(neighbour.capabilities or ())
            for entry in viewer.spoken_to:
                self._meet_address(entry, viewer)

    def found(self, neighbour: Neighbour, viewer: Node) -> str | None:
        """The node that a neighbour is; a stranger is made where it is none of the assets."""
        mac = mac_of(neighbour.chassis_id)
        if mac is not None and mac in self.by_mac:
            return self.by_mac[mac]
        address = neighbour.management_address or address_of(neighbour.chassis_id)
        if address is not None and (owner := self.owner(address, viewer)):
            return owner
        name = neighbour.system_name
        if name and (mac is None or not self._told_other(mac, name)):
            for key in (name.casefold(), label(name)):
                same = self._by_name.get(key, set()) - {viewer.id} if key else set()
                if len(same) == 1:
                    return min(same)
                if same:
                    self.note(
                        f"neighbour {shortened(name)} of {viewer.id} may be any of "
                        f"{listed(sorted(same))}"
                    )
                    break
        keys: list[tuple[str, ...]] = []
        if mac is not None:
            keys.append(("mac", mac))
        if address is not None and self.counts(address):
            keys.append(self._address_key(address, viewer))
        if not keys and (text := name or neighbour.chassis_id):
            keys.append(("name", text.casefold()))
        if not keys:
            return None
        return self._stranger(
            keys, viewer, name=name or neighbour.chassis_id, address=address, mac=mac
        )

    def _told_other(self, mac: str, name: str) -> bool:
        """
        Whether the assets of this name have told MAC addresses, all of another maker. (A switch
        announces an address next to those of its ports.)
        """
        same = self._by_name.get(name.casefold(), set()) or self._by_name.get(label(name), set())
        own = {known for one in same for known in self.known[one].own}
        return bool(own) and not any(known[:8] == mac[:8] for known in own)

    def _meet_address(self, entry: AddressEntry, viewer: Node) -> None:
        if not self.counts(entry.ip) or entry.ip in viewer.legs or entry.ip in viewer.addresses:
            return
        if self._by_address.get(entry.ip) and (
            self.owner(entry.ip, viewer) or viewer.zone not in self.zones_of(entry.ip)
        ):
            return
        if entry.mac in self.by_mac:
            return  # a further address of a device that is known: see dual_homed
        keys = [("mac", entry.mac), self._address_key(entry.ip, viewer)]
        self._stranger(keys, viewer, name=None, address=entry.ip, mac=entry.mac)

    def _address_key(self, address: str, viewer: Node) -> tuple[str, ...]:
        inside = self.zones_of(address)
        zone = inside[0] if len(inside) == 1 else viewer.zone if viewer.zone in inside else ""
        return ("address", zone or "", address)

    def _stranger(
        self,
        keys: Sequence[tuple[str, ...]],
        viewer: Node,
        *,
        name: str | None,
        address: str | None,
        mac: str | None,
    ) -> str | None:
        known = next((self._stranger_of[key] for key in keys if key in self._stranger_of), None)
        if known is None:
            if len(self.strangers) >= MAX_STRANGERS:
                self.note(
                    f"more than {MAX_STRANGERS} devices are spoken of that nobody has met: "
                    "the others are left out"
                )
                return None
            known = "neighbour:" + "/".join(part for part in keys[0][1:] if part)[:NAME_LIMIT]
            while known in self.strangers:
                known += "'"
            zones = self.zones_of(address) if address else ()
            zone = zones[0] if len(zones) == 1 else viewer.zone if viewer.zone in zones else None
            self.strangers[known] = Node(id=known, zone=zone)
        node = self.strangers[known]
        for key in keys:
            self._stranger_of.setdefault(key, known)
        node.name = node.name or (name[:NAME_LIMIT] if name else None)
        node.seen_by.add(viewer.id)
        if address is not None and self.counts(address):
            node.addresses.add(address)
        if mac is not None:
            node.macs.add(mac)
            self.by_mac.setdefault(mac, known)
        return known

    def nodes(self) -> tuple[TopologyNode, ...]:
        every = [*self.known.values(), *self.strangers.values()]
        return tuple(
            TopologyNode(
                id=node.id,
                known="asset" if node.asset else "neighbour",
                zone=node.zone,
                name=node.name,
                addresses=tuple(sorted(node.addresses, key=address_order)),
                macs=tuple(sorted(node.macs)),
                device_class=node.device_class,
                bridges=node.bridges,
            )
            for node in sorted(every, key=lambda n: (n.asset is None, n.id))
        )


def networks_of(zones: Sequence[ZoneInfo]) -> tuple[tuple[str, Network], ...]:
    found = []
    for zone in zones:
        for text in zone.networks:
            try:
                found.append((zone.id, ip_network(text, strict=False)))
            except ValueError:
                continue
    return tuple(found)
