"""The fragile list: its data, that a rule can only take away, and that plan and engine obey it."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scanner import discovery, fragile, site
from scanner.cli.display import show_plan
from scanner.engine import Engine
from scanner.errors import ToolBug
from scanner.facts import DeviceIdentity, Fact, LinkAddress
from scanner.fragile import Entry, Rule
from scanner.governor import Clock, Governor
from scanner.model import Identity, Observation, Outcome, Tier, Transport
from scanner.plan import Plan, build, service_of
from scanner.profiles import DEFAULT, FRAGILE, LAB, PROFILES, ROBUST
from scanner.session import Grant
from scanner.spec import Probe, Question
from scanner.windows import Permission

SERVICES = frozenset(service_of(probe) for probe in discovery.probes())
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ENTRY = """
- id: one
  match: {vendor: acme, model: X1, firmware_below: "2.0"}
  rule: {profile: fragile}
  why: It fell over.
  source: {title: A page, address: "https://example.org/", read: 2026-11-22, opened: true}
  example: {vendor: Acme, model: X1}
"""

# --- the data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", fragile.load(), ids=lambda entry: entry.id)
def test_every_entry_has_a_source_and_takes_something_away(entry: Entry) -> None:
    assert entry.rule != Rule()
    assert entry.rule.words()
    assert entry.source.read <= date(2100, 1, 1)
    assert entry.source.title
    assert entry.rule.never <= SERVICES
    if entry.example is not None:
        assert entry in fragile.matching((entry.example,))


@pytest.mark.parametrize(
    "entry",
    [entry for entry in fragile.load() if entry.vendor is not None and entry.example is not None],
    ids=lambda entry: entry.id,
)
def test_another_maker_s_device_does_not_match(entry: Entry) -> None:
    assert entry.example is not None
    assert not entry.fits((replace(entry.example, vendor="Somebody Else"),))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("rule: {profile: fragile}", "rule: {}"),
        ("profile: fragile", "profile: robust"),
        ("profile: fragile", "stop_after_identify: false"),
        ("profile: fragile", "leave_alone: false"),
        ("profile: fragile", "connections: -1"),
        ("profile: fragile", "connections: true"),
        ("profile: fragile", "reconnect_s: -5"),
        ("profile: fragile", "tier: write"),
        ("profile: fragile", "packets: 100"),
        ("model: X1", "model: 'X(1'"),
        ("model: X1, ", ""),
        ("model: X1", "model: X2"),
        ('firmware_below: "2.0"', "firmware_below: 2.0"),
        ('firmware_below: "2.0"', "oui: [0090E8]"),
        ("https://example.org/", "http://example.org/"),
        ("read: 2026-11-22", "read: yesterday"),
        ("opened: true", "opened: perhaps"),
        ("why: It fell over.", "why: ''"),
        ("  example: {vendor: Acme, model: X1}\n", ""),
        ("- id: one", "- id: one\n  allow: everything"),
    ],
)
def test_a_list_that_could_loosen_or_hides_its_source_is_refused(
    change: str, complaint: str
) -> None:
    assert change in ENTRY
    with pytest.raises(ToolBug, match="fragile list"):
        fragile.parse(ENTRY.replace(change, complaint, 1))


def test_a_good_list_is_read_and_ids_are_used_once() -> None:
    (entry,) = fragile.parse(ENTRY)

    assert entry.rule == Rule(fragile_pace=True)
    with pytest.raises(ToolBug, match="twice"):
        fragile.parse(ENTRY + ENTRY)


# --- matching ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "fits"),
    [
        ((Identity(vendor="ACME Inc.", model="model x1-B"),), True),
        ((Identity(order_number="X1"),), True),
        ((Identity(name="X1"), Identity(vendor="acme")), True),
        ((Identity(vendor="Acme", model="X1", firmware="V1.9.3"),), True),
        ((Identity(vendor="Acme", model="X1", firmware="unreadable"),), True),
        ((Identity(vendor="Acme", model="X1", firmware="2.0"),), False),
        ((Identity(vendor="Acme", model="X1", firmware="2.1"), Identity(firmware="1.0")), True),
        ((Identity(vendor="Other", model="X1"),), False),
        ((Identity(vendor="Acme"),), False),
        ((), False),
    ],
)
def test_doubt_counts_as_a_match(told: tuple[Identity, ...], fits: bool) -> None:
    (entry,) = fragile.parse(ENTRY)

    assert entry.fits(told) is fits


def test_the_maker_of_the_interface_is_enough() -> None:
    found = fragile.matching((), ("00:90:E8:12:34:56",))

    assert [entry.id for entry in found] == ["serial-server-makers"]
    assert not fragile.matching((), ("00:11:22:33:44:55",))


def test_the_kernel_s_neighbour_table_is_read_and_nothing_else(tmp_path: Path) -> None:
    table = tmp_path / "arp"
    table.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "10.0.0.5         0x1         0x2         00:90:E8:01:02:03     *        eth0\n"
        "10.0.0.6         0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "10.0.0.7         0x20        0x2         80:00:00:00:00:00     *        ib0\n"
    )

    neighbours = fragile.Neighbours(table)
    assert neighbours.link_address("10.0.0.5") == "00:90:e8:01:02:03"
    assert neighbours.link_address("10.0.0.6") is None
    assert neighbours.link_address("10.0.0.7") is None
    assert neighbours.link_address("10.0.0.8") is None
    with table.open("a") as file:
        file.write("10.0.0.8  0x1  0x2  00:90:E8:01:02:04  *  eth0\n127.0.0.1 0x1 0x2 00:01 * lo\n")
    assert neighbours.link_address("10.0.0.8") == "00:90:e8:01:02:04"
    assert fragile.Neighbours(tmp_path / "none").link_address("10.0.0.5") is None


# --- only stricter -------------------------------------------------------------------------------

rules = st.builds(
    Rule,
    fragile_pace=st.booleans(),
    tier=st.sampled_from(Tier),
    never=st.frozensets(st.sampled_from(sorted(SERVICES))),
    connections=st.none() | st.integers(0, 9),
    reconnect_s=st.floats(0, 600),
    stop_after_identify=st.booleans(),
    leave_alone=st.booleans(),
)


@given(one=rules, other=rules, profile=st.sampled_from(sorted(PROFILES)), data=st.data())
def test_two_rules_together_forbid_whatever_one_of_them_forbids(one, other, profile, data) -> None:
    service = data.draw(st.sampled_from(sorted(SERVICES)))
    tier = data.draw(st.sampled_from(Tier))
    facts = {
        "connections": data.draw(st.integers(0, 4)),
        "made": data.draw(st.integers(0, 9)),
        "identified": data.draw(st.booleans()),
    }
    both = one & other

    assert {f.name for f in fields(Rule)} == {*Rule.__dataclass_fields__}
    forbidden = one.forbids(service, tier, **facts) or other.forbids(service, tier, **facts)
    assert bool(both.forbids(service, tier, **facts)) == bool(forbidden)
    for rule in (one, both):
        slow = rule.paced(PROFILES[profile])
        assert slow.connection_interval_s >= PROFILES[profile].connection_interval_s
        if profile != "lab":
            assert slow.packets_per_s <= PROFILES[profile].packets_per_s


def test_pacing_takes_the_stricter_profile_and_leaves_the_lab_alone() -> None:
    rule = Rule(fragile_pace=True, reconnect_s=30)

    assert rule.paced(ROBUST) == replace(FRAGILE, connection_interval_s=30)
    assert Rule(reconnect_s=30).paced(DEFAULT) == replace(DEFAULT, connection_interval_s=30)
    assert rule.paced(LAB) is LAB


# --- the plan ------------------------------------------------------------------------------------

SITE = """
site: Test
zones:
  - id: z
    networks: [127.30.6.0/28]
    sl_t: 1
    tier: read
    profile: %s
    assets:
      - {address: 127.30.6.1, vendor: Rockwell Automation, model: 1785-L40E}
      - {address: 127.30.6.2, vendor: WAGO, model: 750-881}
      - {address: 127.30.6.3, vendor: Rockwell Automation, model: 1761-NET-ENI}
      - {address: 127.30.6.4, vendor: Siemens, model: S7-1500}
