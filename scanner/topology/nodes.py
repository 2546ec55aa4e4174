"""One node of the graph: everything that an asset's facts say of its place in the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from scanner.facts import (
    AddressEntry,
    BridgeEntry,
    LinkAddress,
    LinkLayerName,
    LinkLayerPort,
    Neighbour,
    NetworkInterface,
    OwnAddress,
    SnmpAccess,
    TableRead,
    VlanName,
)
from scanner.model import Asset, DeviceClass

NAME_LIMIT = 120
BRIDGING = frozenset({"bridge", "repeater", "access point"})
"""Capabilities of LLDP and CDP with which a device has others behind it on the same cable."""
ENGINE_ID_MAC = 3
"""Format of an SNMP engine id that ends in a MAC address (RFC 3411 section 5)."""

Port = tuple[str, str]
"""Node id and port."""


@dataclass(slots=True)
class Node:
    """
    An asset, or a stranger (`asset` None). `own` are MAC addresses that it told itself, `macs` all
    that are its, `bound` those that it binds to the addresses under which it is an asset.
    """

    id: str
    zone: str | None
    asset: Asset | None = None
    name: str | None = None
    addresses: set[str] = field(default_factory=set)
    legs: dict[str, int | None] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    macs: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    capabilities: set[str] = field(default_factory=set)
    ports: dict[str, str] = field(default_factory=dict)
    """What a port is called, in small, to its one name; where that is told."""
    port_names: set[str] = field(default_factory=set)
    heard: dict[str, dict[str, set[int | None]]] = field(default_factory=dict)
    """Port to MAC address to VLANs."""
    neighbours: list[Neighbour] = field(default_factory=list)
    spoken_to: list[AddressEntry] = field(default_factory=list)
    whole: bool = True
    """Its forwarding table was read to its end."""
    vlans: dict[int, str] = field(default_factory=dict)
    seen_by: set[str] = field(default_factory=set)

    @property
    def device_class(self) -> DeviceClass:
        return self.asset.device_class if self.asset else DeviceClass.UNKNOWN

    @property
    def bridges(self) -> bool:
        return (
            bool(self.heard)
            or bool(self.capabilities & BRIDGING)
            or self.device_class is DeviceClass.SWITCH
        )

    def has_port(self, name: str | None) -> bool:
        return name is not None and name in self.port_names

    def port(self, told: str | None) -> str | None:
        """The name of a port of this device, in whichever words it was told."""
        return None if told is None else self.ports.get(told.casefold(), told)


def read_asset(asset: Asset) -> Node:
    node = Node(id=asset.id, zone=asset.zone, asset=asset, name=asset.name)
    node.addresses = set(asset.addresses)
    texts: dict[str, set[str]] = defaultdict(set)
    macs: dict[str, str] = {}
    for fact in asset.facts:
        match fact:
            case NetworkInterface():
                canonical = fact.short_name or fact.name or f"interface {fact.index}"
                node.port_names.add(canonical)
                for text in (canonical, fact.name, fact.short_name, fact.mac):
                    if text:
                        texts[text.casefold()].add(canonical)
                if fact.mac:
                    node.own.add(fact.mac)
                    macs[canonical] = fact.mac
            case LinkAddress():
                node.own.add(fact.mac)
                if fact.told_by == "neighbours":
                    node.bound.add(fact.mac)
            case LinkLayerName():
                node.own |= {m for m in (fact.bridge_address, mac_of(fact.chassis_id)) if m}
                if fact.system_name:
                    node.names.add(fact.system_name)
                node.capabilities |= set(fact.capabilities or ())
            case SnmpAccess():
                if mac := _mac_of_engine(fact.engine_id):
                    node.own.add(mac)
            case BridgeEntry():
                heard = node.heard.setdefault(fact.port, {})
                heard.setdefault(fact.mac, set()).add(fact.vlan)
            case Neighbour():
                node.neighbours.append(fact)
            case AddressEntry():
                node.spoken_to.append(fact)
            case OwnAddress():
                node.legs[fact.ip] = fact.prefix_length
            case TableRead(table="bridge", complete=False):
                node.whole = False
            case VlanName():
                node.vlans[fact.vlan] = fact.name
            case _:
                pass
    for fact in asset.facts:
        if isinstance(fact, LinkLayerPort) and fact.interface:
            for text in (fact.port_id, fact.description, str(fact.number)):
                if text and text.casefold() not in texts:
                    node.ports.setdefault(text.casefold(), fact.interface)
        if isinstance(fact, OwnAddress) and fact.ip in node.addresses and fact.interface in macs:
            node.bound.add(macs[fact.interface])
    node.ports |= {text: min(names) for text, names in texts.items() if len(names) == 1}
    node.names |= {name for name in (asset.name, asset.identity.name) if name}
    return node


def mac_of(text: str | None) -> str | None:
    """A chassis id that is a MAC address."""
    if text is None or len(text) != 17:
        return None
    parts = text.split(":")
    if len(parts) != 6 or not all(len(p) == 2 and set(p) <= set("0123456789abcdef") for p in parts):
        return None
    return text


def _mac_of_engine(engine_id: str | None) -> str | None:
    """The MAC address in an SNMP engine id of that format (RFC 3411 section 5)."""
    try:
        data = bytes.fromhex(engine_id or "")
    except ValueError:
        return None
    if len(data) != 11 or data[4] != ENGINE_ID_MAC or not any(data[5:]) or data[5] & 1:
        return None
    return data[5:].hex(":")


def label(name: str) -> str:
    """A name as devices are compared by it: without domain and without a serial number behind."""
    return name.casefold().partition("(")[0].strip().partition(".")[0]


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def address_of(text: str | None) -> str | None:
    return None if text is None or ip_of(text) is None else text


def address_order(text: str) -> tuple[int, int, str]:
    ip = ip_of(text)
    return (0, 0, text) if ip is None else (ip.version, int(ip), text)


def listed(names: Sequence[str]) -> str:
    shown = ", ".join(shortened(name) for name in names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def shortened(name: str) -> str:
    return name[:NAME_LIMIT]
