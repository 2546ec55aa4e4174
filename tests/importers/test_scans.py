"""Results of nmap and zgrab2: what answered, never what was closed or silent."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UsageError
from scanner.facts import (
    BacnetAccess,
    CipAccess,
    DeviceIdentity,
    HttpFace,
    LinkAddress,
    ModbusAccess,
    ServiceAccess,
    SshFace,
    TelnetFace,
    TlsFace,
)
from scanner.importers import nmap, zgrab
from scanner.model import Transport
from tests.importers.conftest import facts_of, read

S7 = """
<script id="s7-info" output="x">
<elem key="Module">6ES7 315-2EH14-0AB0 </elem><elem key="Basic Hardware">6ES7 315-2EH14-0AB0 </elem>
<elem key="Version">3.2.6</elem><elem key="System Name">SIMATIC 300(1)</elem>
<elem key="Module Type">CPU 315-2 PN/DP</elem><elem key="Serial Number">S C-B1U3</elem>
<elem key="Copyright">Original Siemens Equipment</elem></script>
"""


def xml(folder: Path, ports: str, *, status: str = 'state="up" reason="echo-reply"') -> Path:
    path = folder / "scan.xml"
    path.write_text(
        '<?xml version="1.0"?><!DOCTYPE nmaprun><nmaprun scanner="nmap">'
        f'<host starttime="1699999990" endtime="1700000000"><status {status}/>'
        '<address addr="10.1.0.7" addrtype="ipv4"/>'
        '<address addr="00:1B:1B:0A:0B:0C" addrtype="mac" vendor="Siemens AG"/>'
        f"<ports>{ports}</ports></host></nmaprun>"
    )
    return path


def port(number: int, inner: str = "", *, state: str = "open", transport: str = "tcp") -> str:
    return f'<port protocol="{transport}" portid="{number}"><state state="{state}"/>{inner}</port>'


def test_a_script_s_elements_identify_the_device(tmp_path: Path) -> None:
    found, _ = read(nmap.IMPORTER, xml(tmp_path, port(102, S7)))

    (told,) = (one for one in found if one.port == 102)
    assert told.facts == (
        DeviceIdentity(
            vendor="Siemens", model="CPU 315-2 PN/DP", order_number="6ES7 315-2EH14-0AB0",
            firmware="3.2.6", serial="S C-B1U3", name="SIMATIC 300(1)",
        ),
    )  # fmt: skip
    assert (told.protocol, told.place) == ("s7", "host 1, port 102")
    assert told.at.timestamp() == 1_700_000_000
    assert LinkAddress(mac="00:1b:1b:0a:0b:0c", told_by="nmap") in facts_of(found, "10.1.0.7")


def test_other_scripts(tmp_path: Path) -> None:
    ports = (
        port(44818, '<script id="enip-info" output=""><elem key="vendor">Rockwell Automation (1)'
             '</elem><elem key="productName">1769-L24ER</elem><elem key="serialNumber">0xa1b2'
             '</elem><elem key="revision">32.11</elem></script>')
        + port(47808, '<script id="bacnet-info" output=""><elem key="Vendor ID">Acme (260)</elem>'
               '<elem key="Object-identifier">12</elem><elem key="Model Name">M</elem></script>',
               transport="udp")
        + port(502, '<script id="modbus-discover" output=""><table key="sid 0x2">'
               '<elem key="Device identification">ACME P1 v2</elem></table></script>')
    )  # fmt: skip

    found, _ = read(nmap.IMPORTER, xml(tmp_path, ports))

    told = facts_of(found, "10.1.0.7")
    assert DeviceIdentity(model="1769-L24ER", firmware="32.011", serial="a1b2") in told
    assert any(isinstance(fact, CipAccess) and fact.vendor_id == 1 for fact in told)
    assert BacnetAccess(instance=12, vendor_id=260) in told
    assert ModbusAccess(
        unit_id=2, answers_without_login=True, identification="objects"
    ) in told  # fmt: skip
    assert {one.protocol for one in found} == {"ip", "enip", "bacnet", "modbus"}


def test_closed_filtered_and_guessed_ports_say_nothing(tmp_path: Path) -> None:
    ports = (
        port(23, state="closed") + port(80, state="filtered") + port(161, state="open|filtered")
        + port(5000, '<service name="upnp" method="table"/>')
        + port(21, '<service name="ftp" method="probed" product="ProFTPD" version="1.3"/>')
    )  # fmt: skip

    found, _ = read(nmap.IMPORTER, xml(tmp_path, ports))

    assert {(one.port, one.protocol) for one in found if one.port} == {
        (5000, "unknown"), (21, "ftp"),
    }  # fmt: skip
    assert ServiceAccess(protocol="ftp", version="ProFTPD 1.3") in facts_of(found, "10.1.0.7")


def test_a_host_that_is_only_assumed_is_not_there(tmp_path: Path) -> None:
    path = xml(tmp_path, "", status='state="up" reason="user-set"')
    path.write_text(path.read_text().replace("00:1B:1B:0A:0B:0C", ""))

    assert read(nmap.IMPORTER, path)[0] == []


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">',
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;',
    ],
)
def test_entities_are_refused(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "bomb.xml"
    path.write_text(f"<!DOCTYPE nmaprun [{declared}]><nmaprun><host>&b;&x;</host></nmaprun>")

    with pytest.raises(UsageError, match="entities"):
        read(nmap.IMPORTER, path)


def test_a_tag_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmap, "MAX_TOKEN", 100_000)
    path = tmp_path / "long.xml"
    path.write_text('<nmaprun><host starttime="' + "1" * 400_000 + '"/></nmaprun>')

    with pytest.raises(UsageError, match="longer than"):
        read(nmap.IMPORTER, path)


def test_what_came_before_a_cut_is_kept(tmp_path: Path) -> None:
    path = xml(tmp_path, port(102, S7))
    path.write_text(path.read_text().replace("</nmaprun>", '<host><address addr="10.1'))

    found, reading = read(nmap.IMPORTER, path)

    assert any(one.port == 102 for one in found)
    assert "cut off" in reading.told()[0]


@given(inner=st.text(max_size=300), tail=st.binary(max_size=100))
@settings(max_examples=200, deadline=None)
def test_no_xml_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, inner: str, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("nmap") / "x.xml"
    path.write_bytes(b"<nmaprun><host>" + inner.encode("utf-8", "replace") + tail)

    with suppress(UsageError):
        read(nmap.IMPORTER, path)


# --- zgrab2 ------------------------------------------------------------------------------------


def grabbed(folder: Path, **modules: dict[str, Any]) -> Path:
    path = folder / "grab.json"
    data = {
        name: {"status": "success", "protocol": name, "timestamp": "2023-11-14T22:13:20Z"} | told
        for name, told in modules.items()
    }
    path.write_text(json.dumps({"ip": "10.1.0.7", "data": data}) + "\n")
    return path


def test_modules_of_industrial_protocols(tmp_path: Path) -> None:
    path = grabbed(
        tmp_path,
        modbus={"result": {"unit_id": 0, "function_code": 43, "mei_response": {"objects": {
            "vendor": "Schneider Electric", "product_code": "BMX P34 2020", "revision": "v2.9",
        }}}},
        siemens={"result": {"is_s7": True, "system": "PLC_1", "module_type": "CPU 315",
                            "serial_number": "S C-1", "module_id": "6ES7 315-2EH14-0AB0",
                            "copyright": "Original Siemens Equipment", "firmware": "V3.2.6"}},
        bacnet={"result": {"is_bacnet": True, "instance_number": 12, "vendor_id": 260,
                           "vendor_name": "Acme", "model_name": "M1"}},
        fox={"result": {"is_fox": True, "version": "1.0.1", "app_version": "3.8", "brand_id":
                        "vykon", "station_name": "Hall"}},
        omronfins={"result": {"controller_model": "CP1L-EL20DR-D", "controller_version": "01.00"}},
    )  # fmt: skip

    found, _ = read(zgrab.IMPORTER, path)

    told = facts_of(found, "10.1.0.7")
    assert DeviceIdentity(
        vendor="Schneider Electric", model="BMX P34 2020", order_number="BMX P34 2020",
        firmware="v2.9",
    ) in told  # fmt: skip
    assert DeviceIdentity(
        vendor="Siemens", model="CPU 315", order_number="6ES7 315-2EH14-0AB0", firmware="V3.2.6",
        serial="S C-1", name="PLC_1",
    ) in told  # fmt: skip
    assert DeviceIdentity(vendor="Acme", model="M1") in told
    assert DeviceIdentity(vendor="vykon", firmware="3.8", name="Hall", basis="text") in told
    assert DeviceIdentity(model="CP1L-EL20DR-D", firmware="01.00") in told
    assert {(one.protocol, one.port, one.transport) for one in found} == {
        ("modbus", 502, Transport.TCP), ("s7", 102, Transport.TCP),
        ("bacnet", 47808, Transport.UDP), ("fox", 1911, Transport.TCP),
        ("fins", 9600, Transport.UDP),
    }  # fmt: skip
    assert {one.at.timestamp() for one in found} == {1_700_000_000}


def test_modules_of_it_protocols(tmp_path: Path) -> None:
    path = grabbed(
        tmp_path,
        http={"result": {"response": {"status_code": 200, "headers": {"server": ["X/1"]}}}},
        ssh={"result": {"server_id": {"raw": "SSH-2.0-Cisco-1.25"}}},
        telnet={"result": {"banner": "login:"}},
        tls={"result": {"handshake_log": {
            "server_hello": {"version": {"name": "TLSv1.0"}, "cipher_suite": {"name": "X"}},
            "server_certificates": {"certificate": {"parsed": {
                "subject_dn": "CN=a", "issuer_dn": "CN=a", "fingerprint_sha256": "ab" * 32,
                "validity": {"start": "2020-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"},
            }}},
        }}},
    )  # fmt: skip

    found, _ = read(zgrab.IMPORTER, path)

    told = facts_of(found, "10.1.0.7")
    assert HttpFace(scheme="http", status=200, server="X/1") in told
    assert any(isinstance(f, SshFace) and f.software == "Cisco-1.25" for f in told)
    assert TelnetFace(banner="login:") in told
    (tls,) = (f for f in told if isinstance(f, TlsFace))
    assert (tls.version, tls.self_signed, tls.subject) == ("TLSv1", True, "CN=a")


@pytest.mark.parametrize("status", ["connection-timeout", "io-timeout", "protocol-error", None])
def test_only_success_is_an_answer(tmp_path: Path, status: str | None) -> None:
    path = grabbed(tmp_path, modbus={"status": status, "result": {"unit_id": 0}})

    assert read(zgrab.IMPORTER, path)[0] == []


@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["result", "status", "response", "headers", "server", "objects",
                                 "mei_response", "server_id", "raw", "handshake_log", "port",
                                 "unit_id", "timestamp", "protocol", "server_hello"]),
                inner, max_size=4,
            ),
        ),
        max_leaves=12,
    ),
    module=st.sampled_from(sorted(zgrab.MODULES)),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_json_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, value: Any, module: str
) -> None:
    path = tmp_path_factory.mktemp("zgrab") / "x.json"
    told = {"status": "success", "result": value} | (value if isinstance(value, dict) else {})
    path.write_text(json.dumps({"ip": "10.1.0.7", "data": {module: told}}) + "\n[[[[\n")

    read(zgrab.IMPORTER, path)
