"""Every check gives a word on every subject, and what is missing is never a pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.correlate import Declared, assets
from scanner.facts import (
    BackupRecord,
    DeviceIdentity,
    DeviceSettings,
    Fact,
    HttpFace,
    LoginUnavailable,
    ModbusAccess,
    ServiceAccess,
    TlsFace,
)
from scanner.judge import findings
from scanner.model import (
    Asset,
    ConduitInfo,
    DeviceClass,
    Effort,
    Exploitability,
    Finding,
    Observation,
    Outcome,
    Place,
    Severity,
    Tier,
    Transport,
    Verdict,
    ZoneInfo,
)
from scanner.spec import Check, Conduit, Inventory, Judgement, SitePolicy, Zone, unknown

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
PLC = "192.168.0.10"
BASE = f"open_modbus/asset/control/{PLC}"


def observation(name: str, **given: Any) -> Observation:
    defaults: dict[str, Any] = {
        "zone": "control",
        "address": PLC,
        "port": 502,
        "transport": Transport.TCP,
        "protocol": "modbus",
        "probe": "modbus",
        "tier": Tier.IDENTIFY,
        "outcome": Outcome.ANSWERED,
        "reason": "",
        "started_at": NIGHT,
        "finished_at": NIGHT,
        "facts": (),
        "exchanges": (f"x{name}",),
    }
    return Observation(id=name, **{**defaults, **given})


def answered(name: str, *facts: Fact, **given: Any) -> Observation:
    return observation(name, facts=facts, **given)


def by_login(fact: ModbusAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.answers_without_login is None:
        return (unknown("answers_without_login"),)
    verdict = Verdict.FAIL if fact.answers_without_login else Verdict.PASS
    return (Judgement(verdict=verdict, summary=f"unit {fact.unit_id}"),)


def by_unit(fact: ModbusAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    (judgement,) = by_login(fact, site)
    return (
        Judgement(
            verdict=judgement.verdict, summary=judgement.summary, about=f"unit {fact.unit_id}"
        ),
    )


def always(verdict: Verdict, **given: Any) -> Any:
    return lambda subject, site: (Judgement(verdict=verdict, summary="said", **given),)


def check(**given: Any) -> Check:
    defaults: dict[str, Any] = {
        "id": "open_modbus",
        "title": "Modbus answers everybody",
        "requirements": ("SR 1.2",),
        "severity": Severity.HIGH,
        "exploitability": Exploitability.KNOWN_TOOL,
        "reads": ModbusAccess,
        "judge": by_login,
        "remedy": "Filter it.",
        "effort": Effort.PROJECT,
        "needs_outage": False,
        "protocols": ("modbus",),
    }
    return Check(**{**defaults, **given})


def zone(name: str = "control", tier: Tier = Tier.READ, networks: tuple[str, ...] = ()) -> ZoneInfo:
    return ZoneInfo(
        id=name, name=name, purdue=1, networks=networks, sl_t={}, tier=tier, profile="default"
    )


CONDUIT = ConduitInfo(
    id="c1",
    from_zone="supervision",
    to_zone="control",
    sl_t={},
    remote_access=False,
    monitored_by=None,
    allow=(),
)


def judged(
    one: Check,
    observations: list[Observation],
    *,
    declared: bool = True,
    device_class: DeviceClass | None = None,
    tier: Tier = Tier.READ,
    stale: list[Observation] | None = None,
) -> list[Finding]:
    entries = [Declared(zone="control", address=PLC, device_class=device_class)] if declared else []
    zones = (zone("control", tier), zone("supervision", tier))
    found = findings(
        [one],
        assets(observations, entries),
        observations,
        zones,
        (CONDUIT,),
        SitePolicy(site="plant", assessed_at=NIGHT, zones=zones, conduits=(CONDUIT,)),
        stale=stale or [],
    )
    assert len({finding.id for finding in found}) == len(found)
    return list(found)


def only(one: Check, observations: list[Observation], **given: Any) -> Finding:
    (found,) = judged(one, observations, **given)
    return found


OPEN = ModbusAccess(unit_id=1, answers_without_login=True)
SAFE = ModbusAccess(unit_id=1, answers_without_login=False)
UNLEARNED = ModbusAccess(unit_id=1)


# --- a fact that is there ----------------------------------------------------------------------


FTP = {"port": 21, "protocol": "ftp", "probe": "ftp"}
SMB = {"port": 445, "protocol": "smb", "probe": "smb"}


def test_what_another_service_told_is_none_of_a_checks_business() -> None:
    """A service's access is a fact of many protocols; a check names those that it is about."""
    one = check(reads=ServiceAccess, protocols=("ftp",), judge=always(Verdict.FAIL))
    files = answered("o1", ServiceAccess(protocol="smb"), **SMB)
    refused = observation("o2", outcome=Outcome.REFUSED, **FTP)

    beside = only(one, [files, refused])
    both = only(one, [files, answered("o3", ServiceAccess(protocol="ftp"), **FTP)])

    assert (beside.verdict, beside.summary) == (
        Verdict.NOT_APPLICABLE, "no such service: 21/tcp refused",
    )  # fmt: skip
    assert (both.verdict, both.id.rpartition("/")[2]) == (Verdict.FAIL, "port 21")


