"""
A device of the register is not found.

Why it matters: either the register is wrong, or the device is off, moved, broken or replaced. In an
emergency people look for it where it no longer is.
Source: IEC 62443-3-3 SR 7.8 (a current list of all components).
"""

from __future__ import annotations

from scanner.model import Asset, Effort, Exploitability, Place, Presence, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, Zone

MET = frozenset({Presence.DECLARED_AND_SEEN, Presence.IDENTITY_DIFFERS})


def judge(zone: Zone, site: SitePolicy) -> tuple[Judgement, ...]:
    def having(*presences: Presence) -> list[Asset]:
        return [a for a in zone.assets if a.parent is None and a.presence in presences]

    silent = having(Presence.DECLARED_AND_SILENT)
    open_ = having(Presence.NOT_VISITED, Presence.DECLARED_WITHOUT_ADDRESS)
    met = having(*MET)
    found = []
    if silent:
        found.append(
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{len(silent)} declared devices did not answer",
                places=_places(silent),
                evidence=tuple(one for asset in silent for one in asset.observations),
            )
        )
    if open_:
        found.append(
            Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=f"{len(open_)} declared devices: not asked to the end, or without address",
                places=_places(open_),
                about="not asked",
            )
        )
    if not found and met:
        found.append(
            Judgement(
                verdict=Verdict.PASS,
                summary=f"all {len(met)} declared devices answered",
                places=_places(met),
            )
        )
    return tuple(found) or (
        Judgement(verdict=Verdict.NOT_CHECKED, summary="no devices are declared in this zone"),
    )


def _places(assets: list[Asset]) -> tuple[Place, ...]:
    return tuple(Place(zone=asset.zone, asset=asset.id, note=asset.name or "") for asset in assets)


CHECK = Check(
    id="asset_silent",
    title="Declared device did not answer",
    requirements=("SR 7.8",),
    severity=Severity.LOW,
    exploitability=Exploitability.THEORETICAL,
    reads=Zone,
    judge=judge,
    remedy=(
        "Look on site whether the device is there and on. Correct its address in the register, or "
        "note it as out of service, a spare, or one that answers nobody."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
)
