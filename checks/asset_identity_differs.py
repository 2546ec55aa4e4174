"""
A device is not what the register says.

Why it matters: spare parts are bought, patches planned and advisories sorted by the register. A
device swapped in the night shift, or a firmware nobody planned, stays invisible until the spare
does not fit.
Source: IEC 62443-3-3 SR 7.8 (a current list of all components and their properties).
"""

from __future__ import annotations

from scanner.model import (
    IDENTITY_FIELDS,
    Asset,
    Effort,
    Exploitability,
    Place,
    Presence,
    Severity,
    Verdict,
)
from scanner.spec import Check, Judgement, SitePolicy, Zone

LONGEST = 60
"""Characters of a device's own text that a note repeats."""


def judge(zone: Zone, site: SitePolicy) -> tuple[Judgement, ...]:
    own = [asset for asset in zone.assets if asset.parent is None]
    different = [asset for asset in own if asset.presence is Presence.IDENTITY_DIFFERS]
    seen = [asset for asset in own if asset.presence is Presence.DECLARED_AND_SEEN]
    same = [asset for asset in seen if compared(asset)]
    rest = [asset for asset in seen if not compared(asset)]
    found = []
    if different:
        found.append(
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{len(different)} devices are not what the register says",
                places=tuple(
                    Place(zone=asset.zone, asset=asset.id, note=_note(asset)) for asset in different
                ),
                evidence=tuple(one for asset in different for one in asset.observations),
            )
        )
    elif same:
        found.append(
            Judgement(
                verdict=Verdict.PASS,
                summary=f"{len(same)} devices are what the register says, as far as both tell",
                places=tuple(
                    Place(zone=a.zone, asset=a.id, note=", ".join(compared(a))) for a in same
                ),
            )
        )
    if found and rest:
        found.append(
            Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=f"{len(rest)} declared devices: the register or the device tells no detail",
                places=tuple(
                    Place(zone=asset.zone, asset=asset.id, note=asset.name or "") for asset in rest
                ),
                about="not compared",
            )
        )
    return tuple(found) or (
        Judgement(
            verdict=Verdict.NOT_CHECKED,
            summary="no device of this zone is both declared in detail and identified",
        ),
    )


def compared(asset: Asset) -> list[str]:
    """The identity fields that both the register and the device told."""
    if asset.declared is None:
        return []
    return [
        name
        for name in IDENTITY_FIELDS
        if getattr(asset.declared, name) and getattr(asset.identity, name)
    ]


def _note(asset: Asset) -> str:
    """What is declared and what is seen, where the two are not letter for letter the same."""
    return "; ".join(
        f"{name}: declared {getattr(asset.declared, name)[:LONGEST]!r}, "
        f"seen {getattr(asset.identity, name)[:LONGEST]!r}"
        for name in compared(asset)
        if getattr(asset.declared, name) != getattr(asset.identity, name)
    )


CHECK = Check(
    id="asset_identity_differs",
    title="Device differs from its entry in the register",
    requirements=("SR 7.8",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.THEORETICAL,
    reads=Zone,
    judge=judge,
    remedy=(
        "Read the type plate and ask who changed the device or its firmware. Correct the register "
        "if the change was meant; if nobody knows of it, treat it as an incident."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0857", "T0839"),
)
