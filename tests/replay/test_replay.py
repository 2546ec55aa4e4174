"""Recordings of real devices are recognised within the bounds, and nothing is passed over."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scanner.facts import DeviceIdentity
from scanner.model import IDENTITY_FIELDS
from tests.fuzz import seeds
from tests.replay import replay
from tests.replay.imported import can_import, is_announced
from tests.replay.labels import (
    IN_REPLY_AND_OUT,
    NO_PROBE,
    OUT,
    READ,
    Label,
    label_of,
    label_of_banner,
)
from tests.replay.replay import BOUNDS, Heard, Part, score, stands_in


@pytest.fixture(scope="module")
def heard(captures: Path) -> dict[str, Heard]:
    return replay.heard_of(captures, replay.records_of(captures))


@pytest.fixture(scope="module")
def played(captures: Path, heard: dict[str, Heard]) -> Part:
    return replay.replayed(captures, heard)


@pytest.fixture(scope="module")
def texts(captures: Path) -> Part:
    return replay.read_banners(captures)


def test_the_bounds_are_those_of_the_contract() -> None:
    assert BOUNDS.keys() == {*IDENTITY_FIELDS}
    assert {BOUNDS[name] for name in ("vendor", "model", "firmware")} == {(0.95, 1.0)}
    assert all(precision == 1.0 for _, precision in BOUNDS.values())


def test_recordings_are_recognised_within_the_bounds(played: Part) -> None:
    assert played.below() == [], [*played.missing, *played.wrong]
    assert played.wrong == []
    # So many labels at least: a bound over nothing would always be kept.
    least = {"vendor": 50, "model": 35, "firmware": 24, "serial": 15, "name": 15}
    assert {name for name, count in least.items() if played.scores[name].labelled < count} == set()


def test_labelled_texts_are_read_within_the_bounds(texts: Part) -> None:
    assert texts.below() == [], [*texts.missing, *texts.wrong]
    assert texts.wrong == []
    assert all(texts.scores[name].labelled >= 140 for name in ("vendor", "model", "firmware"))


def test_every_recording_is_played_or_listed_with_its_reason(captures: Path, played: Part) -> None:
    files = [*captures.glob("*__*.json")]

    assert played.total == len(files) >= 90
    assert played.played + sum(played.apart.values()) == played.total
    if can_import():
        listed = {words.partition(":")[0] for words in played.apart}
        assert listed <= NO_PROBE.keys()


def test_every_labelled_text_is_read_or_listed_by_its_kind(captures: Path, texts: Part) -> None:
    items = json.loads((captures / "banners.json").read_text())["items"]

    assert texts.total == len(items)
    assert texts.played + sum(texts.apart.values()) == len(items)
    assert seeds.BANNERS.keys() <= {item["kind"] for item in items}


def test_no_name_of_a_fact_is_passed_over(captures: Path) -> None:
    records = replay.records_of(captures)

    unknown = {name: label_of(record).unknown for name, record in records.items()}

    assert {name: facts for name, facts in unknown.items() if facts} == {}


def test_hand_read_and_excluded_labels_belong_to_recordings(captures: Path) -> None:
    records = replay.records_of(captures)

    assert READ.keys() <= records.keys()
    for name, fact in OUT:
        facts = records[name]["facts"]
        assert fact.removeprefix("librenms ") in {**facts, **facts.get("librenms_labels", {})}


def test_no_label_is_taken_out_that_stands_in_the_replies(
    captures: Path, heard: dict[str, Heard]
) -> None:
    records = replay.records_of(captures)

    hidden = [
        (name, fact)
        for name, record in records.items()
        for fact, value, _ in label_of(record).out
        if name in heard
        and (name, fact) not in IN_REPLY_AND_OUT
        and stands_in(value.partition(" (")[0], b"\n".join(heard[name].replies))
    ]

    assert hidden == []


def test_what_is_announced_to_all_goes_through_the_importer(captures: Path) -> None:
    announced = [
        name for name, record in replay.records_of(captures).items() if is_announced(record)
    ]

    assert len(announced) >= 13


# --- that the count can fail ---------------------------------------------------------------------

ACME = Label(fields={"vendor": ("ACME",), "model": ("P-1",)})


def counted(*told: DeviceIdentity, label: Label = ACME, reply: bytes = b"") -> Part:
    part = Part()
    score(part, "x", label, Heard(told, (reply,)))
    return part


def test_what_is_not_told_is_missed_and_below_the_bounds() -> None:
    part = counted(DeviceIdentity(vendor="ACME"))

    assert part.below() == ["model"]
    assert part.missing == ["x: model 'P-1', told 'nothing'"]


def test_what_the_label_contradicts_is_wrong() -> None:
    part = counted(DeviceIdentity(vendor="ACME", model="P-2"))

    assert part.scores["model"].precision == 0.0
    assert part.wrong == ["x: model 'P-2' is wrong (('P-1',))"]


def test_a_wrong_value_beside_the_right_one_costs_precision() -> None:
    part = counted(
        DeviceIdentity(vendor="ACME", model="P-1"), DeviceIdentity(vendor="Other", basis="table")
    )

    assert part.scores["vendor"].recall == 1.0
    assert part.below() == ["vendor"]


def test_a_sentence_around_the_label_is_not_the_label() -> None:
    part = counted(DeviceIdentity(vendor="ACME", model="P-1 - version 7 of the fifth build by Jim"))

    assert part.scores["model"].found == 0


@pytest.mark.parametrize(("reply", "right"), [(b"..F-9..", 1), (b"..F-8..", 0)])
def test_without_a_label_a_value_has_to_stand_in_the_reply(reply: bytes, right: int) -> None:
    for basis in ("protocol", "table", "text"):
        told = DeviceIdentity(vendor="ACME", model="P-1", firmware="F-9")
        part = counted(replace(told, basis=basis), reply=reply)

        assert part.scores["firmware"].right == right


def test_a_part_counts_for_precision_and_not_for_the_device_s_recall() -> None:
    part = counted(
        DeviceIdentity(vendor="ACME"),
        DeviceIdentity(sub_address="slot 1", model="P-1", serial="made up"),
        reply=b"P-1",
    )

    assert part.scores["model"].found == 0
    assert part.wrong == ["x: serial 'made up' of a part does not stand in the replies"]


def test_a_recording_that_nothing_plays_counts_as_missed(
    captures: Path, heard: dict[str, Heard]
) -> None:
    fewer = {name: one for name, one in heard.items() if name != "omron_cp1l-el20dr-d"}

    part = replay.replayed(captures, fewer)

    assert "omron_cp1l-el20dr-d: vendor 'Omron', told 'nothing'" in part.missing


def test_a_text_read_as_another_maker_s_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"kind": "made", "banner": "ACME P-1", "labels": {"hw.vendor": "ACME"}}
    (tmp_path / "banners.json").write_text(json.dumps({"items": [item]}))
    monkeypatch.setattr(seeds, "BANNERS", {"made": lambda text: DeviceIdentity(vendor="Other")})

    assert replay.read_banners(tmp_path).below() == ["vendor"]


def test_a_label_counts_where_the_text_has_it_and_is_right_where_it_has_not() -> None:
    labels = {"hw.vendor": "ACME", "hw.product": "Pump", "hw.version": "2.1"}
    item = {"kind": "html_title", "banner": "ACME 2.1", "labels": labels}

    label = label_of_banner(item)

    assert label.fields == {"vendor": ("ACME",), "firmware": ("2.1",)}
    assert label.true == {"model": ("Pump",)}
