"""
What really leaves the machine: a scan inside a network namespace, captured by tcpdump.

The parser below is the test's own and reads the capture file without any of our code: Ethernet
(loopback frames have an Ethernet header of zeros), IPv4, TCP and UDP.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(120)]

NAMES = ("PLC-11", "PLC-12", "PLC-14", "RIO-16", "PLC-18", "HMI-1", "SW-SUP", "SHMI-1")
FIN, SYN, RST, ACK = 1, 2, 4, 16


# --- an independent reader of captures -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    at: float
    source: str
    target: str
    protocol: str
    source_port: int
    target_port: int
    flags: int
    payload: int

    @property
    def counts(self) -> bool:
        """Everything but a pure ACK."""
        return self.protocol != "tcp" or self.payload > 0 or bool(self.flags & (FIN | SYN | RST))


def packets_of(capture: bytes) -> Iterator[Packet]:
    """Source: draft-ietf-opsawg-pcap, RFC 791, RFC 9293, RFC 768."""
    magic = struct.unpack_from("<I", capture)[0]
    assert magic in (0xA1B2C3D4, 0xA1B23C4D), "not a capture of this machine's byte order"
    fraction = 1e-6 if magic == 0xA1B2C3D4 else 1e-9
    assert struct.unpack_from("<I", capture, 20)[0] == 1, "not Ethernet"
    place = 24
    while place + 16 <= len(capture):
        seconds, parts, kept, length = struct.unpack_from("<IIII", capture, place)
        frame = capture[place + 16 : place + 16 + kept]
        place += 16 + kept
        assert kept == length or kept >= 96, "cut too short to read"
        kind = struct.unpack_from("!H", frame, 12)[0]
        at = seconds + parts * fraction
        if kind != 0x0800:
            yield Packet(
                at=at, source="", target="", protocol=f"ethertype {kind:#06x}", source_port=0,
                target_port=0, flags=0, payload=len(frame) - 14,
            )  # fmt: skip
            continue
        yield ipv4(at, frame[14:])


def kept_by_the_scan(capture: bytes) -> Iterator[Packet]:
    """The scan's own capture: IP packets without a link header, cut behind their headers."""
    assert struct.unpack_from("<I", capture)[0] == 0xA1B23C4D
    assert struct.unpack_from("<I", capture, 20)[0] == 101, "not raw IP"
    place = 24
    while place < len(capture):
        seconds, nanoseconds, kept, length = struct.unpack_from("<IIII", capture, place)
        data = capture[place + 16 : place + 16 + kept]
        packet = ipv4(seconds + nanoseconds * 1e-9, data)
        behind = 28 if packet.protocol == "icmp" else length - packet.payload
        assert kept == behind, "bytes behind the headers were kept"
        place += 16 + kept
        yield packet


def ipv4(at: float, packet: bytes) -> Packet:
    header = (packet[0] & 15) * 4
    total = struct.unpack_from("!H", packet, 2)[0]
    protocol = {6: "tcp", 17: "udp", 1: "icmp"}.get(packet[9], str(packet[9]))
    source_port = target_port = flags = 0
    payload = total - header
    if protocol == "tcp":
        source_port, target_port = struct.unpack_from("!HH", packet, header)
        flags = packet[header + 13]
        payload -= (packet[header + 12] >> 4) * 4
    elif protocol == "udp":
        source_port, target_port = struct.unpack_from("!HH", packet, header)
        payload -= 8
    return Packet(
        at=at,
        source=str(IPv4Address(packet[12:16])),
        target=str(IPv4Address(packet[16:20])),
        protocol=protocol,
        source_port=source_port,
        target_port=target_port,
        flags=flags,
        payload=payload,
    )


