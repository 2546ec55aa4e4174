from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

from reports import tables
from scanner.model import Assessment, SafetyFigures

NAMES = ("inventory", "findings", "control_matrix", "levels", "gaps", "score", "roadmap", "safety")


def rows(document: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document.decode("utf-8-sig"), newline="")))


def test_every_table_comes_as_csv_and_as_json(plant: Assessment) -> None:
    assert set(tables.render(plant)) == {f"{n}.{kind}" for n in NAMES for kind in ("csv", "json")}


def test_both_forms_carry_the_same_rows(plant: Assessment) -> None:
    found = tables.render(plant)
    for name, own in tables.tables(plant).items():
        assert json.loads(found[f"{name}.json"]) == own
        in_csv = rows(found[f"{name}.csv"])
        assert len(in_csv) == len(own) > 0
        for one, other in zip(in_csv, own, strict=True):
            assert list(one) == list(other)
            for key, value in other.items():
                if value is None:
                    assert one[key] == ""
                elif isinstance(value, bool):
                    assert one[key] == ("yes" if value else "no")
                elif isinstance(value, int | float):
                    assert float(one[key]) == value


def test_the_matrix_has_a_row_for_every_verdict_and_the_register_for_every_gap(
    plant: Assessment,
) -> None:
    found = tables.tables(plant)

    assert len(found["control_matrix"]) == len(plant.requirements)
    assert [row["priority"] for row in found["gaps"]] == [gap.priority for gap in plant.gaps]
    assert [row["id"] for row in found["inventory"]] == [asset.id for asset in plant.assets]


def test_the_inventory_says_how_sure_fields_are_and_who_made_the_interfaces(
    plant: Assessment,
) -> None:
    row = tables.tables(plant)["inventory"][2]

    assert row["confidence"] == "vendor table, model text"
    assert row["interface_makers"] == "00:02:e3:17:c7:50 LITE-ON Communications, Inc."
    assert row["vendor"] == plant.assets[2].identity.vendor


def test_equal_assessments_give_equal_tables(plant: Assessment) -> None:
    assert tables.render(plant) == tables.render(replace(plant))


def test_json_keeps_del_and_shows_none(plant: Assessment) -> None:
    hostile = replace(plant, assets=(replace(plant.assets[0], name="a\x7fb\x1b\x9b"),))

    document = tables.render(hostile)["inventory.json"]

    assert all(32 <= byte < 127 or byte == 10 for byte in document)
    assert json.loads(document)[0]["name"] == "a\x7fb\x1b\x9b"


def test_an_empty_plant_gives_empty_tables(plant: Assessment) -> None:
    total: SafetyFigures = plant.safety.total
    empty = replace(
        plant,
        assets=(),
        findings=(),
        requirements=(),
        levels=(),
        gaps=(),
        score=(),
        roadmap=(),
        safety=replace(plant.safety, total=total, devices=()),
    )
    found = tables.render(empty)

    assert json.loads(found["inventory.json"]) == []
    assert rows(found["inventory.csv"]) == []
    assert len(rows(found["safety.csv"])) == 1
