"""
Devices exported from NetBox as JSON: what the register claims, not what was seen.

Three forms are read: a page of the REST API (`{"results": […]}` of /api/dcim/devices/), the bare
list of devices, and what `walkdown export --to netbox` writes as one document (`{"devices": […],
"ip_addresses": […]}`). Of a device: name, serial, asset_tag, primary_ip, primary_ip4, primary_ip6,
device_type (model, part_number, manufacturer), manufacturer, role or device_role, site, location,
status, platform, last_updated. A device without a primary address is kept under its name.

Source: NetBox documentation, REST API and models reference: dcim.Device, dcim.DeviceType,
ipam.IPAddress; bulk import takes the same names with plain text for related objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scanner.errors import UsageError
from scanner.facts import ClaimedDevice
from scanner.importers.claims import claim
from scanner.importers.form import (
    Imported,
    Importer,
    Reading,
    address_of,
    document,
    is_device,
    json_value,
    moment_of,
    text_of,
)

MOST_DEVICES = 100_000
KEYS = ('"device_type"', '"primary_ip', '"manufacturer"')


def recognises(head: bytes, path: Path) -> bool:
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    return text[:1] in ("{", "[") and KEYS[0] in text and '"ts"' not in text


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    """Raises UsageError for what holds no devices."""
    value = json_value(document(path, reading))
    found: Any = value
    addresses: dict[str, str] = {}
    if isinstance(value, dict):
        found = value.get("results", value.get("devices"))
        addresses = _primary(value.get("ip_addresses"))
        if value.get("next"):
            reading.notes.append(
                "it is one page of several (`next` is set): export with limit=0, or name every page"
            )
    if not isinstance(found, list):
        raise UsageError(
            f"{path}: no list of devices in it\n"
            "  hint: save /api/dcim/devices/?limit=0 as JSON (with a token of yours, by curl)"
        )
    for number, device in enumerate(found[:MOST_DEVICES], 1):
        place = f"device {number}"
        if not isinstance(device, dict):
            reading.skip("entries that are no devices", place)
            continue
        yield from _device(device, addresses, place, reading)
    if len(found) > MOST_DEVICES:
        reading.notes.append(f"devices beyond {MOST_DEVICES:,} were left out")


def _primary(listed: object) -> dict[str, str]:
    """Device name -> its primary address, of our own export."""
    found: dict[str, str] = {}
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and isinstance(one.get("device"), str):
            address = address_of(one.get("address"))
            if address and one.get("is_primary") in (True, "true", "True"):
                found.setdefault(one["device"], address)
    return found


def _device(
    device: Mapping[str, Any], addresses: Mapping[str, str], place: str, reading: Reading
) -> Iterator[Imported]:
    name = _words(device.get("name"))
    kind = device.get("device_type")
    maker = device.get("manufacturer")
    part = None
    if isinstance(kind, dict):
        maker = kind.get("manufacturer", maker)
        part = text_of(kind.get("part_number"))
    candidates = [device.get(key) for key in ("primary_ip4", "primary_ip", "primary_ip6")]
    listed = [address_of(_address(one)) for one in candidates]
    listed.append(addresses.get(name or ""))
    address = next((one for one in listed if one and is_device(one)), None)
    details = tuple(
        (words, value)
        for words, key in (
            ("role", "role"), ("role", "device_role"), ("site", "site"), ("location", "location"),
            ("status", "status"), ("platform", "platform"), ("asset tag", "asset_tag"),
        )
        if (value := _words(device.get(key)))
    )  # fmt: skip
    claimed = ClaimedDevice(
        vendor=_words(maker),
        model=_words(kind, "model"),
        order_number=part,
        serial=text_of(device.get("serial")),
        name=name,
        class_=_words(device.get("role") or device.get("device_role")),
        details=details,
    )
    at = moment_of(device.get("last_updated")) or reading.modified
    yield claim(claimed, address=address, at=at, place=place, protocol="netbox")


def _address(value: object) -> object:
    return value.get("address") if isinstance(value, dict) else value


def _words(value: object, *more: str) -> str | None:
    """A related object by its name, or the text itself."""
    if isinstance(value, dict):
        keys = (*more, "name", "display", "label", "value", "slug")
        return next((text for key in keys if (text := text_of(value.get(key)))), None)
    return text_of(value)


IMPORTER = Importer(
    name="netbox",
    noun="NetBox export",
    title="NetBox devices, JSON",
    recognises=recognises,
    read=read,
)
