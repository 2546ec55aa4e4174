"""The campus plant: read over SNMP from its emulators, every device is placed as it is cabled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import cabling, score
from lab.errors import LabError
from lab.plant import Plant, load
from lab.running import RunningPlant, start
from probes import snmp
from scanner.correlate import Declared, assets
from scanner.facts import AddressEntry, BridgeEntry, Fact, Neighbour, OwnAddress, SnmpAccess
from scanner.model import DeviceClass, Observation, Outcome, Tier, Topology, Transport, ZoneInfo
from scanner.topology import build

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OFFSET = 20_000


@pytest.fixture
def campus(octet: int) -> Plant:
    return load("campus", second_octet=octet)


@pytest.fixture
async def running(campus: Plant, tmp_path: Path) -> AsyncIterator[RunningPlant]:
    plant = await start(campus, tmp_path, now=NOON, base_port_offset=OFFSET)
    yield plant
    await plant.stop()


def observed(device: Any, protocol: str, facts: tuple[Fact, ...]) -> Observation:
    return Observation(
        id=f"o-{device.name}-{protocol}",
        zone=device.zone,
        address=device.address,
        port=161,
        transport=Transport.UDP,
        protocol=protocol,
        probe=protocol,
        tier=Tier.READ,
        outcome=Outcome.ANSWERED,
        reason="",
        started_at=NOON,
        finished_at=NOON,
        facts=facts,
        exchanges=(),
    )


async def walked(running: RunningPlant, governed: Any) -> Topology:
    """What the read tier of every device with SNMP makes of the network."""
    plant = running.plant
    observations = []
    for device in plant.devices:
        protocols = {service.protocol: service for service in device.services}
        facts: tuple[Fact, ...] = ()
        if service := protocols.get("snmp"):
            version = "2c" if "2c" in service.settings["versions"] else "1"
            known = (SnmpAccess(versions=(version,), community="public"),)
            async with governed(
                snmp.READ_PROBE, service.port + OFFSET, address=device.address, known=known
            ) as session:
                facts = await snmp.run_read(session)
        observations.append(observed(device, "snmp", facts))
    declared = tuple(
        Declared(
            zone=device.zone,
            address=device.address,
            name=device.name,
            device_class=DeviceClass(device.declared["class"]),
        )
        for device in plant.devices
        if device.declared
    )
    zones = tuple(
        ZoneInfo(
            id=zone["id"],
            name=zone["name"],
            purdue=zone["purdue"],
            networks=tuple(zone["networks"]),
            sl_t={},
            tier=Tier.READ,
            profile="default",
        )
        for zone in plant.zones
    )
    return build(assets(observations, declared), zones)


async def test_every_device_is_placed_exactly_as_it_is_cabled(
    running: RunningPlant, governed: Any
) -> None:
    found = await walked(running, governed)

    tally = score._Tally()
    score._network({"topology": asdict(found)}, running.plant, tally)
    assert tally.missed == []
    assert tally.false == []
    counts = {(row.part, row.name): row.right for row in tally.rows()}
    assert counts == {
        ("network", "placement"): 10,
        ("network", "cable"): 4,
        ("network", "dual-homed host"): 1,
        ("network", "outside"): 1,
    }
    assert found.notes == ()


async def test_cables_between_read_switches_are_told_by_both_ends_and_every_way(
    running: RunningPlant, governed: Any
) -> None:
    found = await walked(running, governed)

    links = {(link.a_port, link.b_port): link for link in found.links}
    process = links["gi8", "gi1"] if ("gi8", "gi1") in links else links["gi1", "gi8"]
    assert process.known_by == ("lldp", "cdp", "bridge table")
    assert process.both_sides
    assert process.note == ""
    (vlan,) = {p.at.vlan for p in found.placements if p.at and p.node.endswith(".0.11")}
    assert vlan == 10


async def test_the_office_leg_of_the_historian_is_sure(
    running: RunningPlant, governed: Any
) -> None:
    (historian,) = (await walked(running, governed)).dual_homed

    assert historian.sure
    assert historian.zones == ("office", "process")


# --- what the lab makes of cables -----------------------------------------------------------------


def test_a_bridge_hears_everybody_at_the_port_that_leads_there() -> None:
    told = cabling.told(
        {
            "bridges": ["A", "B", "HUB"],
            "macs": {"A": "a", "B": "b", "P": "p", "Q": "q"},
            "cables": ["A 1 - B 1", "B 2 - HUB 1", "HUB 2 - P", "HUB 3 - Q"],
        },
        {
            "A": [{"name": "1"}],
            "B": [{"name": "1"}, {"name": "2"}],
        },
        {},
    )

    assert {(h["mac"], h["port"]) for h in told["A"]["bridge"]["heard"]} == {
        ("b", 1), ("p", 1), ("q", 1),
    }  # fmt: skip
    assert {(h["mac"], h["port"]) for h in told["B"]["bridge"]["heard"]} == {
        ("a", 1), ("p", 2), ("q", 2),
    }  # fmt: skip


@pytest.mark.parametrize("cable", ["A 9 - B 1", "A 1 B 1"])
def test_a_cable_that_ends_nowhere_is_told(cable: str) -> None:
    with pytest.raises(LabError):
        cabling.told(
            {"bridges": ["A"], "macs": {"B": "b"}, "cables": [cable]}, {"A": [{"name": "1"}]}, {}
        )


def test_the_campus_stands_in_its_own_network() -> None:
    campus = load("campus")

    assert campus.second_octet == 31
    assert all(d.address.startswith("127.31.") for d in campus.devices if d.address)
    zones = {zone["id"] for zone in campus.zones}
    assert {zone for own in campus.dual_homed.values() for zone in own} <= zones
    names = {device.name for device in campus.devices}
    assert {p["switch"] for p in campus.placements} <= names


async def test_the_emulators_tell_what_the_cables_say(running: RunningPlant, governed: Any) -> None:
    device = running.plant.device("SW-PROC")
    known = (SnmpAccess(versions=("2c",), community="public"),)
    async with governed(
        snmp.READ_PROBE, 161 + OFFSET, address=device.address, known=known
    ) as session:
        facts = await snmp.run_read(session)

    assert BridgeEntry(mac="00:80:f4:31:00:11", port="gi1", vlan=10) in facts
    modem = device.address.rsplit(".", 2)[0] + ".3.66"
    assert AddressEntry(ip=modem, mac="00:07:f9:31:03:66", interface="gi1") in facts
    assert OwnAddress(ip=device.address, prefix_length=27, interface="gi1") in facts
    assert {f.protocol for f in facts if isinstance(f, Neighbour)} == {"lldp", "cdp"}