def test_a_fact_is_judged_and_the_finding_rests_on_its_exchanges() -> None:
    found = only(check(), [answered("o1", OPEN)])
    assert found == Finding(
        id=f"{BASE}/port 502",
        check="open_modbus",
        title="Modbus answers everybody",
        scope="asset",
        zone="control",
        asset=f"control/{PLC}",
        conduit=None,
        places=(Place(zone="control", asset=f"control/{PLC}"),),
        verdict=Verdict.FAIL,
        severity=Severity.HIGH,
        exploitability=Exploitability.KNOWN_TOOL,
        effort=Effort.PROJECT,
        requirements=("SR 1.2",),
        summary="unit 1",
        remedy="Filter it.",
        needs_outage=False,
        evidence=("o1", "xo1"),
    )


def test_a_pass_is_a_pass_and_an_unlearned_field_is_not() -> None:
    assert only(check(), [answered("o1", SAFE)]).verdict is Verdict.PASS
    assert only(check(), [answered("o1", UNLEARNED)]).verdict is Verdict.NOT_CHECKED


def test_each_service_has_a_finding_of_its_own() -> None:
    found = judged(check(), [answered("o1", OPEN), answered("o2", SAFE, port=503)])
    assert {(f.id, f.verdict) for f in found} == {
        (f"{BASE}/port 502", Verdict.FAIL),
        (f"{BASE}/port 503", Verdict.PASS),
    }


def test_what_a_judgement_is_about_becomes_part_of_its_id() -> None:
    units = (OPEN, ModbusAccess(unit_id=2, answers_without_login=False))
    found = judged(check(judge=by_unit), [answered("o1", *units)])
    assert [f.id for f in found] == [f"{BASE}/port 502/unit 1", f"{BASE}/port 502/unit 2"]


def test_several_facts_of_one_service_without_a_name_count_as_the_worst() -> None:
    several = (SAFE, UNLEARNED, SAFE)
    assert only(check(), [answered("o1", *several)]).verdict is Verdict.NOT_CHECKED
    assert only(check(), [answered("o1", *several, OPEN)]).verdict is Verdict.FAIL


def test_the_deeper_tier_settles_what_the_gentler_left_open() -> None:
    deep = answered("o2", SAFE, tier=Tier.READ)
    found = only(check(tier=Tier.READ), [answered("o1", UNLEARNED), deep])
    assert (found.verdict, found.evidence) == (Verdict.PASS, ("o1", "xo1", "o2", "xo2"))