def most_in_a_second(times: Sequence[float]) -> int:
    """The most events in any span of just under one second."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_at_once(packets: Sequence[Packet], device: str) -> int:
    """Connections to a device at the same time: from our SYN until our FIN, or an RST of either."""
    open_now: set[tuple[str, int, int]] = set()
    most = 0
    for packet in packets:
        if packet.protocol != "tcp":
            continue
        if packet.target == device:
            key = (packet.source, packet.source_port, packet.target_port)
            if packet.flags & SYN:
                open_now.add(key)
                most = max(most, len(open_now))
            elif packet.flags & (FIN | RST):
                open_now.discard(key)
        elif packet.source == device and packet.flags & RST:
            open_now.discard((packet.target, packet.target_port, packet.source_port))
    return most


# --- the namespace -------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    missing = [name for name in ("ip", "tcpdump", "nsenter") if shutil.which(name) is None]
    why = "not root" if os.geteuid() != 0 else f"without {', '.join(missing)}" if missing else ""
    if why and os.environ.get("CI"):
        pytest.fail(f"packets cannot be captured here ({why}), and this is where they have to be")
    if why:
        pytest.skip(f"packets cannot be captured here: {why}")


@contextmanager
def namespace() -> Iterator[list[str]]:
    """A network namespace of our own with `lo` up; yields the words that run a command in it."""
    name = f"walkdown-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def captured(inside: Sequence[str], path: Path) -> Iterator[None]:
    """Everything on `lo` while the block runs."""
    command = [
        *inside,
        "tcpdump",
        "-i",
        "lo",
        "-n",
        "-U",
        "-s",
        "128",
        "-Z",
        "root",
        "-w",
        str(path),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as dump:
        try:
            deadline = time.monotonic() + 10
            while not path.exists() or path.stat().st_size < 24:
                assert time.monotonic() < deadline, "tcpdump did not start"
                assert dump.poll() is None, dump.stderr and dump.stderr.read().decode()
                time.sleep(0.02)
            yield
            time.sleep(0.3)  # what the kernel still holds for tcpdump
        finally:
            dump.send_signal(signal.SIGINT)
            words = dump.communicate(timeout=10)[1].decode()
    assert "0 packets dropped by kernel" in words, words


# --- the scan ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A scan as the wire saw it. `ours` are packets that the scanner sent to the site."""

    plan: dict[str, Any]
    packets: list[Packet]
    ours: list[Packet]
    assessment: dict[str, Any]
    certificate: dict[str, Any]
    own: list[Packet]
    """What the scan's own helper kept."""
    ledgers: dict[str, dict[str, Any]]
    addresses: dict[str, str]

    def to(self, address: str) -> list[Packet]:
        return [packet for packet in self.ours if packet.target == address]


RELAYS = ip_network("127.64.0.0/10")
"""Where the scanner's own relays listen: packets from the scanner to itself, none to a device."""
PROBES = ("modbus", "s7", "enip", "snmp", "http", "ssh", "telnet")
"""What the plant speaks; every other protocol would cost each address a second or more."""
OCTET = 30
"""The namespace is empty: no other plant can be in the way."""


def zones(octet: int) -> list[dict[str, Any]]:
    net = f"127.{octet}."
    return [
        {
            "id": "control",
            "networks": [
                net + "0.11/32",
                net + "0.12/32",
                net + "0.14/32",
                *(f"{net}0.{last}/32" for last in (16, 17, 18)),
            ],
            "exclude": [net + "0.17"],
            "sl_t": 1,
            "probes": [*PROBES],
            "assets": [
                {"name": "PLC-11", "address": net + "0.11", "tier": "read"},
                {"name": "PLC-12", "address": net + "0.12", "tier": "read"},
                {"name": "PLC-14", "address": net + "0.14", "tier": "read"},
                {
                    "name": "PLC-18",
                    "address": net + "0.18",
                    "profile": "fragile",
                    "probes": ["modbus"],
                    "tier": "read",
                },
            ],
        },
        {
            "id": "supervision",
            "networks": [net + "1.10/32", net + "1.2/32"],
            "sl_t": 1,
            "probes": [*PROBES],
            "tier": "read",
        },
        {"id": "safety", "networks": [net + "2.11/32"], "sl_t": 1, "probes": ["http"]},
    ]


START = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from lab import control
print(json.dumps(control.up(sys.argv[1], Path(sys.argv[2]), now=datetime.now(UTC))))
"""
STOP = """
import sys
from pathlib import Path
from lab import control
control.down(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def seen(
    walkdown: Callable[..., Any],
    part: Callable[[Path, Sequence[str]], str],
    python: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    folder = tmp_path_factory.mktemp("packets")
    site = folder / "site.yaml"
    site.write_text(json.dumps({"site": "Captured", "zones": zones(OCTET)}), encoding="utf-8")
    plan = json.loads(walkdown("plan", site, "--json").out)
    plant, lab = part(folder / "plant", NAMES), folder / "lab"
    with namespace() as inside:
        up = subprocess.run(
            [*inside, python, "-c", START, plant, str(lab)],
            check=True, capture_output=True,
        )  # fmt: skip
        try:
            with captured(inside, folder / "lo.pcap"):
                said = walkdown("scan", site, "--out", folder / "run", before=inside)
        finally:
            subprocess.run([*inside, python, "-c", STOP, str(lab)], check=True)
    assert said.code == 0, said.err
    record = json.loads(up.stdout)
    everything = list(packets_of((folder / "lo.pcap").read_bytes()))
    # On loopback the scanner speaks from 127.0.0.1, and so do the emulators behind their fronts.
    ours = [
        packet
        for packet in everything
        if packet.source == "127.0.0.1"
        and packet.target != "127.0.0.1"
        and IPv4Address(packet.target) not in RELAYS
    ]
    names = {device["name"]: device["address"] for device in record["devices"]}
    return Seen(
        plan=plan,
        packets=everything,
        ours=ours,
        assessment=json.loads((folder / "run" / "assessment.json").read_bytes()),
        certificate=json.loads((folder / "run" / "certificate.json").read_bytes()),
        own=list(kept_by_the_scan((folder / "run" / "capture.pcap").read_bytes())),
        ledgers={
            name: json.loads((lab / "ledgers" / f"{name}.json").read_bytes()) for name in names
        },
        addresses=names,
    )


def test_the_scan_s_own_capture_is_what_an_independent_one_saw(seen: Seen) -> None:
    planned = {a for device in seen.plan["devices"] for a in device["addresses"]}

    def counted(packets: Sequence[Packet]) -> Counter[tuple[object, ...]]:
        return Counter(
            (p.source, p.target, p.protocol, p.source_port, p.target_port, p.flags, p.payload)
            for p in packets
            if "127.0.0.1" in (p.source, p.target) and planned & {p.source, p.target}
        )

    theirs, ours = counted(seen.packets), counted(seen.own)
    assert sum(theirs.values()) > 200
    assert ours == theirs
    assert len(seen.own) == sum(ours.values()), "something else was kept too"


def test_the_times_of_both_captures_agree(seen: Seen) -> None:
    def syns(packets: Sequence[Packet]) -> list[float]:
        return [p.at for p in packets if p.flags & SYN and p.source == "127.0.0.1"]

    planned = [p for p in seen.packets if p.target in seen.addresses.values()]
    apart = [abs(a - b) for a, b in zip(syns(planned), syns(seen.own), strict=False)]
    assert len(apart) > 5
    assert max(apart) < 0.01, "not the same moments"


def test_the_certificate_s_numbers_are_those_of_the_independent_capture(seen: Seen) -> None:
    rows = {row["promise"]: row for row in seen.certificate["promises"]}
    counted = sum(packet.counts for packet in seen.ours)
    controllers = {
        (address, question["port"])
        for device in seen.plan["devices"]
        for question in device["questions"]
        for address in device["addresses"]
        if question["service"] in ("modbus", "s7", "enip")
    }
    opened = sum(
        p.flags & (SYN | ACK) == SYN | ACK
        for p in seen.packets
        if (p.source, p.source_port) in controllers
    )
    assert {n: row["verdict"] for n, row in rows.items() if n in (2, 3, 4, 5, 6, 10)} == {
        n: "pass" for n in (2, 3, 4, 5, 6, 10)
    }
    assert f"{counted} sent of" in rows[6]["measured"]
    assert f", {counted} packets" in rows[5]["measured"]
    assert opened > 3
    assert f"of {opened} connections to controllers" in rows[8]["measured"]


def test_every_device_was_reached(seen: Seen) -> None:
    for name, address in seen.addresses.items():
        assert seen.to(address), name
        assert seen.ledgers[name]["requests"], name


def test_no_device_gets_more_packets_than_the_plan_said(seen: Seen) -> None:
    for device in seen.plan["devices"]:
        sent = [p for address in device["addresses"] for p in seen.to(address) if p.counts]
        assert len(sent) <= device["packets"], device["addresses"]
    counted = sum(packet.counts for packet in seen.ours)
    assert 0 < counted <= seen.plan["packets"]


def test_our_own_count_is_not_below_the_wires(seen: Seen) -> None:
    figures = {one["address"]: one for one in seen.assessment["safety"]["devices"]}
    for address, one in figures.items():
        on_the_wire = sum(packet.counts for packet in seen.to(address))
        assert on_the_wire <= one["packets_counted"], address


def test_no_device_sees_a_reset_from_us(seen: Seen) -> None:
    assert [packet for packet in seen.ours if packet.flags & RST] == []


def test_one_connection_at_a_time_per_device(seen: Seen) -> None:
    peaks = {name: most_at_once(seen.packets, at) for name, at in seen.addresses.items()}

    assert set(peaks.values()) == {1}, peaks


def test_the_cap_holds_in_every_second_not_on_average(seen: Seen) -> None:
    caps = {"fragile": (4, 5.0), "default": (8, 1.0)}
    profiles = {
        address: device["profile"]
        for device in seen.plan["devices"]
        for address in device["addresses"]
    }
    assert set(profiles.values()) == {"fragile", "default"}
    busiest: Counter[str] = Counter()
    for address, profile in profiles.items():
        cap, interval = caps[profile]
        times = [packet.at for packet in seen.to(address) if packet.counts]
        most = most_in_a_second(times)
        busiest[profile] = max(busiest[profile], most)
        assert most <= cap, f"{address} ({profile}) got {most} packets in a second"
        syns = sorted(p.at for p in seen.to(address) if p.flags & SYN)
        gaps = [later - earlier for earlier, later in pairwise(syns)]
        assert all(gap >= interval - 0.01 for gap in gaps), f"{address} ({profile}): {min(gaps)}"
    assert busiest["default"] > 4, "too quiet a scan to prove anything"


def test_a_zone_never_gets_more_than_its_cap(seen: Seen) -> None:
    zone_of = {a: d["zone"] for d in seen.plan["devices"] for a in d["addresses"]}
    times: dict[str, list[float]] = defaultdict(list)
    for packet in seen.ours:
        if packet.counts:
            times[zone_of[packet.target]].append(packet.at)
    assert {zone: most_in_a_second(at) <= 50 for zone, at in times.items()} == {
        zone: True for zone in times
    }


def test_pure_acknowledgements_are_no_more_than_what_was_received(seen: Seen) -> None:
    for name, address in seen.addresses.items():
        acks = sum(not packet.counts for packet in seen.to(address))
        received = sum(p.source == address and p.protocol == "tcp" for p in seen.packets)
        assert acks <= received, name


def test_nothing_leaves_the_site_and_no_name_is_looked_up(seen: Seen) -> None:
    allowed = {a for device in seen.plan["devices"] for a in device["addresses"]}
    networks = [ip_network(n) for zone in zones(OCTET) for n in zone["networks"]]
    strange = [p for p in seen.packets if p.protocol not in ("tcp", "udp", "icmp")]
    assert strange == []
    assert {p.target for p in seen.ours} <= allowed
    for packet in seen.packets:
        ends = {packet.source, packet.target}
        if "127.0.0.1" in ends and len(ends) == 2:
            other = (ends - {"127.0.0.1"}).pop()
            assert any(IPv4Address(other) in net for net in (RELAYS, *networks)), other
        assert packet.target_port != 53
        assert packet.source_port != 53
    assert f"127.{OCTET}.0.17" not in {packet.target for packet in seen.packets}


def test_the_fragile_device_survives_and_nobody_is_written_to(seen: Seen) -> None:
    for name, ledger in seen.ledgers.items():
        assert ledger["alive"], f"{name}: {ledger['cause_of_death']}"
        assert not ledger["writes"], name
        assert not ledger["foreign"], name
        assert ledger["resets"] == 0, name


def test_the_measures_of_this_test_notice_what_they_look_for() -> None:
    def packet(at: float, flags: int, port: int) -> Packet:
        return Packet(
            at=at, source="127.0.0.1", target="127.30.0.1", protocol="tcp",
            source_port=port, target_port=502, flags=flags, payload=0,
        )  # fmt: skip

    two = [packet(0, SYN, 1), packet(0.1, SYN, 2), packet(0.2, FIN | ACK, 1)]
    one = [packet(0, SYN, 1), packet(0.1, FIN | ACK, 1), packet(0.2, SYN, 2)]

    assert (most_at_once(two, "127.30.0.1"), most_at_once(one, "127.30.0.1")) == (2, 1)
    assert most_in_a_second([0.0, 0.5, 0.999, 1.0]) == 3
    assert not packet(0, ACK, 1).counts
