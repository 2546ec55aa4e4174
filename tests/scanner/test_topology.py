"""The network as a graph: plants whose right answer is plain, and whatever devices may say."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.facts import (
    AddressEntry,
    BridgeEntry,
    Fact,
    LinkAddress,
    LinkLayerName,
    LinkLayerPort,
    Neighbour,
    NetworkInterface,
    OwnAddress,
    SnmpAccess,
    SshHostKey,
    TableRead,
    VlanName,
)
from scanner.model import (
    Asset,
    DeviceClass,
    Identity,
    Placement,
    Presence,
    Tier,
    Topology,
    TopologyLink,
    ZoneInfo,
)
from scanner.topology import build
from scanner.topology.graph import MAX_NOTES, MAX_STRANGERS


def zone(name: str, *networks: str) -> ZoneInfo:
    return ZoneInfo(
        id=name,
        name=name.title(),
        purdue=None,
        networks=networks,
        sl_t={},
        tier=Tier.READ,
        profile="default",
    )


def asset(
    address: str,
    *facts: Fact,
    zone: str = "cell",
    name: str | None = None,
    kind: DeviceClass = DeviceClass.UNKNOWN,
    **changes: Any,
) -> Asset:
    usual: dict[str, Any] = {
        "id": f"{zone}/{address}",
        "zone": zone,
        "address": address,
        "sub_address": None,
        "parent": None,
        "name": name,
        "device_class": kind,
        "identity": Identity(),
        "services": (),
        "sources": {},
        "conflicts": (),
        "presence": Presence.DECLARED_AND_SEEN,
        "declared": None,
        "criticality": None,
        "addresses": (address,),
        "facts": facts,
        "fact_sources": tuple("o1" for _ in facts),
        "observations": ("o1",),
    }
    return Asset(**(usual | changes))


def mac(number: int) -> str:
    return (0x020000000000 + number).to_bytes(6, "big").hex(":")


def heard(port: str, *numbers: int, vlan: int | None = None) -> tuple[BridgeEntry, ...]:
    return tuple(BridgeEntry(mac=mac(n), port=port, vlan=vlan) for n in numbers)


def at(placement: Placement) -> tuple[str, str] | None:
    return (placement.at.switch, placement.at.port) if placement.at else None


def placed(found: Topology, node: str) -> tuple[Placement, ...]:
    return tuple(one for one in found.placements if one.node == node)


def ends(link: TopologyLink) -> tuple[str, str | None, str, str | None]:
    return link.a, link.a_port, link.b, link.b_port


CELL = (zone("cell", "10.0.0.0/24"),)


def own(number: int) -> LinkAddress:
    return LinkAddress(mac=mac(number))


# --- where a device hangs -------------------------------------------------------------------------


def chain() -> tuple[Asset, ...]:
    """PLC 30 on switch 3, switches 1 - 2 - 3 in a row, a server 40 on switch 1."""
    return (
        asset("10.0.0.1", own(1), *heard("p9", 40), *heard("p1", 2, 3, 30)),
        asset("10.0.0.2", own(2), *heard("p1", 1, 40), *heard("p2", 3, 30)),
        asset("10.0.0.3", own(3), *heard("p1", 1, 2, 40), *heard("p5", 30, vlan=7)),
        asset("10.0.0.30", own(30)),
        asset("10.0.0.40", own(40)),
    )


def test_a_device_hangs_on_the_port_that_leads_to_no_other_bridge() -> None:
    found = build(chain(), CELL)

    (plc,) = placed(found, "cell/10.0.0.30")
    (server,) = placed(found, "cell/10.0.0.40")
    assert (plc.certainty, at(plc)) == ("on", ("cell/10.0.0.3", "p5"))
    assert plc.at is not None
    assert (plc.at.vlan, plc.at.heard, plc.others) == (7, 1, ())
    assert (server.certainty, at(server)) == ("on", ("cell/10.0.0.1", "p9"))


def test_bridges_that_hear_each_other_are_linked_unless_a_third_stands_between() -> None:
    found = build(chain(), CELL)

    assert [ends(link) for link in found.links] == [
        ("cell/10.0.0.1", "p1", "cell/10.0.0.2", "p1"),
        ("cell/10.0.0.2", "p2", "cell/10.0.0.3", "p1"),
    ]
    assert all(link.known_by == ("bridge table",) and link.note for link in found.links)


def test_a_mac_known_from_a_neighbours_arp_table_is_enough() -> None:
    found = build(
        (
            asset("10.0.0.1", own(1), *heard("p5", 30), AddressEntry(ip="10.0.0.30", mac=mac(30))),
            asset("10.0.0.30"),
        ),
        CELL,
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc), plc.mac) == ("on", ("cell/10.0.0.1", "p5"), mac(30))


def test_where_others_are_heard_on_the_port_it_is_on_it_or_behind_it() -> None:
    found = build(
        (asset("10.0.0.1", own(1), *heard("p5", 30, 31)), asset("10.0.0.30", own(30))), CELL
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc)) == ("on or behind", ("cell/10.0.0.1", "p5"))
    assert "1 other address" in plc.reason


def test_a_table_that_was_cut_short_makes_nobody_alone_on_a_port() -> None:
    cut = TableRead(table="bridge", rows=400, complete=False)
    found = build(
        (asset("10.0.0.1", own(1), *heard("p5", 30), cut), asset("10.0.0.30", own(30))), CELL
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert plc.certainty == "on or behind"
    assert "cut short" in plc.reason


def test_behind_a_bridge_that_nobody_read_is_said_to_be_behind_it() -> None:
    uplink = Neighbour(
        local_port="p5", chassis_id=mac(9), system_name="SW-9", capabilities=("bridge",)
    )
    found = build(
        (asset("10.0.0.1", own(1), *heard("p5", 9, 30), uplink), asset("10.0.0.30", own(30))), CELL
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc)) == ("behind", ("cell/10.0.0.1", "p5"))
    assert "SW-9" in plc.reason
    (link,) = found.links
    assert ends(link) == ("cell/10.0.0.1", "p5", f"neighbour:{mac(9)}", None)
    assert not link.both_sides


def test_ports_that_lead_to_the_bridge_in_front_are_no_rivals_of_its_own() -> None:
    uplink = Neighbour(
        local_port="p5", chassis_id=mac(9), system_name="SW-9", capabilities=("bridge",)
    )
    found = build(
        (
            asset("10.0.0.1", own(1), *heard("p5", 9, 30), *heard("p1", 2), uplink),
            asset("10.0.0.2", own(2), *heard("p1", 1, 9, 30)),
            asset("10.0.0.30", own(30)),
        ),
        CELL,
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc), plc.others) == ("behind", ("cell/10.0.0.1", "p5"), ())


def test_of_several_ports_the_one_with_the_fewest_is_taken_and_the_others_are_named() -> None:
    # Neither switch hears the other: nothing tells which port is the uplink.
    found = build(
        (
            asset("10.0.0.1", own(1), *heard("p1", 30, 31, 32)),
            asset("10.0.0.2", own(2), *heard("p5", 30, 31)),
            asset("10.0.0.30", own(30)),
        ),
        CELL,
    )

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc)) == ("on or behind", ("cell/10.0.0.2", "p5"))
    assert [(o.switch, o.port, o.heard) for o in plc.others] == [("cell/10.0.0.1", "p1", 3)]
    assert "fewest" in plc.reason


@pytest.mark.parametrize(
    "switches",
    [
        (asset("10.0.0.1", own(1), *heard("p1", 30)), asset("10.0.0.2", own(2), *heard("p5", 30))),
        (asset("10.0.0.1", own(1), *heard("p1", 30), *heard("p5", 30, 31)),),
    ],
    ids=["as many at two switches", "two ports of one switch"],
)
def test_what_nothing_tells_apart_is_told_as_ambiguous(switches: tuple[Asset, ...]) -> None:
    found = build((*switches, asset("10.0.0.30", own(30))), CELL)

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, plc.at) == ("ambiguous", None)
    assert len(plc.others) == 2


def test_a_device_that_announces_itself_is_on_that_port() -> None:
    says = Neighbour(local_port="p5", chassis_id=mac(30), system_name="PLC")
    found = build((asset("10.0.0.1", says), asset("10.0.0.30", own(30))), CELL)

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, at(plc), plc.known_by) == ("on", ("cell/10.0.0.1", "p5"), ("lldp",))


def test_announced_at_one_port_and_heard_at_another_is_ambiguous() -> None:
    says = Neighbour(local_port="p5", chassis_id=mac(30))
    found = build((asset("10.0.0.1", says, *heard("p6", 30)), asset("10.0.0.30", own(30))), CELL)

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, {o.port for o in plc.others}) == ("ambiguous", {"p5", "p6"})


@pytest.mark.parametrize(
    ("facts", "switch", "words"),
    [
        ((), (), "no forwarding table was read"),
        ((), heard("p1", 7), "its MAC address is not known"),
        ((own(30),), heard("p1", 7), "in none of the 1 forwarding tables"),
    ],
)
def test_an_unknown_place_says_why(
    facts: tuple[Fact, ...], switch: tuple[Fact, ...], words: str
) -> None:
    found = build((asset("10.0.0.1", *switch), asset("10.0.0.30", *facts)), CELL)

    (plc,) = placed(found, "cell/10.0.0.30")
    assert (plc.certainty, plc.at) == ("unknown", None)
    assert words in plc.reason


def test_a_ring_places_devices_and_ends() -> None:
    # Each switch hears the next two over one port, as in a ring with one link blocked.
    ring = [
        asset(
            f"10.0.0.{n}",
            own(n),
            *heard(
                "p1", *(m for m in range(1, 5) if m != n), *(30 + m for m in (1, 2, 3) if m != n)
            ),
            *heard("p5", 30 + n),
        )
        for n in range(1, 5)
    ]
    plcs = [asset(f"10.0.0.{30 + n}", own(30 + n)) for n in range(1, 5)]

    found = build((*ring, *plcs), CELL)

    for n in range(1, 5):
        (plc,) = placed(found, f"cell/10.0.0.{30 + n}")
        assert (plc.certainty, at(plc)) == ("on", (f"cell/10.0.0.{n}", "p5"))
    assert found.links == ()  # each hears all others on one port: none is known to be next


# --- links ----------------------------------------------------------------------------------------


def test_a_cable_that_both_ends_tell_of_is_one_link_with_each_ends_own_words() -> None:
    one = asset(
        "10.0.0.1",
        NetworkInterface(index=1, name="GigabitEthernet1/1", short_name="Gi1/1", mac=mac(11)),
        LinkLayerName(chassis_id=mac(1), system_name="SW-1"),
        Neighbour(local_port="GigabitEthernet1/1", chassis_id=mac(2), port_id="port-007"),
        *heard("Gi1/1", 2),
    )
    other = asset(
        "10.0.0.2",
        NetworkInterface(index=7, name="Siemens, SIMATIC NET, P7", short_name="P0.7", mac=mac(27)),
        LinkLayerName(chassis_id=mac(2), system_name="SW-2"),
        LinkLayerPort(number=7, port_id="port-007", interface="P0.7"),
        Neighbour(local_port="port-007", chassis_id=mac(1), port_id="Gi1/1", protocol="lldp"),
        Neighbour(local_port="P0.7", system_name="SW-1.plant.example", port_id="GigabitEthernet1/1",
                  protocol="cdp"),
        *heard("P0.7", 1),
    )  # fmt: skip

    (link,) = build((one, other), CELL).links

    assert ends(link) == ("cell/10.0.0.1", "Gi1/1", "cell/10.0.0.2", "P0.7")
    assert link.known_by == ("lldp", "cdp", "bridge table")
    assert link.both_sides
    assert link.note == ""


def test_words_for_a_port_that_the_other_end_does_not_know_are_the_same_cable() -> None:
    one = asset("10.0.0.1", own(1), Neighbour(local_port="1", chassis_id=mac(2), port_id="seven"))
    other = asset("10.0.0.2", own(2), Neighbour(local_port="7", chassis_id=mac(1), port_id="one"))

    (link,) = build((one, other), CELL).links

    assert (ends(link), link.both_sides) == (("cell/10.0.0.1", "1", "cell/10.0.0.2", "7"), True)


def test_two_cables_between_the_same_switches_stay_two() -> None:
    def switch(n: int, m: int) -> Asset:
        ports = tuple(NetworkInterface(index=i, short_name=f"p{i}") for i in (1, 2))
        cables = tuple(
            Neighbour(local_port=f"p{i}", chassis_id=mac(m), port_id=f"p{i}") for i in (1, 2)
        )
        return asset(f"10.0.0.{n}", own(n), *ports, *cables)

    found = build((switch(1, 2), switch(2, 1)), CELL).links

    assert [(link.a_port, link.b_port, link.both_sides) for link in found] == [
        ("p1", "p1", True),
        ("p2", "p2", True),
    ]


def test_a_neighbour_is_found_by_its_address_and_by_a_name_that_one_device_has() -> None:
    viewer = asset(
        "10.0.0.1",
        Neighbour(local_port="1", system_name="else", management_address="10.0.0.2"),
        Neighbour(local_port="2", system_name="HIST.plant.example(FOC123)", protocol="cdp"),
        Neighbour(local_port="3", system_name="twin"),
    )
    twins = (asset("10.0.0.4", name="Twin"), asset("10.0.0.5", name="twin"))
    found = build((viewer, asset("10.0.0.2"), asset("10.0.0.3", name="hist"), *twins), CELL)

    assert [(link.a_port, link.b) for link in found.links] == [
        ("1", "cell/10.0.0.2"),
        ("2", "cell/10.0.0.3"),
        ("3", "neighbour:twin"),
    ]
    assert any("may be any of" in note for note in found.notes)


def test_a_name_does_not_make_a_device_of_another_maker_the_same() -> None:
    says = Neighbour(local_port="1", chassis_id="00:80:63:00:00:01", system_name="SWITCH")
    namesake = asset("10.0.0.2", own(2), name="switch")
    relative = asset("10.0.0.2", LinkAddress(mac="00:80:63:00:00:02"), name="switch")

    for other, expected in (
        (namesake, "neighbour:00:80:63:00:00:01"),
        (relative, "cell/10.0.0.2"),  # announces an address next to those of its ports
    ):
        (link,) = build((asset("10.0.0.1", says), other), CELL).links
        assert link.b == expected


# --- whose an address is --------------------------------------------------------------------------

CELLS = (zone("cell1", "192.168.0.0/24"), zone("cell2", "192.168.0.0/24"))


def test_the_same_address_in_two_cells_is_two_devices() -> None:
    def cell(name: str, first: int) -> tuple[Asset, ...]:
        arp = AddressEntry(ip="192.168.0.10", mac=mac(first + 10))
        return (
            asset("192.168.0.1", own(first), *heard("p3", first + 10), arp, zone=name),
            asset("192.168.0.10", zone=name),
        )

    found = build((*cell("cell1", 100), *cell("cell2", 200)), CELLS)

    for name, first in (("cell1", 100), ("cell2", 200)):
        (plc,) = placed(found, f"{name}/192.168.0.10")
        assert (at(plc), plc.mac) == ((f"{name}/192.168.0.1", "p3"), mac(first + 10))


def test_an_address_that_only_the_other_cell_was_asked_at_is_not_taken_for_it() -> None:
    arp = AddressEntry(ip="192.168.0.10", mac=mac(10))
    found = build(
        (asset("192.168.0.1", arp, zone="cell1"), asset("192.168.0.10", zone="cell2")), CELLS
    )

    (there,) = (node for node in found.nodes if node.id == "cell2/192.168.0.10")
    assert there.macs == ()
    (stranger,) = (node for node in found.nodes if node.known == "neighbour")
    assert (stranger.zone, stranger.addresses, stranger.macs) == (
        "cell1",
        ("192.168.0.10",),
        (mac(10),),
    )


def test_a_mac_that_two_devices_claim_is_nobodys() -> None:
    found = build((asset("10.0.0.1", own(1)), asset("10.0.0.2", own(1))), CELL)

    assert all(node.macs == () for node in found.nodes)
    assert any("claimed by" in note for note in found.notes)


def test_a_router_that_answers_for_others_gives_its_address_to_none() -> None:
    arp = tuple(AddressEntry(ip=f"10.0.0.{n}", mac=mac(99)) for n in (2, 3))
    found = build((asset("10.0.0.1", *arp), asset("10.0.0.2"), asset("10.0.0.3")), CELL)

    assert all(node.macs == () for node in found.nodes)
    assert any("answers for" in note for note in found.notes)


def test_an_engine_id_with_a_mac_address_tells_it() -> None:
    access = SnmpAccess(versions=("3",), engine_id="80000009030200000000aa")
    found = build((asset("10.0.0.1", access), asset("10.0.0.2", *heard("p1", 0xAA))), CELL)

    (placement,) = placed(found, "cell/10.0.0.1")
    assert at(placement) == ("cell/10.0.0.2", "p1")


# --- one device under several addresses -----------------------------------------------------------

ENGINE = SnmpAccess(versions=("3",), engine_id="800021f304706c63")
HOST_KEY = SshHostKey(algorithm="ssh-ed25519", fingerprint_sha256="SHA256:abc")
SERIAL = Identity(vendor="Siemens", serial="S C-X4U421302009")


@pytest.mark.parametrize(
    ("facts", "identity", "mark", "otherwise"),
    [
        ((), SERIAL, "serial number sc-x4u421302009", "a number that is none"),
        ((ENGINE,), Identity(), "SNMP engine id 800021f3", "settings that were copied"),
        ((HOST_KEY,), Identity(), "SSH host key SHA256:abc", "a key that was copied"),
        ((LinkAddress(mac="00:1b:1b:00:00:01"),), Identity(), "MAC address 00:1b:1b", "a router"),
    ],
)
def test_assets_that_share_a_mark_are_kept_apart_and_noted(
    facts: tuple[Fact, ...], identity: Identity, mark: str, otherwise: str
) -> None:
    both = tuple(asset(address, *facts, identity=identity) for address in ("10.0.0.1", "10.0.0.2"))

    found = build(both, CELL)

    assert [node.id for node in found.nodes] == ["cell/10.0.0.1", "cell/10.0.0.2"]
    note = found.notes[-1]
    assert note.startswith("cell/10.0.0.1, cell/10.0.0.2 have the same " + mark)
    assert f"one device with several addresses, or {otherwise}" in note
    assert "`addresses`" in note


def test_an_engine_id_with_a_mac_address_is_one_mark_and_not_two() -> None:
    engine = SnmpAccess(versions=("3",), engine_id="800021f3030090e8010203")
    found = build((asset("10.0.0.1", engine), asset("10.0.0.2", engine)), CELL)

    assert "settings that were copied" in found.notes[-1]


def test_two_marks_of_different_kinds_leave_little_doubt() -> None:
    both = tuple(asset(a, ENGINE, identity=SERIAL) for a in ("10.0.0.1", "10.0.0.2"))

    (note,) = build(both, CELL).notes

    assert "SNMP engine id" in note
    assert "serial number" in note
    assert "most likely one device" in note


def test_marks_that_are_copied_together_leave_doubt() -> None:
    both = tuple(asset(a, ENGINE, HOST_KEY) for a in ("10.0.0.1", "10.0.0.2"))

    (note,) = build(both, CELL).notes

    assert "or settings that were copied and a key that was copied" in note


def test_more_groups_than_are_told_are_counted() -> None:
    pairs = [
        asset(f"10.0.{n // 100}.{n % 100 * 2 + k}", identity=Identity(vendor="M", serial=f"91{n}7"))
        for n in range(1000, 1103)
        for k in (0, 1)
    ]
    notes = build(tuple(pairs), (zone("cell", "10.0.0.0/16"),)).notes

    assert notes[-1] == "3 more groups of assets that share a mark"


def test_assets_that_list_each_others_addresses_are_most_likely_one_device() -> None:
    legs = (OwnAddress(ip="10.0.0.1"), OwnAddress(ip="10.0.0.2"))
    one, other = asset("10.0.0.1", *legs), asset("10.0.0.2", *legs)

    assert "most likely one device" in build((one, other), CELL).notes[0]
    assert build((one, asset("10.0.0.2")), CELL).notes == ()


def test_a_mark_over_two_zones_says_that_they_stay_two() -> None:
    both = (
        asset("10.1.0.5", identity=SERIAL, zone="control"),
        asset("10.2.0.5", identity=SERIAL, zone="office"),
    )

    (note,) = build(both, TWO).notes

    assert "different zones" in note
    assert "`addresses`" not in note


def test_the_same_address_in_two_cells_is_noted_only_where_the_device_is_the_same() -> None:
    cells = (zone("cell1", "192.168.0.0/24"), zone("cell2", "192.168.0.0/24"))
    legs = (OwnAddress(ip="192.168.0.10"),)
    alike = tuple(asset("192.168.0.10", *legs, zone=cell.id) for cell in cells)

    assert build(alike, cells).notes == ()
    moved = tuple(replace(one, identity=SERIAL) for one in alike)
    assert "serial number" in build(moved, cells).notes[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Identity(vendor="Siemens", serial="4711-12"), Identity(vendor="Moxa", serial="4711-12")),
        (Identity(serial="4711-12"), Identity(serial="4711-12")),
        (Identity(vendor="Moxa", serial="00000000"), Identity(vendor="Moxa", serial="00000000")),
        (Identity(vendor="Moxa", serial="12345678"), Identity(vendor="Moxa", serial="12345678")),
        (Identity(vendor="Moxa", serial="n/a"), Identity(vendor="Moxa", serial="n/a")),
        (Identity(vendor="Moxa", serial="123123"), Identity(vendor="Moxa", serial="123123")),
        (
            Identity(vendor="Siemens", model="CPU 1511", serial="4711-12"),
            Identity(vendor="Siemens", model="SCALANCE XC208", serial="4711-12"),
        ),
    ],
)
def test_a_serial_number_of_another_maker_or_of_nobody_is_no_mark(
    one: Identity, other: Identity
) -> None:
    assets = (asset("10.0.0.1", identity=one), asset("10.0.0.2", identity=other))
    assert build(assets, CELL).notes == ()


@pytest.mark.parametrize(
    "virtual", ["00:00:5e:00:01:07", "00:00:0c:9f:f0:01", "00:05:73:a0:00:01", "00:07:b4:00:01:02"]
)
def test_addresses_that_routers_share_are_no_mark(virtual: str) -> None:
    shared = LinkAddress(mac=virtual, told_by="arp")
    found = build((asset("10.0.0.1", shared), asset("10.0.0.2", shared)), CELL)

    assert not any("several addresses" in note for note in found.notes)


def test_a_mark_that_everybody_has_tells_nobody_apart() -> None:
    many = tuple(asset(f"10.0.0.{n}", HOST_KEY) for n in range(1, 60))

    assert build(many, CELL).notes == ()


# --- two zones and none ---------------------------------------------------------------------------

TWO = (zone("control", "10.1.0.0/24"), zone("office", "10.2.0.0/24"))


def test_a_host_whose_own_addresses_lie_in_two_zones_is_dual_homed() -> None:
    host = asset(
        "10.1.0.5",
        OwnAddress(ip="10.1.0.5", prefix_length=24),
        OwnAddress(ip="10.2.0.5", prefix_length=24),
        OwnAddress(ip="127.0.0.1", prefix_length=8),
        OwnAddress(ip="169.254.7.7", prefix_length=16),
        zone="control",
    )

    (found,) = build((host,), TWO).dual_homed

    assert (found.asset, found.zones, found.sure) == (
        "control/10.1.0.5",
        ("control", "office"),
        True,
    )
    assert [leg.address for leg in found.legs] == ["10.1.0.5", "10.2.0.5"]


def test_a_host_that_was_asked_in_both_zones_is_told_once() -> None:
    legs = (OwnAddress(ip="10.1.0.5"), OwnAddress(ip="10.2.0.5"))
    nic = NetworkInterface(index=1, name="eth0", mac=mac(5))
    both = (
        asset("10.1.0.5", *legs, nic, zone="control"),
        asset("10.2.0.5", *legs, nic, zone="office"),
    )

    found = build(both, TWO)

    assert [one.asset for one in found.dual_homed] == ["control/10.1.0.5"]
    assert [node.macs for node in found.nodes] == [(mac(5),), ()]


def test_a_leg_outside_every_zone_counts_as_one() -> None:
    host = asset("10.1.0.5", OwnAddress(ip="10.9.0.5"), zone="control")

    (found,) = build((host,), TWO).dual_homed

    assert [(leg.address, leg.zone) for leg in found.legs] == [
        ("10.1.0.5", "control"),
        ("10.9.0.5", None),
    ]


def test_a_mac_that_answers_in_another_zone_may_be_a_routers() -> None:
    viewer = asset("10.2.0.1", AddressEntry(ip="10.2.0.5", mac=mac(5)), zone="office")
    found = build((viewer, asset("10.1.0.5", own(5), zone="control")), TWO)

    (one,) = found.dual_homed
    assert (one.asset, one.sure) == ("control/10.1.0.5", False)
    assert "router" in one.note


def test_further_addresses_in_the_same_zone_are_no_second_home() -> None:
    host = asset("10.1.0.5", OwnAddress(ip="10.1.0.6"), OwnAddress(ip="10.1.0.5"), zone="control")

    assert build((host,), TWO).dual_homed == ()


def test_an_address_in_no_zone_is_outside_and_its_port_is_told() -> None:
    switch = asset(
        "10.1.0.1",
        own(1),
        AddressEntry(ip="192.168.77.9", mac=mac(77)),
        AddressEntry(ip="10.1.0.66", mac=mac(66)),
        AddressEntry(ip="224.0.0.5", mac=mac(67)),
        *heard("p8", 77),
        zone="control",
    )

    found = build((switch,), TWO)

    (outside,) = found.outside
    assert (outside.address, outside.mac, outside.seen_by) == (
        "192.168.77.9",
        mac(77),
        ("control/10.1.0.1",),
    )
    (placement,) = placed(found, outside.node)
    assert (placement.certainty, at(placement)) == ("on", ("control/10.1.0.1", "p8"))
    inside = [n for n in found.nodes if n.addresses == ("10.1.0.66",)]
    assert [node.zone for node in inside] == ["control"]  # in a zone, and unknown to the scan


# --- proposals ------------------------------------------------------------------------------------


def test_zones_that_the_site_file_draws_already_are_not_proposed() -> None:
    assets = (
        asset("10.1.0.5", zone="control", kind=DeviceClass.PLC),
        asset("10.2.0.5", zone="office", kind=DeviceClass.SERVER),
    )

    assert build(assets, TWO).proposals == ()


def test_one_large_zone_is_parted_by_network_and_by_vlan_with_reasons() -> None:
    whole = (zone("all", "10.0.0.0/16"),)
    switch = asset(
        "10.0.1.1",
        own(1),
        OwnAddress(ip="10.0.1.1", prefix_length=26),
        VlanName(vlan=10, name="Process"),
        *heard("p1", 21, vlan=10),
        *heard("p2", 22, vlan=10),
        zone="all",
        kind=DeviceClass.SWITCH,
    )
    assets = (
        switch,
        asset("10.0.1.21", own(21), zone="all", kind=DeviceClass.PLC),
        asset("10.0.1.22", own(22), zone="all", kind=DeviceClass.DRIVE),
        asset("10.0.2.5", zone="all", kind=DeviceClass.SERVER),
    )

    process, servers = build(assets, whole).proposals

    assert (process.id, process.networks, process.purdue) == ("process", ("10.0.1.0/26",), 1.0)
    assert process.nodes == ("all/10.0.1.1", "all/10.0.1.21", "all/10.0.1.22")
    assert 'heard in VLAN 10 ("Process")' in process.reasons
    assert (servers.id, servers.networks, servers.purdue) == ("operations", ("10.0.2.0/24",), 3.0)
    assert any("is assumed" in reason for reason in servers.reasons)


def test_a_flat_network_of_two_levels_is_proposed_by_address() -> None:
    flat = (zone("flat", "10.0.0.0/24"),)
    assets = (
        asset("10.0.0.1", zone="flat", kind=DeviceClass.PLC),
        asset("10.0.0.2", zone="flat", kind=DeviceClass.SERVER),
    )

    upper, lower = build(assets, flat).proposals

    assert (upper.networks, lower.networks) == (("10.0.0.2",), ("10.0.0.1",))
    assert all(any("would have to change" in r for r in p.reasons) for p in (upper, lower))


def test_a_zone_of_a_stated_level_is_its_owners_decision() -> None:
    stated = (replace(zone("flat", "10.0.0.0/24"), purdue=1),)
    assets = (
        asset("10.0.0.1", zone="flat", kind=DeviceClass.PLC),
        asset("10.0.0.2", zone="flat", kind=DeviceClass.SERVER),
    )

    assert build(assets, stated).proposals == ()


def test_a_host_in_two_vlans_parts_no_zone() -> None:
    switch = asset(
        "10.0.0.1",
        own(1),
        VlanName(vlan=10, name="process"),
        *heard("p1", 21, vlan=10),
        *heard("p2", 22, vlan=10),
        *heard("p3", 23, vlan=30),
    )
    host = asset(
        "10.0.0.22",
        NetworkInterface(index=1, name="a", mac=mac(22)),
        NetworkInterface(index=2, name="b", mac=mac(23)),
    )

    assert build((switch, asset("10.0.0.21", own(21)), host), CELL).proposals == ()


def test_an_outside_network_is_proposed_as_such() -> None:
    switch = asset("10.0.0.1", own(1), AddressEntry(ip="192.168.7.9", mac=mac(7)))

    (found,) = build((switch,), CELL).proposals

    assert (found.id, found.networks) == ("outside-network", ("192.168.7.0/24",))
    assert "outside every zone of the site file" in found.reasons


# --- hostile devices ------------------------------------------------------------------------------


def test_ten_thousand_addresses_on_twenty_switches_are_done_in_seconds() -> None:
    switches = [
        asset(
            f"10.0.0.{n}",
            own(n),
            *(BridgeEntry(mac=mac(1000 + m), port=f"p{m % 24}") for m in range(10_000)),
            *(
                AddressEntry(ip=f"10.{m >> 8}.{m & 255}.{n}", mac=mac(100_000 + m))
                for m in range(200)
            ),
        )
        for n in range(1, 21)
    ]
    began = time.process_time()

    found = build(switches, CELL)

    assert time.process_time() - began < 20
    assert len([n for n in found.nodes if n.known == "neighbour"]) <= MAX_STRANGERS
    assert len(found.notes) <= MAX_NOTES


def test_invented_neighbours_end_at_a_bound_and_that_is_told() -> None:
    says = tuple(
        Neighbour(local_port="1", system_name=f"ghost {n}") for n in range(MAX_STRANGERS + 9)
    )

    found = build((asset("10.0.0.1", *says),), CELL)

    assert len(found.nodes) == MAX_STRANGERS + 1
    assert any("left out" in note for note in found.notes)


TEXTS = st.sampled_from(["p1", "p2", "P1", "sw", "sw.example", "\x1b[2J", "", "\u202e", "10.0.0.2"])
MACS = st.integers(1, 6).map(mac) | st.sampled_from(["", "x", "zz:zz:zz:zz:zz:zz", "02:00"])
ADDRESSES = st.sampled_from(
    ["10.0.0.1", "10.0.0.2", "10.1.0.1", "10.9.9.9", "127.0.0.1", "fe80::1", "2001:db8::1", "", "?"]
)
OPTIONAL = st.none() | TEXTS
LENGTHS = st.none() | st.integers(-1, 200)
ENGINES = st.none() | st.sampled_from(["80000009030200000000aa", "zz", "80"])
BRIDGING = st.none() | st.lists(st.sampled_from(["bridge", "router", "x"])).map(tuple)
NUMBERS = st.integers(-1, 4)
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(BridgeEntry, mac=MACS, port=TEXTS, vlan=st.none() | NUMBERS),
    st.builds(AddressEntry, ip=ADDRESSES, mac=MACS, interface=OPTIONAL),
    st.builds(OwnAddress, ip=ADDRESSES, prefix_length=LENGTHS, interface=OPTIONAL),
    st.builds(
        NetworkInterface, index=NUMBERS, name=OPTIONAL, short_name=OPTIONAL, mac=st.none() | MACS
    ),
    st.builds(
        Neighbour,
        local_port=OPTIONAL,
        chassis_id=OPTIONAL | MACS,
        port_id=OPTIONAL,
        system_name=OPTIONAL,
        management_address=st.none() | ADDRESSES,
        protocol=st.sampled_from(["lldp", "cdp"]),
        capabilities=BRIDGING,
    ),
    st.builds(
        LinkLayerName,
        chassis_id=OPTIONAL | MACS,
        system_name=OPTIONAL,
        bridge_address=st.none() | MACS,
    ),
    st.builds(
        LinkLayerPort, number=NUMBERS, port_id=OPTIONAL, description=OPTIONAL, interface=OPTIONAL
    ),
    st.builds(SnmpAccess, engine_id=ENGINES),
    st.builds(VlanName, vlan=NUMBERS, name=TEXTS),
    st.builds(TableRead, table=st.just("bridge"), rows=NUMBERS, complete=st.booleans()),
    st.builds(LinkAddress, mac=MACS),
)
ASSETS = st.builds(
    lambda address, zone, kind, name, facts: asset(
        address, *facts, zone=zone, kind=kind, name=name
    ),
    ADDRESSES,
    st.sampled_from(["cell", "other"]),
    st.sampled_from(list(DeviceClass)),
    OPTIONAL,
    st.lists(FACTS, max_size=12),
)
ZONES = st.lists(
    st.builds(
        lambda name, networks: zone(name, *networks),
        st.sampled_from(["cell", "other", "third"]),
        st.lists(st.sampled_from(["10.0.0.0/24", "10.0.0.0/8", "10.1.0.0/30", "nonsense", "::/0"])),
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ASSETS, max_size=6, unique_by=lambda a: a.id), ZONES, st.randoms())
def test_whatever_devices_say_the_graph_is_whole_and_of_one_order(
    assets: list[Asset], zones: list[ZoneInfo], random: Any
) -> None:
    found = build(assets, zones)

    shuffled = list(assets)
    random.shuffle(shuffled)
    assert build(shuffled, zones) == found
    ids = [node.id for node in found.nodes]
    assert len(ids) == len(set(ids))
    named: Iterable[str] = (
        *(end for link in found.links for end in (link.a, link.b)),
        *(p.node for p in found.placements),
        *(p.at.switch for p in found.placements if p.at),
        *(o.switch for p in found.placements for o in p.others),
        *(one.asset for one in found.dual_homed),
        *(one.node for one in found.outside),
        *(node for proposal in found.proposals for node in proposal.nodes),
    )
    assert set(named) <= set(ids)
    for placement in found.placements:
        assert (placement.at is None) == (placement.certainty in ("ambiguous", "unknown"))
        assert placement.reason
    assert all(link.a != link.b for link in found.links)
    proposals = [proposal.id for proposal in found.proposals]
    assert len(proposals) == len(set(proposals))