def test_a_failure_in_the_gentler_tier_stands() -> None:
    deep = answered("o2", SAFE, tier=Tier.READ)
    assert only(check(), [answered("o1", OPEN), deep]).verdict is Verdict.FAIL


def test_an_unlearned_field_says_which_tier_would_tell() -> None:
    found = only(check(tier=Tier.READ), [answered("o1", UNLEARNED)], tier=Tier.IDENTIFY)
    assert "answers_without_login" in found.summary
    assert "grant `tier: read`" in found.summary


def test_a_device_behind_a_device_is_judged_by_its_own_facts_only() -> None:
    named = check(
        id="named", reads=DeviceIdentity, judge=always(Verdict.PASS), protocols=("modbus",)
    )
    facts = (DeviceIdentity(vendor="Moxa"), DeviceIdentity(vendor="ABB", sub_address="unit 3"))
    found = judged(named, [answered("o1", *facts)])
    assert [f.asset for f in found] == [f"control/{PLC}#unit 3", f"control/{PLC}"]
    found = judged(check(), [answered("o1", OPEN, *facts)])
    assert [f.asset for f in found] == [f"control/{PLC}"]


def test_one_port_of_a_chassis_with_two_addresses_is_as_bad_as_the_worse() -> None:
    observations = [answered("o1", SAFE), answered("o2", address="192.168.0.11")]
    entries = [Declared(zone="control", address=PLC, addresses=("192.168.0.11",))]
    site = SitePolicy(site="plant", assessed_at=NIGHT, zones=(zone(),), conduits=())
    (found,) = findings([check()], assets(observations, entries), observations, (zone(),), (), site)
    assert (found.id, found.verdict) == (f"{BASE}/port 502", Verdict.NOT_CHECKED)


# --- a fact that is not there ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "words"),
    [
        (Outcome.ANSWERED, "", "answered, but did not tell"),
        (Outcome.GARBLED, "bad length", "could not be read: bad length"),
        (Outcome.WITHHELD, "window", "was withheld: window"),
        (Outcome.INTERRUPTED, "", "was interrupted"),
        (Outcome.FAILED, "no route", "failed: no route"),
        (Outcome.BUG, "", "error of our own"),
    ],
)
def test_a_question_that_did_not_settle_is_not_checked_with_its_reason(
    outcome: Outcome, reason: str, words: str
) -> None:
    elsewhere = answered("o0", HttpFace(scheme="http", status=200), port=80, protocol="http")
    found = only(check(), [elsewhere, observation("o1", outcome=outcome, reason=reason)])
    assert found.verdict is Verdict.NOT_CHECKED
    assert found.id == f"{BASE}/port 502"
    assert words in found.summary


def test_a_service_that_is_not_there_is_not_applicable() -> None:
    elsewhere = answered("o0", port=80, protocol="http")
    found = only(check(), [elsewhere, observation("o1", outcome=Outcome.REFUSED)])
    assert found.verdict is Verdict.NOT_APPLICABLE
    assert found.id == BASE
    assert "502/tcp" in found.summary


def test_a_service_that_kept_silent_may_be_there() -> None:
    elsewhere = answered("o0", port=80, protocol="http")
    found = only(check(), [elsewhere, observation("o1", outcome=Outcome.SILENT)])
    assert found.verdict is Verdict.NOT_CHECKED
    assert "502/tcp kept silent" in found.summary


def test_settings_that_no_login_service_tells_are_unknown_and_not_inapplicable() -> None:
    """A firewall with a web page only has a clock too."""
    of_settings = check(reads=DeviceSettings, protocols=("ssh", "telnet"), tier=Tier.READ)
    closed = [
        answered("o0", port=443, protocol="https"),
        observation("o1", port=22, protocol="ssh", outcome=Outcome.REFUSED),
        observation("o2", port=23, protocol="telnet", outcome=Outcome.REFUSED),
    ]
    found = only(of_settings, closed)
    assert found.verdict is Verdict.NOT_CHECKED
    assert "read over ssh or telnet, and 22/tcp, 23/tcp refused" in found.summary


