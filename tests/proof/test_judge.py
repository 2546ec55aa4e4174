"""
Negative controls of the judge: whatever breaks a promise is flagged, by name, and nothing else is.

All offences of one kind are in one capture, each to an address of its own: 10.77.1.2, 10.77.1.3 …
"""

from __future__ import annotations

import shutil
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ruamel.yaml import YAML

from probes import sshconfig
from scanner.audit.requests import http as audited_http
from scanner.audit.requests import ssh as audited_ssh
from tests.proof import plants
from tests.proof.judge import verdict
from tests.proof.judge.crafted import SCANNER, Wire, frame
from tests.proof.judge.dissect import Frame, without_sealed
from tests.proof.judge.grammar import LOGIN_FORMS, LOGIN_PAGES, PORTS, grammars, parse
from tests.proof.judge.injected import (
    BEHIND_A_LOGIN,
    CONNECT_S7,
    FOREIGN,
    GET,
    GRANTED,
    HARMLESS,
    IDENTIFY_MODBUS,
    NOT_ONLY_READING,
    SETUP_S7,
    SIGNING_IN,
    SZL_S7,
    WRITES,
)  # fmt: skip
from tests.proof.judge.packets import ACK, FIN, PSH, RST, SYN, Unreadable, packets_of
from tests.proof.judge.services import compared
from tests.proof.judge.verdict import Allowed, Device, Finding, judge
from tests.proof.plants import READING

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _tshark() -> None:
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")


def allowed(*addresses: str, **rule: object) -> Allowed:
    """Each address a device of its own."""
    devices = {
        address: Device(addresses=(address,), zone="z", **rule)  # type: ignore[arg-type]
        for address in addresses
    }
    return Allowed(
        scanner=frozenset({SCANNER}), devices=devices, networks=("10.77.0.0/16",), zones={"z": 50},
        excluded=("10.77.9.9/32",),
    )  # fmt: skip


def findings(wire: Wire, path: Path, *addresses: str, **rule: object) -> dict[int, Finding]:
    capture = wire.write(path / "crafted.pcap")
    return dict(judge([capture], allowed(*addresses, **rule)).findings)


def everything(
    table: dict[str, tuple[str, int, tuple[bytes, ...]]], path: Path, **rule: object
) -> tuple[dict[int, Finding], dict[str, str]]:
    wire, where = Wire(), {}
    for number, (name, (transport, port, requests)) in enumerate(table.items(), start=1):
        address = where[name] = f"10.77.{1 + number // 250}.{number % 250 + 1}"
        if transport == "link":
            for request in requests:
                wire.link(address, port, request)
        elif transport == "udp":
            for request in requests:
                wire.datagram(address, port, request)
        else:
            wire.connection(address, port, *requests, answer=b"")
    return findings(wire, path, *where.values(), **rule), where


def test_every_injected_write_is_flagged_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "KEPT", 1000)

    found, where = everything(dict(WRITES), tmp_path)

    missed = [
        name for name, address in where.items()
        if not any(f"to {address} " in words for words in found[1].faults)
    ]  # fmt: skip
    assert missed == []
    assert found[1].bad == len(WRITES), found[1].faults
    assert found[1].counts["unknown"] == 0, found[1].faults


def test_what_only_reads_is_not_flagged(tmp_path: Path) -> None:
    found, _ = everything(dict(HARMLESS), tmp_path, seats=verdict.SEATS, ports=frozenset(PORTS))

    assert {n: one.faults for n, one in found.items() if one.bad} == {}
    assert found[1].cases == sum(len(requests) for *_, requests in HARMLESS.values())


def test_what_is_no_part_of_reading_is_flagged_though_it_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "KEPT", 1000)

    found, where = everything(dict(NOT_ONLY_READING), tmp_path)

    missed = [
        name for name, address in where.items()
        if not any(f"to {address} " in words for words in found[1].faults)
    ]  # fmt: skip
    assert missed == []
    assert found[1].bad == len(NOT_ONLY_READING), found[1].faults


def test_of_that_tier_login_may_sign_in_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "KEPT", 1000)
    assert SIGNING_IN.keys() >= {"snmp under a guessed community", "snmp as a user", "telnet name",
                                 "http page of a login", "http with a password"}  # fmt: skip

    granted, _ = everything(dict(GRANTED), tmp_path, logins=True)
    others, where = everything(
        {**WRITES, **NOT_ONLY_READING, **BEHIND_A_LOGIN}, tmp_path, logins=True
    )

    assert granted[1].faults == []
    flagged = {name for name, a in where.items() if any(f"to {a} " in w for w in others[1].faults)}
    assert where.keys() - flagged == SIGNING_IN.keys()


