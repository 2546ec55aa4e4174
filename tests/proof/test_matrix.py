"""
The matrix takes in what it should: every behaviour, every probe, and scopes that share nothing.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from lab import proving
from lab.faults import FAULTS
from lab.plant import load as load_plant
from lab.site_file import write_site
from scanner import discovery
from scanner.model import Tier
from scanner.plan import build
from scanner.site import load as load_site
from scanner.yamlfile import MAX_BYTES
from tests.proof import matrix
from tests.proof.judge.crafted import SCANNER, Wire
from tests.proof.promises.p17_scope import judged
from tests.proof.scopes import AT_ONCE, draw


def database(path: Path, *observations: dict[str, Any], bytes_out: int = 0) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE observations (body TEXT)")
        connection.execute(
            "CREATE TABLE exchanges (address, transport, probe, tier, wire_out, wire_in)"
        )
        for one in observations:
            connection.execute("INSERT INTO observations VALUES (?)", (json.dumps(one),))
            row = (one["address"], one["transport"], one["probe"], one["tier"], bytes_out, 0)
            connection.execute("INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?)", row)
    return path


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_small_size_has_every_behaviour_and_every_kind_without_a_fault(seed: int) -> None:
    names = [device["name"].split("--") for device in matrix.plant("ci", seed, 0)["devices"]]

    assert {behaviour.replace("-", "_") for _, behaviour, _ in names} == {*FAULTS, "normal"}
    sound = {kind for kind, behaviour, _ in names if behaviour == "normal"}
    assert {"modbus", "s7", "enip", "snmp", "http", "https", "ssh", "telnet"} <= sound


def test_the_full_size_has_every_device_and_no_address_twice() -> None:
    rounds = [matrix.plant("full", 1, number) for number in range(matrix.ROUNDS["full"])]
    names = [device["name"] for raw in rounds for device in raw["devices"]]

    assert len(names) == len(set(names)) > 3000
    first = matrix.proving.plant()
    assert {device["name"] for device in first["devices"]} <= set(names)
    for raw in rounds:
        addresses = [device["address"] for device in raw["devices"]]
        assert len(addresses) == len(set(addresses))
        networks = [network for zone in raw["zones"] for network in zone["networks"]]
        assert sorted(networks) == sorted(f"{a}/32" for a in addresses)


def site_of(raw: dict[str, Any], folder: Path) -> Path:
    lab = load_plant(str(proving.write(raw, folder / "plant.json")))
    keys = dict.fromkeys((device.name for device in lab.devices), "SHA256:" + "A" * 43)
    return write_site(
        lab, folder / "lab", now=datetime.now(UTC), base_port_offset=0, host_keys=keys
    )


@pytest.mark.parametrize("number", range(matrix.ROUNDS["full"]))
def test_no_round_needs_a_site_file_that_is_refused(tmp_path: Path, number: int) -> None:
    path = site_of(matrix.plant("full", 1, number), tmp_path)

    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("size", ["ci", "full"])
def test_one_device_has_several_addresses(tmp_path: Path, size: str) -> None:
    def chassis_in(raw: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in raw["devices"] if "--chassis" in one["name"]]

    rounds = [matrix.plant(size, 1, number) for number in range(matrix.ROUNDS[size])]
    [raw] = [one for one in rounds if chassis_in(one)]
    mine = chassis_in(raw)
    # The whole of it takes a minute to load; who stands beside the chassis makes no difference.
    kept = {one["zone"] for one in [*mine, *raw["devices"][::25]]}
    raw = {**raw, **{key: [one for one in raw[key] if one[name] in kept]
                     for key, name in (("devices", "zone"), ("zones", "id"))}}  # fmt: skip
    path = site_of(raw, tmp_path)

    chassis = next(
        one for one in build(load_site(path), discovery.probes()).devices if len(one.addresses) > 1
    )

    assert chassis.addresses == tuple(one["address"] for one in mine)
    assert {question.target.address for question in chassis.questions} == set(chassis.addresses)
    assert {question.probe.name for question in chassis.questions} == set(matrix.CHASSIS)
    assert len(mine) == matrix.ADDRESSES


@pytest.mark.parametrize(
    ("service", "steps"),
    [
        ("fins", {("-only", "identify", "tcp", 0), ("-only", "read", "tcp", 1),
                  ("", "read", "udp", 1)}),
        ("ftp", {("", "read", "tcp", 1), ("", "login", "tcp", 1), ("", "login", "tcp", 2)}),
        ("bacnet", {("", "read", "udp", 1), ("", "read", "udp", 2)}),
        ("rdp", set()),
    ],
)  # fmt: skip
def test_what_is_asked_later_has_devices_whose_fault_begins_then(
    service: str, steps: set[tuple[str, str, str, int]]
) -> None:
    assert set(matrix._steps(service)) == steps


def test_what_was_not_met_stands_once_more_and_little_else() -> None:
    unmet = ["sshconfig on ssh (read, tcp) with drip", "snmp (login, udp) with wrong-transaction"]

    names = {d["name"] for d in matrix.plant("full", 1, matrix.VARIANT_ROUNDS, unmet)["devices"]}

    kinds = {tuple(name.split("--")[:2]) for name in names}
    assert {("sshconfig-linux", "drip"), ("snmp-login-late-15", "wrong-transaction")} <= kinds
    assert {behaviour for _, behaviour in kinds} == {"drip", "wrong-transaction"}
    assert not {kind for kind, _ in kinds if kind.startswith("modbus")}
    assert len(names) < 90


def test_every_probe_of_a_higher_tier_has_a_sound_device_that_is_asked_so_far() -> None:
    rounds = [matrix.plant("full", 1, number) for number in range(matrix.ROUNDS["full"])]
    zones = {zone["id"]: zone for raw in rounds for zone in raw["zones"]}
    sound = {
        (service["protocol"], str((device.get("declared") or {}).get("tier") or zone["tier"]))
        for raw in rounds
        for device in raw["devices"]
        if f"--{proving.NORMAL}--" in device["name"]
        for zone in [zones[device["zone"]]]
        for service in device["services"]
    }
    higher = {
        (probe.service or probe.name, str(probe.tier))
        for probe in discovery.probes()
        if probe.tier is not Tier.IDENTIFY and probe.name != "sshconfig"
    }

    lacking = {
        (service, tier)
        for service, tier in higher
        if (service, tier) not in sound and (service, "login") not in sound
    }
    assert lacking == set()


def test_a_probe_for_which_the_lab_has_no_device_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modbus = next(probe for probe in discovery.probes() if probe.name == "modbus")
    made_up = replace(modbus, name="unheard", service=None, protocol="unheard")
    monkeypatch.setattr(discovery, "probes", lambda: (made_up,))

    _, wanted = matrix.pairs({"devices": []}, database(tmp_path / "run.db"))

    assert wanted == ["no device for unheard (identify, tcp): the lab has to learn unheard"]


def test_a_new_probe_has_to_meet_every_behaviour_of_its_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modbus = next(probe for probe in discovery.probes() if probe.name == "modbus")
    monkeypatch.setattr(discovery, "probes", lambda: (replace(modbus, name="umas"),))
    told = {
        "probe": "umas", "transport": "tcp", "protocol": "umas", "tier": "identify",
        "address": "10.77.1.1", "outcome": "answered",
    }  # fmt: skip
    plant = {"devices": [{"address": "10.77.1.1", "name": "modbus--drip--0"}]}
    monkeypatch.setattr(matrix.proving, "kinds_for", lambda service: ["a device"])

    met, wanted = matrix.pairs(plant, database(tmp_path / "run.db", told))

    assert met == ["umas (identify, tcp) with drip"]
    assert "umas (identify, tcp) with normal" in wanted


def test_a_question_that_was_withheld_has_met_nothing(tmp_path: Path) -> None:
    told = {
        "probe": "modbus", "transport": "tcp", "protocol": "modbus", "tier": "identify",
        "address": "10.77.1.1", "outcome": "withheld",
    }  # fmt: skip
    plant = {"devices": [{"address": "10.77.1.1", "name": "modbus--drip--0"}]}

    met, _ = matrix.pairs(plant, database(tmp_path / "run.db", told))
    assert met == []

    met, _ = matrix.pairs(plant, database(tmp_path / "midway.db", told, bytes_out=11))
    assert met == ["modbus (identify, tcp) with drip"]


@pytest.mark.parametrize(
    ("asked", "met"),
    [(("identify", "udp"), False), (("read", "udp"), True), (("read", "tcp"), False)],
)
def test_a_fault_that_begins_later_is_met_by_what_is_asked_then(
    tmp_path: Path, asked: tuple[str, str], met: bool
) -> None:
    fault = {"name": "late", "on": ["fins"], "after": 1, "over": "udp"}
    plant = {
        "devices": [
            {"address": "10.77.1.1", "name": "fins-read-udp-1--late--0", "zone": "z1",
             "faults": [fault]}
        ],
        "zones": [{"id": "z1", "tier": "login"}],
    }  # fmt: skip
    tier, transport = asked
    told = {
        "probe": "fins", "transport": transport, "protocol": "fins", "tier": tier,
        "address": "10.77.1.1", "outcome": "answered",
    }  # fmt: skip

    found, _ = matrix.pairs(plant, database(tmp_path / "run.db", told))

    assert found == (["fins (read, udp) with late"] if met else [])


def test_scopes_that_are_carried_out_together_share_no_address() -> None:
    scopes = [draw(7, number) for number in range(AT_ONCE)]

    together = [scope.allowed for scope in scopes]
    assert sum(map(len, together)) == len(frozenset().union(*together))
    assert any(scope.only for scope in scopes)
    assert any("exclude" in zone for scope in scopes for zone in scope.content["zones"])
    for one, other in combinations(
        [net for scope in scopes for zone in scope.content["zones"] for net in zone["networks"]], 2
    ):
        assert one != other


def test_one_packet_beside_a_scope_is_noticed(tmp_path: Path) -> None:
    scope = next(one for number in range(1, 50) if len((one := draw(7, number)).allowed) > 1)
    inside, *rest = sorted(scope.allowed)
    wire = Wire()
    wire.datagram(inside, 161, b"x", source=SCANNER)
    good = judged([scope], [{"outcomes": {}}], [wire.write(tmp_path / "good.pcap")])
    wire.datagram("10.77.250.1", 161, b"x", source=SCANNER)
    bad = judged([scope], [{"outcomes": {}}], [wire.write(tmp_path / "bad.pcap")])

    assert (good.bad, good.sums["packets"]) == (0, 1)
    assert bad.bad == 1
    assert bad.faults == ("udp to 10.77.250.1",)
    assert rest
