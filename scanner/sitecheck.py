"""
What is wrong with a site file that only a comparison of its entries shows.

Overlapping networks, references to nothing, assets out of place, limits that a profile does not
allow. Each function yields problems with their place; a part of the file that was unreadable is no
reason to accuse another.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address

from scanner.errors import SiteError
from scanner.profiles import PROFILES, Profile, on_loopback
from scanner.sitefile import (
    AssetBlock,
    Network,
    SiteBlock,
    ZoneBlock,
    addresses_of,
    as_window,
    has_device,
    is_walked,
)
from scanner.windows import ended, rule_problem
from scanner.yamlfile import Document, Place, Validated, did_you_mean, shown


def compare(checked: Validated[SiteBlock], model: SiteBlock) -> Iterator[SiteError]:
    """Everything but names of probes and the passing of time."""
    yield from _authorisation(checked.document, model)
    yield from _windows(checked, model)
    yield from _ids(checked.document, model)
    yield from _networks(checked, model)
    for zone in model.zones:
        yield from _zone_limits(checked, zone)
    yield from _assets(checked, model)
    yield from _references(checked.document, model)
    yield from _services(checked.document, model)


def _authorisation(document: Document, model: SiteBlock) -> Iterator[SiteError]:
    block = model.authorisation
    if block is not None and block.valid_until <= block.valid_from:
        yield document.problem(
            (*block.place, "valid_until"),
            "the authorisation ends before it begins",
            "valid_until must be later than valid_from",
        )


def _windows(checked: Validated[SiteBlock], model: SiteBlock) -> Iterator[SiteError]:
    document = checked.document
    for block in model.windows:
        if block.start.tzinfo is None and block.timezone is None:
            if checked.damaged((*block.place, "timezone")):
                continue
            yield document.problem(
                (*block.place, "start"),
                f"the window {block.id} has no time zone",
                "add timezone: Europe/Berlin, or give start an offset",
            )
            continue
        window = as_window(block)
        if block.rrule and (problem := rule_problem(block.rrule, window.start)):
            yield document.problem(
                (*block.place, "rrule"),
                f"rrule: {problem}",
                "write it like FREQ=WEEKLY or FREQ=MONTHLY;BYDAY=1SA",
            )


def past_windows(document: Document, model: SiteBlock, now: datetime) -> Iterator[SiteError]:
    """Windows that have no opening now and none to come."""
    for block in model.windows:
        if block.start.tzinfo is None and block.timezone is None:
            continue
        window = as_window(block)
        if block.rrule and rule_problem(block.rrule, window.start):
            continue
        if ended(window, now):
            yield document.problem(
                (*block.place, "start"),
                f"the window {block.id} is in the past: it has no opening after "
                f"{now.astimezone(window.timezone).isoformat(timespec='minutes')}",
                "set a new start, or add rrule: FREQ=WEEKLY if it recurs",
            )


def _ids(document: Document, model: SiteBlock) -> Iterator[SiteError]:
    groups: dict[str, list[tuple[str, Place]]] = {
        "zone": [(block.id, block.place) for block in model.zones],
        "window": [(block.id, block.place) for block in model.windows],
        "conduit": [(block.id, block.place) for block in model.conduits],
        "backup source": [(block.id, block.place) for block in model.backups.sources],
        "service": [(block.id, block.place) for block in model.services],
    }
    for what, entries in groups.items():
        first: dict[str, Place] = {}
        for name, place in entries:
            if name in first:
                yield document.problem(
                    (*place, "id"),
                    f"there are two {what}s with the id {name!r}",
                    f"the first is in line {document.line((*first[name], 'id'))}; ids must differ",
                )
            first.setdefault(name, place)


def _networks(checked: Validated[SiteBlock], model: SiteBlock) -> Iterator[SiteError]:
    if not model.zones and not checked.damaged(("zones",)):
        yield checked.document.problem(("zones",), "no zone is defined", "add at least one zone")
    entries = [
        (network, zone, checked.item((*zone.place, "networks"), index))
        for zone in model.zones
        for index, network in enumerate(zone.networks)
    ]
    entries.sort(key=lambda entry: (entry[0].version, int(entry[0][0]), entry[0].prefixlen))
    around: list[tuple[Network, ZoneBlock, Place]] = []
    for network, zone, place in entries:
        # sorted like this, two networks overlap only when the later lies inside the earlier
        while around and not _within(network, around[-1][0]):
            around.pop()
        for other_network, other, other_place in reversed(around):
            if other is not zone:
                line = checked.document.line(other_place)
                yield checked.document.problem(
                    place,
                    f"{network} of zone {zone.id} overlaps {other_network} of zone {other.id}",
                    f"the other is in line {line}; an address belongs to one zone only",
                )
                break
        around.append((network, zone, place))


def _zone_limits(checked: Validated[SiteBlock], zone: ZoneBlock) -> Iterator[SiteError]:
    profile = PROFILES[zone.profile]
    for index, network in enumerate(zone.networks):
        place = checked.item((*zone.place, "networks"), index)
        if profile.loopback_only and not on_loopback(network):
            yield checked.document.problem(
                place,
                f"profile lab is for loopback only, and {network} is not loopback",
                "choose profile default, fragile or robust",
            )
        largest = profile.largest_prefix(network.version)
        if is_walked(network) and network.prefixlen < largest:
            yield checked.document.problem(
                place,
                f"{network} is larger than profile {profile.name} allows (/{largest})",
                _smaller(network, profile),
            )


def _smaller(network: Network, profile: Profile) -> str:
    split = f"split it into networks of /{profile.largest_prefix(network.version)} or smaller"
    robust = PROFILES["robust"]
    enough = network.prefixlen >= robust.largest_prefix(network.version)
    if enough and profile.strictness < robust.strictness:
        return f"{split}, or choose profile: robust for this zone if its devices can take it"
    return f"{split}, and list only those that hold devices"


def _assets(checked: Validated[SiteBlock], model: SiteBlock) -> Iterator[SiteError]:
    document = checked.document
    owners: dict[str, AssetBlock] = {}
    for zone in model.zones:
        nameless: dict[str, AssetBlock] = {}
        for asset in zone.assets:
            yield from _scope_of_asset(checked, model, zone, asset)
            if not addresses_of(asset):
                if checked.damaged((*asset.place, "address")):
                    continue
                if asset.name is None:
                    yield document.problem(
                        asset.place, "an asset has neither address nor name", "give it one of them"
                    )
                elif asset.name in nameless:
                    yield document.problem(
                        (*asset.place, "name"),
                        f"two assets without address are named {shown(asset.name)}",
                        "names of assets without address must differ within a zone",
                    )
                else:
                    nameless[asset.name] = asset
            for address in addresses_of(asset):
                if address in owners:
                    line = document.line(owners[address].place)
                    yield document.problem(
                        asset.place,
                        f"two assets have the address {address}",
                        f"the other is in line {line}; several addresses of one device go into "
                        "`addresses` of one asset",
                    )
                owners.setdefault(address, asset)


def _scope_of_asset(
    checked: Validated[SiteBlock], model: SiteBlock, zone: ZoneBlock, asset: AssetBlock
) -> Iterator[SiteError]:
    """The first address must lie in the asset's own zone, further ones in any zone."""
    document = checked.document
    for index, text in enumerate(addresses_of(asset)):
        ip = ip_address(text)
        key = "address" if index == 0 and asset.address is not None else "addresses"
        place = (*asset.place, key)
        allowed = [zone] if index == 0 else model.zones
        inside = [network for each in allowed for network in each.networks if ip in network]
        if not inside:
            if not any(checked.damaged((*each.place, "networks")) for each in allowed):
                where = f"the networks of zone {zone.id}" if index == 0 else "every zone's networks"
                yield document.problem(
                    place,
                    f"{text} lies outside {where}",
                    f"add {text}/{ip.max_prefixlen} to `networks`, or move the asset",
                )
        elif not any(has_device(network, ip) for network in inside):
            yield document.problem(
                place,
                f"{text} is the network or broadcast address of {inside[0]}",
                f"if a device really has it, add {text}/32 to `networks`",
            )
        if asset.profile == "lab" and not on_loopback(ip):
            yield document.problem(
                (*asset.place, "profile"),
                f"profile lab is for loopback only, and {text} is not loopback",
                "choose profile default, fragile or robust",
            )