def test_a_closed_port_beside_a_judged_one_says_nothing() -> None:
    closed = observation("o2", port=503, outcome=Outcome.REFUSED)
    assert only(check(), [answered("o1", SAFE), closed]).verdict is Verdict.PASS


def test_a_closed_port_beside_an_unsettled_one_does_not_settle_it() -> None:
    several = [
        answered("o0", port=80, protocol="http"),
        observation("o1", outcome=Outcome.REFUSED),
        observation("o2", port=503, outcome=Outcome.WITHHELD, reason="budget"),
    ]
    found = only(check(), several)
    assert (found.id, found.verdict) == (f"{BASE}/port 503", Verdict.NOT_CHECKED)


def test_a_device_that_answered_nowhere_is_unknown_and_not_unconcerned() -> None:
    found = only(check(), [observation("o1", outcome=Outcome.SILENT)])
    assert found.verdict is Verdict.NOT_CHECKED
    assert "answered no question" in found.summary


def test_a_protocol_that_was_never_asked_is_not_checked() -> None:
    found = only(check(), [answered("o0", port=80, protocol="http")])
    assert (found.verdict, found.summary) == (Verdict.NOT_CHECKED, "not learned: never asked")


def test_a_fact_of_a_higher_tier_says_what_to_grant() -> None:
    found = only(check(tier=Tier.LOGIN), [answered("o1")], tier=Tier.IDENTIFY)
    assert found.verdict is Verdict.NOT_CHECKED
    assert "grant `tier: login`" in found.summary


def test_a_device_with_a_tier_of_its_own_is_not_told_to_get_it() -> None:
    observations = [answered("o1")]
    policy = SitePolicy(site="plant", assessed_at=NIGHT, zones=(zone(),), conduits=())

    (found,) = findings(
        [check(tier=Tier.LOGIN)],
        assets(observations, [Declared(zone="control", address=PLC)]),
        observations,
        (zone(),),
        (),
        policy,
        granted={("control", PLC): Tier.LOGIN},
    )

    assert found.verdict is Verdict.NOT_CHECKED
    assert "no published default" in found.summary


def test_a_withheld_question_of_the_right_tier_is_the_reason() -> None:
    deep = observation("o2", tier=Tier.READ, outcome=Outcome.WITHHELD, reason="breaker")
    found = only(check(tier=Tier.READ), [answered("o1"), deep])
    assert "withheld: breaker" in found.summary


def test_a_login_that_could_not_be_used_is_the_reason() -> None:
    fact = LoginUnavailable(service="modbus", reason="host key changed")
    found = only(check(tier=Tier.READ), [answered("o1", fact)])
    assert "host key changed" in found.summary


def test_a_device_that_was_not_visited_says_why() -> None:
    held = observation("o1", outcome=Outcome.WITHHELD, reason="tier passive")
    assert "tier passive" in only(check(), [held]).summary
    assert "not visited" in only(check(), []).summary


def test_an_answer_that_is_too_old_is_the_reason() -> None:
    old = answered("o9", SAFE, finished_at=NIGHT - timedelta(days=40))
    found = only(check(), [], stale=[old])
    assert found.verdict is Verdict.NOT_CHECKED
    assert "2026-10-11, too long ago" in found.summary


def test_a_fact_without_a_protocol_is_missed_everywhere() -> None:
    backup = check(id="backup", reads=BackupRecord, judge=always(Verdict.PASS), protocols=())
    assert only(backup, [answered("o1", OPEN)]).verdict is Verdict.NOT_CHECKED
    record = answered(
        "o2", BackupRecord(source="nas", found=True), port=0, protocol="backup", probe="backup"
    )
    found = only(backup, [answered("o1", OPEN), record])
    assert (found.id, found.verdict) == (f"backup/asset/control/{PLC}", Verdict.PASS)


