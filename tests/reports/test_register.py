"""The CSV that is read back: every text comes back as it was, and none of it runs anywhere."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import register
from reports.inert import FORMULA_STARTS, visible
from scanner.facts import ClaimedDevice
from scanner.importers import table
from scanner.model import Assessment, Identity
from tests.importers.conftest import read
from tests.reports.payloads import PAYLOADS

FIELDS = {
    "vendor": "vendor", "model": "model", "order_number": "order_number", "hardware": "hardware",
    "firmware": "firmware", "serial": "serial", "name": "name", "own_name": "own_name",
    "zone": "zone", "sub_address": "behind", "class": "class_",
}  # fmt: skip
"""Column -> field of a claim."""


def runs(cell: str) -> bool:
    """Whether a spreadsheet may take the cell, or a part behind a semicolon, for a formula."""
    parts = (part.lstrip(" \"'") for part in cell.split(";"))
    return any(part.startswith(FORMULA_STARTS) for part in parts)


def rows(document: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(document.decode("utf-8-sig"))))


def claims(folder: Path, document: bytes) -> list[tuple[str, ClaimedDevice]]:
    path = folder / "export.csv"
    path.write_bytes(document)
    assert table.IMPORTER.recognises(document, path)
    found, reading = read(table.IMPORTER, path)
    assert not reading.told()
    return [(one.address, fact) for one in found for fact in one.facts if _is_claim(fact)]  # type: ignore[misc]  # _is_claim says so


def _is_claim(fact: object) -> bool:
    return isinstance(fact, ClaimedDevice)


def test_what_is_exported_is_read_back_without_loss(plant: Assessment, tmp_path: Path) -> None:
    document = register.render(plant)

    told = claims(tmp_path, document)

    newest = {one.id: one for one in plant.observations}
    expected = [register.row(asset, newest) for asset in plant.assets]
    assert len(told) == len(expected) > 5
    for (address, claim), cells in zip(told, expected, strict=True):
        assert address == (cells["address"] or f"name:{cells['name']}")
        for column, name in FIELDS.items():
            assert (getattr(claim, name) or "") == cells[column]
        assert " ".join(claim.addresses) == cells["addresses"]
        kept = dict(claim.details)
        for column in ("services", "presence", "criticality", "known_from"):
            assert kept.get(column, "") == cells[column]


@pytest.mark.parametrize("hostile", PAYLOADS)
def test_hostile_text_comes_back_and_runs_nowhere(
    plant: Assessment, tmp_path: Path, hostile: str
) -> None:
    asset = replace(
        plant.assets[0], name=hostile, address="10.1.0.7", identity=Identity(model=hostile)
    )
    text = hostile.encode("utf-8", "replace").decode("utf-8")[: table.MAX_CELL // 10]
    asset = replace(asset, name=text, identity=Identity(model=text))

    document = register.render(replace(plant, assets=(asset,)))

    (row,) = rows(document)
    assert not runs(row["model"])
    ((_, claim),) = claims(tmp_path, document)
    assert (claim.model or "") == text
    assert (claim.name or "") == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_escaping_has_an_inverse_and_leaves_nothing_that_runs(text: str) -> None:
    cell = register.escaped(text)

    assert table.unescaped(cell) == text
    assert visible(cell) == cell
    assert not runs(cell)
