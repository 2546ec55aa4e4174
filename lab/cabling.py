"""
From a plant's cables to what its devices tell of them over SNMP: who is heard at which port, who
announces itself on it, who has spoken to whom.

A plant file's `network` has:

    vlans:      {10: process}                  names, as the bridges print them
    bridges:    [SW-1, HUB-1]                  whatever forwards frames; one without an SNMP service
                                               tells nothing (a hub, a switch of nobody's)
    macs:       {PLC-1: "02:…", HIST-1 eth1: "02:…"}
    addresses:  {HIST-1 eth1: 127.31.2.20/24}  beside those of the devices themselves (/24)
    vlan_of:    {PLC-1: 10}
    cables:     [SW-1 gi8 - SW-2 gi1, SW-1 gi1 - PLC-1]
    announce:   {SW-1: {chassis: "02:…", protocols: [lldp, cdp], capabilities: [bridge]}}
    spoken_to:  {SW-1: [PLC-1, HIST-1 eth1]}   whose addresses are in its ARP table

An end is a device, with a port where it has more than one. Ports of a bridge that tells are short
names of its SNMP service's `interfaces`. Cables are a tree: a blocked link of a ring is no cable.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from lab.errors import LabError

End = tuple[str, str]
"""Device and port; the port of a device that has one only is ""."""


def told(
    network: Mapping[str, Any],
    interfaces: Mapping[str, list[Mapping[str, Any]]],
    own: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """
    Settings for the SNMP service of each device in `interfaces` (those that have one; its rows of
    ifTable). `own` are the addresses of the plant's devices. Raises LabError.
    """
    cables = [_cable(str(text)) for text in network.get("cables", ())]
    bridges = {str(name) for name in network.get("bridges", ())}
    macs = {_end(str(name)): str(mac) for name, mac in network.get("macs", {}).items()}
    vlans = {_end(str(name)): int(vlan) for name, vlan in network.get("vlan_of", {}).items()}
    addresses = {(name, ""): f"{address}/24" for name, address in own.items()}
    addresses |= {_end(str(n)): str(a) for n, a in network.get("addresses", {}).items()}
    beside: dict[str, list[tuple[str, End]]] = defaultdict(list)
    for one, other in cables:
        beside[one[0]].append((one[1], other))
        beside[other[0]].append((other[1], one))
    settings: dict[str, dict[str, Any]] = {}
    for name, rows in interfaces.items():
        mine: dict[str, Any] = {}
        number = {str(row.get("short", row["name"])): n for n, row in enumerate(rows, start=1)}
        if name in bridges:
            for port, _ in beside[name]:
                _known(number, port, name)
            heard = [
                {"mac": macs[end], "port": _known(number, port, name), "vlan": vlans.get(end, 1)}
                for port, end in _reached(name, beside, bridges)
                if end in macs
            ]
            mine["bridge"] = {
                "address": macs.get((name, "")),
                "heard": heard,
                "vlans": {int(v): str(t) for v, t in network.get("vlans", {}).items()},
            }
        mine |= _announced(name, network, beside, number, addresses)
        legs = {end: text for end, text in addresses.items() if end[0] == name}
        mine["addresses"] = [
            {"ip": text.split("/")[0], "prefix": int(text.split("/")[1]), "port": number.get(p, 1)}
            for (_, p), text in legs.items()
        ]
        mine["arp"] = [
            {"ip": addresses[end].split("/")[0], "mac": macs[end], "port": 1}
            for end in map(_end, map(str, network.get("spoken_to", {}).get(name, ())))
        ]
        settings[name] = mine
    return settings


def _reached(
    name: str, beside: Mapping[str, list[tuple[str, End]]], bridges: set[str]
) -> list[tuple[str, End]]:
    """Every end whose frames come in at a port of this bridge, the bridges' own among them."""
    found: list[tuple[str, End]] = []
    seen = {name}
    for port, first in beside[name]:
        waiting = deque([first])
        while waiting:
            end = waiting.popleft()
            if end[0] not in bridges:
                found.append((port, end))
            elif end[0] not in seen:
                seen.add(end[0])
                found.append((port, (end[0], "")))
                waiting.extend(other for _, other in beside[end[0]] if other[0] not in seen)
    return found


def _announced(
    name: str,
    network: Mapping[str, Any],
    beside: Mapping[str, list[tuple[str, End]]],
    number: Mapping[str, int],
    addresses: Mapping[End, str],
) -> dict[str, Any]:
    """What the device says of itself with LLDP, and what its neighbours say on its cables."""
    said = network.get("announce", {})
    found: dict[str, Any] = {}
    own = said.get(name)
    if own and "lldp" in own["protocols"]:
        found["lldp"] = {
            "chassis_mac": own["chassis"],
            "name": name,
            "capabilities": own.get("capabilities", []),
        }
    for port, (other, other_port) in beside[name]:
        word = said.get(other)
        if own is None or word is None:
            continue
        address = addresses.get((other, ""), "").split("/")[0]
        row = {"local_port": _known(number, port, name), "system_name": other, "address": address}
        if "lldp" in own["protocols"] and "lldp" in word["protocols"]:
            told_by_lldp = {
                "chassis_mac": word["chassis"],
                "port_id": other_port or "eth0",
                "capabilities": word.get("capabilities", []),
            }
            found.setdefault("neighbours", []).append(row | told_by_lldp)
        if "cdp" in own["protocols"] and "cdp" in word["protocols"]:
            told_by_cdp = {
                "port_id": other_port or "eth0",
                "platform": word.get("platform", ""),
                "capabilities": word.get("capabilities", []),
            }
            found.setdefault("cdp", []).append(row | told_by_cdp)
    return found


def _known(number: Mapping[str, int], port: str, name: str) -> int:
    if not port and len(number) == 1:
        return 1
    if port not in number:
        raise LabError(f"{name} has no interface {port!r}, but a cable ends there")
    return number[port]


def _cable(text: str) -> tuple[End, End]:
    one, separator, other = text.partition(" - ")
    if not separator:
        raise LabError(f"a cable joins two ends: 'SW-1 gi1 - PLC-1', not {text!r}")
    return _end(one), _end(other)


def _end(text: str) -> End:
    device, _, port = text.strip().partition(" ")
    return device, port
