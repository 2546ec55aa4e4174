"""
A device answers in the zone that the register does not know.

Why it matters: a device that nobody registered is patched by nobody, backed up by nobody and missed
by nobody: a forgotten vendor laptop, a radio bridge, or the intruder's own box.
Source: IEC 62443-3-3 SR 7.8 (a current list of all components).
"""

from __future__ import annotations

from scanner.model import Effort, Exploitability, Place, Presence, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, Zone, unknown

SEEN = frozenset(
    {Presence.DECLARED_AND_SEEN, Presence.SEEN_AND_UNDECLARED, Presence.IDENTITY_DIFFERS}
)


def judge(zone: Zone, site: SitePolicy) -> tuple[Judgement, ...]:
    # A device behind a device is as declared as the one in front, and counted there.
    seen = [asset for asset in zone.assets if asset.parent is None and asset.presence in SEEN]
    strange = [asset for asset in seen if asset.presence is Presence.SEEN_AND_UNDECLARED]
    if strange:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{len(strange)} of {len(seen)} devices that answered are not declared",
                places=tuple(
                    Place(zone=asset.zone, asset=asset.id, note=asset.address or "")
                    for asset in strange
                ),
                evidence=tuple(one for asset in strange for one in asset.observations),
            ),
        )
    if not seen:
        return (unknown("who is in the zone: no device of it answered"),)
    if zone.unasked is None:
        return (unknown("how much of the zone was asked"),)
    if zone.unasked:
        return (unknown(f"who is at {zone.unasked} addresses of the zone that were not asked"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"all {len(seen)} devices that answered are declared",
            places=tuple(Place(zone=asset.zone, asset=asset.id) for asset in seen),
        ),
    )


CHECK = Check(
    id="asset_undeclared",
    title="Device on the network that is not declared",
    requirements=("SR 7.8",),
    severity=Severity.HIGH,
    exploitability=Exploitability.SKILLED,
    reads=Zone,
    judge=judge,
    remedy=(
        "Find the device (switch port from the MAC table), ask who put it there, then register it "
        "with owner and purpose or take it off. Shut unused switch ports."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0864", "T0848"),
)
