"""Verdicts, levels, score, gaps and roadmap say what is proven, and never more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import iec62443
from scanner.assess import achieved, assess, from_json, json_schema, phase_of, to_json
from scanner.errors import StoreError, ToolBug
from scanner.facts import DeviceSettings, HttpFace, ModbusAccess, TlsFace
from scanner.model import (
    FR_IDS,
    FR_KEYS,
    Assessment,
    Asset,
    AttestationInfo,
    ConduitInfo,
    DeviceClass,
    Effort,
    EvidenceClass,
    Exchange,
    Exploitability,
    Finding,
    Flow,
    Gap,
    Identity,
    Level,
    Observation,
    Outcome,
    Place,
    Presence,
    RequirementResult,
    RequirementVerdict,
    RunInfo,
    Safety,
    SafetyFigures,
    Service,
    Severity,
    Target,
    Tier,
    Transport,
    Verdict,
    ZoneInfo,
)
from scanner.spec import Check, Conduit, Inventory, Zone

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
CATALOGUE = iec62443.load()
MET = RequirementVerdict.MET
NOT_MET = RequirementVerdict.NOT_MET
PARTIALLY_MET = RequirementVerdict.PARTIALLY_MET
COMPENSATED = RequirementVerdict.COMPENSATED
NOT_APPLICABLE = RequirementVerdict.NOT_APPLICABLE
NOT_ASSESSED = RequirementVerdict.NOT_ASSESSED

FULL = "SR 4.3"
PARTIAL = "SR 1.5"


# --- a small plant -----------------------------------------------------------------------------


def vector(level: int) -> dict[str, int]:
    return dict.fromkeys(FR_KEYS, level)


def zone(name: str = "control", sl_t: int | dict[str, int] = 2, **given: Any) -> ZoneInfo:
    defaults: dict[str, Any] = {
        "name": name,
        "purdue": 1,
        "networks": (),
        "tier": Tier.READ,
        "profile": "default",
    }
    target = vector(sl_t) if isinstance(sl_t, int) else sl_t
    return ZoneInfo(id=name, sl_t=target, **{**defaults, **given})


def conduit(sl_t: int = 0, **given: Any) -> ConduitInfo:
    defaults: dict[str, Any] = {
        "id": "c1",
        "from_zone": "supervision",
        "to_zone": "control",
        "remote_access": False,
        "monitored_by": None,
        "allow": (Flow(protocol="modbus", transport=Transport.TCP, port=502),),
    }
    return ConduitInfo(sl_t=vector(sl_t) if sl_t else {}, **{**defaults, **given})


def asset(name: str = "a", where: str = "control", **given: Any) -> Asset:
    defaults: dict[str, Any] = {
        "address": None,
        "sub_address": None,
        "parent": None,
        "name": name,
        "device_class": DeviceClass.PLC,
        "identity": Identity(vendor="Siemens"),
        "services": (),
        "sources": {"vendor": ("o1",)},
        "conflicts": (),
        "presence": Presence.DECLARED_AND_SEEN,
        "declared": None,
        "criticality": None,
        "addresses": (),
        "facts": (),
        "fact_sources": (),
        "observations": ("o1",),
    }
    return Asset(id=f"{where}/{name}", zone=where, **{**defaults, **given})


def check(name: str = "weak", requirement: str = PARTIAL, **given: Any) -> Check:
    defaults: dict[str, Any] = {
        "title": f"title of {name}",
        "requirements": (requirement,),
        "severity": Severity.HIGH,
        "exploitability": Exploitability.KNOWN_TOOL,
        "reads": TlsFace,
        "judge": lambda fact, site: (),
        "remedy": f"Repair {name}.",
        "effort": Effort.PROJECT,
        "needs_outage": False,
        "protocols": ("https",),
    }
    return Check(id=name, **{**defaults, **given})


def finding(one: Check, verdict: Verdict, subject: str = "control/a", **given: Any) -> Finding:
    """On an asset, unless `scope` says otherwise."""
    scope = given.pop("scope", "asset")
    about = given.pop("about", "")
    is_asset = scope == "asset"
    defaults: dict[str, Any] = {
        "zone": subject.split("/")[0] if is_asset else subject if scope == "zone" else None,
        "asset": subject if is_asset else None,
        "conduit": subject if scope == "conduit" else None,
        "places": (Place(zone=subject.split("/")[0], asset=subject),) if is_asset else (),
        "severity": one.severity,
        "exploitability": one.exploitability,
        "effort": one.effort,
        "requirements": one.requirements,
        "summary": f"{subject} {verdict}",
        "remedy": one.remedy,
        "needs_outage": one.needs_outage,
        "evidence": ("x1",),
    }
    return Finding(
        id="/".join(part for part in (one.id, scope, subject, about) if part),
        check=one.id,
        title=one.title,
        scope=scope,
        verdict=verdict,
        **{**defaults, **given},
    )


def attestation(requirement: str = PARTIAL, **given: Any) -> AttestationInfo:
    defaults: dict[str, Any] = {
        "zone": "control",
        "verdict": MET,
        "document": "proof.pdf",
        "owner": "Shift lead",
        "date": "2026-03-01",
        "expires": None,
        "state": "accepted",
    }
    return AttestationInfo(requirement=requirement, **{**defaults, **given})


def figures(**given: Any) -> SafetyFigures:
    return SafetyFigures(
        zone=None,
        address=None,
        profile="default",
        connections=1,
        peak_concurrent=1,
        exchanges=1,
        bytes_out=1,
        bytes_in=1,
        packets_counted=6,
        packets_budget=8,
        smallest_gap_s=1.0,
        peak_packets_1s=4,
        resets_sent=0,
        refusals={"guard": 0},
        canary=(),
        **given,
    )


SAFETY = Safety(total=figures(), devices=(), loosenings=(), halted=None, withheld={})
RUN = RunInfo(
    id="r1",
    started_at=NIGHT,
    finished_at=NIGHT,
    state="finished",
    reason="",
    version="0",
    tiers=("identify",),
    authorisation="CHG-1",
    authorised_by="Shift lead",
    runs=("r1",),
    chain_head="",
    observations={"answered": 1},
    limits={},
)


def exchange(name: str) -> Exchange:
    return Exchange(
        id=name,
        target=Target(zone="control", address="127.30.0.12", port=443, transport=Transport.TCP),
        probe="http",
        tier=Tier.IDENTIFY,
        label="start page",
        sent_at=NIGHT,
        finished_at=NIGHT,
        outcome=Outcome.ANSWERED,
        reason="",
        request=b"\x00GET",
        reply=b"\xff\xfe",
        wire_bytes_out=4,
        wire_bytes_in=2,
        sha256="00",
    )


def observation(name: str, **given: Any) -> Observation:
    defaults: dict[str, Any] = {
        "zone": "control",
        "address": "127.30.0.12",
        "port": 443,
        "transport": Transport.TCP,
        "protocol": "https",
        "probe": "http",
        "tier": Tier.IDENTIFY,
        "outcome": Outcome.ANSWERED,
        "reason": "",
        "started_at": NIGHT,
        "finished_at": NIGHT,
        "facts": (HttpFace(scheme="https", status=200),),
        "exchanges": ("x1",),
    }
    return Observation(id=name, **{**defaults, **given})


def assessed(
    checks: Sequence[Check] = (),
    findings: Sequence[Finding] = (),
    attestations: Sequence[AttestationInfo] = (),
    **given: Any,
) -> Assessment:
    defaults: dict[str, Any] = {
        "site": "plant",
        "run": RUN,
        "zones": (zone(),),
        "conduits": (),
        "assets": (asset("a"), asset("b")),
        "observations": (),
        "exchanges": (),
        "safety": SAFETY,
    }
    return assess(
        checks=checks, findings=findings, attestations=attestations, **{**defaults, **given}
    )


def result(assessment: Assessment, requirement: str, place: str = "control") -> RequirementResult:
    (found,) = [
        one
        for one in assessment.requirements
        if one.id == requirement and place in (one.zone, one.conduit)
    ]
    return found


def level(assessment: Assessment, fr: str, place: str = "control") -> Level:
    (found,) = [
        one for one in assessment.levels if one.fr == fr and place in (one.zone, one.conduit)
    ]
    return found


def gap(assessment: Assessment, requirement: str, place: str = "control") -> Gap:
    (found,) = [
        one
        for one in assessment.gaps
        if one.requirement == requirement and place in (one.zone, one.conduit)
    ]
    return found


def attest_all(max_sl: int, fr: str | None = None, **given: Any) -> list[AttestationInfo]:
    return [attestation(item.id, **given) for item in CATALOGUE.items(fr, max_sl)]


# --- every requirement, every zone -------------------------------------------------------------


def test_every_requirement_has_one_verdict_in_every_zone() -> None:
    found = assessed(zones=(zone("control"), zone("safety", 3)))
    for place in ("control", "safety"):
        ids = [one.id for one in found.requirements if one.zone == place]
        assert ids == [item.id for item in CATALOGUE.requirements]
    assert {one.verdict for one in found.requirements} == {NOT_ASSESSED}


def test_what_sl_t_requires_follows_the_vector_of_the_zone() -> None:
    target = dict(zip(FR_KEYS, (0, 1, 2, 3, 4, 1, 2), strict=True))
    found = assessed(zones=(zone(sl_t=target),))
    for fr, wanted in zip(FR_IDS, target.values(), strict=True):
        required = {r.id for r in found.requirements if r.required_by_sl_t and r.fr == fr}
        assert required == {item.id for item in CATALOGUE.items(fr, wanted)}


def test_a_requirement_that_does_not_exist_is_a_bug() -> None:
    with pytest.raises(ToolBug, match=r"SR 9\.9"):
        assessed([check(requirement="SR 9.9")])


# --- what machines may say ---------------------------------------------------------------------


def test_a_fully_observable_item_is_met_when_every_check_passed_everywhere() -> None:
    one = check(requirement=FULL)
    found = assessed([one], [finding(one, Verdict.PASS, f"control/{n}") for n in "ab"])
    assert result(found, FULL).verdict is MET
    assert result(found, FULL).evidence_class is EvidenceClass.MACHINE
    assert "1 check passed" in result(found, FULL).note


def test_a_pass_and_a_not_applicable_make_a_fully_observable_item_met() -> None:
    one = check(requirement=FULL)
    several = [
        finding(one, Verdict.PASS, "control/a"),
        finding(one, Verdict.NOT_APPLICABLE, "control/b"),
    ]
    assert result(assessed([one], several), FULL).verdict is MET


def test_not_applicable_alone_proves_nothing() -> None:
    one = check(requirement=FULL)
    several = [finding(one, Verdict.NOT_APPLICABLE, f"control/{n}") for n in "ab"]
    assert result(assessed([one], several), FULL).verdict is NOT_ASSESSED


@pytest.mark.parametrize("verdict", [Verdict.NOT_CHECKED, Verdict.MANUAL, Verdict.ERROR])
def test_one_unknown_keeps_a_fully_observable_item_open(verdict: Verdict) -> None:
    one = check(requirement=FULL)
    several = [finding(one, Verdict.PASS, "control/a"), finding(one, verdict, "control/b")]
    found = result(assessed([one], several), FULL)
    assert (found.verdict, found.evidence_class) == (NOT_ASSESSED, EvidenceClass.NONE)
    assert f"control/b {verdict}" in found.note


def test_the_note_says_what_could_not_be_judged_and_why() -> None:
    one, other = check(requirement=FULL), check("other", FULL)
    unknown = finding(one, Verdict.NOT_CHECKED, summary="not learned: was withheld: window")
    words = "1 check could not judge 1 subject: not learned: was withheld: window"
    assert result(assessed([one], [unknown]), FULL).note == words
    passed = finding(other, Verdict.PASS)
    both = result(assessed([one, other], [unknown, passed]), FULL)
    assert both.note == f"no contrary evidence from 1 check; {words}"


def test_an_asset_without_a_finding_keeps_it_open() -> None:
    one = check(requirement=FULL)
    found = assessed([one], [finding(one, Verdict.PASS, "control/a")])
    assert result(found, FULL).verdict is NOT_ASSESSED
    assert "not all of them ran" in result(found, FULL).note


def test_a_check_that_did_not_run_keeps_it_open() -> None:
    ran, idle = check(requirement=FULL), check("idle", FULL)
    several = [finding(ran, Verdict.PASS, f"control/{n}") for n in "ab"]
    assert result(assessed([ran, idle], several), FULL).verdict is NOT_ASSESSED


def test_a_service_without_a_finding_keeps_it_open() -> None:
    one = check(requirement=FULL)
    services = tuple(
        Service(transport=Transport.TCP, port=port, protocol="https", outcome=Outcome.ANSWERED)
        for port in (443, 8443)
    )
    both = [finding(one, Verdict.PASS, about=f"port {port}") for port in (443, 8443)]
    plant = {"assets": (asset("a", services=services),)}
    assert result(assessed([one], both, **plant), FULL).verdict is MET
    assert result(assessed([one], both[:1], **plant), FULL).verdict is NOT_ASSESSED


def test_a_device_behind_a_device_concerns_a_check_only_with_its_fact() -> None:
    one = check(requirement=FULL)
    passed = [finding(one, Verdict.PASS, "control/a")]
    bare = asset("a#unit 3", parent="control/a", sub_address="unit 3")
    told = replace(bare, facts=(TlsFace(),), fact_sources=("o1",))
    assert result(assessed([one], passed, assets=(asset("a"), bare)), FULL).verdict is MET
    assert result(assessed([one], passed, assets=(asset("a"), told)), FULL).verdict is NOT_ASSESSED


def test_a_partly_observable_item_is_not_met_by_passes() -> None:
    one, other = check(), check("other")
    several = [finding(c, Verdict.PASS, f"control/{n}") for c in (one, other) for n in "ab"]
    found = result(assessed([one, other], several), PARTIAL)
    assert (found.verdict, found.note) == (NOT_ASSESSED, "no contrary evidence from 2 checks")


def test_one_failure_without_a_pass_is_not_met() -> None:
    one = check()
    several = [
        finding(one, Verdict.FAIL, "control/a"),
        finding(one, Verdict.NOT_CHECKED, "control/b"),
    ]
    found = result(assessed([one], several), PARTIAL)
    assert (found.verdict, found.evidence_class) == (NOT_MET, EvidenceClass.MACHINE)
    assert "title of weak (1 asset)" in found.note
    assert found.findings == ("weak/asset/control/a", "weak/asset/control/b")


def test_some_assets_pass_and_some_fail_is_partly_met_and_counts_as_not() -> None:
    one = check()
    several = [finding(one, Verdict.FAIL, "control/a"), finding(one, Verdict.PASS, "control/b")]
    found = assessed([one], several, attest_all(2))
    assert result(found, PARTIAL).verdict is PARTIALLY_MET
    assert level(found, "FR 1").sl_a_high == 0
    assert level(found, "FR 1").blocking == (PARTIAL,)


def test_an_asset_that_fails_one_check_and_passes_another_does_not_pass() -> None:
    one, other = check(), check("other")
    several = [finding(one, Verdict.FAIL), finding(other, Verdict.PASS)]
    assert result(assessed([one, other], several), PARTIAL).verdict is NOT_MET


def test_a_failure_of_the_whole_zone_is_not_met() -> None:
    one = check()
    whole = check("whole", reads=Zone)
    several = [
        finding(whole, Verdict.FAIL, "control", scope="zone"),
        finding(one, Verdict.PASS, "control/a"),
    ]
    assert result(assessed([one, whole], several), PARTIAL).verdict is NOT_MET


def test_a_failure_read_from_a_configuration_says_so() -> None:
    one = check(reads=DeviceSettings)
    found = result(assessed([one], [finding(one, Verdict.FAIL)]), PARTIAL)
    assert found.evidence_class is EvidenceClass.CONFIGURATION


def test_a_finding_on_an_enhancement_touches_that_enhancement_only() -> None:
    one = check(requirement="SR 1.1 RE 2")
    found = assessed([one], [finding(one, Verdict.FAIL)])
    touched = [r.id for r in found.requirements if r.findings]
    assert touched == ["SR 1.1 RE 2"]
    assert result(found, "SR 1.1").verdict is NOT_ASSESSED


def test_a_finding_touches_the_zones_its_places_name() -> None:
    one = check(reads=Inventory, requirement="SR 7.8")
    places = (Place(zone="safety", asset="safety/s"),)
    failed = finding(one, Verdict.FAIL, "plant", scope="site", places=places)
    zones = (zone("control"), zone("safety"))
    found = assessed([one], [failed], zones=zones)
    assert result(found, "SR 7.8", "safety").verdict is NOT_MET
    assert result(found, "SR 7.8", "control").verdict is NOT_ASSESSED
    everywhere = assessed([one], [replace(failed, places=())], zones=zones)
    assert result(everywhere, "SR 7.8", "control").verdict is NOT_MET


def test_the_inventory_can_meet_its_requirement_in_every_zone() -> None:
    one = check(reads=Inventory, requirement="SR 7.8")
    passed = finding(one, Verdict.PASS, "plant", scope="site")
    found = assessed([one], [passed], zones=(zone("control"), zone("safety")))
    assert {result(found, "SR 7.8", z).verdict for z in ("control", "safety")} == {MET}


# --- attestations ------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [MET, COMPENSATED, NOT_APPLICABLE])
def test_an_accepted_attestation_gives_its_verdict(verdict: RequirementVerdict) -> None:
    said = attestation(verdict=verdict, evidence_class=EvidenceClass.INTERVIEW, note="Seen.")
    found = result(assessed(attestations=[said]), PARTIAL)
    assert (found.verdict, found.evidence_class) == (verdict, EvidenceClass.INTERVIEW)
    assert "proof.pdf" in found.note
    assert "Seen." in found.note


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("expired", "expired on 2026-06-01"),
        ("document_missing", "proof.pdf is missing"),
        ("document_changed", "proof.pdf has changed"),
    ],
)
def test_an_attestation_that_is_not_accepted_counts_for_nothing_and_is_shown(
    state: Any, words: str
) -> None:
    said = attestation(state=state, expires="2026-06-01")
    found = result(assessed(attestations=[said]), PARTIAL)
    assert found.verdict is NOT_ASSESSED
    assert words in found.note


def test_an_attestation_for_a_place_that_does_not_exist_is_unknown() -> None:
    found = assessed(attestations=[attestation(zone="contrl")])
    assert found.attestations[0].state == "unknown"
    assert {r.verdict for r in found.requirements} == {NOT_ASSESSED}


def test_the_newest_of_two_attestations_counts() -> None:
    old = attestation(verdict=MET, date="2025-01-01")
    new = attestation(verdict=NOT_APPLICABLE, date="2026-01-01")
    assert result(assessed(attestations=[new, old]), PARTIAL).verdict is NOT_APPLICABLE


@pytest.mark.parametrize("verdict", [MET, NOT_APPLICABLE])
def test_a_failure_that_was_seen_beats_what_is_attested(verdict: RequirementVerdict) -> None:
    one = check()
    found = result(
        assessed([one], [finding(one, Verdict.FAIL)], [attestation(verdict=verdict)]), PARTIAL
    )
    assert (found.verdict, found.evidence_class) == (NOT_MET, EvidenceClass.MACHINE)
    assert "contradicts what is attested" in found.note


def test_a_compensating_measure_stands_and_says_what_it_compensates() -> None:
    one = check()
    said = attestation(verdict=COMPENSATED, note="Locked cabinet.")
    found = assessed([one], [finding(one, Verdict.FAIL)], [said])
    assert result(found, PARTIAL).verdict is COMPENSATED
    assert result(found, PARTIAL).evidence_class is EvidenceClass.DOCUMENT
    assert "it compensates: title of weak (1 asset)" in result(found, PARTIAL).note
    assert result(found, PARTIAL).findings == ("weak/asset/control/a",)
    assert not [one for one in found.gaps if one.requirement == PARTIAL]


def test_an_expired_compensation_compensates_nothing() -> None:
    one = check()
    said = attestation(verdict=COMPENSATED, state="expired", expires="2026-06-01")
    found = result(assessed([one], [finding(one, Verdict.FAIL)], [said]), PARTIAL)
    assert found.verdict is NOT_MET
    assert "expired" in found.note


def test_what_machines_left_open_people_may_attest() -> None:
    one = check()
    several = [finding(one, Verdict.NOT_CHECKED), finding(one, Verdict.PASS, "control/b")]
    found = result(assessed([one], several, [attestation()]), PARTIAL)
    assert (found.verdict, found.evidence_class) == (MET, EvidenceClass.DOCUMENT)


# --- conduits ----------------------------------------------------------------------------------


def test_a_conduit_with_an_sl_t_has_its_own_verdicts_and_level() -> None:
    one = check(reads=Conduit, requirement="SR 1.1 RE 2")
    failed = finding(one, Verdict.FAIL, "c1", scope="conduit")
    found = assessed(
        [one],
        [failed],
        [attestation(item.id, zone="c1") for item in CATALOGUE.items("FR 5", 1)],
        conduits=(conduit(3),),
        zones=(zone("control", 3), zone("supervision", 3), zone("other", 3)),
    )
    ids = {r.id for r in found.requirements if r.conduit == "c1"}
    assert ids == {"SR 1.1 RE 2", *(item.id for item in CATALOGUE.items("FR 5"))}
    assert result(found, "SR 1.1 RE 2", "c1").verdict is NOT_MET
    (one_level,) = [lv for lv in found.levels if lv.conduit]
    assert (one_level.fr, one_level.sl_t, one_level.sl_a_low) == ("FR 5", 3, 1)
    assert {g.requirement for g in found.gaps if g.conduit} >= {"SR 1.1 RE 2", "SR 5.1 RE 1"}
    # The zones at both ends share the failure, others do not.
    assert result(found, "SR 1.1 RE 2", "supervision").verdict is NOT_MET
    assert result(found, "SR 1.1 RE 2", "other").verdict is NOT_ASSESSED


def test_a_conduit_without_an_sl_t_has_none_and_its_failure_is_not_lost() -> None:
    one = check(reads=Conduit, requirement="SR 6.2")
    failed = finding(one, Verdict.FAIL, "c1", scope="conduit")
    found = assessed([one], [failed], conduits=(conduit(0),))
    assert not [r for r in found.requirements if r.conduit]
    assert result(found, "SR 6.2").verdict is NOT_MET


def test_a_conduit_can_meet_a_fully_observable_item() -> None:
    one = check(reads=Conduit, requirement="SR 5.2")
    passed = finding(one, Verdict.PASS, "c1", scope="conduit")
    both = (conduit(2), conduit(2, id="c2"))
    found = assessed([one], [passed], conduits=both)
    assert result(found, "SR 5.2", "c1").verdict is MET
    assert result(found, "SR 5.2", "c2").verdict is NOT_ASSESSED
    assert result(found, "SR 5.2", "control").verdict is NOT_ASSESSED
    again = finding(one, Verdict.PASS, "c2", scope="conduit")
    assert result(assessed([one], [passed, again], conduits=both), "SR 5.2").verdict is MET


# --- levels ------------------------------------------------------------------------------------


def test_levels_are_all_or_nothing_and_show_both_bounds() -> None:
    found = assessed(attestations=attest_all(1), zones=(zone(sl_t=2),))
    one = level(found, "FR 7")
    assert (one.sl_a_low, one.sl_a_high) == (1, 4)
    assert one.blocking == ("SR 7.1 RE 1", "SR 7.3 RE 1", "SR 7.8")
    assert (one.items_met, one.items_total, one.sl_c) == (7, 10, None)


def test_one_missing_item_of_sl_1_keeps_the_level_at_0() -> None:
    everything = [one for one in attest_all(4) if one.requirement != "SR 1.4"]
    one = level(assessed(attestations=everything), "FR 1")
    assert (one.sl_a_low, one.sl_a_high, one.blocking) == (0, 4, ("SR 1.4",))


def test_fr_6_and_fr_7_are_at_sl_4_once_their_sl_3_set_is_met() -> None:
    found = assessed(attestations=attest_all(3))
    assert [level(found, fr).sl_a_low for fr in FR_IDS] == [3, 3, 3, 3, 3, 4, 4]


def test_a_failure_at_sl_3_caps_both_bounds_at_2() -> None:
    one = check(requirement="SR 7.6 RE 1")
    found = assessed([one], [finding(one, Verdict.FAIL)], attest_all(2))
    assert (level(found, "FR 7").sl_a_low, level(found, "FR 7").sl_a_high) == (2, 2)
    assert level(found, "FR 7").blocking == ()


def test_compensated_and_not_applicable_count_for_the_level() -> None:
    said = attest_all(1, "FR 6", verdict=COMPENSATED) + attest_all(
        1, "FR 4", verdict=NOT_APPLICABLE
    )
    found = assessed(attestations=said)
    assert (level(found, "FR 6").sl_a_low, level(found, "FR 4").sl_a_low) == (1, 1)


# --- score -------------------------------------------------------------------------------------


def test_an_sr_is_compliant_only_with_every_required_enhancement() -> None:
    target = {**vector(0), "dc": 2}
    said = attest_all(2, "FR 4")
    whole = assessed(attestations=said, zones=(zone(sl_t=target),))
    assert [(s.zone, s.compliant, s.applicable) for s in whole.score] == [
        (None, 3, 3),
        ("control", 3, 3),
    ]
    partly = [one for one in said if one.requirement != "SR 4.1 RE 1"]
    score = assessed(attestations=partly, zones=(zone(sl_t=target),)).score[1]
    assert (score.compliant, score.applicable, score.score) == (2, 3, pytest.approx(2 / 3))
    assert (score.items_met, score.items_total, score.items_assessed) == (3, 4, 3)
    assert (score.items_share, score.assessed_share) == (0.75, 0.75)


def test_what_is_not_applicable_is_left_out_of_the_score() -> None:
    target = {**vector(0), "dc": 1}
    said = [attestation("SR 4.1", verdict=NOT_APPLICABLE), attestation("SR 4.3")]
    score = assessed(attestations=said, zones=(zone(sl_t=target),)).score[1]
    assert (score.compliant, score.applicable, score.items_total) == (1, 1, 1)


def test_a_zone_without_a_target_has_no_score() -> None:
    score = assessed(zones=(zone(sl_t=0),)).score[1]
    assert (score.score, score.items_share, score.assessed_share) == (None, None, None)


def test_the_overall_score_counts_srs_and_does_not_average_zones() -> None:
    zones = (zone("control", {**vector(0), "dc": 1}), zone("safety", 1))
    found = assessed(attestations=attest_all(1, "FR 4"), zones=zones)
    overall = found.score[0]
    assert (overall.compliant, overall.applicable) == (2, 2 + 37)
    assert overall.score == pytest.approx(2 / 39)


# --- gaps --------------------------------------------------------------------------------------


def test_every_required_item_that_is_not_met_is_a_gap_and_no_other() -> None:
    one = check()
    found = assessed([one], [finding(one, Verdict.FAIL)], attest_all(1, "FR 6"))
    wanted = {
        r.id for r in found.requirements if r.required_by_sl_t and not r.verdict.counts_as_met
    }
    assert {g.requirement for g in found.gaps} == wanted
    assert [g.priority for g in found.gaps] == list(range(1, len(wanted) + 1))
    assert len({g.id for g in found.gaps}) == len(wanted)


def test_a_gap_is_as_grave_and_as_easy_as_its_worst_failure() -> None:
    mild = check("mild", severity=Severity.LOW, exploitability=Exploitability.TRIVIAL)
    grave = check("grave", severity=Severity.CRITICAL, needs_outage=True)
    found = gap(
        assessed(
            [mild, grave],
            [
                finding(mild, Verdict.FAIL),
                finding(grave, Verdict.FAIL),
                finding(mild, Verdict.PASS, "control/b"),
            ],
        ),
        PARTIAL,
    )
    assert (found.severity, found.exploitability) == (Severity.CRITICAL, Exploitability.TRIVIAL)
    assert found.remedy == "Repair grave. Repair mild."
    assert found.needs_outage
    assert found.findings == ("grave/asset/control/a", "mild/asset/control/a")
    assert found.reason


def test_what_nobody_assessed_is_a_gap_with_the_least_weight() -> None:
    one = check()
    found = assessed([one], [finding(one, Verdict.NOT_CHECKED)])
    open_gap, blank = gap(found, PARTIAL), gap(found, "SR 7.4")
    assert open_gap.verdict is blank.verdict is NOT_ASSESSED
    assert (blank.severity, blank.exploitability) == (Severity.INFO, Exploitability.THEORETICAL)
    assert open_gap.findings == ("weak/asset/control/a",)
    assert "open checks" in open_gap.remedy
    assert CATALOGUE.get("SR 7.4").intent in blank.remedy


def order(found: Assessment) -> list[tuple[str | None, str]]:
    return [
        (g.zone or g.conduit, g.requirement) for g in found.gaps if g.verdict is not NOT_ASSESSED
    ]


def test_zones_with_a_high_sl_t_come_first_then_safety_then_low_purdue_levels() -> None:
    one = check()
    zones = (
        zone("office", 2, purdue=4),
        zone("sis-1", 2, purdue=1),
        zone("line", 2, purdue=1),
        zone("turbine", 3, purdue=2),
    )
    found = assessed(
        [one],
        [finding(one, Verdict.FAIL, f"{z.id}/a") for z in zones],
        zones=zones,
        assets=tuple(asset("a", z.id) for z in zones),
    )
    assert [place for place, _ in order(found)] == ["turbine", "sis-1", "line", "office"]


def test_what_is_easily_exploited_comes_before_what_is_not() -> None:
    hard = check("hard", "SR 1.1", exploitability=Exploitability.THEORETICAL)
    easy = check("easy", "SR 7.7", exploitability=Exploitability.TRIVIAL, severity=Severity.LOW)
    found = assessed([hard, easy], [finding(hard, Verdict.FAIL), finding(easy, Verdict.FAIL)])
    assert [r for _, r in order(found)] == ["SR 7.7", "SR 1.1"]


def test_foundations_come_before_others_and_quick_wins_before_projects() -> None:
    several = [
        check("monitor", "SR 6.2"),
        check("slow", "SR 1.1", effort=Effort.PROCUREMENT),
        check("quick", "SR 1.3", effort=Effort.QUICK),
        check("segment", "SR 5.1 RE 1", effort=Effort.PROCUREMENT),
        check("list", "SR 7.8"),
    ]
    found = assessed(several, [finding(one, Verdict.FAIL) for one in several])
    assert [r for _, r in order(found)] == ["SR 7.8", "SR 5.1 RE 1", "SR 1.3", "SR 1.1", "SR 6.2"]


def test_what_is_proven_comes_before_what_is_unknown() -> None:
    one = check(exploitability=Exploitability.THEORETICAL, severity=Severity.LOW)
    zones = (zone("control", 1), zone("safety", 4))
    found = assessed([one], [finding(one, Verdict.FAIL)], zones=zones)
    assert (found.gaps[0].zone, found.gaps[0].requirement) == ("control", PARTIAL)
    assert found.gaps[1].zone == "safety"


# --- phases and roadmap ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "effort", "outage", "phase"),
    [
        ("SR 1.3", Effort.QUICK, False, 1),
        ("SR 1.3", Effort.QUICK, True, 2),
        ("SR 1.3", Effort.PROJECT, False, 2),
        ("SR 1.3", Effort.PROCUREMENT, False, 3),
        ("SR 1.5", Effort.PROJECT, True, 1),
        ("SR 5.1", Effort.PROJECT, False, 1),
        ("SR 5.1", Effort.PROCUREMENT, False, 2),
        ("SR 1.1 RE 2", Effort.PROJECT, False, 1),
        ("SR 2.8 RE 1", Effort.PROJECT, False, 1),
        ("SR 7.8", Effort.PROJECT, False, 1),
        ("SR 2.1", Effort.PROJECT, False, 2),
    ],
)
def test_quick_wins_and_foundations_come_in_the_first_quarter(
    requirement: str, effort: Effort, outage: bool, phase: int
) -> None:
    one = check(requirement=requirement, effort=effort, needs_outage=outage)
    assert phase_of(finding(one, Verdict.FAIL)) == phase


def test_evidence_is_gathered_in_the_order_of_the_levels() -> None:
    found = assessed(zones=(zone(sl_t=4),))
    phases = {g.requirement: g.phase for g in found.gaps}
    assert (phases["SR 7.4"], phases["SR 7.8"], phases["SR 2.7"], phases["SR 2.1 RE 4"]) == (
        1,
        2,
        3,
        3,
    )


def test_one_remedy_is_one_item_of_the_roadmap_over_zones_and_requirements() -> None:
    one = check(requirements=(PARTIAL, "SR 7.7"), effort=Effort.QUICK)
    zones = (zone("control", 1), zone("safety", 1))
    found = assessed(
        [one],
        [finding(one, Verdict.FAIL, f"{place}/a") for place in ("control", "safety")],
        zones=zones,
    )
    item = found.roadmap[0]
    assert (item.phase, item.title, item.effort) == (1, "Repair weak.", Effort.QUICK)
    assert (set(item.zones), set(item.requirements)) == (
        {"control", "safety"},
        {PARTIAL, "SR 7.7"},
    )
    assert len(item.gaps) == 4
    assert "4 gaps, seen on 2 assets; worst severity high, exploitable with known" in item.why


def test_every_gap_stands_in_the_roadmap_not_before_all_its_remedies() -> None:
    quick = check("quick", effort=Effort.QUICK, requirement="SR 1.3")
    bought = check("bought", effort=Effort.PROCUREMENT, requirement="SR 1.3")
    found = assessed([quick, bought], [finding(c, Verdict.FAIL) for c in (quick, bought)])
    assert {name for item in found.roadmap for name in item.gaps} == {g.id for g in found.gaps}
    assert gap(found, "SR 1.3").phase == 3
    assert [item.phase for item in found.roadmap] == sorted(item.phase for item in found.roadmap)
    titles = [item.title for item in found.roadmap]
    assert titles[0] == "Repair quick."
    assert "Gather evidence on FR 2, Use control" in titles


# --- the document ------------------------------------------------------------------------------


def whole() -> Assessment:
    one = check()
    face = HttpFace(scheme="https", status=200, title="CPU < & \x00 \u202e")
    seen = asset(
        "a",
        facts=(face, ModbusAccess(unit_id=1), TlsFace(not_after=NIGHT)),
        fact_sources=("o1", "o1", "o1"),
        services=(
            Service(transport=Transport.TCP, port=443, protocol="https", outcome=Outcome.ANSWERED),
        ),
        expected_services=(Flow(protocol="https", transport=Transport.TCP, port=443),),
    )
    return assessed(
        [one],
        [finding(one, Verdict.FAIL)],
        [attestation(state="expired", expires="2026-06-01")],
        assets=(seen,),
        conduits=(conduit(2),),
        observations=(
            observation("o1"),
            observation("o2", exchanges=("x2",)),
            observation("o3", port=80, exchanges=("x3",)),
        ),
        exchanges=(exchange("x1"), exchange("x2"), exchange("x3")),
    )


def test_the_document_survives_the_way_through_json() -> None:
    assert from_json(to_json(whole())) == whole()


def test_the_document_is_ascii_whatever_a_device_sent() -> None:
    hostile = replace(whole(), site="\u202e\x85\x1b[2J Größe")

    document = to_json(hostile)

    assert document.isascii()
    assert b"\x1b" not in document
    assert from_json(document) == hostile


def test_bytes_are_hex_in_json() -> None:
    document = json.loads(to_json(whole()))
    assert document["exchanges"][0]["request"] == "00474554"
    assert document["exchanges"][0]["reply"] == "fffe"


def test_the_document_fits_its_published_schema() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(to_json(whole()))
    jsonschema.validate(document, schema)
    del document["safety"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_only_the_exchanges_that_something_rests_on_are_kept() -> None:
    assert [one.id for one in whole().exchanges] == ["x1"]


def test_titles_are_in_the_document() -> None:
    titles = whole().titles
    assert titles["SR 7.8"] == "Control system component inventory"
    assert titles["weak"] == "title of weak"
    assert titles["FR 5"] == "Restricted data flow"


@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1, -3])
def test_a_truncated_document_is_refused_with_a_remedy(cut: int) -> None:
    with pytest.raises(StoreError, match=r"cut off or damaged.*walkdown assess"):
        from_json(to_json(whole())[:cut])


@pytest.mark.parametrize("document", [b"[]", b"{}", b'"word"', b'{"schema": 3}', b"\xff\xfe"])
def test_what_is_no_assessment_is_refused_with_a_remedy(document: bytes) -> None:
    with pytest.raises(StoreError, match="walkdown assess"):
        from_json(document)


def test_a_document_of_another_version_is_refused_with_a_remedy() -> None:
    other = to_json(whole()).replace(b"walkdown.assessment/1", b"walkdown.assessment/9")
    with pytest.raises(StoreError, match=r"format 'walkdown\.assessment/9'.*walkdown assess"):
        from_json(other)


def test_a_damaged_field_is_named() -> None:
    document = json.loads(to_json(whole()))
    document["levels"][3]["sl_t"] = "two"
    with pytest.raises(StoreError, match=r"damaged at levels\.3\.sl_t"):
        from_json(json.dumps(document).encode())


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_a_damaged_document_is_refused_or_still_an_assessment(at: int, patch: bytes) -> None:
    raw = bytearray(DOCUMENT)
    at %= len(raw)
    raw[at : at + len(patch)] = patch
    try:
        found: Assessment | None = from_json(bytes(raw))
    except StoreError:
        found = None
    assert found is None or isinstance(found, Assessment)


DOCUMENT = to_json(whole())


def test_the_same_input_in_another_order_gives_the_same_document() -> None:
    one, other = check(), check("other", "SR 7.7")
    findings = [
        finding(c, v, f"control/{n}")
        for c, v in ((one, Verdict.FAIL), (other, Verdict.PASS))
        for n in "ab"
    ]
    forward = assessed([one, other], findings)
    backward = assessed([other, one], findings[::-1])
    assert replace(forward, titles={}) == replace(backward, titles={})


# --- properties --------------------------------------------------------------------------------

CHECKS = (
    check("full-1", FULL),
    check("full-2", FULL, reads=Asset),
    check("partial", PARTIAL),
    check("zone", "SR 7.7", reads=Zone),
    check("site", "SR 7.8", reads=Inventory),
    check("conduit", "SR 5.2", reads=Conduit),
    check("both", requirements=("SR 5.1", "SR 7.6", "SR 7.6 RE 1")),
    check("enhancement", "SR 6.1 RE 1"),
)
SUBJECTS = {
    Zone: [("control", "zone")],
    Inventory: [("plant", "site")],
    Conduit: [("c1", "conduit")],
}
SLOTS = [
    (one, subject, scope)
    for one in CHECKS
    for subject, scope in SUBJECTS.get(one.reads, [("control/a", "asset"), ("control/b", "asset")])
]
VERDICTS = st.sampled_from([*Verdict, Verdict.PASS, Verdict.PASS, Verdict.PASS, Verdict.PASS])
SOME_FINDINGS = st.tuples(*(st.none() | VERDICTS for _ in SLOTS)).map(
    lambda verdicts: [
        finding(one, verdict, subject, scope=scope)
        for (one, subject, scope), verdict in zip(SLOTS, verdicts, strict=True)
        if verdict is not None
    ]
)
MAY_ATTEST = [item.id for item in CATALOGUE.requirements]
SOME_ATTESTATIONS = st.lists(
    st.builds(
        attestation,
        st.sampled_from(MAY_ATTEST),
        verdict=st.sampled_from([MET, COMPENSATED, NOT_APPLICABLE]),
        state=st.sampled_from(["accepted", "expired", "document_missing", "document_changed"]),
        expires=st.just("2026-06-01"),
    ),
    max_size=8,
)
ALL_BUT_THE_CHECKED = [
    attestation(item.id)
    for item in CATALOGUE.requirements
    if not any(item.id in one.requirements for one in CHECKS)
]
"""With these, the machine's findings alone decide the levels."""