def _references(document: Document, model: SiteBlock) -> Iterator[SiteError]:
    zones = _ids_in_file(document, "zones")
    windows = _ids_in_file(document, "windows")
    for zone in model.zones:
        if zone.window is not None and zone.window not in windows:
            yield document.problem(
                (*zone.place, "window"),
                f"the window {zone.window!r} is not defined",
                did_you_mean(zone.window, windows),
            )
    for conduit in model.conduits:
        for key, end in (("from", conduit.source), ("to", conduit.target)):
            if end not in zones:
                yield document.problem(
                    (*conduit.place, key),
                    f"{key}: there is no zone {end!r}",
                    did_you_mean(end, zones),
                )
        if conduit.source == conduit.target:
            yield document.problem(
                (*conduit.place, "to"),
                f"the conduit {conduit.id} joins zone {conduit.source} with itself",
                "a conduit joins two zones",
            )


def _services(document: Document, model: SiteBlock) -> Iterator[SiteError]:
    """A device is never talked to as a service: that would bypass every limit."""
    declared = {
        address for zone in model.zones for asset in zone.assets for address in addresses_of(asset)
    }
    for service in model.services:
        if str(service.address) in declared:
            yield document.problem(
                (*service.place, "address"),
                f"{service.address} is an asset, and cannot be a service of Walkdown's own",
                "remove it here, or from the assets",
            )


def _ids_in_file(document: Document, key: str) -> frozenset[str]:
    """The ids written in the file, also of blocks that are faulty otherwise."""
    entries = document.root.get(key) if isinstance(document.root, dict) else None
    found = [each.get("id") for each in entries or () if isinstance(each, dict)]
    return frozenset(each.strip() for each in found if isinstance(each, str))


def vocabulary(
    checked: Validated[SiteBlock],
    model: SiteBlock,
    known_probes: frozenset[str] | None,
    known_services: frozenset[str] | None,
) -> Iterator[SiteError]:
    """Names in `probes` and `ports` that no probe or service has; None: not checked."""
    document = checked.document
    for zone in model.zones:
        named = [(zone.place, zone.probes), *((each.place, each.probes) for each in zone.assets)]
        for owner, probes in named:
            place = (*owner, "probes")
            for index, name in enumerate(probes or ()):
                if known_probes is not None and name not in known_probes:
                    yield document.problem(
                        checked.item(place, index),
                        f"there is no probe {name!r}",
                        did_you_mean(name, known_probes),
                    )
        owners: tuple[ZoneBlock | AssetBlock, ...] = (zone, *zone.assets)
        for block in owners:
            for name in block.ports:
                if known_services is not None and name not in known_services:
                    yield document.problem(
                        (*block.place, "ports", name),
                        f"ports: there is no probe {name!r}",
                        did_you_mean(name, known_services),
                    )


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False
