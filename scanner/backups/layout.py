"""
Whose folder is whose in a backup source.

A source holds one folder per asset, named after it: `<name>`, `<address>`, or below the zone's id
where two cells use the same names: `<zone>/<name>`, `<zone>/<address>`. A folder that two assets
could claim belongs to neither. In an IPv6 address "-" stands for ":", which no folder may hold
everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scanner.facts import RunningConfiguration
from scanner.model import Asset, Presence

LONGEST_NAME = 128
NOT_THE_OWNERS = frozenset({Presence.SEEN_AND_UNDECLARED, Presence.CLAIMED})
"""Assets whose name is not the site file's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    One asset and where its backups may be. `folders` are relative, with "/", the first that exists
    counts. `max_age_s` None: no policy covers it. `ambiguous`: others have the same name.
    """

    asset: str
    folders: tuple[str, ...]
    max_age_s: int | None
    running: RunningConfiguration | None
    ambiguous: bool


def wanted(assets: Sequence[Asset], policy: Mapping[str, int]) -> tuple[Wanted, ...]:
    """
    Where to look for each asset. Keys of `policy`: a device class, an asset's name or address.

    Devices behind devices are left out (they are backed up with the one in front), and so are
    names that a device gave itself: it must not claim another one's backup.
    """
    own = [asset for asset in assets if asset.parent is None]
    claims = Counter(name for asset in own for name in _names(asset))
    found = []
    for asset in own:
        names = _names(asset)
        alone = [name for name in names if claims[name] == 1]
        in_zone = [f"{asset.zone}/{name}" for name in names] if _is_plain(asset.zone) else []
        found.append(
            Wanted(
                asset=asset.id,
                folders=(*in_zone, *alone),
                max_age_s=_max_age(asset, policy),
                running=_running(asset),
                ambiguous=len(alone) < len(names),
            )
        )
    return tuple(found)


def _names(asset: Asset) -> tuple[str, ...]:
    declared = asset.declared is not None and asset.presence not in NOT_THE_OWNERS
    own = (asset.name,) if declared else ()
    addresses = (asset.address or "", *asset.addresses)
    names = (*own, *(address.replace(":", "-") for address in addresses))
    return tuple(dict.fromkeys(name for name in names if name and _is_plain(name)))


def _is_plain(name: str) -> bool:
    """One path component that no file system takes for anything else."""
    return (
        0 < len(name) <= LONGEST_NAME
        and not name.startswith(".")
        and name == name.strip()
        and name.isprintable()
        and not any(char in name for char in '/\\:<>"|?*')
    )


def _max_age(asset: Asset, policy: Mapping[str, int]) -> int | None:
    for key in (asset.name, asset.address, asset.device_class.value):
        if key is not None and key in policy:
            return policy[key]
    return None


def _running(asset: Asset) -> RunningConfiguration | None:
    return next((fact for fact in asset.facts if isinstance(fact, RunningConfiguration)), None)
