"""A bill of materials that holds to the schema of CycloneDX 1.6 and invents nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from reports import bom
from scanner.model import Assessment, Identity, Presence
from tests.reports.payloads import FIRST


def problems(document: bytes) -> str | None:
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())
    return None if found is None else str(found)


def test_it_is_valid_and_lists_devices_with_their_firmware(plant: Assessment) -> None:
    document = bom.render(plant)

    assert problems(document) is None
    read = json.loads(document)
    assert read["specVersion"] == "1.6"
    assert len(read["components"]) == len(plant.assets)
    assert {one["type"] for one in read["components"]} == {"device"}
    inside = [one for device in read["components"] for one in device.get("components", ())]
    assert {one["type"] for one in inside} == {"firmware"}
    assert len(inside) == sum(bool(asset.identity.firmware) for asset in plant.assets)
    assert "1.6.2.0" in {one["version"] for one in inside}


def test_nothing_is_invented(plant: Assessment) -> None:
    bare = replace(plant.assets[0], identity=Identity(), name=None)

    document = bom.render(replace(plant, assets=(bare,)))

    assert problems(document) is None
    (device,) = json.loads(document)["components"]
    assert not {"hashes", "purl", "cpe", "version", "manufacturer", "components"} & set(device)


def test_what_only_a_list_names_is_no_component(plant: Assessment) -> None:
    claimed = replace(plant.assets[0], presence=Presence.CLAIMED)

    assert "components" not in json.loads(bom.render(replace(plant, assets=(claimed,))))


def test_equal_input_gives_equal_bytes(plant: Assessment) -> None:
    assert bom.render(plant) == bom.render(plant)


@pytest.mark.parametrize("hostile", FIRST[::5])
def test_hostile_text_keeps_it_valid_and_ascii(plant: Assessment, hostile: str) -> None:
    asset = replace(
        plant.assets[0],
        name=hostile,
        identity=Identity(vendor=hostile, model=hostile, firmware=hostile, serial=hostile),
    )

    document = bom.render(replace(plant, assets=(asset,)))

    assert problems(document) is None
    assert document.isascii()
    assert not any(byte < 0x20 and byte != 0x0A for byte in document)
