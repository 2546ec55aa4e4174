"""The plan: what will be asked, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from scanner import discovery, site
from scanner.errors import UsageError
from scanner.model import Tier, Transport
from scanner.plan import build, cost, granted_seats, service_of
from scanner.spec import Probe, Question

SITE = """
site: Test
zones:
  - id: control
    networks: [127.30.9.0/29]
    exclude: [127.30.9.3]
    sl_t: 1
    assets:
      - {name: PLC-1, address: 127.30.9.1, ports: {modbus: 1502}, probes: [modbus]}
      - {name: SW-1, address: 127.30.9.2, tier: read}
      - {name: OLD, address: 127.30.9.4, tier: passive}
      - {name: RTU, address: 127.30.9.5, addresses: [127.30.9.6], profile: fragile}
  - {id: office, networks: [127.30.8.0/29], sl_t: 1}
"""


async def nothing(session: object) -> tuple[()]:
    return ()


def probe(**changes: object) -> Probe:
    given: dict[str, object] = {
        "name": "x",
        "protocol": "modbus",
        "transport": Transport.TCP,
        "ports": (502,),
        "tier": Tier.IDENTIFY,
        "run": nothing,
        "questions": (Question(label="ask", at_most=2, packets=1),),
    }
    return Probe(**given | changes)


@pytest.fixture
def which(tmp_path: Path) -> site.Site:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return site.load(path)


def asked(plan, address: str) -> list[tuple[str, int, str]]:
    return [
        (q.service, q.target.port, q.probe.tier)
        for device in plan.devices
        for q in device.questions
        if q.target.address == address
    ]


def test_excluded_and_passive_devices_are_not_asked_and_it_is_said(which) -> None:
    plan = build(which, discovery.probes())

    addresses = {a for device in plan.devices for a in device.addresses}
    assert "127.30.9.3" not in addresses
    assert "127.30.9.4" not in addresses
    assert any("127.30.9.4" in words for words in plan.skipped)


def test_ports_and_probes_of_an_asset_replace_the_standard_ones(which) -> None:
    plan = build(which, discovery.probes())

    assert asked(plan, "127.30.9.1") == [("modbus", 1502, "identify")]


def test_the_read_tier_is_planned_only_where_it_is_granted(which) -> None:
    plan = build(which, discovery.probes())

    assert any(tier == "read" for _, _, tier in asked(plan, "127.30.9.2"))
    assert all(tier == "identify" for _, _, tier in asked(plan, "127.30.9.5"))
    assert all(tier != "login" for d in plan.devices for _, _, tier in asked(plan, d.addresses[0]))


def test_all_addresses_of_one_chassis_are_one_device(which) -> None:
    plan = build(which, discovery.probes())

    rtu = next(d for d in plan.devices if d.name == "RTU")
    assert rtu.addresses == ("127.30.9.5", "127.30.9.6")
    assert rtu.profile.name == "fragile"


def test_native_protocols_come_before_generic_ones(which) -> None:
    plan = build(which, discovery.probes())

    order = [service for service, _, tier in asked(plan, "127.30.9.5") if tier == "identify"]
    assert order.index("modbus") < order.index("http") < order.index("ssh")


def test_a_pilot_device_is_the_only_one_asked(which) -> None:
    plan = build(which, discovery.probes(), only=("127.30.9.2",))

    assert [d.addresses for d in plan.devices] == [("127.30.9.2",)]


@pytest.mark.parametrize("only", ["10.0.0.1", "not-an-address", "127.30.9.3"])
def test_a_pilot_device_outside_every_zone_is_an_error(which, only: str) -> None:
    with pytest.raises(UsageError):
        build(which, discovery.probes(), only=(only,))


def test_a_plan_may_cover_one_zone_only(which) -> None:
    plan = build(which, discovery.probes(), zone="office")

    assert {d.zone for d in plan.devices} == {"office"}
    with pytest.raises(UsageError):
        build(which, discovery.probes(), zone="nowhere")


def test_the_worst_case_holds_every_retransmission() -> None:
    tcp = probe()
    udp = probe(transport=Transport.UDP)

    # two SYNs; each of two requests and the FIN five times at most (0.2, 0.4, 0.8, 1.7 s)
    assert cost(tcp) == (4, 2 + 2 * 5 + 5)
    # each datagram once more, and a port unreachable for each answer that comes too late
    assert cost(udp) == (2, 8)


def test_the_budget_of_a_device_covers_its_questions_and_its_canary(which) -> None:
    plan = build(which, (probe(),))

    device = next(d for d in plan.devices if d.questions)
    worst = sum(question.worst for question in device.questions)
    assert device.budget == worst + device.canaries * max(q.worst for q in device.questions)


def test_equal_plans_have_equal_digests_and_others_do_not(which) -> None:
    one = build(which, discovery.probes())
    same = build(which, reversed(discovery.probes()))
    other = build(which, discovery.probes(), zone="office")

    assert one.digest == same.digest
    assert one.digest != other.digest


def test_a_fragile_device_lengthens_the_scan(which) -> None:
    plan = build(which, discovery.probes())

    likely, longest = plan.duration()
    assert timedelta(seconds=20) < likely < longest
    assert plan.empty_address_cost() > timedelta(seconds=10)


def test_every_probe_tells_its_requests_and_what_they_leave() -> None:
    for one in discovery.probes():
        assert one.questions, one
        assert one.deadline_s <= (15 if one.tier is Tier.IDENTIFY else 300), one
        for question in one.questions:
            assert question.label, one
            assert question.at_most >= 1, one
            assert question.packets >= 0, one  # 0: the server speaks first


def test_traces_name_service_question_and_trace(which) -> None:
    traces = build(which, discovery.probes()).traces()

    assert traces
    assert all(all(words) for words in traces)
    assert {service for service, _, _ in traces} <= {service_of(p) for p in discovery.probes()}


def test_what_may_cost_a_seat_is_planned_only_where_the_site_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("""
site: Test
zones:
  - id: control
    networks: [127.30.9.0/29]
    sl_t: 1
    assets:
      - {address: 127.30.9.1, probes: [seat]}
      - {address: 127.30.9.2, ports: {seat: [2404]}}
      - {address: 127.30.9.3}
