"""
Devices of the plant speak with an address that lies in no zone.

Why it matters: what stands in no zone is in no inventory, has no security level and is watched by
nobody: the modem that a vendor left, a second network on the same cable, the laptop of last week.
Source: IEC 62443-3-3 SR 7.8 (a current list of all components).

ARP and neighbour tables of devices tell it (SNMP, tier read), and so do a device's own further
addresses. A pass speaks of the tables that were read, and needs them whole.
"""

from __future__ import annotations

from scanner.facts import AddressEntry, Fact, Neighbour, OwnAddress, TableRead
from scanner.model import Effort, Exploitability, Place, Severity, Tier, Verdict
from scanner.spec import Check, Inventory, Judgement, SitePolicy, unknown

NAMED = 6


def _tells(fact: Fact) -> bool:
    """Whether a fact names an address of somebody's."""
    if isinstance(fact, Neighbour):
        return fact.management_address is not None
    return isinstance(fact, AddressEntry | OwnAddress)


def judge(inventory: Inventory, site: SitePolicy) -> tuple[Judgement, ...]:
    zone_of = {asset.id: asset.zone for asset in inventory.assets}
    notes: dict[str, list[str]] = {}
    for one in inventory.topology.outside:
        words = f"{one.address} ({one.mac})" if one.mac else one.address
        for viewer in one.seen_by:
            notes.setdefault(viewer, []).append(words)
    for host in inventory.topology.dual_homed:
        for leg in host.legs:
            if leg.zone is None and host.asset in zone_of:
                notes.setdefault(host.asset, []).append(f"{leg.address}, a leg of its own")
    if notes:
        addresses = sorted({words for own in notes.values() for words in own})
        more = f" and {len(addresses) - NAMED} more" if len(addresses) > NAMED else ""
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=(
                    f"in no zone, but in the tables of devices: {', '.join(addresses[:NAMED])}"
                    f"{more}"
                ),
                places=tuple(
                    Place(zone=zone_of.get(viewer), asset=viewer, note="; ".join(own[:NAMED]))
                    for viewer, own in sorted(notes.items())
                ),
                evidence=tuple(
                    dict.fromkeys(
                        source
                        for asset in inventory.assets
                        if asset.id in notes
                        for fact, source in zip(asset.facts, asset.fact_sources, strict=True)
                        if _tells(fact)
                    )
                ),
            ),
        )
    tables = [
        (asset, fact)
        for asset in inventory.assets
        for fact in asset.facts
        if isinstance(fact, TableRead) and fact.table != "bridge"
    ]
    if partly := {asset.id for asset, fact in tables if not fact.complete}:
        return (unknown(f"whom all devices speak with: tables of {len(partly)} were cut short"),)
    told = {asset.id: asset for asset, fact in tables if fact.table == "addresses"}
    if not told:
        return (unknown("whom devices speak with: no address table was read"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"every address in devices' tables ({len(told)} told theirs) lies in a zone",
            places=tuple(Place(zone=asset.zone, asset=asset.id) for asset in told.values()),
        ),
    )


CHECK = Check(
    id="asset_outside_zones",
    title="Address in devices' tables that lies in no zone",
    requirements=("SR 7.8",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=Inventory,
    judge=judge,
    remedy=(
        "Find the device (the report names the switch port where it is known), ask what it is for, "
        "then give it a zone in the site file or take it off the cable."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0864", "T0848"),
    tier=Tier.READ,
)
