"""Captures show who talks with whom, and only replies identify."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.cli import importing
from scanner.errors import UsageError
from scanner.facts import (
    BacnetAccess,
    Conversation,
    DeviceIdentity,
    Fact,
    HttpFace,
    LinkAddress,
    ModbusAccess,
    Neighbour,
    S7Access,
    SmbFace,
    SshFace,
)
from scanner.importers import dissector, pcap
from scanner.importers.form import Imported, Reading
from tests.importers import conftest as files
from tests.importers.conftest import READ_AT, facts_of, read

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")

FC43 = bytes.fromhex("000100000005ff2b0e0100")
OBJECTS = b"\x00\x04ACME" + b"\x01\x03P-1" + b"\x02\x04v2.9"
FC43_BODY = bytes.fromhex("ff2b0e0101000003") + OBJECTS
FC43_REPLY = bytes.fromhex("00010000") + len(FC43_BODY).to_bytes(2, "big") + FC43_BODY


def write(folder: Path, *frames: bytes) -> Path:
    path = folder / "made.pcap"
    path.write_bytes(files.pcap(*frames))
    return path


def conversation(found: list[Imported]) -> list[Conversation]:
    return [fact for one in found for fact in one.facts if isinstance(fact, Conversation)]


def identities(found: list[Imported], address: str) -> list[DeviceIdentity]:
    return [fact for fact in facts_of(found, address) if isinstance(fact, DeviceIdentity)]


def test_a_reply_identifies_the_server_and_the_request_shows_a_client(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        files.tcp("10.2.0.5", 40000, "10.1.0.7", 502, FC43, flags=0x18),
        files.tcp("10.1.0.7", 502, "10.2.0.5", 40000, FC43_REPLY, flags=0x18),
    )

    found, _ = read(pcap.IMPORTER, path)

    assert identities(found, "10.1.0.7") == [
        DeviceIdentity(vendor="ACME", model="P-1", order_number="P-1", firmware="v2.9")
    ]
    assert ModbusAccess(
        unit_id=255, answers_without_login=True, identification="objects"
    ) in facts_of(found, "10.1.0.7")
    assert not identities(found, "10.2.0.5")
    (talk,) = conversation(found)
    assert (talk.client, talk.server, talk.port) == ("10.2.0.5", "10.1.0.7", 502)
    assert (talk.protocol, talk.packets, talk.answered) == ("modbus", 2, True)


def test_an_identity_item_tells_revision_and_serial_as_a_scan_does(tmp_path: Path) -> None:
    """1769-L24ER-QB1B, revision 32.11: `0c00 length 0100 address(16) vendor type code 20 0b …`."""
    name = b"1769-L24ER-QB1B"
    item = (
        bytes.fromhex("0100") + bytes(16) + bytes.fromhex("0100 0e00 9600 200b 3000 c3b2a100")
        + bytes([len(name)]) + name + b"\x03"
    )  # fmt: skip
    body = bytes.fromhex("0100 0c00") + len(item).to_bytes(2, "little") + item
    reply = b"\x63\x00" + len(body).to_bytes(2, "little") + bytes(20) + body
    path = write(
        tmp_path,
        files.udp("10.2.0.5", 40000, "10.1.0.7", 44818, b"\x63\x00" + bytes(22)),
        files.udp("10.1.0.7", 44818, "10.2.0.5", 40000, reply),
    )

    found, _ = read(pcap.IMPORTER, path)

    assert DeviceIdentity(
        model="1769-L24ER-QB1B", firmware="32.011", serial="00a1b2c3"
    ) in identities(found, "10.1.0.7")


def test_packets_are_numbered_through_where_tshark_forgets_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dissector, "FORGET_AFTER", 2)
    frames = [files.arp(f"10.1.0.{n}", f"00:1b:1b:0a:0b:0{n}") for n in range(1, 6)]

    found, _ = read(pcap.IMPORTER, write(tmp_path, *frames))

    assert [one.place for one in found] == [f"packet {n}" for n in range(1, 6)]


def test_a_request_alone_identifies_nobody_and_proves_no_server(tmp_path: Path) -> None:
    path = write(tmp_path, files.tcp("10.2.0.5", 40000, "10.1.0.7", 502, FC43, flags=0x18))

    found, _ = read(pcap.IMPORTER, path)

    assert [talk.answered for talk in conversation(found)] == [False]
    assert all(isinstance(fact, Conversation) for one in found for fact in one.facts)


def test_an_identity_that_a_client_sends_is_not_believed(tmp_path: Path) -> None:
    """The bytes of a reply, sent to port 502: whoever sends them is the client there."""
    path = write(tmp_path, files.tcp("10.2.0.5", 40000, "10.1.0.7", 502, FC43_REPLY, flags=0x18))

    found, _ = read(pcap.IMPORTER, path)

    assert not identities(found, "10.1.0.7")
    assert not identities(found, "10.2.0.5")


def test_arp_ties_a_hardware_address_to_an_address(tmp_path: Path) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))

    found, _ = read(pcap.IMPORTER, path)

    assert facts_of(found, "10.1.0.7") == [LinkAddress(mac="00:1b:1b:0a:0b:0c", told_by="arp")]


def test_nobody_has_a_group_s_address(tmp_path: Path) -> None:
    path = write(tmp_path, files.udp("10.1.0.7", 5353, "224.0.0.251", 5353, b"\0" * 12))

    found, _ = read(pcap.IMPORTER, path)

    assert [(t.client, t.answered) for t in conversation(found)] == [("10.1.0.7", False)]


def test_a_capture_cut_off_in_a_packet_is_read_up_to_there(tmp_path: Path) -> None:
    path = write(
        tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"), files.arp("10.1.0.8", "0" * 12)
    )
    path.write_bytes(path.read_bytes()[:-10])

    found, reading = read(pcap.IMPORTER, path)

    assert facts_of(found, "10.1.0.7")
    assert any("cut off" in note for note in reading.told())


def test_bytes_that_are_no_capture_are_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "no.pcap"
    path.write_bytes(b"\xa1\xb2\xc3\xd4" + b"\xff" * 40)

    with pytest.raises(UsageError, match="hint"):
        read(pcap.IMPORTER, path)


def test_without_tshark_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))
    reading = Reading(modified=READ_AT, environment={"PATH": str(tmp_path)})

    with pytest.raises(UsageError, match="apt install tshark"):
        list(pcap.IMPORTER.read(path, reading))


def test_a_field_that_an_older_tshark_does_not_know_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))
    reading = Reading(modified=READ_AT, environment=dict(os.environ))

    packets = list(dissector.packets(path, ("frame.number", "no.such_field"), reading))

    assert [packet["frame_number"] for packet in packets] == [["1"]]
    assert any("no.such_field" in note for note in reading.told())


def test_a_preference_that_another_tshark_does_not_know_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dissector, "PREFERENCES", ("http.no_such_thing:FALSE",))

    found, _ = read(pcap.IMPORTER, write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c")))

    assert facts_of(found, "10.1.0.7")


def test_a_process_that_does_not_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))
    sleeper = tmp_path / "tshark"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(dissector, "START_S", 0.2)
    reading = Reading(modified=READ_AT, environment=dict(os.environ))

    with pytest.raises(UsageError, match="did not end in time"):
        list(dissector.packets(path, ("frame.number",), reading, program=str(sleeper)))


def test_a_process_that_writes_without_end_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))
    talker = tmp_path / "tshark"
    talker.write_text("#!/bin/sh\nexec yes nonsense\n")
    talker.chmod(0o755)
    monkeypatch.setattr(dissector, "OUTPUT_LEAST", 100_000)
    reading = Reading(modified=READ_AT, environment=dict(os.environ))

    with pytest.raises(UsageError, match="far more than the capture holds"):
        list(dissector.packets(path, ("frame.number",), reading, program=str(talker)))


def test_the_dissector_hears_nothing_of_our_environment(tmp_path: Path) -> None:
    path = write(tmp_path, files.arp("10.1.0.7", "00:1b:1b:0a:0b:0c"))
    spy = tmp_path / "tshark"
    spy.write_text(
        "#!/bin/sh\n"
        'printf \'{"timestamp":"1","layers":{"home":["%s"],"key":["%s"],"path":["%s"]}}\\n\' '
        '"$HOME" "$WALKDOWN_SECRET" "$*"\n'
    )
    spy.chmod(0o755)
    environment = {**os.environ, "WALKDOWN_SECRET": "hunter2", "HOME": "/home/me"}
    reading = Reading(modified=READ_AT, environment=environment)

    (told,) = dissector.packets(path, ("frame.number",), reading, program=str(spy))

    assert told["key"] == [""]
    assert told["home"] != ["/home/me"]
    assert str(path) not in told["path"][0]
    assert " -n " in f" {told['path'][0]} "


_VALUE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["0", "1", "2", "3", "8", "12", "43", "0x63", "10.1.0.7", "00:1b:1b:0a:0b:0c", "SSH-2.0-x",
         "1.3.6.1.2.1.1.1.0", "ff:ff", "1700000000.5", "99999999999999999999"]
    ),
)  # fmt: skip
_LAYERS = st.lists(
    st.sampled_from(
        ["eth", "ip", "tcp", "udp", "gre", "icmp", *pcap._ANNOUNCEMENTS,
         *(layer for layer, _, _ in pcap._REPLIES)]
    ),
    max_size=6,
)  # fmt: skip


@given(
    fields=st.dictionaries(
        st.sampled_from([name.replace(".", "_") for name in pcap.FIELDS]),
        st.one_of(st.lists(_VALUE, max_size=3), _VALUE, st.none(), st.integers()),
        max_size=25,
    ),
    layers=_LAYERS,
    transport=st.sampled_from(["tcp", "udp"]),
)
@settings(max_examples=600, deadline=None)
def test_no_dissection_breaks_the_reader(
    fields: dict[str, Any], layers: list[str], transport: str
) -> None:
    """As if tshark had written it; a packet that could be dissected has number, time and ends."""
    whole_packet = fields | {
        "frame_number": ["1"], "frame_time_epoch": ["1700000000.5"],
        "frame_protocols": [":".join(layers)], "ip_src": ["10.1.0.7"], "ip_dst": ["10.2.0.5"],
        f"{transport}_srcport": ["502"], f"{transport}_dstport": ["40000"],
    }  # fmt: skip
    reading = Reading(modified=READ_AT, recognise=importing.RECOGNISE)

    for one in (fields, whole_packet):
        packet = pcap._packet(one)
        if packet is None:
            continue
        if packet.transport is not None:
            packet.from_server = pcap._Directions().is_from_server(packet)
            pcap._Talks().add(packet, reading)
        for found in pcap._say(packet, reading):
            assert found.address
            assert found.seen


def named(captures: Path, end: str) -> Path:
    (path,) = (captures / "pcaps").glob(f"*__{end}")
    return path


def whole(found: list[Imported], address: str) -> dict[str, str]:
    """What all identities of a device tell together."""
    return {
        name: value
        for fact in identities(found, address)
        for name in ("vendor", "model", "order_number", "hardware", "firmware", "serial", "name")
        if (value := getattr(fact, name))
    }


DEVICES = [
    (
        "tia_s300_goOnline.pcapng",
        "134.217.61.211",
        {
            "vendor": "Siemens", "model": "CPU 315-2 PN/DP", "order_number": "6ES7 315-2EH14-0AB0",
            "hardware": "3", "firmware": "V3.2.7", "serial": "S C-B1U393142011",
            "name": "S7300/ET200M station_1",
        },
        S7Access(module_name="PLC_1"),
    ),
    (
        "s7comm_reading_plc_status.pcap",
        "192.168.1.40",
        {
            "vendor": "Siemens", "model": "IM151-8 PN/DP CPU",
            "order_number": "6ES7 151-8AB01-0AB0", "hardware": "3", "firmware": "V3.2.6",
            "serial": "S C-C6TW74882012", "name": "IM151-8-CPU",
        },
        S7Access(module_name="IM151-8 PN/DP CPU"),
    ),
    (
        "s7_test.pcap",
        "192.168.10.90",
        {"order_number": "6ES7 312-5AC02-0AB0", "hardware": "1", "firmware": "V1.2.0"},
        None,
    ),
    (
        "omron_test.pcap",
        "10.1.1.164",
        {"vendor": "Omron", "model": "CP1L-EL20DR-D", "firmware": "01.00"},
        None,
    ),
    (
        "8d7c7db0-9804-012b-b2a6-0016cb8cea27.pcap",
        "10.101.1.3",
        {"vendor": "AREVA T&D Corporation", "model": "e-terracomm", "firmware": "2.3.1"},
        None,
    ),
    (
        "Modicon.pcap",
        "10.50.1.52",
        {"vendor": "Schneider Electric"},
        HttpFace(scheme="http", status=200, server="Schneider-WEB/V2.1.4"),
    ),
    (
        "profinet-wireshark-bug.pcap",
        "192.168.0.11",
        {"vendor": "Siemens", "model": "S7-300EC", "name": "%n%n%n"},
        None,
    ),
    (
        "profinet_io_cm_mixed_1.pcap",
        "192.168.1.2",
        {"vendor": "GE", "model": "IC200PNS001", "name": "versamax-pns11"},
        None,
    ),
    ("smbv1.pcap", "10.128.0.243", {"model": "Windows 7 Ultimate 7601 Service Pack 1"},
     SmbFace(smb1=True)),
    ("smb1_osx.pcap", "192.168.1.2", {"model": "QTS"}, SmbFace(smb1=True)),
    ("bacnet_services.pcap", "192.168.0.16", {"vendor": "Lithonia Lighting"},
     BacnetAccess(instance=111, vendor_id=42)),
    ("input.pcap", "192.168.12.1", {"vendor": "Cisco"},
     SshFace(banner="SSH-2.0-Cisco-1.25", protocol_version="2.0", software="Cisco-1.25")),
    ("hart_ip.pcap", "192.168.0.10", {"name": "wihartgw", "firmware": "1"}, None),
    ("modbus-eit.pcap", "192.168.88.100", {},
     ModbusAccess(unit_id=0, answers_without_login=True, identification="empty")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "address", "told", "fact"), DEVICES, ids=[d[0] for d in DEVICES])
def test_real_devices_are_known_by_what_they_said(
    captures: Path, name: str, address: str, told: dict[str, str], fact: Fact | None
) -> None:
    found, _ = read(pcap.IMPORTER, named(captures, name))

    assert whole(found, address) == told
    assert fact is None or fact in facts_of(found, address)


def test_a_switch_names_itself_by_lldp(captures: Path) -> None:
    found, _ = read(pcap.IMPORTER, named(captures, "mb2.pcap"))

    switch = whole(found, "141.81.0.190")
    assert switch["name"] == "Switch1"
    assert switch["order_number"] == "6GK5 212-2BB00-2AA3"
    assert switch["firmware"] == "V4.02"
    neighbour = next(f for f in facts_of(found, "141.81.0.190") if isinstance(f, Neighbour))
    assert neighbour.port_id == "port-001"


I_AM = bytes.fromhex("1000c40200006f2201e09103212a")
"""Device 111, APDUs of 480, no segmentation, vendor 42."""


def test_an_i_am_tells_the_maker_by_its_number(tmp_path: Path) -> None:
    said = bytes.fromhex("810b00140120ffff00ff") + I_AM
    said = said[:2] + len(said).to_bytes(2, "big") + said[4:]
    path = write(tmp_path, files.udp("10.1.0.7", 47808, "10.1.0.255", 47808, said))

    found, _ = read(pcap.IMPORTER, path)

    assert identities(found, "10.1.0.7") == [
        DeviceIdentity(vendor="Lithonia Lighting", basis="table")
    ]
    assert BacnetAccess(instance=111, vendor_id=42) in facts_of(found, "10.1.0.7")


def test_an_i_am_that_a_router_passed_on_is_of_the_device_behind_it(tmp_path: Path) -> None:
    said = bytes.fromhex("810b00000128ffff00000301 6cff".replace(" ", "")) + I_AM
    said = said[:2] + len(said).to_bytes(2, "big") + said[4:]
    path = write(tmp_path, files.udp("10.1.0.7", 47808, "10.1.0.255", 47808, said))

    found, _ = read(pcap.IMPORTER, path)

    assert identities(found, "10.1.0.7") == [
        DeviceIdentity(
            sub_address="network 3 device 111", vendor="Lithonia Lighting", basis="table"
        )
    ]
    assert not any(isinstance(fact, BacnetAccess) for fact in facts_of(found, "10.1.0.7"))


def test_who_is_known_on_layer_2_only_stands_under_its_hardware_address(captures: Path) -> None:
    found, _ = read(pcap.IMPORTER, named(captures, "wireshark-lldp.pcap"))

    assert whole(found, "00:01:30:f9:ad:a0")["name"] == "Summit300-48"
    assert whole(found, "15.255.122.148")["name"] == "ProCurve Switch 2600-8-PWR"


def test_cdp_names_platform_and_software(captures: Path) -> None:
    found, _ = read(pcap.IMPORTER, named(captures, "LLDP_and_CDP.pcap"))

    switch = next(one for one in found if one.protocol == "cdp")
    (identity,) = (f for f in switch.facts if isinstance(f, DeviceIdentity))
    assert identity.model == "cisco WS-C3560-24TS"
    assert identity.name == "S1"
    assert "12.2(44)SE" in (identity.firmware or "")


@pytest.mark.parametrize(
    ("name", "server", "port", "protocol"),
    [
        ("dnp3_read.pcap", "130.126.140.229", 20000, "dnp3"),
        ("beckoffiplinktc.pcapng", "192.168.1.8", 48898, "ads"),
        ("modicon_test.pcap", "192.168.63.253", 502, "modbus"),
    ],
)
def test_masters_and_servers_are_told_apart(
    captures: Path, name: str, server: str, port: int, protocol: str
) -> None:
    found, _ = read(pcap.IMPORTER, named(captures, name))

    talks = [t for t in conversation(found) if t.port == port and t.answered]
    assert {(t.server, t.protocol, t.transport) for t in talks} == {(server, protocol, "tcp")}
    assert server not in {t.client for t in talks}


def test_no_community_and_no_password_of_a_capture_is_kept(captures: Path) -> None:
    """ntop's snmp.pcap has communities; Telnet.pcap has log-ins."""
    for name in ("snmp.pcap", "Telnet.pcap"):
        found, _ = read(pcap.IMPORTER, named(captures, name))
        text = repr(found)
        for secret in ("public", "private", "password"):
            assert secret not in text.casefold()