# --- device classes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device_class", "fact", "verdict"),
    [
        (DeviceClass.PLC, OPEN, Verdict.FAIL),
        (DeviceClass.HMI, OPEN, Verdict.NOT_APPLICABLE),
        (None, OPEN, Verdict.FAIL),
        (None, None, Verdict.NOT_CHECKED),
    ],
)
def test_a_check_for_some_classes_leaves_the_others_alone(
    device_class: DeviceClass | None, fact: Fact | None, verdict: Verdict
) -> None:
    limited = check(only_for=frozenset({"plc"}))
    facts = (fact,) if fact else ()
    found = only(limited, [answered("o1", *facts)], device_class=device_class)
    assert found.verdict is verdict


# --- other subjects ----------------------------------------------------------------------------


def test_a_check_on_assets_is_asked_about_each_and_rests_on_what_answered() -> None:
    whole = check(reads=Asset, judge=always(Verdict.FAIL), protocols=())
    closed = observation("o2", port=80, outcome=Outcome.REFUSED)
    found = only(whole, [answered("o1", OPEN), closed])
    assert (found.id, found.verdict, found.evidence) == (BASE, Verdict.FAIL, ("o1", "xo1"))


def test_a_check_on_assets_cannot_pass_a_device_nobody_has_seen() -> None:
    whole = check(reads=Asset, judge=always(Verdict.PASS), protocols=())
    assert only(whole, []).verdict is Verdict.NOT_CHECKED
    assert only(whole, [observation("o1", outcome=Outcome.SILENT)]).verdict is Verdict.NOT_CHECKED
    assert only(whole, [answered("o1", OPEN)]).verdict is Verdict.PASS


def test_zones_conduits_and_the_inventory_are_subjects_too() -> None:
    place = Place(zone="control", asset=f"control/{PLC}")
    said = always(Verdict.FAIL, places=(place,), evidence=("o1",), severity=Severity.LOW)
    seen = [answered("o1", OPEN)]
    of_zone = judged(check(reads=Zone, judge=said), seen)
    assert [(f.id, f.zone) for f in of_zone] == [
        ("open_modbus/zone/control", "control"),
        ("open_modbus/zone/supervision", "supervision"),
    ]
    of_conduit = only(check(reads=Conduit, judge=said), seen)
    assert (of_conduit.id, of_conduit.conduit) == ("open_modbus/conduit/c1", "c1")
    of_site = only(check(reads=Inventory, judge=said), seen)
    assert (of_site.id, of_site.scope) == ("open_modbus/site/plant", "site")
    assert (of_site.places, of_site.asset, of_site.zone) == ((place,), None, None)
    assert (of_site.severity, of_site.evidence) == (Severity.LOW, ("o1", "xo1"))


def test_a_check_sees_its_zone_and_both_ends_of_its_conduit() -> None:
    def judge(subject: Zone | Conduit, site: SitePolicy) -> tuple[Judgement, ...]:
        held = subject.assets if isinstance(subject, Zone) else subject.to_assets
        return (Judgement(verdict=Verdict.PASS, summary=",".join(a.id for a in held)),)

    seen = [answered("o1", OPEN)]
    assert judged(check(reads=Zone, judge=judge), seen)[0].summary == f"control/{PLC}"
    assert only(check(reads=Conduit, judge=judge), seen).summary == f"control/{PLC}"


def test_a_zone_is_told_how_many_of_its_addresses_were_not_asked() -> None:
    told: list[int | None] = []

    def judge(subject: Zone, site: SitePolicy) -> tuple[Judgement, ...]:
        told.append(subject.unasked)
        return (Judgement(verdict=Verdict.PASS, summary="said"),)

    zones = (zone(networks=("192.168.0.8/29",)),)
    observations = [
        answered("o1"),
        observation("o2", address="192.168.0.11", outcome=Outcome.SILENT),
        observation("o3", address="192.168.0.12", outcome=Outcome.WITHHELD),
    ]
    policy = SitePolicy(site="plant", assessed_at=NIGHT, zones=zones, conduits=())
    findings(
        [check(reads=Zone, judge=judge)], assets(observations, []), observations, zones, (), policy
    )

    assert told == [4]  # six device addresses, two of them settled