def lows(found: Assessment) -> dict[tuple[str | None, str | None, str], int]:
    return {(one.zone, one.conduit, one.fr): one.sl_a_low for one in found.levels}


@settings(max_examples=60, deadline=None)
@given(SOME_FINDINGS, st.data())
def test_proven_levels_never_rise_when_a_finding_is_removed_or_not_checked(
    findings: list[Finding], data: st.DataObject
) -> None:
    before = assessed(CHECKS, findings, ALL_BUT_THE_CHECKED, conduits=(conduit(2),))
    if not findings:
        return
    at = data.draw(st.integers(0, len(findings) - 1))
    removed = [*findings[:at], *findings[at + 1 :]]
    unknown = [*removed, replace(findings[at], verdict=Verdict.NOT_CHECKED)]
    for fewer in (removed, unknown):
        after = assessed(CHECKS, fewer, ALL_BUT_THE_CHECKED, conduits=(conduit(2),))
        assert all(low <= lows(before)[place] for place, low in lows(after).items())


@settings(max_examples=40, deadline=None)
@given(SOME_FINDINGS, SOME_ATTESTATIONS, st.data())
def test_with_attestations_too_unless_what_is_removed_was_a_failure(
    findings: list[Finding], attestations: list[AttestationInfo], data: st.DataObject
) -> None:
    harmless = [n for n, one in enumerate(findings) if one.verdict is not Verdict.FAIL]
    if not harmless:
        return
    at = data.draw(st.sampled_from(harmless))
    said = [*ALL_BUT_THE_CHECKED, *attestations]
    before = assessed(CHECKS, findings, said)
    after = assessed(CHECKS, [*findings[:at], *findings[at + 1 :]], said)
    assert all(low <= lows(before)[place] for place, low in lows(after).items())


