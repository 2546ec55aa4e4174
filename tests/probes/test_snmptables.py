"""Tables of the SNMP read tier: each recorded walk played as an agent, and rows made by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysnmp.proto import rfc1902
from pysnmp.smi import error

from probes import snmp as probe
from probes import snmptables as tables
from scanner.clients import snmp as client
from scanner.errors import BadReply, Silent
from scanner.facts import (
    AddressEntry,
    BridgeEntry,
    DeviceIdentity,
    Fact,
    LinkLayerName,
    LinkLayerPort,
    Neighbour,
    NetworkInterface,
    OwnAddress,
    SnmpAccess,
    TableRead,
    VlanName,
)
from tests.clients.test_snmp import agent, recorded

KNOWN = (SnmpAccess(versions=("2c",), community="public"),)
LLDP_BITS = tuple((1, 0, 8802, 1, 1, 2, 1, 4, 1, 1, column) for column in (11, 12))

# --- recordings of real devices ------------------------------------------------------------------

INTERFACES, NEIGHBOURS, PORTS, BRIDGE, ARP, OWN, VLANS, PARTS = range(8)
EXPECTED = {
    # Rows with port 0 tell no port (advantech 2, planetos 1), and hirschmann's one ARP row was
    # recorded as printed text, which is no MAC address. Counted in the files with awk.
    # interfaces, neighbours, LLDP ports, forwarding, ARP, own addresses, named VLANs, parts
    "abbups_abbups": (2, 0, 0, 0, 0, 0, 0, 0),
    "advantech_eki-7712g-4fp": (20, 0, 12, 212, 0, 0, 0, 0),
    "apc_inrow-dx": (2, 0, 0, 0, 0, 0, 0, 0),
    "aprisa": (2, 0, 0, 0, 2, 2, 0, 0),
    "deltaups": (5, 0, 0, 0, 0, 2, 0, 0),
    "etherwan": (0, 0, 0, 0, 0, 0, 0, 0),
    "hirschmann": (19, 0, 0, 5, 0, 1, 1, 0),
    "huawei-smu": (0, 0, 0, 0, 0, 0, 0, 0),
    "ios_ie2000": (0, 0, 0, 0, 0, 0, 0, 0),
    "iosxe_ir1101": (0, 0, 0, 0, 0, 0, 0, 5),
    "lantronix-uds": (0, 0, 0, 0, 0, 0, 0, 0),
    "mbg-ltos6": (10, 0, 0, 0, 3, 2, 0, 0),
    "moxa-eds-4000-series_eds-4012-4gc": (12, 0, 12, 79, 0, 0, 0, 0),
    "moxa-etherdevice_edsg512e": (14, 1, 12, 1, 3, 2, 0, 0),
    "moxa-etherdevice_edsg516e": (18, 2, 16, 1, 1, 2, 0, 0),
    "moxa-etherdevice_edsp510a8poe": (12, 0, 0, 0, 0, 0, 0, 0),
    "moxa-nport": (0, 0, 0, 0, 0, 0, 0, 0),
    "ntron": (15, 0, 0, 44, 1, 2, 0, 0),
    "perle": (0, 0, 0, 0, 0, 0, 0, 0),
    "planetos_igs-10020mt": (16, 0, 0, 7, 1, 1, 0, 0),
    "raritan-pdu_px2": (0, 0, 0, 0, 0, 0, 0, 0),
    "rutos": (13, 0, 0, 0, 0, 5, 0, 0),
    "rutos-2xx": (13, 0, 0, 0, 3, 6, 0, 0),
    "scalance_xc206-2sfp": (12, 1, 8, 126, 9, 3, 4, 1),
    "sixnet": (18, 0, 0, 0, 0, 0, 0, 0),
    "stulz_wib8000": (2, 0, 0, 0, 1, 3, 0, 0),
    "wipipe": (0, 0, 0, 0, 0, 0, 0, 0),
}


def mended(rows: dict[Any, Any]) -> dict[Any, Any]:
    """The recordings hold LLDP's capabilities as printed ("28 2 4", "00"): as bytes again."""
    for name, value in rows.items():
        if name[:11] in LLDP_BITS:
            rows[name] = rfc1902.OctetString(hexValue=bytes(value).decode().split()[0])
    return rows


async def read(path: Path, governed: Any) -> tuple[tuple[Fact, ...], int]:
    async with (
        agent(mended(recorded(path))) as (port, table),
        governed(probe.READ_PROBE, port, known=KNOWN) as session,
    ):
        facts = await probe.run_read(session)
    assert table.writes == []
    return facts, len(session.evidence_kept.intents)


