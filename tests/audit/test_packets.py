"""What the auditor reads from a capture of headers, and that it reads nothing else."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.audit import packets
from scanner.audit.packets import ACK, FIN, RST, SYN, Packet, Unreadable

OURS, DEVICE = "192.0.2.9", "192.0.2.20"
PSH, URG, ECE, CWR = 8, 32, 64, 128


def one(craft: Any, headers: bytes, length: int) -> Packet:
    (found,) = packets.read(craft.capture(craft.entry(1000.25, headers, length)))
    return found


def sent(craft: Any, flags: int, *, payload: int = 0, **more: Any) -> Packet:
    body = craft.tcp(40000, 502, flags, 77)
    return one(craft, *craft.ip(OURS, DEVICE, body, payload=payload, **more))


def test_a_segment_is_read_with_the_payload_that_was_left_out(craft: Any) -> None:
    found = sent(craft, PSH | ACK, payload=12)

    assert found == Packet(
        at=1000.25, source=OURS, target=DEVICE, protocol="tcp", source_port=40000,
        target_port=502, flags=PSH | ACK, sequence=77, acknowledged=0, payload=12, odd="",
    )  # fmt: skip


def test_options_of_tcp_are_no_payload(craft: Any) -> None:
    body = craft.tcp(40000, 502, SYN, 5, options=b"\x02\x04\x05\xb4\x01\x01\x04\x02")

    found = one(craft, *craft.ip(OURS, DEVICE, body))

    assert (found.payload, found.odd) == (0, "")


def test_datagrams_and_version_6_are_read(craft: Any) -> None:
    four = one(craft, *craft.ip(OURS, DEVICE, craft.udp(5000, 161, 40), protocol=17, payload=40))
    six = one(craft, *craft.ip("fd00::1", "fd00::2", craft.tcp(1, 502, SYN, 0)))

    assert (four.protocol, four.target_port, four.payload, four.odd) == ("udp", 161, 40, "")
    assert (six.source, six.target, six.flags, six.odd) == ("fd00::1", "fd00::2", SYN, "")


@pytest.mark.parametrize(
    ("flags", "payload", "counts"),
    [(SYN, 0, True), (ACK, 0, False), (PSH | ACK, 1, True), (FIN | ACK, 0, True), (RST, 0, True)],
)
def test_everything_counts_but_a_pure_acknowledgement(
    craft: Any, flags: int, payload: int, counts: bool
) -> None:
    assert sent(craft, flags, payload=payload).counts is counts


def test_a_datagram_counts(craft: Any) -> None:
    assert one(craft, *craft.ip(OURS, DEVICE, craft.udp(1, 2, 0), protocol=17)).counts


@pytest.mark.parametrize("flags", [SYN, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN | ECE | CWR])
def test_what_a_kernel_sends_is_not_odd(craft: Any, flags: int) -> None:
    assert sent(craft, flags).odd == ""


@pytest.mark.parametrize(
    "flags", [0, SYN | FIN, SYN | RST, FIN | RST, FIN, FIN | PSH | URG, 0x3F, URG | ACK]
)
def test_flags_of_fingerprints_are_odd(craft: Any, flags: int) -> None:
    assert sent(craft, flags).odd


def test_payload_on_a_syn_is_odd(craft: Any) -> None:
    assert sent(craft, SYN, payload=4).odd == "a SYN with payload"


@pytest.mark.parametrize("fragment", [0x2000, 0x0003, 0x2001])
def test_fragments_are_odd(craft: Any, fragment: int) -> None:
    assert "fragment" in sent(craft, SYN, fragment=fragment).odd


def test_a_later_fragment_of_which_no_port_is_known_is_read(craft: Any) -> None:
    found = one(craft, *craft.ip(OURS, DEVICE, b"", payload=100, fragment=0x0010))

    assert "fragment" in found.odd
    assert found.target_port == 0


def test_options_of_ip_are_odd(craft: Any) -> None:
    assert "IP options" in sent(craft, SYN, options=b"\x07\x04\x00\x00").odd


def test_lengths_that_do_not_fit_are_odd(craft: Any) -> None:
    headers, length = craft.ip(OURS, DEVICE, craft.tcp(1, 502, SYN, 0))
    datagram, size = craft.ip(OURS, DEVICE, craft.udp(1, 161, 9), protocol=17, payload=40)

    assert "length" in one(craft, headers, length + 1).odd
    assert "datagram whose length" in one(craft, datagram, size).odd


def test_another_protocol_keeps_its_number(craft: Any) -> None:
    ping = one(craft, *craft.ip(OURS, DEVICE, b"\x08\0\0\0\0\0\0\0", protocol=1))
    gre = one(craft, *craft.ip(OURS, DEVICE, b"", protocol=47))

    assert (ping.protocol, ping.flags, gre.protocol) == ("icmp", 8, "47")
    assert ping.counts
    assert gre.counts


def test_packets_come_in_the_order_of_the_file(craft: Any) -> None:
    headers, length = craft.ip(OURS, DEVICE, craft.tcp(1, 502, SYN, 0))
    times = [5.0, 5.000000001, 4.5]

    found = list(packets.read(craft.capture(*(craft.entry(at, headers, length) for at in times))))

    assert [packet.at for packet in found] == pytest.approx(times, abs=1e-6)


def test_a_capture_that_was_cut_off_is_read_up_to_the_cut(craft: Any) -> None:
    headers, length = craft.ip(OURS, DEVICE, craft.tcp(1, 502, SYN, 0))
    first = craft.entry(1.0, headers, length)
    whole = craft.capture(first, craft.entry(2.0, headers, length))

    counts = [len(list(packets.read(whole[:cut]))) for cut in range(24, len(whole) + 1)]

    assert counts == sorted(counts)
    assert counts[-1] == 2
    assert counts[len(first)] == 1
    assert counts[len(first) - 1] == 0


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\x0a\x0d\x0d\x0a" + bytes(40),
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101),
        struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1),
        struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101),
    ],
    ids=["empty", "pcapng", "microseconds", "Ethernet", "the other byte order"],
)
def test_a_file_that_no_scan_wrote_is_unreadable(file: bytes) -> None:
    with pytest.raises(Unreadable):
        list(packets.read(file))


@pytest.mark.parametrize("packet", [b"", b"\x45", b"\x60" + bytes(20), b"\x00" * 60])
def test_what_is_no_packet_is_unreadable(craft: Any, packet: bytes) -> None:
    with pytest.raises(Unreadable):
        list(packets.read(craft.capture(craft.entry(1.0, packet, len(packet)))))


def read_all(file: bytes) -> list[Packet] | None:
    try:
        return list(packets.read(file))
    except Unreadable:
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_unreadable(file: bytes) -> None:
    read_all(file)


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=80)), max_size=4))
def test_any_packets_are_read_or_unreadable(kept: list[tuple[int, bytes]]) -> None:
    entries = [struct.pack("<IIII", 1, 2, len(data), length) + data for length, data in kept]
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101)

    found = read_all(header + b"".join(entries))

    assert found is None or len(found) == len(kept)


@given(
    flags=st.integers(0, 255),
    offset=st.integers(0, 255),
    rest=st.binary(max_size=40),
    length=st.integers(0, 65535),
)
def test_any_header_of_tcp_is_read(flags: int, offset: int, rest: bytes, length: int) -> None:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 6, 0, bytes(4), bytes(4))
    body = struct.pack("!HHIIBB", 1, 2, 3, 4, offset, flags) + rest
    entry = struct.pack("<IIII", 1, 2, len(head + body), length) + head + body
    header = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101)

    (found,) = packets.read(header + entry)

    assert found.flags in (flags, 0)


def test_headers_longer_than_their_packet_are_odd(craft: Any) -> None:
    headers, length = craft.ip(OURS, DEVICE, craft.tcp(1, 502, ACK, 0))
    short = headers[:2] + struct.pack("!H", length - 4) + headers[4:]

    found = one(craft, short, length - 4)

    assert (found.payload, found.odd) == (0, "headers longer than the packet")


@pytest.mark.parametrize(
    ("kind", "words"), [(0, "hop-by-hop"), (43, "routing"), (44, "fragment"), (60, "options")]
)
def test_headers_between_ip_version_6_and_transport_are_odd(
    craft: Any, kind: int, words: str
) -> None:
    body = bytes([6, 0, 0, 0, 0, 0, 0, 1]) + craft.tcp(40000, 502, SYN, 0)

    found = one(craft, *craft.ip("fd00::1", "fd00::2", body, protocol=kind))

    assert words in found.odd
    assert (found.protocol, found.target_port, found.payload) == ("tcp", 502, 0)