@settings(max_examples=40, deadline=None)
@given(SOME_FINDINGS, SOME_ATTESTATIONS, st.integers(0, 4))
def test_the_low_bound_never_exceeds_the_high_one_and_the_counts_add_up(
    findings: list[Finding], attestations: list[AttestationInfo], sl_t: int
) -> None:
    found = assessed(
        CHECKS, findings, attestations, zones=(zone(sl_t=sl_t),), conduits=(conduit(sl_t),)
    )
    for one in found.levels:
        assert 0 <= one.sl_a_low <= one.sl_a_high <= 4
        assert len(one.blocking) == one.items_total - one.items_met
        assert (one.sl_a_low >= one.sl_t) == (not one.blocking)
    for score in found.score:
        assert score.compliant <= score.applicable
        assert score.items_met <= score.items_assessed <= score.items_total
    assert {name for item in found.roadmap for name in item.gaps} == {g.id for g in found.gaps}


@settings(max_examples=40, deadline=None)
@given(SOME_FINDINGS)
def test_without_attestations_only_fully_observable_items_are_ever_met(
    findings: list[Finding],
) -> None:
    for one in assessed(CHECKS, findings, conduits=(conduit(2),)).requirements:
        if one.verdict is MET:
            assert CATALOGUE.get(one.id).observable == "full"
            own = [f for f in findings if f.id in one.findings]
            assert {f.verdict for f in own} == {Verdict.PASS}
        assert one.verdict not in (COMPENSATED, NOT_APPLICABLE)


@given(st.dictionaries(st.sampled_from(MAY_ATTEST), st.sampled_from(list(RequirementVerdict))))
def test_the_achieved_level_is_the_greatest_whose_items_all_count(
    verdicts: dict[str, RequirementVerdict],
) -> None:
    for fr in FR_IDS:
        low = achieved(CATALOGUE.items(fr), verdicts, unknown_counts=False)
        met = [
            all(
                verdicts.get(item.id, NOT_ASSESSED).counts_as_met
                for item in CATALOGUE.items(fr, wanted)
            )
            for wanted in range(5)
        ]
        assert low == max(wanted for wanted in range(5) if met[wanted])