""")
    seat = probe(name="seat", opt_in=True, ports=(2405,))

    plan = build(site.load(path), (seat,))

    assert asked(plan, "127.30.9.1") == [("seat", 2405, "identify")]
    assert asked(plan, "127.30.9.2") == [("seat", 2404, "identify")]
    assert asked(plan, "127.30.9.3") == []
    assert [device.seats for device in plan.devices] == [
        {2405}, {2404}, frozenset(), frozenset(), frozenset(), frozenset(),
    ]  # fmt: skip


def test_a_question_that_was_planned_by_mistake_grants_no_seat(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("""
site: Test
zones:
  - {id: control, networks: [127.30.9.1/32], sl_t: 1, tier: read, probes: [other]}
""")
    seat = probe(name="seat", opt_in=True, ports=(2405,))

    (device,) = build(site.load(path), (seat, probe(name="other"))).devices
    policy = device.policy

    assert granted_seats(policy, (seat,)) == frozenset()
    assert granted_seats(replace(policy, probes=("seat",)), (seat,)) == {2405}
    assert granted_seats(replace(policy, probes=("other",)), (probe(name="other"),)) == frozenset()


def test_a_probe_without_a_port_of_its_own_is_asked_where_the_site_file_names_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("""
site: Test
zones:
  - id: control
    networks: [127.30.9.0/29]
    sl_t: 1
    assets:
      - {address: 127.30.9.1, ports: {tank: 10001}}
      - {address: 127.30.9.2, probes: [tank]}
""")
    tank = probe(name="tank", opt_in=True, ports=())

    plan = build(site.load(path), (tank,))

    assert asked(plan, "127.30.9.1") == [("tank", 10001, "identify")]
    assert asked(plan, "127.30.9.2") == []


def test_other_native_protocols_come_before_generic_ones() -> None:
    from scanner.plan import _rank

    names = ["zigbee", "http", "fins", "s7", "vnc", "enip", "telnet"]
    native = {"s7", "fins", "enip"}
    probes = [probe(name=name, for_controllers=name in native) for name in names]

    assert [p.name for p in sorted(probes, key=_rank)] == [
        "enip", "s7", "fins", "http", "telnet", "vnc", "zigbee",
    ]  # fmt: skip