def test_a_judgement_may_touch_a_part_of_the_requirements_only() -> None:
    part = Judgement(verdict=Verdict.FAIL, summary="a", requirements=("SR 1.2",))
    other = Judgement(verdict=Verdict.FAIL, summary="b", requirements=("SR 4.3",))
    whole = check(
        requirements=("SR 1.2", "SR 4.3", "SR 7.7"), judge=lambda fact, site: (part, other)
    )

    assert only(whole, [answered("o1", OPEN)]).requirements == ("SR 1.2", "SR 4.3")


# --- broken checks -----------------------------------------------------------------------------


def test_a_check_that_breaks_costs_its_own_subject_only() -> None:
    def judge(fact: ModbusAccess, site: SitePolicy) -> tuple[Judgement, ...]:
        if fact.unit_id == 7:
            raise ValueError("the device said hunter2")
        return by_login(fact, site)

    bad = ModbusAccess(unit_id=7)
    found = judged(check(judge=judge), [answered("o1", bad), answered("o2", SAFE, port=503)])
    assert [f.verdict for f in found] == [Verdict.ERROR, Verdict.PASS]
    assert "ValueError" in found[0].summary
    assert "hunter2" not in found[0].summary


@pytest.mark.parametrize(
    ("said", "verdict"), [((), Verdict.NOT_CHECKED), (None, Verdict.ERROR), (("x",), Verdict.ERROR)]
)
def test_a_check_that_says_nothing_or_nonsense_is_no_pass(said: object, verdict: Verdict) -> None:
    found = only(check(judge=lambda fact, site: said), [answered("o1", OPEN)])
    assert found.verdict is verdict


# --- properties --------------------------------------------------------------------------------

FACTS = st.sampled_from([OPEN, SAFE, UNLEARNED, TlsFace(), HttpFace(scheme="http", status=200)])
OBSERVATIONS = st.lists(
    st.builds(
        lambda name, outcome, facts, **given: observation(
            name, outcome=outcome, facts=facts if outcome is Outcome.ANSWERED else (), **given
        ),
        st.uuids().map(str),
        st.sampled_from(list(Outcome)),
        st.lists(FACTS, max_size=2).map(tuple),
        port=st.sampled_from([0, 80, 502, 503]),
        protocol=st.sampled_from(["modbus", "http"]),
        tier=st.sampled_from(list(Tier)),
    ),
    max_size=5,
)


@settings(max_examples=80)
@given(OBSERVATIONS, st.sampled_from(list(Tier)), st.booleans())
def test_a_missing_fact_is_never_a_pass(
    observations: list[Observation], granted: Tier, declared: bool
) -> None:
    found = judged(check(), observations, tier=granted, declared=declared)
    for finding in found:
        if finding.verdict is Verdict.PASS:
            rests_on = [o for o in observations if o.id in finding.evidence]
            assert any(SAFE in o.facts for o in rests_on)
            assert not any(OPEN in o.facts for o in rests_on)
    if any(OPEN in o.facts and (o.port or declared) for o in observations):
        assert any(finding.verdict is Verdict.FAIL for finding in found)


@settings(max_examples=80)
@given(OBSERVATIONS, st.sampled_from(list(Tier)))
def test_every_asset_and_every_answering_service_gets_a_word(
    observations: list[Observation], granted: Tier
) -> None:
    ids = {finding.id for finding in judged(check(), observations, tier=granted)}
    assert any(name.startswith(BASE) for name in ids)
    for one in observations:
        if one.outcome is Outcome.ANSWERED and one.protocol == "modbus" and one.port:
            assert f"{BASE}/port {one.port}" in ids
