"""The shipped plants are whole, and mistakes in a plant file are told."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from lab import devices
from lab.errors import LabError
from lab.plant import Plant, load, names, parse

KINDS_ON_OTHER_PEOPLES_SERVERS = {
    "modbus", "s7", "snmp", "ssh_linux", "ssh_ios", "telnet",
}  # fmt: skip


@pytest.fixture(scope="module")
def harbour() -> Plant:
    return load("harbour")


def test_harbour_ships() -> None:
    assert "harbour" in names()


def test_harbour_has_its_size(harbour: Plant) -> None:
    standing = [d for d in harbour.devices if d.services]

    assert len(standing) >= 18
    assert [zone["id"] for zone in harbour.zones] == ["dmz", "supervision", "control", "safety"]
    assert sum(bool(d.frailty.dies_of) for d in standing) == 1


def test_every_address_lies_in_its_zone_and_can_be_scanned(harbour: Plant) -> None:
    zones = {zone["id"]: ip_network(zone["networks"][0]) for zone in harbour.zones}

    for device in harbour.devices:
        if device.address is not None:
            assert ip_address(device.address) in list(zones[device.zone].hosts()), device.name


def test_every_presence_occurs(harbour: Plant) -> None:
    presences = Counter(device.truth.presence for device in harbour.devices)

    assert set(presences) == {
        "declared_and_seen",
        "declared_and_silent",
        "seen_and_undeclared",
        "identity_differs",
        "declared_without_address",
    }


def test_presence_and_declaration_agree(harbour: Plant) -> None:
    for device in harbour.devices:
        undeclared = device.truth.presence == "seen_and_undeclared"
        assert undeclared == (device.declared is None), device.name


def test_every_service_has_an_emulator(harbour: Plant) -> None:
    for device in harbour.devices:
        for service in device.services:
            assert service.emulator in devices.KINDS


def test_two_vendors_per_protocol(harbour: Plant) -> None:
    makers: dict[str, set[str]] = {}
    for device in harbour.devices:
        maker = device.truth.identity.get("vendor", (device.name,))[0]
        for service in device.services:
            makers.setdefault(service.protocol, set()).add(maker)

    assert all(len(found) >= 2 for found in makers.values()), makers


def test_most_devices_stand_on_other_peoples_protocol_code(harbour: Plant) -> None:
    standing = [d for d in harbour.devices if d.services]
    borrowed = [
        d for d in standing if {s.emulator for s in d.services} & KINDS_ON_OTHER_PEOPLES_SERVERS
    ]

    assert len(borrowed) * 2 >= len(standing)


def test_the_truth_names_devices_and_zones_that_exist(harbour: Plant) -> None:
    for finding in harbour.shared_findings:
        for name in finding["devices"]:
            harbour.device(name)
    zones = {zone["id"] for zone in harbour.zones}
    assert {level["zone"] for level in harbour.levels} <= zones
    conduits = {conduit["id"] for conduit in harbour.conduits}
    assert {finding["conduit"] for finding in harbour.conduit_findings} <= conduits


def test_every_attested_document_exists(harbour: Plant) -> None:
    for attestation in harbour.attestations:
        assert attestation.get("missing") or attestation["document"] in harbour.documents


def test_a_plant_can_be_moved(harbour: Plant) -> None:
    moved = load("harbour", second_octet=77)

    assert [d.name for d in moved.devices] == [d.name for d in harbour.devices]
    assert all(d.address.startswith("127.77.") for d in moved.devices if d.address)
    assert moved.zones[0]["networks"] == ["127.77.3.0/28"]


GOOD: dict[str, Any] = {"name": "D", "zone": "z", "address": "127.30.9.1", "truth": {}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"presence": "somewhere"}, "unknown presence 'somewhere'"),
        ({"frailty": {"dies_of": ["boredom"]}}, "cannot die of boredom"),
    ],
)
def test_a_mistake_in_a_device_is_told(change: dict[str, Any], says: str) -> None:
    with pytest.raises(LabError, match=says):
        parse({"site": "S", "zones": [], "devices": [{**GOOD, **change}]}, "p")


def test_an_address_given_twice_is_told() -> None:
    with pytest.raises(LabError, match=r"127\.30\.9\.1 is given twice"):
        parse({"site": "S", "zones": [], "devices": [GOOD, {**GOOD, "name": "E"}]}, "p")


def test_an_unknown_plant_is_told_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no plant 'sea'.*harbour"):
        load("sea")


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("site: [")
    with pytest.raises(LabError, match="not valid YAML"):
        load(path)
    path.write_text("site: S\n")
    with pytest.raises(LabError, match="KeyError"):
        load(path)
