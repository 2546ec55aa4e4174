"""
A device stands with one leg each in zones that no conduit joins.

Why it matters: a host with two network cards is a path around the firewall. Whoever takes the
historian in the office network stands in the control network without having passed a single rule,
and no log at the boundary shows it.
Source: IEC 62443-3-3 SR 5.1 (zones are apart) and SR 5.2 (their boundary is watched).

The devices' own address tables say it (SNMP, tier read). Switches, firewalls and gateways are made
to stand in several zones and are left out. A pass needs the table of every device that answered.
"""

from __future__ import annotations

from itertools import combinations

from scanner.facts import OwnAddress, TableRead
from scanner.model import (
    Asset,
    DeviceClass,
    DualHomed,
    Effort,
    Exploitability,
    Place,
    Presence,
    Severity,
    Tier,
    Verdict,
)
from scanner.spec import Check, Inventory, Judgement, SitePolicy, unknown

BOUNDARY = frozenset({DeviceClass.SWITCH, DeviceClass.FIREWALL, DeviceClass.GATEWAY})
SEEN = frozenset(
    {Presence.DECLARED_AND_SEEN, Presence.SEEN_AND_UNDECLARED, Presence.IDENTITY_DIFFERS}
)


def judge(inventory: Inventory, site: SitePolicy) -> tuple[Judgement, ...]:
    hosts = {
        asset.id: asset
        for asset in inventory.assets
        if asset.parent is None and asset.presence in SEEN and asset.device_class not in BOUNDARY
    }
    joined = {frozenset((one.from_zone, one.to_zone)) for one in site.conduits}
    found = []
    for host in inventory.topology.dual_homed:
        apart = [pair for pair in combinations(host.zones, 2) if frozenset(pair) not in joined]
        if host.asset in hosts and apart:
            found.append(_judgement(host, hosts[host.asset], apart))
    if any(judgement.verdict is Verdict.FAIL for judgement in found):
        return tuple(found)
    telling = [host for host in hosts.values() if _told_all(host)]
    if not hosts:
        return (*found, unknown("who stands in several zones: no host answered"))
    silent = len(hosts) - len(telling)
    if silent:
        words = f"the addresses of {silent} of {len(hosts)} hosts (their own table, tier read)"
        return (*found, unknown(words))
    if found:
        return tuple(found)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"none of {len(hosts)} hosts has addresses in zones that no conduit joins",
            places=tuple(Place(zone=host.zone, asset=host.id) for host in hosts.values()),
        ),
    )


def _told_all(host: Asset) -> bool:
    """Whether its own address table was read to the end."""
    return any(
        isinstance(fact, TableRead) and fact.table == "own_addresses" and fact.complete
        for fact in host.facts
    )


def _judgement(host: DualHomed, asset: Asset, apart: list[tuple[str, str]]) -> Judgement:
    legs = ", ".join(f"{leg.address} ({leg.zone or 'no zone'})" for leg in host.legs)
    zones = "; ".join(f"{one} and {other}" for one, other in apart)
    if not host.sure:
        return Judgement(
            verdict=Verdict.NOT_CHECKED,
            summary=f"{host.asset} may stand in several zones: {legs}; {host.note}",
            about=host.asset,
        )
    sources = zip(asset.facts, asset.fact_sources, strict=True)
    return Judgement(
        verdict=Verdict.FAIL,
        summary=f"{host.asset} has addresses in zones that no conduit joins ({zones}): {legs}",
        places=(
            Place(zone=asset.zone, asset=asset.id, note=legs),
            *(Place(zone=zone, asset=None) for zone in host.zones if zone != asset.zone),
        ),
        about=host.asset,
        evidence=tuple(
            dict.fromkeys(source for fact, source in sources if isinstance(fact, OwnAddress))
        ),
    )


CHECK = Check(
    id="dual_homed_host",
    title="Host with a leg in zones that no conduit joins",
    requirements=("SR 5.1", "SR 5.2"),
    severity=Severity.HIGH,
    exploitability=Exploitability.SKILLED,
    reads=Inventory,
    judge=judge,
    remedy=(
        "Take the second network card off, and let the data pass a firewall between the zones or a "
        "server in a zone of its own. Until then make sure that the host forwards nothing, and "
        "declare the path as a conduit with what may pass."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0866", "T0886"),
    tier=Tier.READ,
)
