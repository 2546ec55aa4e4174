"""The front's own view of frames, with bytes written out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.frames import Seen, Stream, classify_datagram, snmp_version

PROTOCOLS = ("modbus", "s7", "enip", "http", "https", "ssh", "telnet")

READ_IDENTITY = bytes.fromhex("000100000005ff2b0e0100")
WRITE_REGISTER = bytes.fromhex("00020000000601060001002a")
S7_CONNECT_BASIC = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
S7_CONNECT_PG = bytes.fromhex("0300001611e00000000100c1020100c2020102c0010a")
S7_SETUP = bytes.fromhex("0300001902f08032010000000000080000f0000001000101e0")
S7_READ_SZL = bytes.fromhex("0300002102f080320700000100000800080001120411440100ff09000400110000")
S7_STOP = bytes.fromhex("0300002102f0803201000002000010000029000000000009505f50524f4752414d")
S7_SET_CLOCK = bytes.fromhex("0300002102f080320700000100000800080001120411470200ff09000400110000")
LIST_IDENTITY = bytes.fromhex("6300") + bytes(22)


def enip(message: str) -> bytes:
    """SendRRData with one unconnected CIP message."""
    cip = bytes.fromhex(message)
    body = bytes(6) + b"\2\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
    return b"\x6f\0" + len(body).to_bytes(2, "little") + bytes(20) + body


SET_ATTRIBUTE = (
    bytes.fromhex("6f001a00") + bytes(20) + bytes.fromhex("00000000000002000000000000b2000a00")
    + bytes.fromhex("100320012401")
    + b"\x07\x01\x02\x03"
)  # fmt: skip
SNMP_GET = bytes.fromhex(
    "302902010104067075626c6963a01c020412345678020100020100300e300c06082b060102010101000500"
)


def only(protocol: str, data: bytes) -> Seen:
    seen = Stream(protocol).feed(data)
    assert len(seen) == 1
    return seen[0]


@pytest.mark.parametrize(
    ("protocol", "frame", "function"),
    [
        ("modbus", READ_IDENTITY, "43/14"),
        ("s7", S7_CONNECT_BASIC, "connect 0302"),
        ("s7", S7_SETUP, "job 0xf0"),
        ("s7", S7_READ_SZL, "SZL 0011"),
        ("enip", LIST_IDENTITY, "ListIdentity"),
        (
            "enip",
            enip("52022006240101fa060001022001240101000103"),
            "SendRRData routed Get_Attributes_All",
        ),
        ("enip", enip("4b022067240107000000000000 06000100 03"), "SendRRData PCCC 0x06 0x03"),
    ],
)
def test_a_read_request_is_named_and_is_no_write(
    protocol: str, frame: bytes, function: str
) -> None:
    seen = only(protocol, frame)

    assert (seen.kind, seen.function, seen.write) == ("request", function, False)


@pytest.mark.parametrize(
    ("protocol", "frame"),
    [
        ("modbus", WRITE_REGISTER),
        ("modbus", bytes.fromhex("000300000006010800010000")),  # diagnostics: restart
        ("modbus", bytes.fromhex("0003000000052b2b0d0100")),  # CANopen through MEI
        ("s7", S7_STOP),
        ("s7", S7_SET_CLOCK),
        ("enip", SET_ATTRIBUTE),
        ("enip", bytes.fromhex("7000") + bytes(22)),
        ("enip", enip("52022006240101fa0a001003200124013007010001000103")),  # a set, routed
        ("enip", enip("52022006240101fa0b0010032001240130070100000001000103")),
        ("enip", enip("52022006240101fa1400520220062401 01fa06000102200124010100010301000103")),
        ("enip", enip("520220662401 01fa060001022001240101000103")),  # not to the manager
        ("enip", enip("4b022067240107000000000000 0f000100 aa")),
        ("enip", enip("4b022067240107000000000000 06000100 07")),  # resets the counters
    ],
)
def test_what_would_change_something_is_a_write(protocol: str, frame: bytes) -> None:
    assert only(protocol, frame).write


def test_a_programmers_seat_is_told_apart() -> None:
    assert only("s7", S7_CONNECT_PG).function == "connect 0102 as PG"


@pytest.mark.parametrize(
    ("protocol", "data", "guess"),
    [
        ("modbus", b"GET / HTTP/1.1\r\n", "http"),
        ("modbus", bytes.fromhex("16030100a5010000a1"), "tls"),
        ("s7", READ_IDENTITY, "modbus"),
        ("enip", b"SSH-2.0-x\r\n", "ssh"),
        ("http", b"SSH-2.0-x\r\n", "ssh"),
        ("https", b"GET / HTTP/1.1\r\n", "http"),
        ("ssh", b"GET / HTTP/1.1\r\n", "http"),
        ("telnet", b"GET / HTTP/1.1\r\n", "http"),
    ],
)
def test_another_protocols_bytes_are_foreign(protocol: str, data: bytes, guess: str) -> None:
    seen = only(protocol, data)

    assert (seen.kind, seen.function) == ("foreign", guess)


@pytest.mark.parametrize(
    ("protocol", "data"),
    [
        ("modbus", bytes.fromhex("0001000000ffff2b0e0100")),
        ("modbus", bytes.fromhex("000100000001ff")),
        ("s7", bytes.fromhex("03000004")),
        ("s7", bytes.fromhex("0300000702f000")),
        ("enip", bytes.fromhex("6300ffff") + bytes(20)),
    ],
)
def test_wrong_lengths_are_malformed(protocol: str, data: bytes) -> None:
    assert only(protocol, data).kind == "malformed"


def test_frames_are_found_however_they_are_cut() -> None:
    stream = Stream("modbus")
    data = READ_IDENTITY + WRITE_REGISTER

    seen = [s for at in range(len(data)) for s in stream.feed(data[at : at + 1])]

    assert [s.function for s in seen] == ["43/14", "6"]


def test_an_snmp_get_is_read_and_a_set_is_a_write() -> None:
    get = classify_datagram("snmp", SNMP_GET)
    put = classify_datagram("snmp", SNMP_GET.replace(b"\xa0\x1c", b"\xa3\x1c"))

    assert (get.function, get.write) == ("v2c GetRequest", False)
    assert (put.function, put.write) == ("v2c SetRequest", True)
    assert snmp_version(SNMP_GET) == "2c"


def test_tftp_packets_are_reads_only_where_they_ask_for_a_file() -> None:
    def told(data: bytes) -> tuple[str, bool]:
        seen = classify_datagram("tftp", data)
        return (seen.function, seen.write) if seen.kind == "request" else (seen.kind, False)

    name = b"panel.bin\0octet\0"
    assert told(b"\0\1" + name) == ("RRQ", False)
    assert told(b"\0\2" + name) == ("WRQ", True)
    assert [told(bytes([0, opcode, 0, 1])) for opcode in (3, 4, 5)] == [
        ("DATA", True), ("ACK", True), ("ERROR", True),
    ]  # fmt: skip
    assert {told(data)[0] for data in (b"\0\1panel.bin\0", b"\0\1" + name[:-1], b"\0\4\0")} == {
        "malformed"
    }
    assert {told(data)[0] for data in (b"", b"\0", b"\0\6a\0b\0", b"GET / HTTP/1.1\r\n")} == {
        "foreign"
    }


@settings(max_examples=200)
@given(protocol=st.sampled_from((*PROTOCOLS, "snmp")), chunks=st.lists(st.binary(max_size=80)))
def test_any_bytes_are_classified(protocol: str, chunks: list[bytes]) -> None:
    stream = Stream(protocol)
    for chunk in chunks:
        for seen in stream.feed(chunk):
            assert seen.kind in ("request", "foreign", "malformed")
        classify_datagram(protocol, chunk)
