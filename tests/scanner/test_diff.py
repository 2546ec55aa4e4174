"""Between two assessments, only what was looked at twice can have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.correlate import Declared, assets
from scanner.diff import Change, Diff, LevelChange, diff
from scanner.facts import DeviceIdentity
from scanner.fold import folded
from scanner.model import (
    Assessment,
    Effort,
    Exploitability,
    Finding,
    Level,
    Observation,
    Outcome,
    Place,
    RunInfo,
    Safety,
    SafetyFigures,
    Severity,
    Tier,
    Transport,
    Verdict,
)

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
PLC = "192.168.0.10"
ID = f"control/{PLC}"


def observation(**given: Any) -> Observation:
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
        "exchanges": (),
    }
    values = {**defaults, **given}
    return Observation(id=f"o/{values['address']}/{values['port']}/{values['tier']}", **values)


def told(**given: Any) -> Observation:
    return observation(facts=(DeviceIdentity(**given),))


def finding(verdict: Verdict, about: str = "port 502", subject: str = ID) -> Finding:
    return Finding(
        id=f"weak/asset/{subject}" + (f"/{about}" if about else ""),
        check="weak",
        title="weak",
        scope="asset",
        zone="control",
        asset=subject,
        conduit=None,
        places=(),
        verdict=verdict,
        severity=Severity.HIGH,
        exploitability=Exploitability.KNOWN_TOOL,
        effort=Effort.QUICK,
        requirements=("SR 1.5",),
        summary="",
        remedy="",
        needs_outage=False,
        evidence=(),
    )


def level(low: int, high: int, fr: str = "FR 1") -> Level:
    return Level(
        zone="control",
        conduit=None,
        fr=fr,
        sl_t=2,
        sl_c=None,
        sl_a_low=low,
        sl_a_high=high,
        blocking=(),
        items_met=0,
        items_total=0,
    )


TOTAL = SafetyFigures(
    zone=None, address=None, profile="default", connections=0, peak_concurrent=0, exchanges=0,
    bytes_out=0, bytes_in=0, packets_counted=0, packets_budget=0, smallest_gap_s=None,
    peak_packets_1s=0, resets_sent=0, refusals={}, canary=(),
)  # fmt: skip


def run(
    name: str,
    observations: Sequence[Observation] = (),
    findings: Sequence[Finding] = (),
    levels: Sequence[Level] = (),
    declared: bool = False,
) -> Assessment:
    entries = [Declared(zone="control", address=PLC, name="PLC-12")] if declared else []
    return Assessment(
        schema="walkdown.assessment/1",
        site="plant",
        run=RunInfo(
            id=name, started_at=NIGHT, finished_at=NIGHT, state="finished", reason="", version="0",
            tiers=(), authorisation="", authorised_by="", runs=(name,), chain_head="",
            observations={}, limits={},
        ),
        zones=(),
        conduits=(),
        assets=assets(observations, entries),
        observations=tuple(observations),
        exchanges=(),
        findings=tuple(findings),
        requirements=(),
        levels=tuple(levels),
        gaps=(),
        score=(),
        roadmap=(),
        attestations=(),
        safety=Safety(total=TOTAL, devices=(), loosenings=(), halted=None, withheld={}),
    )  # fmt: skip


def of_observations(
    before: Sequence[Observation], after: Sequence[Observation], declared: bool = False
) -> Diff:
    return diff(run("r1", before, declared=declared), run("r2", after, declared=declared))


def of_findings(before: Sequence[Finding], after: Sequence[Finding]) -> Diff:
    return diff(run("r1", findings=before), run("r2", findings=after))


# --- assets ------------------------------------------------------------------------------------

HERE = told(vendor="Siemens")
SILENT = observation(outcome=Outcome.SILENT)
WITHHELD = observation(outcome=Outcome.WITHHELD, reason="window")


@pytest.mark.parametrize("declared", [False, True])
def test_a_device_that_was_asked_and_kept_silent_is_gone(declared: bool) -> None:
    found = of_observations([HERE], [SILENT], declared)
    assert (found.gone_assets, found.not_visited) == ((ID,), ())
    assert (found.before, found.after) == ("r1", "r2")


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("after", [[], [WITHHELD]])
def test_a_device_that_was_not_asked_is_not_gone(after: list[Observation], declared: bool) -> None:
    found = of_observations([HERE], after, declared)
    assert (found.gone_assets, found.not_visited) == ((), (ID,))


@pytest.mark.parametrize("declared", [False, True])
def test_a_device_where_there_was_silence_is_new(declared: bool) -> None:
    found = of_observations([SILENT], [HERE], declared)
    assert (found.new_assets, found.first_visited) == ((ID,), ())


@pytest.mark.parametrize("declared", [False, True])
@pytest.mark.parametrize("before", [[], [WITHHELD]])
def test_a_device_where_nobody_had_asked_is_not_called_new(
    before: list[Observation], declared: bool
) -> None:
    found = of_observations(before, [HERE], declared)
    assert (found.new_assets, found.first_visited) == ((), (ID,))


def test_two_equal_runs_differ_in_nothing() -> None:
    assert of_observations([HERE], [HERE]).empty
    assert of_observations([SILENT], [WITHHELD]).empty


def test_a_changed_identity_is_told_field_by_field() -> None:
    found = of_observations(
        [told(vendor="Siemens", firmware="V4.2", serial="S1", device_class="plc")],
        [told(vendor="SIEMENS", firmware="V4.2.1", serial="S2", device_class="hmi")],
    )
    assert found.changes == (
        Change(asset=ID, field="firmware", before="V4.2", after="V4.2.1"),
        Change(asset=ID, field="serial", before="S1", after="S2"),
        Change(asset=ID, field="device_class", before="plc", after="hmi"),
    )


def test_a_field_that_only_one_run_learned_is_no_change() -> None:
    one, other = told(vendor="Siemens"), told(vendor="Siemens", firmware="2", device_class="plc")
    assert of_observations([one], [other]).changes == ()
    assert of_observations([other], [one]).changes == ()


@pytest.mark.parametrize("closed", [Outcome.REFUSED, Outcome.SILENT])
def test_services_that_opened_or_closed_are_changes(closed: Outcome) -> None:
    web = observation(port=80, protocol="http", probe="http")
    shut = replace(web, outcome=closed)
    opened = of_observations([HERE, shut], [HERE, web]).changes
    assert opened == (Change(asset=ID, field="tcp/80 http", before="closed", after="open"),)
    shut_now = of_observations([HERE, web], [HERE, shut]).changes
    assert shut_now == (Change(asset=ID, field="tcp/80 http", before="open", after="closed"),)


@pytest.mark.parametrize("outcome", [Outcome.WITHHELD, Outcome.INTERRUPTED, Outcome.FAILED, None])
def test_a_service_that_was_not_asked_did_not_close(outcome: Outcome | None) -> None:
    web = observation(port=80, protocol="http", probe="http")
    after = [replace(web, outcome=outcome)] if outcome else []
    assert of_observations([HERE, web], [HERE, *after]).changes == ()


def test_a_device_behind_a_device_is_gone_when_the_one_in_front_answered_without_it() -> None:
    child = DeviceIdentity(vendor="ABB", sub_address="unit 3")
    with_it = observation(facts=(DeviceIdentity(vendor="Moxa"), child))
    without = told(vendor="Moxa")
    assert of_observations([with_it], [without]).gone_assets == (f"{ID}#unit 3",)
    assert of_observations([without], [with_it]).new_assets == (f"{ID}#unit 3",)


def test_a_device_behind_a_device_is_not_gone_when_its_question_was_not_asked() -> None:
    child = DeviceIdentity(vendor="ABB", sub_address="unit 3")
    asked = observation(tier=Tier.READ, facts=(child,))
    found = of_observations([told(vendor="Moxa"), asked], [told(vendor="Moxa")])
    assert (found.gone_assets, found.not_visited) == ((), (f"{ID}#unit 3",))


# --- findings ----------------------------------------------------------------------------------

FAIL = finding(Verdict.FAIL)


def test_a_failure_that_passes_now_is_fixed() -> None:
    assert of_findings([FAIL], [finding(Verdict.PASS)]).fixed_findings == (FAIL.id,)


def test_a_failure_that_is_still_there_stays_open_and_moves_nothing() -> None:
    found = of_findings([FAIL], [FAIL])
    assert found.open_findings == (FAIL.id,)
    assert found.empty


def test_a_failure_that_was_a_pass_has_regressed() -> None:
    found = of_findings([finding(Verdict.PASS)], [FAIL])
    assert (found.regressed_findings, found.new_findings) == ((FAIL.id,), ())


@pytest.mark.parametrize("before", [[], [finding(Verdict.NOT_CHECKED)]])
def test_a_failure_that_nobody_had_judged_is_new(before: list[Finding]) -> None:
    found = of_findings(before, [FAIL])
    assert (found.regressed_findings, found.new_findings) == ((), (FAIL.id,))


@pytest.mark.parametrize("verdict", [Verdict.NOT_CHECKED, Verdict.MANUAL, Verdict.ERROR, None])
def test_a_failure_that_was_not_judged_again_is_not_fixed(verdict: Verdict | None) -> None:
    found = of_findings([FAIL], [finding(verdict)] if verdict else [])
    assert (found.fixed_findings, found.unverified_findings) == ((), (FAIL.id,))


def test_a_failure_of_a_service_that_is_closed_now_is_fixed() -> None:
    closed = finding(Verdict.NOT_APPLICABLE, about="")
    assert of_findings([FAIL], [closed]).fixed_findings == (FAIL.id,)
    elsewhere = finding(Verdict.PASS, about="port 503")
    assert of_findings([FAIL], [elsewhere]).fixed_findings == (FAIL.id,)


def test_a_failure_may_hide_behind_what_was_not_judged() -> None:
    unknown = finding(Verdict.NOT_CHECKED, about="")
    passed = finding(Verdict.PASS, about="port 503")
    found = of_findings([FAIL], [unknown, passed])
    assert (found.fixed_findings, found.unverified_findings) == ((), (FAIL.id,))


def test_one_of_two_failures_can_be_fixed() -> None:
    other = finding(Verdict.FAIL, about="port 503")
    found = of_findings([FAIL, other], [other])
    assert (found.fixed_findings, found.open_findings) == ((FAIL.id,), (other.id,))


def test_another_assets_pass_fixes_nothing() -> None:
    elsewhere = finding(Verdict.PASS, subject="control/192.168.0.11")
    assert of_findings([FAIL], [elsewhere]).unverified_findings == (FAIL.id,)


@pytest.mark.parametrize(
    ("verdict", "about", "fixed"),
    [
        (Verdict.NOT_APPLICABLE, "port 502", True),
        (Verdict.NOT_APPLICABLE, "", True),
        (Verdict.NOT_CHECKED, "port 502", False),
        (Verdict.NOT_CHECKED, "", False),
    ],
)
def test_a_word_on_many_assets_is_a_word_on_each(verdict: Verdict, about: str, fixed: bool) -> None:
    alike = [
        replace(
            finding(verdict, about=about, subject=subject),
            places=(Place(zone="control", asset=subject),),
        )
        for subject in (ID, "control/192.168.0.11")
    ]
    told, _ = folded(alike)
    assert len(told) == 1

    found = of_findings([FAIL], list(told))
    assert found.fixed_findings == ((FAIL.id,) if fixed else ())
    elsewhere = finding(Verdict.FAIL, subject="control/192.168.0.99")
    assert of_findings([elsewhere], list(told)).unverified_findings == (elsewhere.id,)


# --- levels ------------------------------------------------------------------------------------


def test_levels_that_moved_are_told_with_both_bounds() -> None:
    found = diff(
        run("r1", levels=[level(0, 2), level(1, 1, "FR 2")]),
        run("r2", levels=[level(1, 2), level(1, 1, "FR 2"), level(0, 4, "FR 3")]),
    )
    blank: dict[str, Any] = {"zone": "control", "conduit": None}
    assert found.levels == (
        LevelChange(**blank, fr="FR 1", low_before=0, low_after=1, high_before=2, high_after=2),
        LevelChange(
            **blank, fr="FR 3", low_before=None, low_after=0, high_before=None, high_after=4
        ),
    )


# --- properties --------------------------------------------------------------------------------

SIGHTS = st.sampled_from([None, HERE, SILENT, WITHHELD, told(vendor="ABB")])
VERDICTS = st.none() | st.sampled_from(list(Verdict))


@settings(max_examples=60)
@given(SIGHTS, SIGHTS, VERDICTS, VERDICTS, st.booleans())
def test_a_run_compared_with_itself_moves_nothing_and_backwards_mirrors_forwards(
    sight: Observation | None,
    later_sight: Observation | None,
    verdict: Verdict | None,
    later_verdict: Verdict | None,
    declared: bool,
) -> None:
    one, other = (
        run(name, [seen] if seen else [], [finding(said)] if said else [], declared=declared)
        for name, seen, said in (("r1", sight, verdict), ("r2", later_sight, later_verdict))
    )
    assert diff(one, one).empty
    forward, backward = diff(one, other), diff(other, one)
    assert forward.new_assets == backward.gone_assets
    assert forward.first_visited == backward.not_visited
    assert forward.open_findings == backward.open_findings
    assert not set(forward.new_assets) & set(forward.first_visited)
    failures = {f.id for f in one.findings if f.verdict is Verdict.FAIL}
    told_of = (*forward.fixed_findings, *forward.open_findings, *forward.unverified_findings)
    assert set(told_of) == failures