def test_pages_and_forms_of_logins_are_those_of_the_credential_sets() -> None:
    pages, forms = {"/"}, set()
    for path in (Path(__file__).parents[2] / "credentials" / "sets").glob("*.yaml"):
        for entry in YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")):
            options = entry.get("options") or {}
            pages |= {options["path"]} if "path" in options else set()
            forms |= {options["form_path"]} if "form_path" in options else set()

    assert pages == LOGIN_PAGES == {page.decode() for page in audited_http.LOGIN} - {"/favicon.ico"}
    assert forms == LOGIN_FORMS == {form.decode() for form in audited_http.FORMS}


def test_commands_inside_ssh_are_those_that_are_sent() -> None:
    switch = {*sshconfig.IOS_COMMANDS, "terminal width 511", "terminal length 0", "exit"}

    sent = {f"ssh exec {command}" for command in sshconfig.LINUX_COMMANDS}
    sent |= {f"ssh shell {command}" for command in switch}
    assert sent | {"ssh shell"} == READING
    assert {*sshconfig.LINUX_COMMANDS, *switch, ""} == audited_ssh.SHOWS


def test_a_scan_of_ports_is_flagged(tmp_path: Path) -> None:
    wire, us = Wire(), 40_000
    closed = (21, 135, 445, 3389, 4840, 9600)
    for port in closed:
        us += 1
        wire.tcp(wire.at, (SCANNER, us), ("10.77.1.1", port), SYN, 1000, 0)
        wire.tcp(wire.at + 0.001, ("10.77.1.1", port), (SCANNER, us), RST | ACK, 0, 1001)
        wire.at += 1.2
    wire.connection("10.77.1.2", 445)
    wire.datagram("10.77.1.3", 47808, b"\x81\x0a")
    wire.datagram("10.77.1.4", 502, IDENTIFY_MODBUS)
    wire.connection("10.77.1.5", 502, IDENTIFY_MODBUS)
    planned = frozenset({("tcp", 502), ("udp", 161)})

    found = findings(wire, tmp_path, *(f"10.77.1.{n}" for n in range(1, 6)), ports=planned)[7]

    nobody = "which nobody planned"
    assert set(found.faults) >= {
        *(f"a packet to 10.77.1.1 tcp {port}, {nobody}" for port in closed),
        f"a packet to 10.77.1.2 tcp 445, {nobody}", f"a packet to 10.77.1.3 udp 47808, {nobody}",
        f"a packet to 10.77.1.4 udp 502, {nobody}",
    }  # fmt: skip
    assert not any("10.77.1.5" in words for words in found.faults)


def test_the_ports_that_may_be_asked_are_those_of_the_plan() -> None:
    question = {"transport": "udp", "service": "snmp", "tier": "identify", "port": 161}
    plan = {"devices": [{
        "addresses": ["10.77.1.1"], "zone": "z", "profile": "default", "tier": "identify",
        "packets": 9, "canaries": 0, "seats": [],
        "questions": [question, {**question, "transport": "tcp", "port": 502}],
    }]}  # fmt: skip

    device = plants.allowed(plan, {}, {"z": "default"}).devices["10.77.1.1"]

    assert device.ports == {("udp", 161), ("tcp", 502)}
    assert device.seats == frozenset()


def test_the_seats_that_are_open_are_those_that_the_plan_says_the_site_file_opened() -> None:
    question = {"transport": "tcp", "service": "iec104", "tier": "identify", "port": 2404}
    plan = {"devices": [
        {
            "addresses": [f"10.77.1.{last}"], "zone": "z", "profile": "default",
            "tier": "identify", "packets": 9, "canaries": 0, "questions": [question],
            "seats": seats,
        }
        for last, seats in ((1, [2404]), (2, []))
    ]}  # fmt: skip

    devices = plants.allowed(plan, {}, {"z": "default"}).devices

    assert devices["10.77.1.1"].seats == {2404}
    assert devices["10.77.1.2"].seats == frozenset()


