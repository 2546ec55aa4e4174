"""
What lists have in common: they claim, they do not see.

A row becomes a ClaimedDevice with `seen` off. Nothing in it can make a device seen, declared or
sound; correlate keeps it apart from every identity.
"""

from __future__ import annotations

from datetime import datetime

from scanner.correlate import BY_NAME
from scanner.facts import ClaimedDevice
from scanner.importers.form import Imported
from scanner.importers.gather import safe


def claim(
    device: ClaimedDevice, *, address: str | None, at: datetime, place: str, protocol: str
) -> Imported:
    """A row; without an address it stands under its name, or where it has none under its place."""
    return Imported(
        address=address or f"{BY_NAME}{safe(device.name or place)}",
        facts=(device,),
        at=at,
        place=place,
        protocol=protocol,
        seen=False,
        zone=device.zone,
    )
