"""The score of a hand-made assessment: perfect, one thing missed, one thing false."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.ledger import Ledger, write_json
from lab.plant import Plant, Truth, load
from lab.score import Score, ledger_totals, render, render_ledgers, same, score


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load("harbour")


@pytest.fixture
def perfect(plant: Plant) -> dict[str, Any]:
    """An assessment that says exactly what the truth says."""

    def asset_id(device: Any) -> str:
        return f"{device.zone}/{device.address or 'name:' + device.name}"

    ids = {d.name: asset_id(d) for d in plant.devices}
    fail = {"verdict": "fail", "conduit": None, "zone": None, "asset": None, "places": []}
    return {
        "assets": [
            {
                "id": ids[d.name],
                "zone": d.zone,
                "address": d.address,
                "sub_address": None,
                "name": d.name,
                "device_class": (d.truth.device_classes or ("unknown",))[0],
                "identity": {k: v[0] for k, v in d.truth.identity.items()} | {"hardware": None}
                if "hardware" not in d.truth.identity
                else {k: v[0] for k, v in d.truth.identity.items()},
                "presence": d.truth.presence,
            }
            for d in plant.devices
        ],
        "findings": [
            *(
                {**fail, "check": check, "asset": ids[d.name]}
                for d in plant.devices
                for check in d.truth.findings
            ),
            *(
                {**fail, "check": f["check"], "places": [{"asset": ids[n]} for n in f["devices"]]}
                for f in plant.shared_findings
            ),
            *(
                {**fail, "check": f["check"], "conduit": f["conduit"]}
                for f in plant.conduit_findings
            ),
            {**fail, "check": "telnet_no_login", "asset": ids["PLC-11"], "verdict": "pass"},
        ],
        "requirements": [
            {
                "zone": t.get("zone"),
                "conduit": t.get("conduit"),
                "id": requirement,
                "verdict": t["verdict"] if isinstance(t["verdict"], str) else t["verdict"][-1],
            }
            for t in plant.requirements
            for requirement in t["ids"]
        ],
        "levels": [
            {"zone": v["zone"], "fr": v["fr"], "sl_a_low": v["at_least"]} for v in plant.levels
        ],
    }


def test_a_perfect_assessment_scores_perfectly(plant: Plant, perfect: dict[str, Any]) -> None:
    result = score(perfect, plant)

    assert (result.missed, result.false) == ((), ())
    assert result.perfect
    assert "everything found, nothing false" in render(result)


def row(result: Score, part: str, name: str) -> tuple[int, int, int]:
    found = next(r for r in result.rows if (r.part, r.name) == (part, name))
    return found.expected, found.right, found.false


def test_a_missed_weakness_costs_recall(plant: Plant, perfect: dict[str, Any]) -> None:
    perfect["findings"] = [f for f in perfect["findings"] if f["check"] != "http_no_login"]

    result = score(perfect, plant)

    assert result.missed == ("http_no_login on HMI-1 not found",)
    assert row(result, "finding", "http_no_login") == (1, 0, 0)
    assert not result.perfect


def test_a_false_finding_costs_precision(plant: Plant, perfect: dict[str, Any]) -> None:
    perfect["findings"][-1]["verdict"] = "fail"

    result = score(perfect, plant)

    assert result.false == ("telnet_no_login on PLC-11 is false",)
    assert row(result, "finding", "telnet_no_login") == (1, 1, 1)


def test_a_finding_of_a_zone_counts_for_each_of_its_places(
    plant: Plant, perfect: dict[str, Any]
) -> None:
    for finding in perfect["findings"]:
        if finding["check"] == "asset_silent":
            finding["places"] = [{"asset": finding["asset"]}]
            finding |= {"asset": None, "zone": "control"}

    assert score(perfect, plant).perfect


def test_a_shared_secret_has_to_name_all_its_devices(plant: Plant, perfect: dict[str, Any]) -> None:
    finding = next(f for f in perfect["findings"] if f["check"] == "ssh_shared_host_key")
    finding["places"].append({"asset": "dmz/127.30.3.2"})

    result = score(perfect, plant)

    assert result.missed == ("ssh_shared_host_key on ENG-1 + HIST-1 not found",)
    assert result.false == ("ssh_shared_host_key on ENG-1 + HIST-1 + JUMP-1 is false",)


@pytest.fixture
def chassis(perfect: dict[str, Any], plant: Plant) -> tuple[Plant, dict[str, Any]]:
    """The plant with a module behind PLC-14, and an assessment that says so."""
    truth = Truth(
        identity={"model": ("1756-IF16/A",), "serial": ("00a7315c",)}, optional=frozenset(),
        device_classes=(), presence="declared_and_seen", findings=frozenset(),
    )  # fmt: skip
    devices = tuple(
        replace(d, truth=replace(d.truth, behind={"slot 2": truth})) if d.name == "PLC-14" else d
        for d in plant.devices
    )
    perfect["assets"].append(module(perfect, "slot 2"))
    return replace(plant, devices=devices), perfect


def module(assessment: dict[str, Any], place: str) -> dict[str, Any]:
    front = entry(assessment, "PLC-14")
    return {
        **front, "id": f"{front['id']}#{place}", "sub_address": place, "name": None,
        "device_class": "unknown", "presence": "seen",
        "identity": {"model": "1756-IF16/A", "serial": "00a7315c"},
    }  # fmt: skip


def test_a_module_behind_a_device_is_scored_where_the_truth_names_it(
    plant: Plant, chassis: tuple[Plant, dict[str, Any]]
) -> None:
    assert score(chassis[1], chassis[0]).perfect
    assert score(chassis[1], plant).perfect  # the truth says nothing of modules: none is scored


def test_a_module_missed_wrong_or_made_up_is_told(chassis: tuple[Plant, dict[str, Any]]) -> None:
    known, assessment = chassis
    there = assessment["assets"].pop()
    missed = score(assessment, known)
    assessment["assets"] += [
        {**there, "identity": {**there["identity"], "serial": "1"}}, module(assessment, "slot 9"),
    ]  # fmt: skip
    wrong = score(assessment, known)

    assert missed.missed == (
        "PLC-14 slot 2: not listed",
        "PLC-14 slot 2: model '1756-IF16/A' not learned",
        "PLC-14 slot 2: serial '00a7315c' not learned",
    )
    assert wrong.false == (
        "PLC-14 slot 2: serial said '1', is '00a7315c'",
        "PLC-14 slot 9: is not there",
    )


def entry(assessment: dict[str, Any], name: str) -> Any:
    return next(a for a in assessment["assets"] if a["name"] == name)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("firmware", None, (0, "not learned")),
        ("firmware", "9.9", (1, "firmware said '9.9', is 'v2.9'")),
        ("serial", "made up", (1, "which the device does not tell")),
        ("firmware", "2.9", None),
        ("vendor", "SCHNEIDER  electric", None),
    ],
)
def test_identity_fields_are_compared(
    plant: Plant,
    perfect: dict[str, Any],
    field: str,
    value: str | None,
    expected: tuple[int, str] | None,
) -> None:
    entry(perfect, "PLC-11")["identity"][field] = value

    result = score(perfect, plant)

    if expected is None:
        assert result.perfect
    else:
        false, sentence = expected
        assert len(result.false) == false
        assert any(sentence in each for each in (*result.false, *result.missed))


def test_an_unknown_class_is_missed_and_a_wrong_one_is_false(
    plant: Plant, perfect: dict[str, Any]
) -> None:
    unknown, wrong = copy.deepcopy(perfect), copy.deepcopy(perfect)
    entry(unknown, "PLC-11")["device_class"] = "unknown"
    entry(wrong, "PLC-11")["device_class"] = "camera"

    assert len(score(unknown, plant).false) == 0
    assert len(score(unknown, plant).missed) == 1
    assert len(score(wrong, plant).false) == 1


def test_an_asset_that_nobody_planted_is_false(plant: Plant, perfect: dict[str, Any]) -> None:
    ghost = {**entry(perfect, "PLC-11"), "id": "control/127.30.0.30", "address": "127.30.0.30"}
    perfect["assets"].append(ghost)

    assert score(perfect, plant).false == ("an asset that is not there: control/127.30.0.30",)


def test_a_wrong_presence_and_a_missing_asset_are_missed(
    plant: Plant, perfect: dict[str, Any]
) -> None:
    entry(perfect, "PLC-21")["presence"] = "declared_and_seen"
    perfect["assets"] = [a for a in perfect["assets"] if a["name"] != "MUX-1"]

    missed = score(perfect, plant).missed

    assert "PLC-21: presence declared_and_silent, said declared_and_seen" in missed
    assert "MUX-1: presence declared_without_address, said not listed" in missed


def test_a_level_below_the_truth_is_missed(plant: Plant, perfect: dict[str, Any]) -> None:
    perfect["levels"][0]["sl_a_low"] = 0

    assert score(perfect, plant).missed == ("safety FR 4 at least 2, said 0",)


def test_a_requirement_verdict_other_than_the_truth_is_missed(
    plant: Plant, perfect: dict[str, Any]
) -> None:
    """A pass on absence is what this has to catch: nothing proves SR 1.5 in the safety zone."""
    for result in perfect["requirements"]:
        if (result["zone"], result["id"]) == ("safety", "SR 1.5"):
            result["verdict"] = "met"

    assert score(perfect, plant).missed == ("SR 1.5 in safety is not_assessed, said met",)


def test_something_else_than_an_assessment_is_told(plant: Plant) -> None:
    with pytest.raises(LabError, match="not a Walkdown assessment"):
        score({"assets": []}, plant)


@pytest.mark.parametrize(
    ("said", "true", "equal"),
    [("V3.2.7", "3.2.7", True), ("a  b", "A b", True), ("3.2.70", "3.2.7", False)],
)
def test_spelling_does_not_count(said: str, true: str, equal: bool) -> None:
    assert same(said, true) is equal


def test_ledger_totals(tmp_path: Path) -> None:
    ledger = Ledger("D", "127.0.0.1", clock=lambda: 0.0)
    connection = ledger.opened(502, "modbus", lambda: False)
    ledger.request("modbus", "6", write=True, on=connection)
    ledger.reset(connection)
    write_json(tmp_path / "ledgers/D.json", ledger.as_dict())
    write_json(tmp_path / "ledgers/totals.json", {})

    sums = ledger_totals(tmp_path)

    assert (sums["devices"], sums["writes"], sums["resets"]) == (1, 1, 1)
    assert "writes 1, resets by us 1" in render_ledgers(sums)
    assert json.loads((tmp_path / "ledgers/D.json").read_text())["peak_concurrent"] == 1


def test_totals_without_ledgers_are_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="was a lab started there"):
        ledger_totals(tmp_path)