def test_every_icmp_but_unreachable_is_flagged(tmp_path: Path) -> None:
    wire = Wire()
    for kind in (0, 3, 5, 8, 13, 17):
        message = bytes([kind, 0]) + bytes(34)
        wire.frames.append((wire.at, frame(SCANNER, "10.77.1.1", 1, message)))
        wire.at += 1

    found = findings(wire, tmp_path, "10.77.1.1")[7]

    assert found.faults == [f"ICMP type {kind} to 10.77.1.1" for kind in (0, 5, 8, 13, 17)]


def test_every_foreign_byte_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "KEPT", 1000)
    table = {name: (over, port, (data,)) for name, (over, port, data) in FOREIGN.items()}

    found, where = everything(table, tmp_path)

    missed = [
        name for name, address in where.items()
        if not any(f"{address} " in words for words in found[7].faults)
    ]  # fmt: skip
    assert missed == []
    assert found[1].counts["unknown"] >= len(FOREIGN)


def test_two_connections_at_once_to_one_device_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, IDENTIFY_MODBUS, lasts=3.0, pause=1.0)
    wire.connection("10.77.1.1", 80, GET)
    wire.connection("10.77.1.2", 80, GET)

    found = findings(wire, tmp_path, "10.77.1.1", "10.77.1.2")

    assert found[2].most["connections at once"] == 2
    assert found[2].bad == 1


def test_the_addresses_of_one_chassis_count_together(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, IDENTIFY_MODBUS, lasts=3.0, pause=1.0)
    wire.connection("10.77.1.2", 502, IDENTIFY_MODBUS)
    both = Device(addresses=("10.77.1.1", "10.77.1.2"), zone="z", budget=9)
    rules = Allowed(scanner=frozenset({SCANNER}), devices={"one": both})

    found = judge([wire.write(tmp_path / "c.pcap")], rules).findings

    assert found[2].bad == 1
    assert found[6].faults == []
    assert found[6].counts["captured"] == 6


@pytest.mark.parametrize(("packets", "over"), [(8, 0), (9, 1)])
def test_one_packet_too_many_in_a_second_is_flagged(
    tmp_path: Path, packets: int, over: int
) -> None:
    wire = Wire()
    for number in range(packets):
        wire.at = 1_800_000_000.0 + number * 0.1
        wire.datagram("10.77.1.1", 161, HARMLESS["snmp get"][2][0])

    found = findings(wire, tmp_path, "10.77.1.1", packets_per_s=8, budget=8)

    assert [found[n].bad for n in (3, 5, 6)] == [over] * 3


def test_the_cap_of_a_zone_counts_all_its_devices(tmp_path: Path) -> None:
    wire = Wire()
    for number in range(51):
        wire.at = 1_800_000_000.0 + number * 0.01
        wire.datagram(f"10.77.1.{number + 1}", 161, HARMLESS["snmp get"][2][0])

    found = findings(wire, tmp_path, *(f"10.77.1.{n + 1}" for n in range(51)), packets_per_s=8)

    assert found[3].bad == 0
    assert found[4].bad == 1
    assert found[5].bad == 1


def test_connections_that_follow_too_soon_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, IDENTIFY_MODBUS, pause=0.9)
    wire.connection("10.77.1.1", 80, GET)

    assert findings(wire, tmp_path, "10.77.1.1", connection_interval_s=1.0)[3].bad == 1
    assert findings(wire, tmp_path, "10.77.1.1", connection_interval_s=0.8)[3].bad == 0


def test_connect_and_drop_and_connections_too_many_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502)
    wire.connection("10.77.1.2", 23)
    wire.connection("10.77.1.3", 502, IDENTIFY_MODBUS)
    wire.connection("10.77.1.3", 502, IDENTIFY_MODBUS)

    found = findings(wire, tmp_path, "10.77.1.1", "10.77.1.2", "10.77.1.3")

    assert found[8].counts["without a request"] == 1
    assert found[8].faults == [
        "10.77.1.1:502: connected and left without a request",
        "10.77.1.3:502: 2 connections, 1 planned",
    ]


def test_odd_packets_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    us, them = (SCANNER, 41_000), ("10.77.1.1", 502)
    wire.tcp(wire.at, us, them, SYN | FIN, 1, 0)
    wire.tcp(wire.at + 1, us, them, 0, 1, 0)
    wire.frames.append((wire.at + 2, frame(SCANNER, "10.77.1.1", 17, bytes(16), fragment=0x2000)))
    wire.at += 3
    wire.connection("10.77.1.2", 502, bytes.fromhex("0001 0000 0002 ff2b"))

    found = findings(wire, tmp_path, "10.77.1.1", "10.77.1.2")

    assert found[9].bad >= 4
    assert any("malformed" in words for words in found[9].faults), found[9].faults