def counts(facts: tuple[Fact, ...]) -> tuple[int, ...]:
    found = Counter(type(fact) for fact in facts)
    parts = sum(isinstance(f, DeviceIdentity) and f.sub_address is not None for f in facts)
    kinds = (NetworkInterface, Neighbour, LinkLayerPort, BridgeEntry, AddressEntry, OwnAddress)
    return (*(found[kind] for kind in kinds), found[VlanName], parts)


def test_every_recorded_walk_has_its_expectation(captures: Path) -> None:
    assert {file.stem for file in (captures / "snmprec").glob("*.snmprec")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
async def test_a_recorded_walk_tells_its_tables_within_the_plan(
    name: str, captures: Path, governed: Any
) -> None:
    facts, asked = await read(captures / "snmprec" / f"{name}.snmprec", governed)

    assert counts(facts) == EXPECTED[name]
    assert asked <= sum(question.at_most for question in probe.READ_PROBE.questions)
    if not any(EXPECTED[name]):
        # A table that does not exist costs one question; two more are the groups of scalars.
        assert asked <= len(tables.TABLES) + len(tables.SCALARS)


@pytest.fixture
async def facts_of(captures: Path, governed: Any) -> Callable[[str], Any]:
    async def facts(name: str) -> tuple[Fact, ...]:
        return (await read(captures / "snmprec" / f"{name}.snmprec", governed))[0]

    return facts


async def test_a_switch_tells_who_is_heard_where(facts_of: Any) -> None:
    facts = await facts_of("hirschmann")

    entries = [fact for fact in facts if isinstance(fact, BridgeEntry)]
    assert BridgeEntry(mac="00:80:64:8c:dd:71", port="1/1/13", vlan=1) in entries
    assert all(entry.vlan == 1 for entry in entries)
    assert VlanName(vlan=1, name="Default") in facts
    assert LinkLayerName(bridge_address="ec:e5:55:40:71:d6") in facts
    assert TableRead(table="bridge", rows=5, complete=True) in facts


async def test_a_switch_tells_addresses_vlans_and_its_neighbour(facts_of: Any) -> None:
    facts = await facts_of("scalance_xc206-2sfp")

    assert AddressEntry(ip="10.12.10.21", mac="3c:41:0e:e8:4b:c1", interface="vlan10") in facts
    assert OwnAddress(ip="10.90.8.2", prefix_length=24, interface="vlan99") in facts
    assert {"default", "data", "mgmt", "blackhole"} == {
        f.name for f in facts if isinstance(f, VlanName)
    }
    (neighbour,) = (fact for fact in facts if isinstance(fact, Neighbour))
    assert (neighbour.protocol, neighbour.system_name) == ("lldp", "C3560")
    assert neighbour.capabilities == ("bridge", "router")
    (port,) = (f for f in facts if isinstance(f, LinkLayerPort) and f.port_id == "port-008")
    assert port.interface == "P0.8"  # no bridge port has number 8 (a trunk has), an interface has
    vlans = {fact.vlan for fact in facts if isinstance(fact, BridgeEntry)}
    assert vlans <= {1, 10, 99, None}
    assert 10 in vlans


async def test_a_router_tells_the_parts_that_have_a_model_or_a_serial_number(
    facts_of: Any,
) -> None:
    facts = await facts_of("iosxe_ir1101")

    parts = {f.sub_address: f for f in facts if isinstance(f, DeviceIdentity) and f.sub_address}
    whole = [f for f in facts if isinstance(f, DeviceIdentity) and f.sub_address is None]
    assert [one.model for one in whole] == ["IR1101-K9"]
    assert all(part.model or part.serial for part in parts.values())
    assert all(part.device_class == "other" for part in parts.values())
    assert any(part.serial for part in parts.values())


async def test_a_walk_that_goes_silent_keeps_what_it_told(captures: Path, governed: Any) -> None:
    rows = recorded(captures / "snmprec" / "hirschmann.snmprec")
    async with (
        agent(rows) as (port, _table),
        governed(probe.READ_PROBE, port, known=KNOWN) as session,
    ):
        walk = client._Reader.walk

        async def fails_late(self: Any, column: str, max_rows: int) -> Any:
            if column.startswith(tables.ARP):
                raise Silent("the SNMP agent stopped answering")
            return await walk(self, column, max_rows)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(client._Reader, "walk", fails_late)
            facts = await probe.run_read(session)

    assert sum(isinstance(fact, NetworkInterface) for fact in facts) == 19
    assert not any(isinstance(fact, BridgeEntry) for fact in facts)


async def test_a_table_that_the_agent_cannot_tell_costs_that_table_alone(
    captures: Path, governed: Any
) -> None:
    rows = recorded(captures / "snmprec" / "scalance_xc206-2sfp.snmprec")
    refused = tuple(int(number) for number in tables.ARP.split("."))
    async with (
        agent(rows) as (port, table),
        governed(probe.READ_PROBE, port, known=KNOWN) as session,
    ):
        answer = table.read_next_variables

        def refuses(*asked: Any, **context: Any) -> Any:
            if any(tuple(name)[: len(refused)] == refused for name, _ in asked):
                raise error.GenError(name=asked[0][0], idx=1)
            return answer(*asked, **context)

        table.read_next_variables = refuses
        facts = await probe.run_read(session)

    found = counts(facts)
    assert (found[INTERFACES], found[NEIGHBOURS], found[BRIDGE]) == (12, 1, 126)
    assert found[ARP] == 9  # from the newer table, since the older one told nothing


async def test_an_agent_that_cannot_tell_anything_is_garbled(governed: Any) -> None:
    async with (
        agent({}) as (port, table),
        governed(probe.READ_PROBE, port, known=KNOWN) as session,
    ):

        def refuses(*asked: Any, **_context: Any) -> Any:
            raise error.GenError(name=asked[0][0], idx=1)

        table.read_next_variables = table.read_variables = refuses
        with pytest.raises(BadReply, match="error-status 5"):
            await probe.run_read(session)


# --- bounds --------------------------------------------------------------------------------------


def test_all_tables_at_their_bounds_are_within_the_questions_of_a_conversation() -> None:
    # Two tables are read in place of another one, which then has cost one question.
    either = {tables.IP_NEIGHBOUR, tables.FORWARDING}
    questions = sum(
        1 if table.entry in either else len(table.columns) * -(-table.rows // client.BULK_ROWS)
        for table in tables.TABLES
    )

    assert questions <= client.MAX_QUESTIONS
    assert len(tables.SCALARS) + 1 + tables.MAX_PARTS <= client.MAX_GETS
    assert sum(q.at_most for q in probe.READ_PROBE.questions) == (
        client.MAX_QUESTIONS + client.MAX_GETS
    )


async def test_ten_thousand_addresses_are_cut_short_and_that_is_told(governed: Any) -> None:
    entry = tuple(int(n) for n in tables.VLAN_FORWARDING.split("."))
    rows = {
        (*entry, 2, 1, 0, 27, 27, 0, n >> 8, n & 255): rfc1902.Integer32(1 + n % 8)
        for n in range(10_000)
    }
    async with (
        agent(rows) as (port, _),
        governed(probe.READ_PROBE, port, known=KNOWN) as session,
    ):
        facts = await probe.run_read(session)

    assert sum(isinstance(fact, BridgeEntry) for fact in facts) == 400
    assert TableRead(table="bridge", rows=400, complete=False) in facts
    planned = sum(question.at_most for question in probe.READ_PROBE.questions)
    assert len(session.evidence_kept.intents) <= planned


# --- rows made by hand ---------------------------------------------------------------------------


def test_cdp_tells_platform_capabilities_and_address() -> None:
    cache = tables.CDP_CACHE
    values: dict[str, tables.Value] = {
        f"{tables.IF_TABLE}.2.10": b"FastEthernet1/1",
        f"{tables.IF_X_TABLE}.1.10": b"Fa1/1",
        f"{cache}.3.10.4": 1,
        f"{cache}.4.10.4": b"\x0a\x01\x02\x03",
        f"{cache}.6.10.4": b"SW-2.plant.example",
        f"{cache}.7.10.4": b"GigabitEthernet1/2",
        f"{cache}.8.10.4": b"cisco IE-3300",
        f"{cache}.9.10.4": b"\x00\x00\x00\x29",
        f"{cache}.6.11": b"a row whose index is too short",
        f"{cache}.7.12.1": b"a row without a name",
    }

    assert tables.cdp_neighbours(values) == (
        Neighbour(
            protocol="cdp",
            local_port="Fa1/1",
            port_id="GigabitEthernet1/2",
            system_name="SW-2.plant.example",
            platform="cisco IE-3300",
            capabilities=("router", "bridge"),
            management_address="10.1.2.3",
        ),
    )


@pytest.mark.parametrize(
    ("told", "port"),
    [
        (b"\x1a\xb3\x69\x30\xc7\xff", "1a:b3:69:30:c7:ff"),  # as lldpd does
        (b"port-1", "port-1"),
        (b"", "Port one"),
    ],
)
def test_a_neighbours_local_port_is_named_as_the_port_itself(told: bytes, port: str) -> None:
    values: dict[str, tables.Value] = {
        f"{tables.LLDP_LOCAL_PORT}.3.2": told,
        f"{tables.LLDP_LOCAL_PORT}.4.2": b"Port one",
        f"{tables.LLDP_REMOTE}.9.0.2.1": b"SW-2",
    }

    assert tables.neighbours_of(values) == (Neighbour(local_port=port, system_name="SW-2"),)
    (own,) = tables.link_layer_ports(values)
    assert (own.port_id or own.description) == port


def test_a_vlan_is_told_only_where_one_alone_has_the_table() -> None:
    values: dict[str, tables.Value] = {
        f"{tables.VLAN_FORWARDING}.2.7.0.1.2.3.4.5": 3,
        f"{tables.VLAN_FORWARDING}.2.8.0.1.2.3.4.5": 3,
        f"{tables.VLAN_FORWARDING}.2.9.0.1.2.3.4.5": 0,  # the bridge does not know the port
        f"{tables.VLAN_FORWARDING}.2.9.1.1.2.3.4.5": 3,  # a group address
        f"{tables.VLAN_CURRENT}.3.0.10": 7,
        f"{tables.VLAN_CURRENT}.3.0.20": 8,
        f"{tables.VLAN_CURRENT}.3.0.30": 8,
    }

    assert tables.bridge_entries(values) == (
        BridgeEntry(mac="00:01:02:03:04:05", port="port 3", vlan=None),
        BridgeEntry(mac="00:01:02:03:04:05", port="port 3", vlan=10),
    )


def test_newer_neighbour_tables_tell_both_kinds_of_address() -> None:
    values: dict[str, tables.Value] = {
        f"{tables.IP_NEIGHBOUR}.4.1.1.4.10.0.0.9": b"\x00\x01\x02\x03\x04\x05",
        f"{tables.IP_NEIGHBOUR}.4.1.2.16.254.128.0.0.0.0.0.0.0.0.0.0.0.0.0.1": b"\0\1\2\3\4\6",
        f"{tables.IP_NEIGHBOUR}.4.1.1.4.10.0.0.300": b"\x00\x01\x02\x03\x04\x07",
        f"{tables.IP_NEIGHBOUR}.4.1.1.4.10.0.0": b"\x00\x01\x02\x03\x04\x08",
        f"{tables.IP_NEIGHBOUR}.4.1.1.4.10.0.0.11": b"\x00\x00\x00\x00\x00\x00",
    }

    assert tables.address_entries(values) == (
        AddressEntry(ip="10.0.0.9", mac="00:01:02:03:04:05"),
        AddressEntry(ip="fe80::1", mac="00:01:02:03:04:06"),
    )


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        (b"\xff\xff\xff\x00", 24),
        (b"\xff\xff\xff\xff", 32),
        (b"\xff\x00\xff\x00", None),
        (b"\x00\x00\x00\x00", None),
        (b"\xff", None),
        (7, None),
    ],
)
def test_a_mask_is_a_length_only_where_its_ones_stand_together(
    mask: tables.Value, length: int | None
) -> None:
    assert tables._prefix_length(mask) == length


