"""
The asset list in the form of NetBox's bulk import: six lists, each with the fields of its model.

NetBox imports one model at a time, in this order: manufacturers, device roles, device types,
devices, interfaces, IP addresses. A role is the device class; an interface is called "eth0", since
what it is called was not learned. Devices that only an imported list names are left out: they come
from a register. The prefix of an address is that of the zone's network.

Source: NetBox documentation, "Bulk Import" (CSV and JSON, related objects by name) and the models
dcim.Manufacturer, dcim.DeviceRole, dcim.DeviceType, dcim.Device, dcim.Interface, ipam.IPAddress.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from reports.inert import ascii_json, csv_cell, visible
from reports.register import link_address
from scanner.model import Assessment, Asset, Presence

Row = dict[str, str]
ORDER = (
    "manufacturers", "device_roles", "device_types", "devices", "interfaces", "ip_addresses",
)  # fmt: skip
NAME_LIMIT = 64
UNKNOWN = "Unknown"
THERE = frozenset(
    {Presence.DECLARED_AND_SEEN, Presence.SEEN_AND_UNDECLARED, Presence.IDENTITY_DIFFERS}
)


def render_json(assessment: Assessment) -> bytes:
    """All six lists as one document, in ASCII; each is pasted into its own import form."""
    return ascii_json(json.dumps(documents(assessment), indent=2).encode()) + b"\n"


def render_csv(assessment: Assessment) -> dict[str, bytes]:
    """File name -> content, numbered in the order of the import."""
    return {
        f"{number}-{name.replace('_', '-')}.csv": _csv(rows)
        for number, (name, rows) in enumerate(documents(assessment).items(), 1)
    }


def documents(assessment: Assessment) -> dict[str, list[Row]]:
    own = [asset for asset in assessment.assets if asset.presence is not Presence.CLAIMED]
    names = _names(own)
    makers: dict[str, None] = {}
    types: dict[tuple[str, str], str] = {}
    roles: dict[str, None] = {}
    found: dict[str, list[Row]] = {name: [] for name in ORDER}
    prefixes = {zone.id: _networks(zone.networks) for zone in assessment.zones}
    for asset in own:
        maker = _text(asset.identity.vendor) or UNKNOWN
        model = _text(asset.identity.model or asset.identity.order_number) or UNKNOWN
        role = str(asset.device_class)
        makers.setdefault(maker)
        roles.setdefault(role)
        types.setdefault((maker, model), _text(asset.identity.order_number) or "")
        name = names[asset.id]
        found["devices"].append(
            {
                "name": name,
                "role": role,
                "manufacturer": maker,
                "device_type": model,
                "serial": _text(asset.identity.serial, 50) or "",
                "site": _text(assessment.site, 100) or "",
                "status": "active" if asset.presence in THERE else "offline",
                "comments": _comments(asset),
            }
        )
        if asset.sub_address is not None or asset.address is None:
            continue
        found["interfaces"].append(
            {"device": name, "name": "eth0", "type": "other",
             "mac_address": link_address(asset) or ""}
        )  # fmt: skip
        for address in asset.addresses:
            if (prefixed := _prefixed(address, prefixes.get(asset.zone, []))) is not None:
                found["ip_addresses"].append(
                    {"address": prefixed, "status": "active", "device": name, "interface": "eth0",
                     "is_primary": "true" if address == asset.address else "false"}
                )  # fmt: skip
    found["manufacturers"] = [{"name": maker, "slug": _slug(maker)} for maker in makers]
    found["device_roles"] = [
        {"name": role, "slug": _slug(role), "color": "9e9e9e"} for role in roles
    ]
    found["device_types"] = [
        {"manufacturer": maker, "model": model, "slug": _slug(f"{maker}-{model}"),
         "part_number": part[:50], "u_height": "0"}
        for (maker, model), part in types.items()
    ]  # fmt: skip
    return found


def _names(assets: list[Asset]) -> dict[str, str]:
    """One name for each asset that no other has; NetBox wants that within a site."""
    plain = {asset.id: _plain_name(asset) for asset in assets}
    count = Counter(name.casefold() for name in plain.values())
    found: dict[str, str] = {}
    taken: set[str] = set()
    for number, asset in enumerate(assets, 1):
        name = plain[asset.id]
        if count[name.casefold()] > 1:
            name = f"{name[:24]} {_text(asset.id, 38)}"
        if name.casefold() in taken:
            name = f"{name[: NAME_LIMIT - 8]} {number}"
        taken.add(name.casefold())
        found[asset.id] = name
    return found


def _plain_name(asset: Asset) -> str:
    own = asset.name or asset.identity.name or asset.address or asset.id
    if asset.sub_address is not None:
        own = f"{asset.address} {asset.sub_address}"
    return _text(own, NAME_LIMIT) or asset.id[:NAME_LIMIT]


def _comments(asset: Asset) -> str:
    known = ", ".join(asset.origins) or "the site file"
    return visible(f"walkdown: zone {asset.zone}, {asset.presence}, known from {known}"[:500])


def _networks(texts: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    found = []
    for text in texts:
        with suppress(ValueError):  # an assessment.json that somebody edited
            found.append(ip_network(text))
    return found


def _prefixed(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> str | None:
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    longest = max((n.prefixlen for n in networks if ip in n), default=ip.max_prefixlen)
    return f"{ip}/{longest}"


def _text(text: str | None, most: int = 100) -> str | None:
    """Visible text that fits the field."""
    return visible(text.strip())[:most].strip() or None if text else None


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")[:100] or "unknown"


def _csv(rows: list[Row]) -> bytes:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8")