def test_a_reset_is_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, IDENTIFY_MODBUS, reset=True)
    wire.connection("10.77.1.2", 502, IDENTIFY_MODBUS)

    found = findings(wire, tmp_path, "10.77.1.1", "10.77.1.2")

    assert found[10].cases == 2
    assert found[10].bad == 1
    assert "10.77.1.1:502" in found[10].faults[0]


def test_seats_and_sweeps_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 2404)
    wire.connection("10.77.1.2", 20000)
    wire.connection("10.77.1.3", *WRITES["s7 seat of a programming device"][1:2],
                    WRITES["s7 seat of a programming device"][2][0])  # fmt: skip
    sweep = [bytes([0, 1, 0, 0, 0, 5, unit]) + b"\x2b\x0e\x01\x00" for unit in (255, 1, 0, 2)]
    wire.connection("10.77.1.4", 502, *sweep, lasts=12.0, pause=20.0)
    wire.connection("10.77.1.5", 502, *sweep[:2], lasts=1.0)

    found = findings(wire, tmp_path, *(f"10.77.1.{n}" for n in range(1, 6)))

    assert found[11].counts["packets to 2404 or 20000"] >= 6
    assert found[11].counts["connections for a programming device"] == 1
    assert found[11].most["units asked of one device"] == 4
    assert any("two units" in words for words in found[11].faults)


def test_a_seat_is_opened_on_the_device_that_the_site_file_names_and_on_no_other(
    tmp_path: Path,
) -> None:
    wire = Wire()
    for last in (1, 2):
        wire.connection(f"10.77.1.{last}", 2404, HARMLESS["iec104 test frame"][2][0])
    wire.connection("10.77.1.1", 19998, b"\x16\x03\x01")
    mine = Device(addresses=("10.77.1.1",), zone="z", seats=frozenset({2404}))
    other = Device(addresses=("10.77.1.2",), zone="z", seats=frozenset({20000}))
    rules = Allowed(scanner=frozenset({SCANNER}), devices={"mine": mine, "other": other})

    found = judge([wire.write(tmp_path / "c.pcap")], rules).findings[11]

    assert set(found.faults) == {
        "a packet to 10.77.1.1 port 19998", "a packet to 10.77.1.2 port 2404",
    }  # fmt: skip
    assert found.counts["packets to opened seats"] > 0


def test_more_questions_than_an_identification_takes_are_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, *[IDENTIFY_MODBUS] * 3)
    wire.connection("10.77.1.2", 102, CONNECT_S7, SETUP_S7, *[SZL_S7] * 3)
    wire.connection("10.77.1.3", 102, CONNECT_S7, SETUP_S7, *[SZL_S7] * 2)

    found = findings(wire, tmp_path, *(f"10.77.1.{n}" for n in (1, 2, 3)), measured=True)

    assert found[13].bad == 2
    assert found[13].most == {"modbus questions": 3, "s7 questions": 5}


def test_what_the_kernel_sends_again_counts_as_packets_but_not_as_questions(
    tmp_path: Path,
) -> None:
    wire = Wire()
    wire.connection("10.77.1.1", 502, IDENTIFY_MODBUS, again=True)

    found = findings(wire, tmp_path, "10.77.1.1", measured=True, budget=3)

    assert found[1].cases == 1
    assert found[1].bad == 0
    assert found[13].most["modbus questions"] == 1
    assert found[6].counts["captured"] == 4
    assert found[6].bad == 1


def test_what_leaves_the_scope_is_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.datagram("8.8.8.8", 53, b"\x00\x01")
    wire.datagram("10.77.255.255", 161, HARMLESS["snmp get"][2][0])
    wire.datagram("10.77.9.9", 161, HARMLESS["snmp get"][2][0])
    wire.datagram("224.0.0.1", 161, b"")
    wire.frames.append((wire.at, frame(SCANNER, "10.77.1.1", 1, b"\x03\x03" + bytes(34))))

    found = findings(wire, tmp_path, "10.77.1.1")

    assert found[17].bad == 3
    assert found[17].counts["ICMP to devices, from the kernel"] == 1
    assert {words.split(" port")[0] for words in found[17].faults} == {
        "udp to 8.8.8.8", "udp to 10.77.9.9", "udp to 224.0.0.1",
    }  # fmt: skip


