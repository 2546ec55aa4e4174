"""Proving plants have every kind with every behaviour, and stand off loopback only when told."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab import devices, proving
from lab.control import down, up
from lab.errors import LabError
from lab.faults import FAULTS
from lab.ledger import Ledger
from lab.plant import STANDARD_PORTS, TRANSPORTS, load, parse
from lab.running import start
from tests.lab.conftest import NOON, OFFSET, worker_octet


def base() -> str:
    return f"127.{worker_octet() + 128}"


def test_every_service_meets_every_behaviour_that_applies_to_it() -> None:
    raw = proving.plant()

    met = {
        (fault["on"][0], fault["name"]) for device in raw["devices"] for fault in device["faults"]
    }
    for service in STANDARD_PORTS:
        for behaviour in FAULTS.values():
            applies = any(
                behaviour.applies(service, over) for over in TRANSPORTS.get(service, ("tcp",))
            )
            assert ((service, behaviour.name) in met) == applies


def test_every_emulator_stands_in_a_proving_plant() -> None:
    plant = parse(proving.plant(behaviours=()), "proving")

    assert {s.emulator for d in plant.devices for s in d.services} == set(devices.KINDS)


def test_each_device_has_a_zone_of_its_own_and_an_address_in_it() -> None:
    plant = parse(proving.plant(variants=True), "proving")

    networks = {zone["id"]: IPv4Network(zone["networks"][0]) for zone in plant.zones}
    assert len({device.zone for device in plant.devices}) == len(plant.devices)
    for device in plant.devices:
        assert f"{networks[device.zone].network_address}" == device.address
        assert networks[device.zone].subnet_of(IPv4Network(proving.NETWORK))


def test_a_kind_that_nobody_wrote_is_made_of_a_shipped_device() -> None:
    shipped: dict[str, dict[str, Any]] = {
        "X-1": {"declared": {}, "services": [{"protocol": "bacnet"}]}
    }

    (kind,) = proving.kinds_for("bacnet", shipped)

    assert (kind.shipped, kind.target) == ("X-1", "bacnet")
    with pytest.raises(LabError, match="no shipped plant has a device that speaks opcua"):
        proving.kinds_for("opcua", shipped)


def test_parameters_of_a_behaviour_can_be_given() -> None:
    raw = proving.plant(["ssh_login"], ["rogue"], parameters={"rogue": {"canaries": ["s"]}})

    assert raw["devices"][1]["faults"][0]["canaries"] == ["s"]


@pytest.mark.parametrize(
    ("kinds", "behaviours", "says"),
    [(["toaster"], None, "no kind of device 'toaster'"), (None, ["boredom"], "no fault boredom")],
)
def test_a_misspelt_kind_or_behaviour_is_told(kinds, behaviours, says: str) -> None:
    with pytest.raises(LabError, match=says):
        proving.plant(kinds, behaviours)


def test_a_crowd_stands_in_one_zone() -> None:
    plant = parse(proving.crowd(50), "crowd")

    assert len(plant.devices) == 50
    assert len({device.zone for device in plant.devices}) == 1
    with pytest.raises(LabError, match="1 to 250 devices, not 251"):
        proving.crowd(251)


async def test_devices_off_loopback_need_a_network_that_is_named(tmp_path: Path) -> None:
    plant = parse(proving.plant(["modbus"], ["silent"]), "proving")

    with pytest.raises(LabError, match=r"10\.77\.1\.1 is not a loopback address.*--network"):
        await start(plant, tmp_path, now=NOON, base_port_offset=OFFSET)


def test_a_plant_in_json_is_the_plant(tmp_path: Path) -> None:
    raw = proving.plant(["modbus"], ["drip"])

    path = proving.write(raw, tmp_path / "p.json")

    assert load(str(path)) == load(path)
    assert [d.name for d in load(path).devices] == [d["name"] for d in raw["devices"]]
    path.write_text("{")
    with pytest.raises(LabError, match="not valid JSON"):
        load(path)


def test_a_fault_that_kills_runs_what_was_hung_on_it() -> None:
    ledger = Ledger("D", "127.0.0.1", clock=lambda: 0.0)
    struck: list[str] = []
    ledger.on_death.append(lambda: struck.append("down"))

    ledger.die("fault dies_at")
    ledger.die("again")

    assert (struck, ledger.cause_of_death) == (["down"], "fault dies_at")


@pytest.mark.lab
@pytest.mark.integration
def test_a_proving_plant_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    raw = proving.plant(
        ["modbus", "snmp"], ["closed", "dropped", "silent"], base=base(), profile="lab"
    )
    path = proving.write(raw, tmp_path / "plant.json")

    record = up(str(path), tmp_path, now=NOON, base_port_offset=OFFSET)
    try:
        by_name = {device["name"]: device for device in record["devices"]}
        address = by_name["modbus--closed--0"]["address"]
        assert by_name["modbus--closed--0"]["faults"] == ["closed"]
        with pytest.raises(ConnectionRefusedError), socket.socket() as sock:
            sock.settimeout(3)
            sock.connect((address, 502 + OFFSET))
        assert "profile: lab" in (tmp_path / "site.yaml").read_text()
    finally:
        down(tmp_path)
    assert (tmp_path / "lab.log").read_text() == ""


@pytest.mark.lab
@pytest.mark.integration
@pytest.mark.root
def test_a_proving_plant_stands_in_a_network_namespace(tmp_path: Path) -> None:
    ip = shutil.which("ip")
    if ip is None:
        pytest.skip("the ip command is not installed")
    name = f"walkdown-{worker_octet()}-{id(tmp_path) % 100_000}"
    path = proving.write(proving.plant(["modbus"], ["silent"]), tmp_path / "plant.json")
    made = subprocess.run([ip, "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("a network namespace cannot be made here")
    inside = (ip, "netns", "exec", name)
    try:
        for words in (
            ("link", "set", "lo", "up"),
            ("route", "add", "local", proving.NETWORK, "dev", "lo"),
        ):
            subprocess.run([*inside, ip, *words], check=True)
        up(
            str(path), tmp_path, now=datetime.now(UTC), base_port_offset=0,
            networks=[proving.NETWORK], prefix=inside,
        )  # fmt: skip
        try:
            question = (
                "import socket\n"
                "with socket.create_connection(('10.77.1.1', 502), timeout=3) as s:\n"
                "    s.sendall(bytes.fromhex('000100000005ff2b0e0100')); print(s.recv(999))\n"
            )
            asked = subprocess.run(
                [*inside, sys.executable, "-c", question],
                capture_output=True,
                text=True,
                check=True,
            )
            assert "Schneider" in asked.stdout
        finally:
            down(tmp_path)
    finally:
        subprocess.run([ip, "netns", "del", name], check=True)
    site = (tmp_path / "site.yaml").read_text()
    assert "loopback address" not in site
    totals = json.loads((tmp_path / "ledgers" / "totals.json").read_text())
    assert totals["connections"] == 1
