"""What `up` writes for the owner of a simulated plant, with its planted faults."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab.plant import Plant, load
from lab.site_file import running_configuration, write_site

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KEYS = {"JUMP-1", "SW-DMZ", "SW-SUP", "HIST-1", "ENG-1"}


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load("harbour")


@pytest.fixture(scope="module")
def folder(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site")
    write_site(
        plant, path, now=NOW, base_port_offset=0, host_keys={k: f"SHA256:{k:A<43}" for k in KEYS}
    )
    return path


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def asset(site: Any, name: str) -> Any:
    return next(a for z in site["zones"] for a in z["assets"] if a["name"] == name)


def test_authorisation_and_window_cover_now(folder: Path) -> None:
    site = read(folder / "site.yaml")

    authorisation = site["authorisation"]
    assert datetime.fromisoformat(authorisation["valid_from"]) < NOW
    assert datetime.fromisoformat(authorisation["valid_until"]) > NOW
    assert datetime.fromisoformat(site["windows"][0]["start"]) < NOW


def test_the_list_has_every_declared_device_and_no_other(plant: Plant, folder: Path) -> None:
    site = read(folder / "site.yaml")

    listed = {a["name"] for zone in site["zones"] for a in zone["assets"]}
    assert listed == {d.name for d in plant.devices if d.declared is not None}
    assert "address" not in asset(site, "MUX-1")


def test_the_truth_is_not_in_the_site_file(folder: Path) -> None:
    text = (folder / "site.yaml").read_text()

    assert "truth" not in text
    assert "snmp_default_community" not in text
    assert "ROUTER-X" not in text


def test_a_secret_is_a_file_that_only_its_owner_reads(plant: Plant, folder: Path) -> None:
    login = asset(read(folder / "site.yaml"), "HIST-1")["login"]

    assert login["secret"] == "file:secrets/walkdown-reader"
    path = folder / "secrets/walkdown-reader"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in (folder / "site.yaml").read_text()


def test_high_ports_are_written_to_every_zone(plant: Plant, tmp_path: Path) -> None:
    keys = dict.fromkeys(KEYS, "SHA256:x")
    write_site(plant, tmp_path, now=NOW, base_port_offset=20_000, host_keys=keys)
    site = read(tmp_path / "site.yaml")

    for zone in site["zones"]:
        assert zone["ports"]["modbus"] == 20502
        assert (zone["ports"]["http"], zone["ports"]["https"]) == (20080, 20443)
    assert asset(site, "PLC-11")["expected_services"][0]["port"] == 20502
    assert site["conduits"][0]["allow"][0]["port"] == 20022


@pytest.mark.parametrize("offset", [0, 20_000])
def test_the_seat_of_a_station_is_opened_on_its_device_and_nowhere_else(
    tmp_path: Path, offset: int
) -> None:
    station = load("substation")

    write_site(station, tmp_path, now=NOW, base_port_offset=offset, host_keys={})

    site = read(tmp_path / "site.yaml")
    assert asset(site, "RTU-1")["ports"] == {"iec104": 2404 + offset}
    assert asset(site, "RTU-3")["ports"] == {"dnp3": 20000 + offset}
    assert "ports" not in asset(site, "RTU-2")
    for zone in site["zones"]:
        assert not {"iec104", "dnp3"} & zone.get("ports", {}).keys()
        assert bool(zone.get("ports")) is bool(offset)


def test_a_zone_that_names_the_probe_of_a_seat_has_its_port(tmp_path: Path) -> None:
    harbour = load("harbour")
    zones = ({**harbour.zones[0], "probes": ["iec104"]}, *harbour.zones[1:])

    write_site(
        replace(harbour, zones=zones), tmp_path, now=NOW, base_port_offset=20_000,
        host_keys={k: f"SHA256:{k:A<43}" for k in KEYS},
    )  # fmt: skip

    first, *others = read(tmp_path / "site.yaml")["zones"]
    assert first["ports"]["iec104"] == 22_404
    assert "dnp3" not in first["ports"]
    assert all("iec104" not in zone["ports"] for zone in others)


def test_backups_have_a_manifest_with_one_planted_fault(folder: Path) -> None:
    broken = []
    for manifest in sorted((folder / "backups").glob("*/manifest.sha256")):
        digest, name = manifest.read_text().rstrip("\n").split("  ", 1)
        if sha256((manifest.parent / name).read_bytes()).hexdigest() != digest:
            broken.append(manifest.parent.name)

    assert broken == ["PLC-11"]
    assert not (folder / "backups/PLC-14").exists()


def test_one_backup_is_the_running_configuration_and_one_is_not(plant: Plant, folder: Path) -> None:
    def newest(name: str) -> str:
        return max((folder / "backups" / name).glob("*.cfg")).read_text()

    assert newest("SW-DMZ") == running_configuration(plant.device("SW-DMZ"))
    assert newest("SW-SUP") != running_configuration(plant.device("SW-SUP"))


def test_attestations_are_good_missing_changed_and_expired(folder: Path) -> None:
    states = set()
    for entry in read(folder / "attestations.yaml"):
        document = folder / entry["document"]
        expires = date.fromisoformat(str(entry["expires"]))
        if expires < NOW.date():
            states.add("expired")
        elif not document.exists():
            states.add("missing")
        elif sha256(document.read_bytes()).hexdigest() != entry["sha256"]:
            states.add("changed")
        else:
            states.add("good")

    assert states == {"good", "missing", "changed", "expired"}


def test_writing_twice_leaves_one_backup_per_device(plant: Plant, folder: Path) -> None:
    later = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    write_site(plant, folder, now=later, base_port_offset=0, host_keys=dict.fromkeys(KEYS, "x"))

    assert all(
        len(list(each.glob("*.cfg"))) == 1
        for each in (folder / "backups").iterdir()
        if each.is_dir()
    )