def test_logins_are_only_right_where_they_were_granted(tmp_path: Path) -> None:
    wire = Wire()
    for address in ("10.77.1.1", "10.77.1.2"):
        wire.connection(address, 23, b"admin\r\n")
    granted = Device(addresses=("10.77.1.2",), zone="z", logins=True)
    plain = Device(addresses=("10.77.1.1",), zone="z")
    rules = Allowed(scanner=frozenset({SCANNER}), devices={"a": plain, "b": granted})

    found = judge([wire.write(tmp_path / "c.pcap")], rules).findings

    assert found[1].faults == ["login: Telnet text to 10.77.1.1 tcp 23"]


STATION = ("link", 0x8892)
((IDENTIFY_STATION,),) = [HARMLESS["dcp identify"][2]]


def stations(wire: Wire, path: Path, **rule: object) -> dict[int, list[str]]:
    found = findings(wire, path, "10.77.1.1", **{"ports": frozenset({STATION}), **rule})
    return {number: one.faults for number, one in found.items() if one.faults}


def test_a_station_may_be_asked_where_the_plan_says_so_and_answers(tmp_path: Path) -> None:
    wire = Wire()
    wire.link("10.77.1.1", 0x8892, IDENTIFY_STATION)
    wire.link(SCANNER, 0x8892, b"\xfe\xff" + bytes(44), source="10.77.1.1")

    assert stations(wire, tmp_path, budget=1) == {}
    assert stations(wire, tmp_path, budget=0)[6] == ["10.77.1.1: 1 packets captured, 0 predicted"]
    for ports in (frozenset(), frozenset({("tcp", 502)})):
        faults = stations(wire, tmp_path, ports=ports)
        assert faults == {7: ["a packet to 10.77.1.1 link 34962, which nobody planned"]}


def test_a_frame_to_all_stations_or_to_nobody_known_is_outside(tmp_path: Path) -> None:
    wire = Wire()
    wire.link("10.77.1.1", 0x8892, IDENTIFY_STATION, to=bytes.fromhex("010ecf000000"))
    wire.link("10.77.1.1", 0x8892, IDENTIFY_STATION, to=b"\xff" * 6)
    wire.link("10.77.1.2", 0x8892, IDENTIFY_STATION, to=bytes.fromhex("020000000099"))

    assert stations(wire, tmp_path)[17] == [
        f"link to {mac} port 34962"
        for mac in ("01:0e:cf:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:99")
    ]


def test_a_frame_whose_sender_nobody_knows_is_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.link("10.77.1.1", 0x8892, IDENTIFY_STATION, resolved=False)

    assert "from 02:00:0a:4c:00:01, whoever that is" in stations(wire, tmp_path)[17][0]


def test_frames_of_another_type_are_flagged_whoever_sends_them(tmp_path: Path) -> None:
    for kind in (0x88CC, 0x86DD, 0x8100):
        wire = Wire()
        wire.link("10.77.1.1", kind, IDENTIFY_STATION)

        assert stations(wire, tmp_path)[17] == [f"a frame of ethertype {kind:#06x}"]


def test_a_frame_that_is_too_short_is_flagged(tmp_path: Path) -> None:
    wire = Wire()
    wire.link("10.77.1.1", 0x8892, IDENTIFY_STATION)
    at, whole = wire.frames.pop()
    wire.frames.append((at, whole[:30]))

    assert stations(wire, tmp_path)[9] == ["a frame of 30 bytes: to 10.77.1.1 port 34962"]


def test_a_capture_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    wire = Wire()
    wire.datagram("10.77.1.1", 161, b"x")
    whole = wire.write(tmp_path / "c.pcap").read_bytes()

    assert len(list(packets_of(whole))) == 1
    for damaged in (whole[:-1], whole[:10], whole + b"\x00", b"\x0a\x0d\x0d\x0a" + whole):
        with pytest.raises(Unreadable):
            list(packets_of(damaged))


@pytest.mark.parametrize("protocol", [one.protocol for one in grammars() if one.ports])
def test_every_byte_is_accounted_for_wherever_a_request_is_cut(protocol: str) -> None:
    for transport, port, requests in [*WRITES.values(), *HARMLESS.values()]:
        if PORTS[transport, port] != protocol:
            continue
        whole = b"".join(requests)
        for cut in range(1, len(whole) + 1):
            pdus = parse(protocol, whole[:cut])
            assert pdus[0].start == 0
            assert pdus[-1].end == cut, (transport, whole[:cut].hex())
            for one, other in pairwise(pdus):
                assert one.end == other.start


