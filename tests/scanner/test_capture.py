"""What the capture helper keeps, and what it never keeps."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from scanner.capture import (
    HEADERS,
    Chosen,
    Scope,
    Stations,
    Writer,
    collapsed,
    filter_program,
    headers,
    link_program,
)

FIN, SYN, RST, ACK = 1, 2, 4, 16
US, DEVICE, STRANGER = "10.0.0.9", "10.1.0.5", "10.9.9.9"
HOST, OUTGOING, OTHERS = 0, 4, 3


def tcp(
    source: str, target: str, flags: int, *, sport: int = 40000, dport: int = 502,
    payload: bytes = b"", options: bytes = b"", number: int = 0,
) -> bytes:  # fmt: skip
    segment = struct.pack(
        "!HHIIBBHHH", sport, dport, number, 0, (20 + len(options)) // 4 << 4, flags, 512, 0, 0
    )
    return ip(source, target, 6, segment + options + payload)


def udp(source: str, target: str, payload: bytes) -> bytes:
    return ip(source, target, 17, struct.pack("!HHHH", 40000, 161, 8 + len(payload), 0) + payload)


def ip(source: str, target: str, protocol: int, content: bytes, *, fragment: int = 0) -> bytes:
    one, other = ip_address(source), ip_address(target)
    if one.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(content), protocol, 64)
        return head + one.packed + other.packed + content
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 7, fragment, 64, protocol, 0)
    return head + one.packed + other.packed + content


def chosen(*networks: str, ours: tuple[str, ...] = (US,)) -> Chosen:
    scope = Scope(ip_network(one) for one in networks or ("10.1.0.0/24",))
    return Chosen(scope, (ip_address(one).packed for one in ours))


def keeps(
    which: Chosen, packet: bytes, kind: int, *, interface: int = 2, loopback: bool = False,
    at: int = 0,
) -> bool:  # fmt: skip
    found = headers(packet, len(packet))
    assert found is not None
    return which.keeps(found, interface=interface, kind=kind, loopback=loopback, at=at)


# --- headers ------------------------------------------------------------------------------------


def test_no_byte_of_payload_is_in_the_headers() -> None:
    for packet, size in (
        (tcp(US, DEVICE, ACK, payload=b"secret"), 40),
        (tcp(US, DEVICE, SYN, options=bytes(12)), 52),
        (udp(US, DEVICE, b"secret"), 28),
        (tcp("fd00::1", "fd00::2", ACK, payload=b"secret"), 60),
        (ip(US, DEVICE, 1, b"\x03\x03\0\0\0\0\0\0" + b"secret"), 28),
        (ip(US, DEVICE, 99, b"secret"), 20),
        (ip(US, DEVICE, 6, b"secret" * 9, fragment=100), 20),
    ):
        found = headers(packet, len(packet))

        assert found is not None
        assert found.data == packet[:size]
        assert b"secret" not in found.data
        assert found.length == len(packet)


def test_ports_and_flags_are_found_behind_extension_headers() -> None:
    options = bytes([6, 0]) + bytes(6)
    segment = tcp("fd00::1", "fd00::2", FIN | ACK, payload=b"x")[40:]
    packet = ip("fd00::1", "fd00::2", 0, options + segment)

    found = headers(packet, len(packet))

    assert found is not None
    assert (found.source_port, found.target_port, found.flags) == (40000, 502, FIN | ACK)
    assert found.data == packet[:-1]


def test_what_is_no_ip_packet_is_not_kept() -> None:
    assert headers(b"", 0) is None
    assert headers(bytes(60), 60) is None
    assert headers(b"\x45\0\0", 3) is None


@given(st.binary(max_size=HEADERS))
def test_whatever_passes_the_headers_are_its_beginning(data: bytes) -> None:
    found = headers(data, len(data))

    assert found is None or data.startswith(found.data)


# --- which packets ------------------------------------------------------------------------------


def test_packets_between_us_and_the_plan_are_kept_and_no_others() -> None:
    which = chosen()

    assert keeps(which, tcp(US, DEVICE, SYN), OUTGOING)
    assert keeps(which, tcp(DEVICE, US, SYN | ACK), HOST)
    assert not keeps(which, tcp(US, STRANGER, SYN), OUTGOING)
    assert not keeps(which, tcp(STRANGER, US, SYN), HOST)
    assert not keeps(which, tcp(DEVICE, STRANGER, ACK), OTHERS)


def test_our_own_address_may_lie_in_the_plan() -> None:
    which = chosen("10.0.0.0/8")

    assert keeps(which, tcp(US, DEVICE, SYN), OUTGOING)
    assert keeps(which, tcp(DEVICE, US, SYN | ACK), HOST)


def test_loopback_shows_each_packet_twice_and_it_is_kept_once() -> None:
    which = chosen("127.30.0.0/16", ours=("127.0.0.1",))
    out, back = tcp("127.0.0.1", "127.30.0.1", SYN), tcp("127.30.0.1", "127.0.0.1", SYN | ACK)

    seen = [
        keeps(which, packet, kind, interface=1, loopback=True)
        for packet in (out, back)
        for kind in (OUTGOING, HOST)
    ]

    assert seen == [True, False, True, False]


def test_a_packet_that_passes_a_bridge_and_its_port_is_kept_once() -> None:
    which = chosen()
    packet = tcp(US, DEVICE, SYN)

    assert keeps(which, packet, OUTGOING, interface=5, at=1_000)
    assert not keeps(which, packet, OUTGOING, interface=2, at=2_000)
    assert not keeps(which, packet, OUTGOING, interface=3, at=3_000)


def test_the_same_bytes_sent_again_are_another_packet() -> None:
    which = chosen()
    packet = tcp(US, DEVICE, SYN)

    assert keeps(which, packet, OUTGOING, interface=2, at=0)
    assert keeps(which, packet, OUTGOING, interface=2, at=1_000)
    assert keeps(which, packet, OUTGOING, interface=2, at=1_000_000_000)
    assert keeps(which, packet, OUTGOING, interface=3, at=3_000_000_000), "another way is taken"


def test_a_connection_is_unended_until_both_sides_closed_it() -> None:
    which = chosen()
    unended = []
    for packet, kind in (
        (tcp(US, DEVICE, SYN), OUTGOING),
        (tcp(DEVICE, US, SYN | ACK, sport=502, dport=40000), HOST),
        (tcp(US, DEVICE, FIN | ACK, number=1), OUTGOING),
        (tcp(DEVICE, US, FIN | ACK, sport=502, dport=40000), HOST),
    ):
        keeps(which, packet, kind)
        unended.append(which.unended)

    assert unended == [False, True, True, False]


def test_a_reset_ends_a_connection() -> None:
    which = chosen()
    keeps(which, tcp(US, DEVICE, SYN), OUTGOING)
    keeps(which, tcp(DEVICE, US, SYN | ACK, sport=502, dport=40000), HOST)
    keeps(which, tcp(DEVICE, US, RST, sport=502, dport=40000), HOST)

    assert not which.unended


def test_after_the_parent_s_death_only_what_a_kernel_sends_of_itself_is_kept() -> None:
    which = chosen()
    assert keeps(which, tcp(US, DEVICE, SYN), OUTGOING)
    which.parent_died()

    assert keeps(which, tcp(US, DEVICE, FIN | ACK), OUTGOING)
    assert keeps(which, tcp(DEVICE, US, ACK, sport=502, dport=40000), HOST)
    assert not which.is_over
    assert not keeps(which, tcp(US, DEVICE, SYN, sport=50000), OUTGOING), "a resumed scan's own"
    assert which.is_over
    assert not keeps(which, tcp(US, DEVICE, FIN | ACK, number=3), OUTGOING)


# --- the kernel's filter, carried out here ------------------------------------------------------


def run(program: bytes, packet: bytes, kind: int) -> int:
    """Classic BPF, as far as the filter uses it. Source: filter.rst of Linux."""
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    for _ in range(len(code) + 1):
        operation, yes, no, operand = code[at]
        at += 1
        if operation == 0x20:
            if operand == 0xFFFFF000:
                value = kind
            elif len(packet) < operand + 4:
                return 0
            else:
                value = struct.unpack_from("!I", packet, operand)[0]
        elif operation == 0x54:
            value &= operand
        elif operation == 0x15:
            at += yes if value == operand else no
        elif operation == 0x05:
            at += operand
        else:
            assert operation == 0x06
            return operand
    raise AssertionError("a filter without an end")


ADDRESSES = st.ip_addresses(v=4).map(str)
NETWORKS = st.lists(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(
        lambda both: ip_network((both[0], both[1]), strict=False)
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(networks=NETWORKS, source=ADDRESSES, target=ADDRESSES)
def test_the_kernel_hands_over_what_is_to_or_from_the_networks(
    networks: list[object], source: str, target: str
) -> None:
    several = collapsed(networks)  # type: ignore[arg-type]
    wanted = any(ip_address(end) in one for one in several for end in (source, target))
    program = filter_program(several)

    assert bool(run(program, tcp(source, target, SYN), 0x0800)) is wanted
    assert run(program, tcp(source, target, SYN), 0x0806) == 0


def test_the_kernel_hands_over_ipv6_and_both_kinds_at_once() -> None:
    program = filter_program([ip_network("10.1.0.0/24"), ip_network("fd00::/64")])

    assert run(program, tcp("fd00::1", "fd11::9", SYN), 0x86DD) == HEADERS
    assert run(program, tcp("fd11::9", "fd00::1", SYN), 0x86DD) == HEADERS
    assert run(program, tcp("fd11::9", "fd12::1", SYN), 0x86DD) == 0
    assert run(program, tcp(US, DEVICE, SYN), 0x0800) == HEADERS


def test_a_scope_of_thousands_of_addresses_still_fits_the_kernel() -> None:
    scattered = [ip_network(f"10.{n >> 8}.{n & 255}.7/32") for n in range(5000)]

    program = filter_program(collapsed(scattered))

    assert len(program) // 8 <= 4096
    assert run(program, tcp(US, "10.3.4.7", SYN), 0x0800) == HEADERS
    assert ip_address("10.3.4.7").packed in Scope(scattered)
    assert ip_address("10.3.4.8").packed not in Scope(scattered)


@given(networks=NETWORKS, address=ADDRESSES)
def test_the_scope_holds_the_addresses_of_its_networks(
    networks: list[object], address: str
) -> None:
    scope = Scope(networks)  # type: ignore[arg-type]
    wanted = any(ip_address(address) in one for one in networks)  # type: ignore[operator]

    assert (ip_address(address).packed in scope) is wanted


# --- the file -----------------------------------------------------------------------------------


def entries(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    assert struct.unpack_from("<IHHiIII", data) == (0xA1B23C4D, 2, 4, 0, 0, 65535, 101)
    place = 24
    while place < len(data):
        seconds, nanoseconds, kept, length = struct.unpack_from("<IIII", data, place)
        yield seconds * 10**9 + nanoseconds, data[place + 16 : place + 16 + kept], length
        place += 16 + kept


def write(path: Path, *moments: int, most: int = 10_000) -> Writer:
    writer = Writer(path, most=most)
    packet = tcp(US, DEVICE, ACK, payload=b"secret")
    for at in moments:
        found = headers(packet, len(packet))
        assert found is not None
        writer.keep(at, found)
    writer.close()
    return writer


def test_the_file_holds_times_headers_and_lengths(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"

    writer = write(path, 1_700_000_000_123_456_789)

    assert writer.packets == 1
    assert path.stat().st_mode & 0o777 == 0o600
    packet = tcp(US, DEVICE, ACK, payload=b"secret")
    assert list(entries(path.read_bytes())) == [
        (1_700_000_000_123_456_789, packet[:40], len(packet))
    ]


def test_a_resumed_run_goes_on_in_the_same_file_also_after_a_torn_packet(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    write(path, 1, 2)
    whole = path.read_bytes()
    for torn in range(len(whole) - 50, len(whole)):
        path.write_bytes(whole[:torn])
        write(path, 3)

        assert [at for at, _, _ in entries(path.read_bytes())] == [1, 3]

    for torn in range(24):
        path.write_bytes(whole[:torn])
        write(path, 3)

        assert [at for at, _, _ in entries(path.read_bytes())] == [3]


def test_a_full_file_is_told_and_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"

    writer = write(path, 1, 2, 3, most=24 + 2 * 56)

    assert writer.full
    assert writer.packets == 2
    assert [at for at, _, _ in entries(path.read_bytes())] == [1, 2]


# --- layer 2 ------------------------------------------------------------------------------------

STATION, MACHINE = bytes.fromhex("0009914 3e067".replace(" ", "")), bytes.fromhex("020000000009")
ARP = (
    "IP address       HW type     Flags       HW address            Mask     Device\n"
    "10.9.9.9         0x1         0x2         02:00:00:00:00:77     *        eth1\n"
    "10.1.0.5         0x1         0x2         00:09:91:43:e0:67     *        eth1\n"
    "10.9.9.5         0x1         0x2         00:09:91:43:e0:67     *        eth1\n"
    "10.1.0.6         0x1         0x2         00:09:91:43:e0:67     *        eth1\n"
)


def dcp_frame(to: bytes, by: bytes, frame_id: str = "fefe", kind: str = "8892") -> bytes:
    return to + by + bytes.fromhex(kind + frame_id + "0500 0c0ffee1 0001 0004".replace(" ", ""))


def stations(tmp_path: Path, arp: str = ARP) -> Stations:
    (tmp_path / "arp").write_text(arp)
    scope = Scope([ip_network("10.1.0.0/24")])
    return Stations(scope, tmp_path / "arp")


def test_frames_to_a_neighbour_of_the_plan_and_from_it_are_kept_and_no_others(
    tmp_path: Path,
) -> None:
    which = stations(tmp_path)
    out, back = dcp_frame(STATION, MACHINE), dcp_frame(MACHINE, STATION)
    stranger, everybody = bytes.fromhex("020000000077"), bytes.fromhex("010ecf000000")

    def kept(frame: bytes, kind: int, interface: int = 2, at: int = 0) -> bool:
        return which.keeps(frame, interface=interface, kind=kind, at=at)

    assert not kept(back, HOST), "nothing was sent to it yet"
    assert kept(out, OUTGOING)
    assert kept(back, HOST)
    assert not kept(out, OUTGOING, interface=3, at=1000), "it passed a bridge and its port"
    assert kept(out, OUTGOING, interface=2, at=2000)
    assert not kept(back, OTHERS)
    assert not kept(dcp_frame(stranger, MACHINE), OUTGOING)
    assert not kept(dcp_frame(everybody, MACHINE), OUTGOING)
    assert not kept(out[:25], OUTGOING)
    assert which.known == {STATION: (DEVICE, "10.1.0.6")}


def test_without_a_neighbour_table_no_frame_is_kept(tmp_path: Path) -> None:
    which = Stations(Scope([ip_network("10.1.0.0/24")]), tmp_path / "none")

    assert not which.keeps(dcp_frame(STATION, MACHINE), interface=2, kind=OUTGOING, at=0)


def test_the_kernel_hands_over_heads_of_dcp_and_nothing_else() -> None:
    def handed(frame: bytes) -> int:
        accumulator = at = 0
        steps = list(struct.iter_unpack("=HBBI", link_program()))
        while True:
            code, yes, no, value = steps[at]
            at += 1
            if code == 0x06:
                return value
            if code == 0x28:
                accumulator = int.from_bytes(frame[value : value + 2], "big")
            elif code == 0x54:
                accumulator &= value
            else:
                at += yes if accumulator == value else no

    for frame_id in ("fefc", "fefd", "fefe", "feff"):
        assert handed(dcp_frame(STATION, MACHINE, frame_id)) == 26
    for frame_id in ("fefb", "ff00", "8001", "fe01"):
        assert handed(dcp_frame(STATION, MACHINE, frame_id)) == 0
    for kind in ("0800", "0806", "88cc", "8100"):
        assert handed(dcp_frame(STATION, MACHINE, kind=kind)) == 0


def test_heads_of_frames_have_a_file_of_their_own(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "link.pcap", link_type=1)
    writer.keep_head(5_000_000_001, dcp_frame(STATION, MACHINE), 60)
    writer.close()

    data = (tmp_path / "link.pcap").read_bytes()
    assert struct.unpack_from("<I", data, 20) == (1,)
    assert struct.unpack_from("<IIII", data, 24) == (5, 1, 26, 60)
    assert data[40:] == dcp_frame(STATION, MACHINE)
