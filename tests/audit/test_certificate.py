"""
The certificate, by injection: a clean scan passes every row, and each thing that must not happen
makes exactly the rows fail that stand for it. A row without data is never a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.audit.certificate import Audited, Limits, audit, most_in_a_second, windows_over
from scanner.audit.packets import ACK, FIN, RST, SYN, Packet
from scanner.model import (
    Certificate,
    Exchange,
    Outcome,
    Safety,
    SafetyFigures,
    Target,
    Tier,
    Transport,
)

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
T0 = START.timestamp()
OURS = "192.0.2.1"
PLC, S7, PANEL, SWITCH = "192.0.2.11", "192.0.2.12", "192.0.2.21", "192.0.2.22"
PSH = 8
ROWS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 16, 17}

READ_ID = bytes.fromhex("000100000005012b0e0100")
WRITE = bytes.fromhex("000200000006010600010005")
CONNECT = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
CONNECT_PG = CONNECT.replace(bytes.fromhex("c2020302"), bytes.fromhex("c2020102"))
SET_UP = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
GET = b"GET / HTTP/1.1\r\nHost: 192.0.2.21\r\nConnection: close\r\n\r\n"
SNMP_GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)

READ_NO_FILE = b"\x00\x01walkdown-no-such-file\x00octet\x00"
UNREACHABLE = 3


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class Story:
    """A scan told second by second: what was recorded, and what passed on the wire."""

    exchanges: list[Exchange] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))
    ports: count[int] = field(default_factory=lambda: count(40000))

    def record(
        self,
        when: float,
        address: str,
        port: int,
        probe: str,
        request: bytes,
        *,
        udp: bool = False,
        tier: Tier = Tier.IDENTIFY,
        zone: str = "",
        wire: int | None = None,
    ) -> None:
        target = Target(
            zone=zone or ("control" if address in (PLC, S7) else "supervision"),
            address=address,
            port=port,
            transport=Transport.UDP if udp else Transport.TCP,
        )
        self.exchanges.append(
            Exchange(
                id=f"x{next(self.numbers)}", target=target, probe=probe, tier=tier, label="a",
                sent_at=at(when), finished_at=at(when + 0.01), outcome=Outcome.ANSWERED, reason="",
                request=request, reply=b"r", wire_bytes_in=1, sha256="0" * 64,
                wire_bytes_out=len(request) if wire is None else wire,
            )
        )  # fmt: skip

    def ours(
        self, when: float, address: str, port: int, source: int, flags: int, **more: object
    ) -> None:
        values: dict[str, object] = {
            "payload": 0, "sequence": 0, "acknowledged": 0, "protocol": "tcp", "odd": "",
        }  # fmt: skip
        self.packets.append(
            Packet(
                at=T0 + when, source=OURS, target=address, source_port=source, target_port=port,
                flags=flags, **{**values, **more},
            )
        )  # fmt: skip

    def theirs(
        self,
        when: float,
        address: str,
        port: int,
        source: int,
        flags: int,
        payload: int = 0,
        protocol: str = "tcp",
    ) -> None:
        self.packets.append(
            Packet(
                at=T0 + when, source=address, target=OURS, source_port=port, target_port=source,
                protocol=protocol, flags=flags, sequence=900, acknowledged=3000, payload=payload,
                odd="",
            )
        )  # fmt: skip

    def connection(
        self,
        when: float,
        address: str,
        port: int,
        requests: Sequence[int],
        *,
        step: float = 0.15,
        close: bool = True,
        answered: bool = True,
    ) -> float:
        """SYN, requests of these lengths with replies, FIN of both. When it was over."""
        source = next(self.ports)
        self.ours(when, address, port, source, SYN, sequence=1000)
        self.theirs(when + 0.001, address, port, source, SYN | ACK)
        self.ours(when + 0.002, address, port, source, ACK, sequence=1001)
        sequence = 1001
        for length in requests:
            when += step
            self.ours(when, address, port, source, PSH | ACK, sequence=sequence, payload=length)
            sequence += length
            if answered:
                self.theirs(when + 0.01, address, port, source, PSH | ACK, payload=20)
        when += step
        if close:
            self.ours(when, address, port, source, FIN | ACK, sequence=sequence)
            self.theirs(when + 0.003, address, port, source, FIN | ACK)
        return when + 0.003

    def ask(self, when: float, address: str, port: int, probe: str, *requests: bytes) -> float:
        for number, request in enumerate(requests):
            self.record(when + 0.1 * number, address, port, probe, request)
        return self.connection(when, address, port, [len(request) for request in requests])


def clean() -> Story:
    """A PLC over Modbus, one over S7, a panel over the web, a switch over SNMP."""
    told = Story()
    told.ask(0.0, PLC, 502, "modbus", READ_ID)
    told.ask(2.0, S7, 102, "s7", CONNECT, SET_UP)
    told.ask(4.0, PANEL, 80, "http", GET)
    told.record(6.0, SWITCH, 161, "snmp", SNMP_GET, udp=True)
    told.ours(6.0, SWITCH, 161, 50000, 0, protocol="udp", payload=len(SNMP_GET))
    # A port that nobody listens at: asked, refused, nothing said.
    told.record(8.0, PLC, 44818, "enip", b"\x63" + bytes(23), wire=0)
    told.ours(8.0, PLC, 44818, 39000, SYN)
    told.theirs(8.001, PLC, 44818, 39000, RST | ACK)
    return told


def limits(address: str, **changes: object) -> Limits:
    values: dict[str, object] = {
        "zone": "control" if address in (PLC, S7) else "supervision",
        "addresses": (address,),
        "profile": "default",
        "packets_per_s": 8,
        "zone_packets_per_s": 50,
        "connection_interval_s": 1.0,
        "budget": 60,
    }
    return Limits(**{**values, **changes})


def figures(address: str, **changes: object) -> SafetyFigures:
    values: dict[str, object] = {
        "zone": "control" if address in (PLC, S7) else "supervision",
        "address": address, "profile": "default", "connections": 1, "peak_concurrent": 1,
        "exchanges": 1, "bytes_out": 1, "bytes_in": 1, "packets_counted": 5, "packets_budget": 60,
        "smallest_gap_s": None, "peak_packets_1s": 5, "resets_sent": 0, "refusals": {},
        "canary": (),
    }  # fmt: skip
    return SafetyFigures(**{**values, **changes})


def safety(**changes: object) -> Safety:
    devices = tuple(figures(address, **changes) for address in (PLC, S7, PANEL, SWITCH))
    return Safety(total=devices[0], devices=devices, loosenings=(), halted=None, withheld={})


def audited(told: Story, **changes: object) -> Audited:
    values: dict[str, object] = {
        "run": "r1",
        "site": "Test",
        "version": "0.1.0",
        "state": "finished",
        "events": 40,
        "chain_head": "ab" * 32,
        "exchanges": tuple(told.exchanges),
        "limits": tuple(limits(address) for address in (PLC, S7, PANEL, SWITCH)),
        "safety": safety(),
        "sittings": (START,),
        "stops": ((at(60), "stopped by Ctrl-C"),),
        "left_alone": {("control", S7): at(3.5)},
        "ends": ((at(3600), "control"),),
        "ours": frozenset({OURS}),
        "packets": tuple(told.packets),
        "capture": "headers of our packets",
        "capture_sha256": "cd" * 32,
        "privileges": "root, capabilities 0x0, no_new_privs set",
    }
    return Audited(**{**values, **changes})


def verdicts(made: Certificate) -> dict[int, str]:
    return {row.promise: row.verdict for row in made.promises}


def failed(told: Story, **changes: object) -> set[int]:
    found = verdicts(audit(audited(told, **changes)))
    assert set(found) == ROWS
    return {number for number, verdict in found.items() if verdict == "fail"}


def words(made: Certificate, number: int) -> str:
    return next(row.measured for row in made.promises if row.promise == number)


# --- a clean scan --------------------------------------------------------------------------------


def test_a_clean_scan_passes_every_row() -> None:
    made = audit(audited(clean()))

    assert set(verdicts(made).values()) == {"pass"}
    assert (made.run, made.state, made.events, made.chain_head) == ("r1", "finished", 40, "ab" * 32)
    assert made.capture_sha256 == "cd" * 32
    assert "0 writes, 0 unknown of 6 requests" in words(made, 1)
    assert "default 4" in words(made, 3)
    assert "12 packets" in words(made, 5)
    assert "of 2 connections" in words(made, 8)


def test_the_same_scan_gives_the_same_certificate() -> None:
    assert audit(audited(clean())) == audit(audited(clean()))


def test_packets_may_be_out_of_order_in_the_file() -> None:
    told = clean()
    told.packets.reverse()

    assert failed(told) == set()


# --- what must not happen ------------------------------------------------------------------------

Injection = Callable[[Story], None]


def a_write(told: Story) -> None:
    told.ask(20.0, PLC, 502, "modbus", WRITE)


def a_write_behind_a_read(told: Story) -> None:
    told.ask(20.0, PLC, 502, "modbus", READ_ID + WRITE)


def unknown_bytes(told: Story) -> None:
    told.ask(20.0, PLC, 502, "modbus", b"GET / HTTP/1.0\r\n\r\n")


def a_sign_in_where_none_is_granted(told: Story) -> None:
    told.record(20.0, PANEL, 23, "telnet", b"admin\r\n")
    told.connection(20.0, PANEL, 23, [7])


def two_connections_at_once(told: Story) -> None:
    told.record(20.0, PANEL, 80, "http", GET)
    told.record(21.5, PANEL, 80, "http", GET)
    told.connection(20.0, PANEL, 80, [len(GET)], step=2.0)
    told.connection(21.5, PANEL, 80, [len(GET)])


def a_burst_to_one_device(told: Story) -> None:
    length = 7
    for number in range(9):
        told.record(20.0 + number * 0.1, SWITCH, 161, "snmp", SNMP_GET, udp=True, wire=length)
        told.ours(20.0 + number * 0.1, SWITCH, 161, 50001, 0, protocol="udp", payload=length)


def a_connection_too_soon(told: Story) -> None:
    told.ask(20.0, PANEL, 80, "http", GET)
    told.ask(20.6, PANEL, 80, "http", GET)


def a_port_that_no_request_names(told: Story) -> None:
    told.ours(20.0, PLC, 8080, 41000, SYN)


def more_bytes_than_recorded(told: Story) -> None:
    told.record(20.0, PLC, 502, "modbus", READ_ID)
    told.connection(20.0, PLC, 502, [len(READ_ID), 1])


def a_longer_datagram_than_recorded(told: Story) -> None:
    told.ours(20.0, SWITCH, 161, 50002, 0, protocol="udp", payload=3)


def a_printer_asked(told: Story) -> None:
    told.record(20.0, PANEL, 9100, "http", GET)
    told.connection(20.0, PANEL, 9100, [len(GET)])


def connect_and_drop(told: Story) -> None:
    told.connection(20.0, PLC, 502, [])


def connect_hear_and_drop_at_a_controller(told: Story) -> None:
    told.connection(20.0, PLC, 502, [])
    told.theirs(20.1, PLC, 502, 40003, PSH | ACK, payload=20)


def odd_flags(told: Story) -> None:
    told.ours(20.0, PLC, 502, 41000, SYN | FIN, odd="TCP flags 0x03")


def a_fragment(told: Story) -> None:
    told.ours(20.0, SWITCH, 161, 50000, 0, protocol="udp", odd="a fragment")


def a_reset(told: Story) -> None:
    told.record(20.0, PLC, 502, "modbus", READ_ID)
    told.connection(20.0, PLC, 502, [len(READ_ID)], close=False)
    told.ours(21.0, PLC, 502, 40003, RST)


def a_programmers_seat(told: Story) -> None:
    # Not at S7, which was left alone.
    told.record(20.0, PLC, 102, "s7", CONNECT_PG)
    told.connection(20.0, PLC, 102, [len(CONNECT_PG)])


def a_fourth_unit(told: Story) -> None:
    frames = [READ_ID[:6] + bytes([unit]) + READ_ID[7:] for unit in (2, 3, 4)]
    told.ask(20.0, PLC, 502, "modbus", *frames)


def iec_104_asked(told: Story) -> None:
    told.ours(20.0, PLC, 2404, 41000, SYN)


def dnp3_on_record(told: Story) -> None:
    told.record(20.0, PLC, 20000, "modbus", READ_ID)
    told.connection(20.0, PLC, 20000, [len(READ_ID)])


def a_connection_to_one_left_alone(told: Story) -> None:
    told.record(8.0, S7, 102, "s7", CONNECT)
    told.connection(8.0, S7, 102, [len(CONNECT)])


def nine_packets_to_one_left_alone(told: Story) -> None:
    for number in range(9):
        told.record(3.6 + number * 0.15, S7, 161, "snmp", SNMP_GET, udp=True)
        told.ours(3.6 + number * 0.15, S7, 161, 50003, 0, protocol="udp", payload=5)


def a_late_packet_to_one_left_alone(told: Story) -> None:
    told.ours(3.5 + 5.1, S7, 102, 40001, FIN | ACK)


def a_packet_after_a_stop(told: Story) -> None:
    told.ours(62.1, PLC, 502, 40000, FIN | ACK)


def six_packets_after_a_stop(told: Story) -> None:
    for number in range(6):
        told.ours(60.1 + number * 0.2, PLC, 502, 40000, FIN | ACK)


def a_request_after_a_stop(told: Story) -> None:
    told.ask(70.0, PLC, 502, "modbus", READ_ID)


def a_packet_after_the_window(told: Story) -> None:
    told.ours(3602.5, PLC, 502, 40000, FIN | ACK)


def outside_the_plan(told: Story) -> None:
    told.record(20.0, "192.0.2.99", 502, "modbus", READ_ID, zone="control")


def in_another_zone_than_planned(told: Story) -> None:
    told.record(20.0, PLC, 502, "modbus", READ_ID, zone="safety")
    told.connection(20.0, PLC, 502, [len(READ_ID)])


INJECTED: list[tuple[Injection, set[int]]] = [
    (a_write, {1}),
    (a_write_behind_a_read, {1}),
    (unknown_bytes, {1, 7, 9}),
    (a_sign_in_where_none_is_granted, {1}),
    (two_connections_at_once, {2}),
    (a_burst_to_one_device, {3, 5}),
    (a_connection_too_soon, {3}),
    (a_port_that_no_request_names, {7}),
    (more_bytes_than_recorded, {7}),
    (a_longer_datagram_than_recorded, {7}),
    (a_printer_asked, {7}),
    (connect_and_drop, {8}),
    (connect_hear_and_drop_at_a_controller, {8}),
    (odd_flags, {9}),
    (a_fragment, {9}),
    (a_reset, {10}),
    (a_programmers_seat, {11}),
    (a_fourth_unit, {11}),
    (iec_104_asked, {7, 11}),
    (dnp3_on_record, {11}),
    (a_connection_to_one_left_alone, {15}),
    (nine_packets_to_one_left_alone, {15}),
    (a_late_packet_to_one_left_alone, {15}),
    (a_packet_after_a_stop, {16}),
    (six_packets_after_a_stop, {16}),
    (a_request_after_a_stop, {16}),
    (a_packet_after_the_window, {16}),
    (outside_the_plan, {17}),
    (in_another_zone_than_planned, {17}),
]


@pytest.mark.parametrize(("inject", "rows"), INJECTED, ids=[one.__name__ for one, _ in INJECTED])
def test_what_must_not_happen_fails_exactly_its_rows(inject: Injection, rows: set[int]) -> None:
    told = clean()
    inject(told)

    assert failed(told) == rows


TEST_FRAME = bytes.fromhex("680443000000")


def a_station_asked(told: Story) -> None:
    told.record(20.0, PLC, 2404, "iec104", TEST_FRAME)
    told.connection(20.0, PLC, 2404, [len(TEST_FRAME)])


@pytest.mark.parametrize(
    ("opened", "rows"),
    [
        ({PLC: {2404}}, set()),
        ({}, {11}),
        ({PLC: {20000}}, {11}),
        ({SWITCH: {2404}}, {11}),
    ],
)
def test_a_station_is_asked_where_the_site_file_opened_it_and_nowhere_else(
    opened: dict[str, set[int]], rows: set[int]
) -> None:
    told = clean()
    a_station_asked(told)
    few = [
        limits(one, seats=frozenset(opened.get(one, ()))) for one in (PLC, S7, PANEL, SWITCH)
    ]  # fmt: skip

    made = audit(audited(told, limits=few))

    assert {row.promise for row in made.with_verdict("fail")} == rows
    assert ("1 station more asked" in words(made, 11)) is not bool(rows)
    assert ("IEC 60870-5-104 of" in words(made, 11)) is bool(rows)


def test_an_opened_station_may_still_not_be_started() -> None:
    told = clean()
    start = bytes.fromhex("680407000000")
    told.record(20.0, PLC, 2404, "iec104", TEST_FRAME + start)
    told.connection(20.0, PLC, 2404, [12])

    assert failed(told, limits=[
        limits(one, seats=frozenset({2404})) for one in (PLC, S7, PANEL, SWITCH)
    ]) == {1}  # fmt: skip


def test_every_row_can_fail() -> None:
    assert set().union(*(rows for _, rows in INJECTED)) | {4, 6} == ROWS


def test_a_burst_to_a_zone_is_seen_though_no_device_gets_too_much() -> None:
    told = clean()
    addresses = [f"192.0.2.{last}" for last in range(100, 111)]
    for number, address in enumerate(addresses):
        for packet in range(5):
            when = 20.0 + packet * 0.19 + number * 0.001
            told.record(when, address, 161, "snmp", SNMP_GET, udp=True)
            told.ours(when, address, 161, 50000, 0, protocol="udp", payload=len(SNMP_GET))
    more = tuple(limits(address) for address in addresses)

    assert failed(told, limits=(*audited(told).limits, *more)) == {4, 5}


@pytest.mark.parametrize(("budget", "rows"), [(4, []), (3, [6])])
def test_a_device_over_its_budget_is_named(budget: int, rows: list[int]) -> None:
    few = [limits(one, budget=budget if one == PLC else 60) for one in (PLC, S7, PANEL, SWITCH)]

    made = audit(audited(clean(), limits=few))

    assert [row.promise for row in made.with_verdict("fail")] == rows
    assert (f"{PLC}: 4 of 3" in words(made, 6)) is bool(rows)


def test_two_addresses_of_one_chassis_are_one_device() -> None:
    chassis = (limits(PLC, addresses=(PLC, S7), budget=120), limits(PANEL), limits(SWITCH))
    told = clean()
    told.ask(20.0, PLC, 502, "modbus", READ_ID)
    told.connection(20.2, S7, 102, [22])
    told.record(20.2, S7, 102, "s7", CONNECT)

    assert {2, 3} <= failed(told, limits=chassis, left_alone={})
    assert not {2, 3} & failed(told, left_alone={})


# --- what is no fault ----------------------------------------------------------------------------


def test_a_retransmission_counts_as_a_packet_and_not_as_bytes_more() -> None:
    told = clean()
    again = next(p for p in told.packets if p.target == PLC and p.payload)
    told.packets.append(replace(again, at=again.at + 0.05))
    made = audit(audited(told))

    assert made.with_verdict("fail") == ()
    assert "13 packets" in words(made, 5)


def test_a_resent_handshake_is_one_connection() -> None:
    told = clean()
    told.ours(1.2, PLC, 44818, 39000, SYN)
    told.packets = [p for p in told.packets if not (p.source == PLC and p.source_port == 44818)]
    told.packets = [p for p in told.packets if p.source_port != 39000 or p.at > T0 + 1]

    assert failed(told) == set()


def test_a_reset_towards_a_device_that_was_left_alone_is_allowed() -> None:
    told = clean()
    told.ours(3.6, S7, 102, 40001, RST)

    assert failed(told) == set()


def test_a_reset_before_the_device_was_left_alone_is_not() -> None:
    told = clean()
    told.ours(2.06, S7, 102, 40001, RST)

    assert 10 in failed(told)


def test_a_reset_long_after_our_goodbye_wants_a_device_that_talked_on() -> None:
    told = clean()
    told.record(20.0, PANEL, 80, "http", GET)
    told.connection(20.0, PANEL, 80, [len(GET)])
    told.ours(22.0, PANEL, 80, 40003, RST)

    assert failed(told) == {10}


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_a_capture_that_lacks_what_was_answered_proves_nothing(kept: int) -> None:
    told = clean()
    told.packets = told.packets[:kept]
    made = audit(audited(told))

    assert "not used, since it lacks" in made.capture
    assert not [row for row in made.with_verdict("pass") if "packets" in row.basis]
    assert {4, 5, 8} <= {row.promise for row in made.with_verdict("not measured")}


def test_the_earliest_end_is_named_where_nothing_came_after() -> None:
    told = clean()
    made = audit(audited(told, stops=[(at(200.0), "Ctrl-C")], ends=[(at(100.0), "control")]))

    assert "before the end of the window of zone control" in words(made, 16)


def test_a_reset_of_one_that_talks_on_after_our_goodbye_is_allowed_and_said() -> None:
    told = clean()
    told.record(20.0, PANEL, 80, "http", GET)
    told.connection(20.0, PANEL, 80, [len(GET)])
    told.packets = [p for p in told.packets if p.at < T0 + 20.3 or p.target != OURS]
    told.theirs(20.9, PANEL, 80, 40003, PSH | ACK, payload=1000)
    told.ours(21.0, PANEL, 80, 40003, RST)
    made = audit(audited(told))

    assert made.with_verdict("fail") == ()
    assert "0 resets from us; not counted: 1 to devices that talked on" in words(made, 10)


@pytest.mark.parametrize(("silent_s", "rows"), [(1.6, set()), (1.0, {10})])
def test_a_reset_of_one_that_had_fallen_silent_is_allowed(silent_s: float, rows: set[int]) -> None:
    told = clean()
    told.record(20.0, PANEL, 80, "http", GET)
    told.connection(20.0, PANEL, 80, [len(GET)], answered=False, close=False)
    told.theirs(20.15 + silent_s, PANEL, 80, 40003, PSH | ACK, payload=9)
    told.ours(20.16 + silent_s, PANEL, 80, 40003, RST)

    assert failed(told) == rows


def test_answers_to_a_dead_device_that_speaks_again_are_no_packets_after_distress() -> None:
    told = clean()
    for number in range(12):
        told.theirs(10.0 + number * 4, S7, 102, 40001, FIN | ACK)
        told.ours(10.001 + number * 4, S7, 102, 40001, RST)

    assert failed(told) == set()
    told.ours(18.5, S7, 102, 40001, RST)  # this one answers nothing
    assert failed(told) == {15}


def test_the_kernels_word_to_a_late_datagram_is_no_packet_after_distress() -> None:
    told = clean()
    told.theirs(18.0, S7, 161, 41000, 0, protocol="udp", payload=90)
    told.ours(18.001, S7, 0, 0, 3, protocol="icmp", payload=36)

    assert failed(told) == set()
    told.ours(19.0, S7, 0, 0, 3, protocol="icmp", payload=36)  # this one answers nothing
    assert failed(told) == {15}


def test_a_connection_that_the_device_ended_before_we_could_ask_is_no_drop() -> None:
    for flags in (FIN | ACK, RST):
        told = clean()
        told.ours(20.0, PLC, 502, 41000, SYN, sequence=1000)
        told.theirs(20.001, PLC, 502, 41000, SYN | ACK)
        told.theirs(20.002, PLC, 502, 41000, flags)
        if flags != RST:
            told.ours(20.1, PLC, 502, 41000, FIN | ACK, sequence=1001)
        assert failed(told) == set(), flags


def test_a_reset_on_no_connection_of_the_capture_is_seen() -> None:
    told = clean()
    told.ours(20.0, PLC, 502, 45000, RST)

    assert failed(told) == {10}


@pytest.mark.parametrize(("kind", "rows"), [(3, set()), (8, {7})])
def test_the_kernel_may_say_unreachable_and_nobody_may_ping(kind: int, rows: set[int]) -> None:
    told = clean()
    told.ours(20.0, SWITCH, 0, 0, kind, protocol="icmp", payload=36)

    assert failed(told) == rows


def test_closing_packets_after_distress_and_after_a_stop_are_allowed() -> None:
    told = clean()
    for number in range(5):
        told.ours(60.1 + number * 0.3, PLC, 502, 40000, FIN | ACK)
        told.ours(3.6 + number * 0.3, S7, 102, 40001, FIN | ACK)
    made = audit(audited(told))

    assert made.with_verdict("fail") == ()
    assert "the last packet 1.30 s after stopped by Ctrl-C" in words(made, 16)


def test_a_server_that_speaks_first_may_be_left_without_a_request() -> None:
    told = clean()
    told.record(20.0, PANEL, 22, "ssh", b"")
    told.connection(20.0, PANEL, 22, [])
    told.theirs(20.05, PANEL, 22, 40003, PSH | ACK, payload=20)

    assert failed(told) == set()


def test_a_sitting_that_goes_on_later_is_not_after_the_stop_of_the_one_before() -> None:
    told = clean()
    a_request_after_a_stop(told)
    told.connection(75.0, S7, 102, [22])
    told.record(75.0, S7, 102, "s7", CONNECT)

    assert failed(told) == {15, 16}
    assert failed(told, sittings=(START, at(70.0))) == set()
    told.ours(63.0, PLC, 502, 40000, FIN | ACK)
    assert failed(told, sittings=(START, at(70.0))) == {16}


def test_a_goodbye_of_tls_is_no_foreign_byte_and_a_request_more_is() -> None:
    hello = b"\x16\x03\x01\x00\x02\x01\x00"
    told = clean()
    for more in (24, 500):
        told = clean()
        told.record(20.0, PANEL, 443, "http", hello)
        told.record(20.1, PANEL, 443, "http", GET, wire=200)
        told.connection(20.0, PANEL, 443, [len(hello), 200 + more])
        assert failed(told) == (set() if more < 64 else {7}), more


def test_a_request_cut_off_in_mid_flight_leaves_its_bytes_open() -> None:
    told = clean()
    told.exchanges[0] = replace(told.exchanges[0], finished_at=None, wire_bytes_out=0)

    assert failed(told) == set()


def test_our_own_address_may_lie_in_a_zone() -> None:
    told = clean()
    zones = (*audited(told).limits, limits(OURS))

    assert failed(told, limits=zones) == set()
    a_reset(told)
    assert failed(told, limits=zones) == {10}


def test_packets_of_others_between_devices_are_none_of_ours() -> None:
    told = clean()
    told.packets.append(
        replace(told.packets[0], source="192.0.2.77", target_port=9999, flags=SYN | FIN, odd="x")
    )

    assert failed(told) == set()


def test_no_cap_is_no_fault() -> None:
    told = clean()
    a_burst_to_one_device(told)
    free = [
        limits(one, packets_per_s=None, zone_packets_per_s=None) for one in (PLC, S7, PANEL, SWITCH)
    ]

    assert failed(told, limits=free) == set()


def test_where_nothing_was_sent_only_that_is_said() -> None:
    made = audit(audited(Story(), packets=(), stops=(), ends=(), left_alone={}))

    assert made.with_verdict("pass") == ()
    assert made.with_verdict("fail") == ()


def test_a_window_that_ends_after_the_scan_proves_nothing() -> None:
    made = audit(audited(clean(), stops=[], ends=[(at(3600.0), "control")]))

    assert verdicts(made)[16] == "not measured"


@pytest.mark.parametrize(("times", "rows"), [(2, set()), (3, {7})])
def test_a_datagram_that_was_cut_off_may_have_left_twice(times: int, rows: set[int]) -> None:
    told = clean()
    told.record(20.0, SWITCH, 161, "snmp", SNMP_GET, udp=True, wire=0)
    told.exchanges[-1] = replace(told.exchanges[-1], finished_at=None, reply=b"")
    for number in range(times):
        told.ours(20.0 + number, SWITCH, 161, 50000, 0, protocol="udp", payload=len(SNMP_GET))

    assert failed(told) == rows


def test_an_answer_from_a_port_that_the_device_chose_is_fine_and_a_packet_to_it_is_not() -> None:
    """Of datagrams the audit looks at where ours went, and at nothing that came."""
    told = clean()
    told.record(20.0, SWITCH, 69, "tftp", READ_NO_FILE, udp=True)
    told.ours(20.0, SWITCH, 69, 50009, 0, protocol="udp", payload=len(READ_NO_FILE))
    told.theirs(20.01, SWITCH, 32801, 50009, 0, payload=19)
    told.packets[-1] = replace(told.packets[-1], protocol="udp", sequence=0, acknowledged=0)
    told.ours(21.0, SWITCH, 0, 0, UNREACHABLE, protocol="icmp", payload=56)  # the kernel's own
    assert failed(told) == set()

    told.ours(20.02, SWITCH, 32801, 50009, 0, protocol="udp", payload=4)
    assert failed(told) == {7}


def test_a_request_that_was_cut_off_excuses_its_own_bytes_and_no_more() -> None:
    told = clean()
    told.ask(20.0, PLC, 502, "modbus", READ_ID)
    told.exchanges[-1] = replace(told.exchanges[-1], finished_at=None, wire_bytes_out=0, reply=b"")
    assert failed(told) == set()

    told.connection(30.0, PLC, 502, [1400])
    assert 7 in failed(told)


# --- without data --------------------------------------------------------------------------------


def test_without_a_capture_packets_are_not_measured_and_the_rest_says_on_what_it_rests() -> None:
    made = audit(audited(clean(), packets=None, capture="no capture: turned off"))
    found = verdicts(made)

    want_packets = {2, 3, 4, 5, 6, 8, 10}
    assert {n for n, verdict in found.items() if verdict == "not measured"} == want_packets
    assert {found[number] for number in ROWS - want_packets} == {"pass"}
    assert all("no packet confirms" in words(made, number) for number in (2, 3, 6, 10))
    bases = {row.promise: row.basis for row in made.promises}
    assert {bases[number] for number in (2, 3, 6, 10)} == {"counters of the scan"}
    assert not any("packets" in bases[number] for number in ROWS - {4, 5, 8})
    assert made.capture == "no capture: turned off"


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"peak_concurrent": 2}, {2}),
        ({"peak_packets_1s": 9}, {3}),
        ({"packets_counted": 61}, {6}),
        ({"resets_sent": 1}, {10}),
    ],
)
def test_without_a_capture_the_scans_own_counters_are_judged(
    change: dict[str, int], rows: set[int]
) -> None:
    assert failed(clean(), packets=None, safety=safety(**change)) == rows


@pytest.mark.parametrize(
    ("inject", "rows"),
    [
        (a_write, {1}),
        (unknown_bytes, {1, 7, 9}),
        (a_printer_asked, {7}),
        (a_programmers_seat, {11}),
        (a_fourth_unit, {11}),
        (dnp3_on_record, {11}),
        (a_connection_to_one_left_alone, {15}),
        (a_request_after_a_stop, {16}),
        (outside_the_plan, {17}),
    ],
)
def test_without_a_capture_the_record_still_fails(inject: Injection, rows: set[int]) -> None:
    told = clean()
    inject(told)

    assert failed(told, packets=None) == rows


def test_without_a_capture_and_without_counters_nothing_of_them_is_measured() -> None:
    found = verdicts(audit(audited(clean(), packets=None, safety=None)))

    assert {n for n, verdict in found.items() if verdict == "not measured"} == {
        2,
        3,
        4,
        5,
        6,
        8,
        10,
    }


def test_without_limits_on_record_nothing_that_rests_on_them_passes() -> None:
    found = verdicts(audit(audited(clean(), limits=())))

    assert {n for n, verdict in found.items() if verdict == "not measured"} == {
        2, 3, 4, 5, 6, 8, 10, 17
    }  # fmt: skip


def test_an_empty_run_passes_nothing() -> None:
    empty = audited(Story(), safety=None, stops=(), ends=(), left_alone={}, limits=(), packets=None)

    assert set(verdicts(audit(empty)).values()) == {"not measured"}


def test_no_distress_and_no_end_are_not_measured() -> None:
    found = verdicts(audit(audited(clean(), left_alone={}, stops=(), ends=())))

    assert {n for n, verdict in found.items() if verdict == "not measured"} == {15, 16}


def test_a_row_that_is_not_measured_says_why() -> None:
    for made in (
        audit(audited(clean(), packets=None, safety=None, left_alone={}, stops=(), ends=())),
        audit(audited(Story(), limits=(), packets=None)),
    ):
        assert all(row.measured and row.target and row.title for row in made.promises)


# --- counting ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([1.0], 1), ([0.0, 0.5, 0.999, 1.0], 3), ([1.0, 2.0], 1), ([3, 1, 2.5, 1.9], 2)],
)
def test_a_second_is_any_span_of_less_than_one(times: list[float], most: int) -> None:
    assert most_in_a_second(times) == most


@given(
    times=st.lists(st.floats(0, 20, allow_nan=False), max_size=30),
    cap=st.integers(1, 10),
)
def test_windows_are_over_exactly_when_the_peak_is(times: list[float], cap: int) -> None:
    most = most_in_a_second(times)
    naive = max((sum(0 <= t - first < 1.0 for t in times) for first in times), default=0)

    assert most == naive
    assert (windows_over(times, cap) > 0) is (most > cap)