def test_a_device_that_keeps_its_half_open_holds_a_seat_for_one_drain_only(tmp_path: Path) -> None:
    for gap, bad in ((0.9, 1), (1.1, 0)):
        wire = Wire()
        us, them, at = (SCANNER, 41_000), ("10.77.1.1", 22), wire.at
        wire.tcp(at, us, them, SYN, 1, 0)
        wire.tcp(at + 0.01, them, us, SYN | ACK, 1, 2)
        wire.tcp(at + 0.02, us, them, FIN | ACK, 2, 2)
        wire.tcp(at + 0.03, them, us, ACK, 2, 3)
        wire.tcp(at + 3, them, us, PSH | ACK, 2, 3, b"and on it talks")
        wire.tcp(at + 3.01, us, them, RST, 3, 0)
        wire.at = at + 0.02 + gap
        wire.connection("10.77.1.1", 80, GET)

        found = findings(wire, tmp_path, "10.77.1.1")

        assert found[2].bad == bad, gap
        assert found[2].most["with halves that devices kept open"] == 2
        assert found[10].bad == 0
        assert found[10].counts["to devices that talked on"] == 1


def test_a_reset_long_after_the_end_is_told_apart_from_one_that_ends_a_session(
    tmp_path: Path,
) -> None:
    us, them = (SCANNER, 41_000), ("10.77.1.1", 22)
    for taken, minutes, last, bad in (
        (True, 2, FIN | ACK, 0),
        (True, 0.5, FIN | ACK, 1),  # the kernel still knows the connection
        (False, 2, FIN | ACK, 1),  # its FIN was never acknowledged
        (True, 2, ACK, 1),  # no FIN said again
        (True, 2, None, 1),  # nothing said again
    ):
        wire = Wire()
        at = wire.at
        wire.tcp(at, us, them, SYN, 1, 0)
        wire.tcp(at + 0.01, them, us, SYN | ACK, 1, 2)
        wire.tcp(at + 0.02, us, them, FIN | ACK, 2, 2)
        wire.tcp(at + 0.03, them, us, FIN | ACK, 2, 3)
        if taken:
            wire.tcp(at + 0.04, us, them, ACK, 3, 3)
        if last is not None:
            wire.tcp(at + 60 * minutes, them, us, last, 2, 3)
        wire.tcp(at + 60 * minutes + 0.001, us, them, RST, 3, 0)

        found = findings(wire, tmp_path, "10.77.1.1")[10]

        assert found.bad == bad, (taken, minutes, last)
        assert found.counts["to a FIN said again over a minute after the end"] == 1 - bad


def test_a_device_owed_its_answer_when_the_scanner_ended_only_where_it_had_long_been_asked(
    tmp_path: Path,
) -> None:
    us, them = (SCANNER, 41_000), ("10.77.1.1", 502)
    size = len(IDENTIFY_MODBUS)
    for answered_after_s, ended_after_s, owing in (
        (None, 2.0, 1),
        (3.0, 2.0, 1),  # when it was over
        (1.0, 2.0, 0),
        (None, 1.0, 0),  # it had not been given the time
    ):
        wire = Wire()
        at = wire.at
        wire.tcp(at, us, them, SYN, 1, 0)
        wire.tcp(at + 0.01, them, us, SYN | ACK, 1, 2)
        wire.tcp(at + 0.02, us, them, PSH | ACK, 2, 2, IDENTIFY_MODBUS)
        wire.tcp(at + 0.03, them, us, ACK, 2, 2 + size)
        events = [(ended_after_s, us, them, FIN | ACK, 2 + size, b"")]
        if answered_after_s is not None:
            events.append((answered_after_s, them, us, PSH | ACK, 2, b"an answer"))
        for after_s, one, other, flags, sequence, data in sorted(events):
            wire.tcp(at + after_s, one, other, flags, sequence, 2, data)

        found = judge([wire.write(tmp_path / "crafted.pcap")], allowed("10.77.1.1")).owing

        assert found.get("10.77.1.1", 0) == owing, (answered_after_s, ended_after_s)


