"""
Random scopes for promise 17: site files with networks, exclusions, assets, tiers and choices, and
beside each what it allows, worked out without the product.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

AT_ONCE = 240
"""Scopes that can be carried out side by side: each has a third octet of its own."""
ON_LINK = IPv4Network("10.78.0.0/25")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`content` is the site file, `only` what is typed after `--only`, `allowed` the addresses
    that may see a packet."""

    content: dict[str, Any]
    only: tuple[str, ...]
    allowed: frozenset[str]

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(self.content), encoding="utf-8")
        return path


def hosts(network: IPv4Network) -> set[str]:
    """Without the network and broadcast addresses, from /30 up."""
    found = {str(address) for address in network}
    if network.prefixlen <= 30:
        found -= {str(network.network_address), str(network.broadcast_address)}
    return found


def home_of(slot: int) -> IPv4Network:
    """Slot 0 is on the scanner's own link, where addresses are looked for by ARP."""
    return ON_LINK if slot == 0 else IPv4Network(f"10.77.{slot}.0/24")


def draw(seed: int, number: int) -> Scope:
    """Scopes whose numbers differ by less than AT_ONCE share no address, and no neighbour."""
    rng = random.Random(f"{seed}/{number}")
    home = home_of(number % AT_ONCE)
    taken: list[IPv4Network] = []
    zones: list[dict[str, Any]] = []
    allowed: set[str] = set()
    chassis: dict[str, set[str]] = {}
    for index in range(rng.randint(1, 3)):
        networks = [net for _ in range(rng.randint(1, 2)) if (net := _network(rng, home, taken))]
        if not networks:
            continue
        zone, mine = _zone(rng, f"z{index}", networks)
        zones.append(zone)
        if zone.get("tier") != "passive":
            allowed |= mine
        for asset in zone.get("assets", ()):
            together = {asset["address"], *asset.get("addresses", ())}
            for address in together:
                chassis[address] = together
    only: tuple[str, ...] = ()
    in_some_zone = sorted(allowed)
    if in_some_zone and rng.random() < 0.3:
        only = tuple(rng.sample(in_some_zone, min(len(in_some_zone), rng.randint(1, 2))))
        chosen: set[str] = set()
        for address in only:
            chosen |= chassis.get(address, {address})
        allowed &= chosen
    now = datetime.now(UTC)
    content = {
        "site": f"Scope {number}",
        "state": f"scope-{number}.db",
        "authorisation": {
            "reference": "P-17", "owner": "Proof", "contact": "none",
            "valid_from": (now - timedelta(hours=1)).isoformat(timespec="minutes"),
            "valid_until": (now + timedelta(hours=24)).isoformat(timespec="minutes"),
        },
        "zones": zones,
    }  # fmt: skip
    if rng.random() < 0.2:
        content["services"] = [
            {"id": "db", "kind": "database", "address": "10.99.0.1", "port": 5432}
        ]
    return Scope(content=content, only=only, allowed=frozenset(allowed))


def _network(rng: random.Random, home: IPv4Network, taken: list[IPv4Network]) -> IPv4Network | None:
    prefix = rng.choice((32, 32, 32, 31, 30, 29))
    for _ in range(20):
        address = int(home.network_address) + rng.randrange(16, home.num_addresses - 16)
        # near another one, so that borders lie side by side
        if taken and rng.random() < 0.7:
            near = rng.choice(taken)
            address = int(near.network_address) + rng.choice((-1, near.num_addresses))
        network = IPv4Network((address, prefix), strict=False)
        if _inside(network, home) and not any(network.overlaps(other) for other in taken):
            taken.append(network)
            return network
    return None


def _inside(network: IPv4Network, home: IPv4Network) -> bool:
    first, last = int(home.network_address) + 8, int(home.broadcast_address) - 8
    return first <= int(network.network_address) and int(network.broadcast_address) <= last


def _zone(
    rng: random.Random, name: str, networks: list[IPv4Network]
) -> tuple[dict[str, Any], set[str]]:
    inside = sorted({address for net in networks for address in hosts(net)}, key=IPv4Address)
    zone: dict[str, Any] = {
        "id": name, "sl_t": 1, "networks": [str(net) for net in networks],
    }  # fmt: skip
    excluded: set[str] = set()
    if rng.random() < 0.5:
        exclude = []
        for _ in range(rng.randint(1, 3)):
            one = rng.choice(inside)
            prefix = rng.choice((32, 32, 31, 30))
            network = IPv4Network((int(IPv4Address(one)), prefix), strict=False)
            if any(network.supernet_of(other) for other in networks):
                network = IPv4Network((int(IPv4Address(one)), 32))
            exclude.append(str(network.network_address) if prefix == 32 else str(network))
            excluded |= {str(address) for address in network}
        zone["exclude"] = sorted(set(exclude))
    mine = set(inside) - excluded
    if rng.random() < 0.4:
        zone["tier"] = rng.choice(("passive", "identify", "read"))
    if rng.random() < 0.4:
        zone["probes"] = rng.sample(["modbus", "s7", "enip", "snmp", "http", "ssh", "telnet"], 2)
    free = sorted(mine, key=IPv4Address)
    if free and rng.random() < 0.4:
        asset: dict[str, Any] = {"address": rng.choice(free), "name": f"{name}-1"}
        others = [address for address in free if address != asset["address"]]
        if others and rng.random() < 0.5:
            asset["addresses"] = [rng.choice(others)]
        zone["assets"] = [asset]
    return zone, mine
