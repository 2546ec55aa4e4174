"""Zeek logs, as TSV and as JSON; streamed, and hostile until shown otherwise."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.facts import (
    BacnetAccess,
    CipAccess,
    Conversation,
    DeviceIdentity,
    LinkAddress,
    ModbusAccess,
    OpcUaEndpoint,
    SnmpAccess,
    SshFace,
    TlsFace,
)
from scanner.importers import zeek
from scanner.importers.form import HEAD_BYTES, Reading
from scanner.importers.gather import Gathering, SourceFile
from tests.importers.conftest import READ_AT, facts_of, read

ID = ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
HMI_TO_PLC = ("10.2.0.5", "40000", "10.1.0.7", "502")


def tsv(folder: Path, log: str, names: tuple[str, ...], *rows: tuple[str, ...]) -> Path:
    path = folder / f"{log}.log"
    head = (
        "#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-",
        f"#path\t{log}", "\t".join(("#fields", *names)),
        "\t".join(("#types", *("string" for _ in names))),
    )  # fmt: skip
    path.write_text("\n".join((*head, *("\t".join(row) for row in rows), "#close\t2026")) + "\n")
    return path


def as_json(folder: Path, name: str, *rows: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


CONN = ("ts", "uid", *ID, "proto", "service", "duration", "conn_state", "orig_pkts", "resp_pkts")


def talks(found: list[Any]) -> list[Conversation]:
    return [fact for one in found for fact in one.facts if isinstance(fact, Conversation)]


def test_a_connection_is_a_conversation_with_its_own_time(tmp_path: Path) -> None:
    path = tsv(
        tmp_path, "conn", CONN,
        ("1700000000.5", "C1", *HMI_TO_PLC, "tcp", "modbus", "60.0", "SF", "7", "5"),
    )  # fmt: skip

    found, reading = read(zeek.IMPORTER, path)

    (talk,) = talks(found)
    assert (talk.client, talk.server, talk.port, talk.protocol) == (
        "10.2.0.5", "10.1.0.7", 502, "modbus",
    )  # fmt: skip
    assert (talk.packets, talk.answered) == (12, True)
    assert (talk.last_seen - talk.first_seen).total_seconds() == 60
    assert found[0].place == "line 8"
    assert not reading.told()


@pytest.mark.parametrize("state", ["S0", "REJ"])
def test_a_connection_that_was_not_taken_proves_no_server(tmp_path: Path, state: str) -> None:
    path = tsv(
        tmp_path, "conn", CONN,
        ("1700000000.5", "C1", *HMI_TO_PLC, "tcp", "-", "-", state, "1", "1"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    assert [talk.answered for talk in talks(found)] == [False]


def test_the_same_in_json_with_nested_and_with_flat_names(tmp_path: Path) -> None:
    row = {"ts": 1.7e9, "proto": "tcp", "service": "ssh", "conn_state": "SF", "orig_pkts": 1}
    row["resp_pkts"] = 1
    names = {"orig_h": "10.2.0.5", "orig_p": 4, "resp_h": "10.1.0.7", "resp_p": 22}
    flat = row | {f"id.{name}": value for name, value in names.items()} | {"_path": "conn"}
    nested = {**row, "id": names, "_path": "conn"}

    for rows in ([flat], [nested]):
        found, _ = read(zeek.IMPORTER, as_json(tmp_path, "x.log", *rows))
        assert [(t.server, t.port, t.protocol) for t in talks(found)] == [("10.1.0.7", 22, "ssh")]


def test_json_without_a_path_is_known_by_the_name_of_its_file(tmp_path: Path) -> None:
    row = {"ts": 1.7e9, "uid": "C", "host": "10.1.0.7", "port_num": 502, "port_proto": "tcp"}
    path = as_json(tmp_path, "known_services.2026-11-20.log", row | {"service": ["MODBUS"]})

    found, _ = read(zeek.IMPORTER, path)

    assert [(one.address, one.port, one.protocol) for one in found] == [("10.1.0.7", 502, "modbus")]


def test_the_objects_of_a_modbus_identification_come_together(tmp_path: Path) -> None:
    names = (
        "ts", "uid", *ID, "is_orig", "source_h", "source_p", "destination_h", "destination_p",
        "uint", "request_response", "object_id_code", "object_id", "object_value",
    )  # fmt: skip
    reply = ("F", "10.1.0.7", "502", "10.2.0.5", "40000", "1", "RESPONSE")
    ask = ("T", "10.2.0.5", "40000", "10.1.0.7", "502", "1", "REQUEST")
    path = tsv(
        tmp_path, "modbus_read_device_identification", names,
        ("1700000000.0", "C1", *HMI_TO_PLC, *ask, "0x00", "VendorName", "not the device"),
        ("1700000000.1", "C1", *HMI_TO_PLC, *reply, "0x00", "VendorName", "Schneider Electric"),
        ("1700000000.1", "C1", *HMI_TO_PLC, *reply, "0x01", "ProductCode", "BMX P34 2020"),
        ("1700000000.1", "C1", *HMI_TO_PLC, *reply, "0x02", "MajorMinorRevision", "v2.9"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    assert DeviceIdentity(
        vendor="Schneider Electric", model="BMX P34 2020", order_number="BMX P34 2020",
        firmware="v2.9",
    ) in facts_of(found, "10.1.0.7")  # fmt: skip
    assert "not the device" not in repr(found)


def test_a_cip_identity_belongs_to_the_responder(tmp_path: Path) -> None:
    names = (
        "ts", "uid", *ID, "vendor_id", "vendor_name", "device_type_id", "product_code", "revision",
        "serial_number", "product_name",
    )  # fmt: skip
    path = tsv(
        tmp_path, "cip_identity", names,
        ("1700000000.0", "C1", "10.2.0.5", "4000", "10.1.0.7", "44818", "1", "Rockwell", "14",
         "150", "32.11", "0x00a1b2c3", "1769-L24ER-QB1B"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    told = facts_of(found, "10.1.0.7")
    assert DeviceIdentity(
        model="1769-L24ER-QB1B", firmware="32.011", serial="00a1b2c3"
    ) in told  # fmt: skip
    assert any(isinstance(fact, CipAccess) and fact.vendor_id == 1 for fact in told)
    assert any(isinstance(f, DeviceIdentity) and f.vendor and f.basis == "table" for f in told)


def test_an_i_am_names_its_sender_and_a_who_is_nobody(tmp_path: Path) -> None:
    names = (
        "ts", "uid", *ID, "is_orig", "source_h", "source_p", "pdu_service", "instance_number",
        "vendor",
    )  # fmt: skip
    ids = ("10.2.0.5", "47808", "10.1.0.255", "47808")
    path = tsv(
        tmp_path, "bacnet_discovery", names,
        ("1700000000.0", "C1", *ids, "T", "10.2.0.5", "47808", "who-is", "-", "-"),
        ("1700000000.1", "C1", *ids, "T", "10.1.0.7", "47808", "i-am", "12", "Delta Controls"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    assert BacnetAccess(instance=12) in facts_of(found, "10.1.0.7")
    assert not [f for f in facts_of(found, "10.2.0.5") if not isinstance(f, Conversation)]


def test_an_opc_ua_endpoint_tells_its_security(tmp_path: Path) -> None:
    row = {
        "_path": "opcua_binary_get_endpoints_description", "ts": 1.7e9, "id.orig_h": "10.2.0.5",
        "id.orig_p": 4, "id.resp_h": "10.1.0.7", "id.resp_p": 4840,
        "endpoint_uri": "opc.tcp://10.1.0.7:4840", "message_security_mode": 1,
        "security_policy_uri": "http://opcfoundation.org/UA/SecurityPolicy#None",
    }  # fmt: skip

    found, _ = read(zeek.IMPORTER, as_json(tmp_path, "o.log", row))

    assert OpcUaEndpoint(
        url="opc.tcp://10.1.0.7:4840", security_mode="none", security_policy="None"
    ) in facts_of(found, "10.1.0.7")


def test_dhcp_ties_names_and_hardware_addresses(tmp_path: Path) -> None:
    names = ("ts", "client_addr", "server_addr", "mac", "host_name", "assigned_addr")
    path = tsv(
        tmp_path, "dhcp", names,
        ("1700000000.0", "-", "10.1.0.1", "00:0e:8c:ef:75:c5", "x208", "10.1.0.20"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    assert facts_of(found, "10.1.0.20") == [
        DeviceIdentity(name="x208"), LinkAddress(mac="00:0e:8c:ef:75:c5", told_by="dhcp"),
    ]  # fmt: skip


def test_ssh_tls_and_snmp_speak_of_the_server_and_no_community_is_kept(tmp_path: Path) -> None:
    base = ("1700000000.0", "C1", "10.2.0.5", "4000", "10.1.0.7")
    ssh = tsv(tmp_path, "ssh", ("ts", "uid", *ID, "client", "server"),
              (*base, "22", "SSH-2.0-PuTTY", "SSH-2.0-Cisco-1.25"))  # fmt: skip
    tls = tsv(tmp_path, "ssl", ("ts", "uid", *ID, "version", "cipher", "established"),
              (*base, "443", "TLSv10", "TLS_RSA_WITH_RC4_128_SHA", "T"))  # fmt: skip
    snmp = tsv(tmp_path, "snmp", ("ts", "uid", *ID, "version", "community", "get_responses",
                                  "display_string"),
               (*base, "161", "2c", "s3cretcommunity", "1", "Hirschmann MACH"))  # fmt: skip

    for path, kind, check in (
        (ssh, SshFace, "SSH-2.0-Cisco-1.25"), (tls, TlsFace, "TLSv1"), (snmp, SnmpAccess, "2c"),
    ):  # fmt: skip
        found, _ = read(zeek.IMPORTER, path)
        (fact,) = (f for f in facts_of(found, "10.1.0.7") if isinstance(f, kind))
        assert check in repr(fact)
        assert "s3cret" not in repr(found)
        assert "PuTTY" not in repr(found)


def test_an_unanswered_modbus_request_is_no_access(tmp_path: Path) -> None:
    names = ("ts", "uid", *ID, "unit", "func", "pdu_type", "exception")
    path = tsv(
        tmp_path, "modbus", names,
        ("1700000000.0", "C1", *HMI_TO_PLC, "1", "READ_COILS", "REQ", "-"),
        ("1700000000.1", "C1", *HMI_TO_PLC, "1", "WRITE_SINGLE_COIL", "RESP", "-"),
        ("1700000000.2", "C1", *HMI_TO_PLC, "1", "READ_COILS", "RESP", "ILLEGAL_FUNCTION"),
        ("1700000000.3", "C1", *HMI_TO_PLC, "2", "READ_COILS", "RESP", "-"),
    )  # fmt: skip

    found, _ = read(zeek.IMPORTER, path)

    told = [f for f in facts_of(found, "10.1.0.7") if isinstance(f, ModbusAccess)]
    assert told == [ModbusAccess(unit_id=2, answers_without_login=True)]


def test_other_logs_give_the_conversation_and_lines_that_do_not_fit_are_told(
    tmp_path: Path,
) -> None:
    path = tsv(
        tmp_path, "s7comm", ("ts", "uid", *ID, "is_orig"),
        ("1700000000.0", "C1", "10.2.0.5", "4000", "10.1.0.7", "102", "F"),
        ("1700000000.0", "C1"),
        ("never", "C1", "10.2.0.5", "4000", "10.1.0.7", "102", "F"),
    )  # fmt: skip

    found, reading = read(zeek.IMPORTER, path)

    assert [(t.server, t.protocol, t.answered) for t in talks(found)] == [("10.1.0.7", "s7", True)]
    assert reading.told() == (
        "lines that do not fit the #fields line: line 9",
        "lines without a readable time: line 10",
    )


def test_a_log_of_40_000_lines_is_streamed(tmp_path: Path) -> None:
    """64 devices, 40,000 connections: memory grows with the devices."""
    path = tmp_path / "conn.log"
    with path.open("w") as file:
        file.write("#separator \\x09\n#unset_field\t-\n#path\tconn\n#fields\t" + "\t".join(CONN))
        file.write("\n")
        for number in range(40_000):
            client, server = f"10.2.0.{number % 8 + 1}", f"10.1.0.{number % 64 + 1}"
            file.write(
                f"{1_700_000_000 + number}.0\tC{number}\t{client}\t{40_000 + number % 20_000}\t"
                f"{server}\t502\ttcp\tmodbus\t1.0\tSF\t3\t3\n"
            )
    source = SourceFile(importer=zeek.IMPORTER, name=path.name, sha256="0" * 64, size=1)
    gathering = Gathering()
    tracemalloc.start()
    count = 0
    for one in zeek.IMPORTER.read(path, Reading(modified=READ_AT)):
        gathering.add(source, one)
        count += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 40_000
    assert gathering.subjects == 64
    assert peak < 2 * 1024 * 1024


def test_a_line_without_end_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    path = tsv(
        tmp_path, "conn", CONN,
        ("1700000000.5", "C1", *HMI_TO_PLC, "tcp", "x" * 3_000_000, "60.0", "SF", "7", "5"),
        ("1700000000.5", "C2", *HMI_TO_PLC, "tcp", "modbus", "60.0", "SF", "7", "5"),
    )  # fmt: skip

    found, reading = read(zeek.IMPORTER, path)

    assert len(talks(found)) == 1
    assert "longer than" in reading.told()[0]


_cell = st.one_of(
    st.text(max_size=20).map(lambda t: t.replace("\n", "").replace("\r", "")),
    st.sampled_from(["T", "F", "-", "10.1.0.7", "1700000000.0", "99999999999999999999", "0x1f"]),
)


@given(
    log=st.sampled_from(
        [*sorted(zeek._LOGS), "modbus_read_device_identification", "s7comm", "x509"]
    ),
    rows=st.lists(
        st.dictionaries(
            st.sampled_from([
                "ts", *ID, "host", "mac", "unit", "uint", "func", "version", "server", "service",
                "source_h", "is_orig", "object_id_code", "object_value", "request_response",
                "pdu_type", "instance_number", "revision", "duration", "proto", "host_p",
            ]),
            st.one_of(_cell, st.integers(), st.floats(), st.booleans(), st.none(),
                      st.lists(st.integers(), max_size=3),
                      st.dictionaries(_cell, _cell, max_size=2)),
        ),
        max_size=6,
    ),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_nothing_in_a_log_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, log: str, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("zeek") / "any.log"
    path.write_text("".join(json.dumps(row | {"_path": log}) + "\n" for row in rows))

    found, _ = read(zeek.IMPORTER, path)

    assert all(one.at.tzinfo is not None for one in found)


@given(content=st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_to_their_end(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("zeek") / "any.log"
    path.write_bytes(b"#separator \\x09\n#fields\tts\thost\n" + content)

    zeek.recognises(content[:HEAD_BYTES], path)
    read(zeek.IMPORTER, path)