def test_cipher_text_is_not_judged_by_its_form_and_what_comes_before_it_is() -> None:
    def said(number: int, stream: int, *codes: str) -> Frame:
        return Frame(
            number=number, stream=stream, codes=codes, methods=(), targets=(), forms=0,
            headers=frozenset(), opened=0, data_opened=0, complaints=("malformed (ssh)",),
        )  # fmt: skip

    frames = [
        said(1, 0, "ssh 20"), said(2, 0, "ssh 30"), said(3, 1, "ssh 20"),
        said(4, 0, "ssh 21"), said(5, 0), said(6, 1),
    ]  # fmt: skip

    told = [frame.number for frame in without_sealed(frames) if frame.complaints]
    assert told == [1, 2, 3, 6]


def answered(
    wire: Wire, device: str, data: bytes, *, port: int = 44818, wait_s: float = 0.1
) -> None:
    """The device's datagram from this port, back to where `Wire.datagram` asks from."""
    body = struct.pack("!HHHH", port, 40_000, 8 + len(data), 0) + data
    at = wire.frames[-1][0] + wait_s
    wire.frames.append((at, frame(device, SCANNER, 17, body)))
    wire.at = max(wire.at, at) + 0.1


def test_a_datagram_that_is_sent_once_more_is_no_other_question(tmp_path: Path) -> None:
    first, second = (b"\x63" + bytes(11) + bytes([n]) + bytes(11) for n in (1, 2))
    wire = Wire()
    for _ in range(2):
        wire.datagram("10.77.1.1", 44818, first)
    for data in (first, second, b"\x63" + bytes(23)):
        wire.datagram("10.77.1.2", 44818, data)

    found = judge(
        [wire.write(tmp_path / "again.pcap")], allowed("10.77.1.1", "10.77.1.2", measured=True)
    ).findings[13]

    assert found.most["enip questions"] == 3
    assert found.counts["datagrams sent once more"] == 1
    assert found.faults == ["10.77.1.2 enip: 3 questions, 2 granted"]


@pytest.mark.parametrize(
    ("speaks", "bad"), [pytest.param(False, 0, id="unheard"), pytest.param(True, 1, id="heard")]
)
def test_a_datagram_that_nobody_answers_counts_where_the_contract_has_no_number(
    tmp_path: Path, speaks: bool, bad: int
) -> None:
    asked = bytes.fromhex("800002000000007e00ef050100")  # FINS, controller data read
    node = bytes.fromhex("46494e530000000c000000000000000000000000")
    wire = Wire()
    wire.datagram("10.77.1.1", 9600, asked)
    if speaks:
        answered(wire, "10.77.1.1", b"something", port=9600)
    framed = bytes.fromhex("46494e5300000015000000020000000080000200") + asked[4:]
    wire.connection("10.77.1.1", 9600, node, framed)

    found = judge(
        [wire.write(tmp_path / "fins.pcap")], allowed("10.77.1.1", measured=True)
    ).findings[13]

    assert found.bad == bad, found.faults
    assert found.counts["nobody answers"] == 1 - bad


def test_a_device_that_hears_no_datagram_is_not_asked_for_ever(tmp_path: Path) -> None:
    wire = Wire()
    for number in range(3):
        wire.datagram("10.77.1.1", 9600, bytes.fromhex(f"8000020000000{number:x}7e00ef050100"))

    found = judge(
        [wire.write(tmp_path / "fins.pcap")], allowed("10.77.1.1", measured=True)
    ).findings[13]

    assert found.faults == ["10.77.1.1 fins: 3 questions, 2 granted"]


@pytest.mark.parametrize(("wait_s", "times", "questions"), [(0.9, 3, 3), (1.1, 3, 2), (1.1, 4, 3)])
def test_a_late_device_may_be_asked_once_more_whether_it_is_well(
    tmp_path: Path, wait_s: float, times: int, questions: int
) -> None:
    asked = b"\x63" + bytes(23)
    wire = Wire()
    for _ in range(times):
        wire.datagram("10.77.1.1", 44818, asked)
        answered(wire, "10.77.1.1", asked, wait_s=wait_s)

    found = judge(
        [wire.write(tmp_path / "late.pcap")], allowed("10.77.1.1", measured=True)
    ).findings[13]

    assert found.most["enip questions"] == questions
    assert found.bad == (questions > 2)


