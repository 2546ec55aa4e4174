"""The record as a capture: tshark reads the same functions, and nothing that was masked."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reports import pcapng
from scanner.model import Exchange, Outcome, Target, Tier, Transport

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
FC43 = bytes.fromhex("000100000005ff2b0e0100")
FC43_REPLY = bytes.fromhex("00010000 0019ff2b0e0101000003") + (
    b"\x00\x04ACME" + b"\x01\x03P-1" + b"\x02\x04v2.9"
)
COTP = bytes.fromhex("0300001611e00000000100c1020100c2020102c0010a")
COTP_CC = bytes.fromhex("0300001611d00001000100c0010ac1020100c2020102")
SETUP = bytes.fromhex("0300001902f08032010000000000080000f0000001000101e0")
SETUP_ACK = bytes.fromhex(
    "0300001b02f0803203000000000008000000 00f0000001000100f0".replace(" ", "")
)
LIST_IDENTITY = b"\x63\x00" + bytes(22)

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def exchange(number: int, request: bytes, reply: bytes, **given: object) -> Exchange:
    at = START + timedelta(seconds=number)
    values: dict[str, object] = {
        "target": Target(zone="control", address="10.1.0.7", port=502, transport=Transport.TCP),
        "probe": "modbus", "tier": Tier.IDENTIFY, "label": "read device identification",
        "sent_at": at, "finished_at": at + timedelta(milliseconds=12), "outcome": Outcome.ANSWERED,
        "reason": "", "request": request, "reply": reply, "wire_bytes_out": len(request),
        "wire_bytes_in": len(reply), "sha256": "",
    }  # fmt: skip
    return Exchange(id=f"x{number}", **{**values, **given})  # type: ignore[arg-type]  # as given


def at(address: str, port: int, transport: Transport = Transport.TCP) -> Target:
    return Target(zone="control", address=address, port=port, transport=transport)


RECORD = (
    exchange(1, FC43, FC43_REPLY),
    exchange(2, COTP, COTP_CC, target=at("10.1.0.8", 102), probe="s7"),
    exchange(3, SETUP, SETUP_ACK, target=at("10.1.0.8", 102), probe="s7"),
    exchange(4, LIST_IDENTITY, b"", target=at("10.1.0.9", 44818, Transport.UDP), probe="enip",
             outcome=Outcome.SILENT, finished_at=None),
    exchange(5, FC43, FC43_REPLY, target=at("2001:db8::7", 502)),
    exchange(6, b"", b"", target=at("10.1.0.10", 23), probe="telnet", outcome=Outcome.REFUSED),
    exchange(7, b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ********\r\n\r\n",
             b"HTTP/1.1 200 OK\r\nServer: X\r\nContent-Length: 3000\r\n\r\n" + b"a" * 3000,
             target=at("10.1.0.11", 80), probe="http"),
)  # fmt: skip


def write(folder: Path, *record: Exchange) -> Path:
    path = folder / "made.pcapng"
    path.write_bytes(b"".join(pcapng.render(lambda: record, run="R1", site="Harbour", version="0")))
    return path


def tshark(path: Path, wanted: str, *fields: str) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-Y", wanted, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.splitlines()]


@needs_tshark
def test_tshark_reads_back_the_functions_that_were_sent(tmp_path: Path) -> None:
    path = write(tmp_path, *RECORD)

    assert tshark(path, "modbus", "modbus.func_code", "tcp.dstport")[0] == ["43", "502"]
    assert len(tshark(path, "modbus", "frame.number")) == 4
    assert tshark(path, "modbus.object_str_value", "modbus.object_str_value")[0] == [
        "ACME,P-1,v2.9"
    ]
    assert tshark(path, "s7comm", "s7comm.header.rosctr", "s7comm.param.func") == [
        ["1", "0xf0"], ["3", "0xf0"],
    ]  # fmt: skip
    assert tshark(path, "enip", "enip.command") == [["0x0063"]]
    assert tshark(path, "http.response", "http.server", "http.content_length") == [["X", "3000"]]
    assert tshark(path, "ipv6 && modbus", "ipv6.dst")[0] == ["2001:db8::7"]


@needs_tshark
def test_a_frame_of_layer_2_is_one_and_what_was_withheld_is_none(tmp_path: Path) -> None:
    identify = bytes.fromhex("fefe05000c0ffee100010004ffff0000")
    name = bytes.fromhex("feff05010c0ffee10000000802020004 0000 6f6b")
    station = {"target": at("10.1.0.7", 0x8892, Transport.LINK), "probe": "dcp"}
    path = write(
        tmp_path,
        exchange(1, identify, name, **station),
        exchange(2, identify, b"", **station, outcome=Outcome.WITHHELD, wire_bytes_out=0),
    )

    told = tshark(
        path, "frame", "eth.type", "pn_dcp.service_id", "pn_dcp.service_type", "frame.len",
        "pn_dcp.suboption_device_nameofstation",
    )  # fmt: skip
    assert told == [["0x8892", "5", "0", "60", ""], ["0x8892", "5", "1", "60", "ok"]]


@needs_tshark
def test_connections_are_whole_and_nothing_is_malformed(tmp_path: Path) -> None:
    path = write(tmp_path, *RECORD)

    bad = (
        "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0"
    )
    assert tshark(path, bad, "frame.number", "_ws.col.Info") == []
    opened = tshark(path, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.dstport")
    assert [port for (port,) in opened] == ["502", "102", "502", "23", "80"]
    assert len(tshark(path, "tcp.flags.fin == 1", "frame.number")) == 2 * 4
    assert len(tshark(path, "tcp.flags.reset == 1", "frame.number")) == 1


@needs_tshark
def test_times_are_those_of_the_record(tmp_path: Path) -> None:
    path = write(tmp_path, RECORD[0])

    times = [float(t) for (t,) in tshark(path, "modbus", "frame.time_epoch")]
    assert times == pytest.approx([START.timestamp() + 1, START.timestamp() + 1.012], abs=1e-6)


@needs_tshark
def test_conversations_that_overlap_come_in_the_order_of_time(tmp_path: Path) -> None:
    slow = replace(RECORD[0], finished_at=START + timedelta(seconds=4))
    path = write(tmp_path, slow, *RECORD[1:4])

    times = [float(t) for (t,) in tshark(path, "frame", "frame.time_epoch")]
    assert times == sorted(times)
    assert tshark(path, "modbus && tcp.srcport == 502", "modbus.func_code") == [["43"]]


def test_it_says_of_itself_that_it_is_reconstructed(tmp_path: Path) -> None:
    content = write(tmp_path, *RECORD).read_bytes()

    assert b"RECONSTRUCTED" in content[:200]
    assert b"Run R1 of Harbour" in content[:800]
    assert b"x1: read device identification (modbus, identify)" in content


def test_what_is_masked_stays_masked_and_plaintext_is_called_so(tmp_path: Path) -> None:
    encrypted = replace(RECORD[6], wire_bytes_out=517)

    content = write(tmp_path, encrypted).read_bytes()

    assert b"Basic ********" in content
    assert b"plaintext of an encrypted connection" in content


def test_datagrams_sent_again_or_not_kept_whole_are_no_plaintext(tmp_path: Path) -> None:
    asked, kept = b"\0\1walkdown-no-such-file\0octet\0", b"\0\3\0\1"
    given = exchange(
        1, asked, kept, target=at("10.1.0.9", 69, Transport.UDP), probe="tftp",
        wire_bytes_out=2 * len(asked), wire_bytes_in=516,
    )  # fmt: skip

    content = write(tmp_path, given, RECORD[3]).read_bytes()

    assert b"plaintext of an encrypted connection" not in content
    assert b"it was sent more than once, 60 bytes in all" in content
    assert b"516 bytes came, and no more than these are kept" in content
    assert content.count(b"more than once") == 1
    assert b"from the port that was asked" in content[:1000]


@needs_tshark
def test_an_answer_from_a_port_that_the_device_chose_is_dissected(tmp_path: Path) -> None:
    asked, said = b"\0\1walkdown-no-such-file\0octet\0", b"\0\5\0\1File not found\0"
    target = at("10.1.0.9", 69, Transport.UDP)
    path = write(tmp_path, exchange(1, asked, said, target=target, probe="tftp"))

    assert tshark(path, "tftp", "tftp.opcode") == [["1"], ["5"]]


def test_what_has_no_ip_address_is_left_out_and_counted(tmp_path: Path) -> None:
    layer_2 = exchange(1, b"x", b"y", target=at("00:1b:1b:0a:0b:0c", 1))

    content = write(tmp_path, layer_2).read_bytes()

    assert b"1 exchanges with no IP address" in content


def test_blocks_are_framed_as_they_say(tmp_path: Path) -> None:
    content = write(tmp_path, *RECORD).read_bytes()

    kinds, offset = [], 0
    while offset < len(content):
        kind = int.from_bytes(content[offset : offset + 4], "little")
        length = int.from_bytes(content[offset + 4 : offset + 8], "little")
        assert length % 4 == 0
        assert content[offset + length - 4 : offset + length] == length.to_bytes(4, "little")
        kinds.append(kind)
        offset += length
    assert kinds[:2] == [0x0A0D0D0A, 1]
    assert set(kinds[2:]) == {6}