def test_names_of_the_link_layer_are_told_by_lldp_and_by_the_bridge() -> None:
    values: dict[str, tables.Value] = {
        f"{tables.LLDP_LOCAL}.1.0": 5,
        f"{tables.LLDP_LOCAL}.2.0": b"\x01\x0a\x00\x00\x09",
        f"{tables.LLDP_LOCAL}.3.0": b"SW\x00\x1b[2J",
        f"{tables.LLDP_LOCAL}.6.0": b"\x28",
    }

    assert tables.link_layer_name(values) == LinkLayerName(
        chassis_id="10.0.0.9", system_name="SW", capabilities=("bridge", "router")
    )
    assert tables.link_layer_name({}) is None


ENTRIES = [table.entry for table in tables.TABLES]
NUMBERS = st.lists(st.sampled_from([0, 1, 2, 4, 6, 7, 10, 255, 256, 2**32]), max_size=9)
NAMES = st.builds(
    lambda entry, column, index: ".".join(map(str, (entry, column, *index))),
    st.sampled_from(ENTRIES),
    st.integers(1, 14),
    NUMBERS,
)
VALUES = st.binary(max_size=8) | st.integers(-1, 2**33) | st.just("1.3.6") | st.none()


@given(st.dictionaries(NAMES, VALUES, max_size=20), st.frozensets(st.sampled_from(ENTRIES)))
def test_any_rows_give_facts_in_one_order(
    values: dict[str, tables.Value], cut: frozenset[str]
) -> None:
    facts = tables.facts_of_tables(values, cut, ())

    assert facts == tables.facts_of_tables(dict(reversed(values.items())), cut, ())