def test_a_question_that_is_asked_again_counts_again(tmp_path: Path) -> None:
    asked = b"\x63" + bytes(23)
    wire = Wire()
    for _ in range(3):  # each is answered, and asked all the same
        wire.datagram("10.77.1.1", 44818, asked)
        answered(wire, "10.77.1.1", asked)
    for _ in range(5):  # never answered: once more is granted, and not again and again
        wire.datagram("10.77.1.2", 44818, asked)
    for _ in range(3):  # nobody waits so long for a lost one
        wire.datagram("10.77.1.3", 44818, asked)
        wire.at += 5

    found = judge(
        [wire.write(tmp_path / "again.pcap")],
        allowed("10.77.1.1", "10.77.1.2", "10.77.1.3", measured=True),
    ).findings[13]

    assert sorted(found.faults) == [f"10.77.1.{n} enip: 3 questions, 2 granted" for n in (1, 2, 3)]
    assert found.counts["datagrams sent once more"] == 2


def test_an_answer_from_a_new_port_counts_where_the_protocol_answers_so(tmp_path: Path) -> None:
    (asked,) = HARMLESS["tftp read of no file"][2]
    wire = Wire()
    for device, new in (("10.77.1.1", True), ("10.77.1.2", False)):
        for _ in range(2):
            wire.datagram(device, 69, asked)
            if new:
                answered(wire, device, b"\0\5\0\1File not found\0", port=32_801)
    for _ in range(2):  # another protocol's device has nothing to say from there
        wire.datagram("10.77.1.3", 44818, b"\x63" + bytes(23))
        answered(wire, "10.77.1.3", b"x", port=32_801)

    found = judge(
        [wire.write(tmp_path / "again.pcap")],
        allowed("10.77.1.1", "10.77.1.2", "10.77.1.3", measured=True),
    ).findings[13]

    assert found.faults == ["10.77.1.1 tftp: 2 questions, 1 granted"]
    assert found.counts["datagrams sent once more"] == 2


def tls_1_3(folder: Path) -> tuple[list[bytes], list[bytes], Path]:
    """What a client and a server say to each other in TLS 1.3, one GET inside, and the key log."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "panel")])
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(3650))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = folder / "panel.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    keylog = folder / "keys.txt"
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    ours.minimum_version = ssl.TLSVersion.TLSv1_3
    ours.keylog_filename = str(keylog)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    theirs.num_tickets = 0
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = ours.wrap_bio(down, up), theirs.wrap_bio(up, down, server_side=True)
    said, answered = [], []

    def turn(act: Callable[[], object], other: Callable[[], object]) -> None:
        with suppress(ssl.SSLWantReadError):
            act()
        said.append(up.read())
        up.write(said[-1])
        with suppress(ssl.SSLWantReadError):
            other()
        answered.append(down.read())
        down.write(answered[-1])

    turn(client.do_handshake, server.do_handshake)
    turn(client.do_handshake, server.do_handshake)
    turn(lambda: client.write(GET), lambda: (server.read(), server.write(b"HTTP/1.1 200 OK")))
    return said, answered, keylog


def test_what_is_inside_tls_is_known_with_its_keys_and_stays_sealed_without(tmp_path: Path) -> None:
    said, answered, keylog = tls_1_3(tmp_path)
    wire = Wire()
    wire.connection("10.77.1.1", 443, *said, answers=answered)
    capture = wire.write(tmp_path / "tls.pcap")

    opened = judge([capture], allowed("10.77.1.1"), keylog)
    sealed = judge([capture], allowed("10.77.1.1"))

    assert opened.services["read: HTTP GET / in TLS"] == 1
    assert not opened.sealed
    assert "read: HTTP GET / in TLS" not in sealed.services
    assert sealed.sealed == {"10.77.1.1": 2}
    assert not opened.findings[8].bad
    assert not sealed.findings[8].bad


def test_what_a_key_log_opens_of_mqtt_is_judged_as_mqtt() -> None:
    hello = parse("mqtts", HARMLESS["mqtts hello"][2][0])
    codes = ("tls 1", "tls 20", "mqtt 1", "mqtt 3", "mqtt 14")
    opened = Frame(
        number=1, stream=0, codes=codes, methods=(), targets=(), forms=0, headers=frozenset(),
        opened=3, data_opened=3, complaints=(),
    )  # fmt: skip

    seen = {pdu.service: pdu.verdict for pdu in compared(hello, [opened], "mqtts", 0)}

    assert seen == {
        "TLS ClientHello": "session", "mqtt 1 in TLS": "login", "mqtt 3 in TLS": "control",
        "mqtt 14 in TLS": "session",
    }  # fmt: skip
