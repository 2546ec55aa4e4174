"""Lists that NetBox's bulk import takes, and that our own import reads back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

from reports import netbox
from scanner.facts import ClaimedDevice
from scanner.importers import netbox as importer
from scanner.model import Assessment, Presence
from tests.importers.conftest import read


def test_every_reference_of_a_device_is_in_its_own_list(plant: Assessment) -> None:
    lists = netbox.documents(plant)

    makers = {row["name"] for row in lists["manufacturers"]}
    roles = {row["name"] for row in lists["device_roles"]}
    types = {(row["manufacturer"], row["model"]) for row in lists["device_types"]}
    devices = {row["name"] for row in lists["devices"]}
    assert len(devices) == len(lists["devices"]) == len(plant.assets)
    for row in lists["devices"]:
        assert row["manufacturer"] in makers
        assert row["role"] in roles
        assert (row["manufacturer"], row["device_type"]) in types
        assert 0 < len(row["name"]) <= 64
    for row in (*lists["interfaces"], *lists["ip_addresses"]):
        assert row["device"] in devices
    assert all(row["address"].count("/") == 1 for row in lists["ip_addresses"])


def test_slugs_are_plain(plant: Assessment) -> None:
    lists = netbox.documents(plant)

    for name in ("manufacturers", "device_roles", "device_types"):
        for row in lists[name]:
            assert set(row["slug"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_the_prefix_is_that_of_the_zone_s_network(plant: Assessment) -> None:
    addresses = {row["address"] for row in netbox.documents(plant)["ip_addresses"]}

    assert "127.30.0.12/24" in addresses


def test_what_only_a_list_names_is_not_handed_on(plant: Assessment) -> None:
    claimed = tuple(replace(asset, presence=Presence.CLAIMED) for asset in plant.assets)

    assert netbox.documents(replace(plant, assets=claimed))["devices"] == []


def test_csv_files_are_numbered_in_the_order_of_the_import(plant: Assessment) -> None:
    files = netbox.render_csv(plant)

    assert list(files) == [
        "1-manufacturers.csv", "2-device-roles.csv", "3-device-types.csv", "4-devices.csv",
        "5-interfaces.csv", "6-ip-addresses.csv",
    ]  # fmt: skip
    devices = list(csv.DictReader(io.StringIO(files["4-devices.csv"].decode())))
    assert [row["name"] for row in devices] == [
        row["name"] for row in netbox.documents(plant)["devices"]
    ]


def test_the_one_document_is_read_back_as_claims(plant: Assessment, tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_bytes(netbox.render_json(plant))

    assert importer.recognises(path.read_bytes(), path)
    found, _ = read(importer.IMPORTER, path)

    told = {
        one.address: fact for one in found for fact in one.facts if isinstance(fact, ClaimedDevice)
    }
    assert len(found) == len(plant.assets)
    for row in json.loads(path.read_text())["ip_addresses"]:
        if row["is_primary"] == "true":
            assert told[row["address"].partition("/")[0]].name == row["device"]
    assert not any(one.seen for one in found)