"""


def plan_of(tmp_path: Path, profile: str = "default") -> Plan:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % profile)
    return build(site.load(path), discovery.probes())


def test_what_the_site_declares_is_obeyed_before_contact(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    devices = {device.addresses[0]: device for device in plan.devices}

    assert "127.30.6.1" not in devices
    assert any("127.30.6.1" in words and "rockwell-plc-5" in words for words in plan.skipped)
    wago = devices["127.30.6.2"]
    assert wago.profile == FRAGILE
    assert "modbus" in {q.service for q in wago.questions}
    assert not {"http", "https"} & {q.service for q in wago.questions}
    eni = devices["127.30.6.3"]
    assert {q.target.transport for q in eni.questions} == {Transport.UDP}
    assert {q.probe.tier for q in eni.questions} == {Tier.IDENTIFY}
    assert eni.policy.tier is Tier.IDENTIFY
    assert devices["127.30.6.4"].fragile == ()
    assert devices["127.30.6.4"].profile == DEFAULT


# --- the engine ----------------------------------------------------------------------------------


class Journal:
    def __init__(self) -> None:
        self.kept: list[Observation] = []

    async def intent(self, **row: object) -> str:
        return "x1"

    async def ended(self, exchange_id: str, **row: object) -> None:
        return None

    async def question_started(self, key: str, **row: object) -> None:
        return None

    async def question_finished(self, observation: Observation) -> Observation:
        self.kept.append(replace(observation, id=f"o{len(self.kept)}"))
        return self.kept[-1]

    def outcomes(self) -> dict[str, Outcome]:
        return {o.probe: o.outcome for o in self.kept}


def probe(name: str, *facts: Fact, **changes: object) -> Probe:
    async def run(session: object) -> tuple[Fact, ...]:
        return facts

    return Probe(
        **{
            "name": name,
            "protocol": "modbus",
            "transport": Transport.TCP,
            "ports": (502,),
            "tier": Tier.IDENTIFY,
            "run": run,
            "questions": (Question(label="ask"),),
            **changes,
        }
    )


async def scan(
    tmp_path: Path, *probes: Probe, profile: str = "default", link: str | None = None
) -> tuple[Journal, Engine, Governor]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE % profile)
    journal = Journal()
    governor = Governor(
        Clock(monotonic=lambda: 0.0, wall=lambda: NOW, sleep=lambda s: asyncio.sleep(0)),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )
    with ThreadPoolExecutor(1) as executor:
        engine = Engine(
            plan=build(site.load(path), probes, only=("127.30.6.9",)),
            governor=governor,
            journal=journal,
            lend=lambda device, question, known: Grant(
                known=known, attempts=None, fingerprint_key=bytes(32)
            ),
            executor=executor,
            link_address=lambda address: link,
        )
        await engine.run()
    return journal, engine, governor


def named(entry_id: str) -> DeviceIdentity:
    example = next(entry.example for entry in fragile.load() if entry.id == entry_id)
    assert example is not None
    return DeviceIdentity(
        vendor=example.vendor,
        model=example.model,
        order_number=example.order_number,
        firmware=example.firmware,
    )


async def test_from_the_answer_that_names_it_a_fragile_device_is_left_alone(tmp_path) -> None:
    journal, engine, _ = await scan(
        tmp_path, probe("enip", named("rockwell-slc-505")), probe("http"), probe("ssh")
    )

    assert journal.outcomes() == {
        "enip": Outcome.ANSWERED, "http": Outcome.WITHHELD, "ssh": Outcome.WITHHELD,
    }  # fmt: skip
    assert "rockwell-slc-505" in journal.kept[-1].reason
    assert [e.id for e in engine.known_fragile["z", "127.30.6.9"]] == ["rockwell-slc-505"]


async def test_only_what_the_rule_names_is_withheld_and_the_rest_is_slowed(tmp_path) -> None:
    journal, _, governor = await scan(
        tmp_path,
        probe("snmp", named("wago-750-web"), transport=Transport.UDP, ports=(161,)),
        probe("http"),
        probe("ssh"),
    )

    assert journal.outcomes()["http"] is Outcome.WITHHELD
    assert journal.outcomes()["ssh"] is Outcome.ANSWERED
    (device,) = governor.devices()
    assert device.limits == FRAGILE
    assert device.rate.cap == FRAGILE.packets_per_s


async def test_a_newer_claim_does_not_take_a_rule_back(tmp_path) -> None:
    old = named("siemens-s7-400-defect")
    journal, _, _ = await scan(
        tmp_path,
        probe("snmp", old, transport=Transport.UDP, ports=(161,)),
        probe("telnet", replace(old, firmware="V9.0")),
        probe("http"),
    )

    # "http" is asked before "telnet" and after the first answer
    assert journal.outcomes()["http"] is Outcome.WITHHELD


async def test_an_unknown_device_keeps_its_pace(tmp_path) -> None:
    _, engine, governor = await scan(tmp_path, probe("snmp", DeviceIdentity(model="X")))

    assert governor.devices()[0].limits == DEFAULT
    assert engine.known_fragile == {}


async def test_the_interface_s_maker_counts_after_the_first_contact(tmp_path) -> None:
    async def contact(session) -> tuple[Fact, ...]:
        session._governor.note_exchange(session._device, bytes_out=1, bytes_in=1)
        return ()

    _, engine, governor = await scan(tmp_path, probe("snmp", run=contact), link="00:90:e8:00:00:01")

    assert governor.devices()[0].limits == FRAGILE
    assert [e.id for e in engine.known_fragile["z", "127.30.6.9"]] == ["serial-server-makers"]


async def test_a_forbidden_canary_is_not_sent_and_the_device_left_alone(tmp_path) -> None:
    asked = []

    async def tells(session) -> tuple[Fact, ...]:
        asked.append("enip")
        session._device.health.needs_canary = "port 44818: fell silent"
        return (named("abb-rer601"),)

    journal, _, governor = await scan(tmp_path, probe("enip", run=tells), probe("ssh"))

    assert asked == ["enip"]
    assert "no canary may be sent" in (governor.devices()[0].health.stopped or "")
    assert governor.stopped_zones() == ()
    assert journal.outcomes()["ssh"] is Outcome.WITHHELD


def test_the_plan_says_what_is_known_with_its_source(tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())

    show_plan(console, plan_of(tmp_path), full=False)

    said = console.export_text()
    for words in ("wago-750-web", "VDE-2020-042", "rockwell-plc-5", "left alone"):
        assert words in said


async def test_the_link_address_of_a_device_that_answered_is_told_once(tmp_path) -> None:
    own = LinkAddress(mac="00:90:e8:01:02:03")
    journal, _, _ = await scan(tmp_path, probe("enip"), probe("http"), link=own.mac)
    without, _, _ = await scan(tmp_path, probe("enip"))

    assert [fact for observation in journal.kept for fact in observation.facts] == [own]
    assert without.kept[0].facts == ()
