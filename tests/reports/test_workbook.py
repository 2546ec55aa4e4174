"""The workbook, read back by another library."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from openpyxl import load_workbook

from reports import tables, workbook
from reports.inert import CELL_LIMIT
from scanner.model import Assessment

CELL_TYPES = {"s", "n", "inlineStr"}
"""String, number or empty: neither "f" (formula) nor "b", "d", "e"."""


def sheets(document: bytes) -> Any:
    return load_workbook(io.BytesIO(document))


def parts(document: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_sheet_per_table_with_header_filter_and_a_frozen_first_row(plant: Assessment) -> None:
    book = sheets(workbook.render(plant))
    own = tables.tables(plant)

    assert book.sheetnames == [name.replace("_", " ").capitalize() for name in own]
    for sheet, rows in zip(book, own.values(), strict=True):
        assert [one.value for one in sheet[1]] == list(rows[0])
        assert sheet.max_row == len(rows) + 1
        assert sheet.freeze_panes == "B2"
        assert sheet.auto_filter.ref.endswith(str(len(rows) + 1))
        assert all(8 <= one.width <= 61 for one in sheet.column_dimensions.values())


def test_the_cells_are_the_values_of_the_tables(plant: Assessment) -> None:
    book = sheets(workbook.render(plant))
    for sheet, rows in zip(book, tables.tables(plant).values(), strict=True):
        for line, row in zip(sheet.iter_rows(min_row=2), rows, strict=True):
            for one, value in zip(line, row.values(), strict=True):
                if isinstance(value, bool):
                    assert one.value == ("yes" if value else "no")
                elif isinstance(value, str):
                    assert one.value == (value or None)
                else:
                    assert one.value == (value if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ('=HYPERLINK("http://evil.example","x")', '\'=HYPERLINK("http://evil.example","x")'),
        ("＝1+1", "'＝1+1"),
        ("\t=1", "'\\x09=1"),
        ("a\x00b\x0bc", "a\\x00b\\x0bc"),
        ("\ud800", "\\ud800"),
        ("\ufffe\uffff", "\\ufffe\\uffff"),
        ("http://evil.example/", "http://evil.example/"),
        ("mailto:a@evil.example", "mailto:a@evil.example"),
        ("_x0041_", "_x0041_"),
        ("<r><t>rich</t></r>", "'<r><t>rich</t></r>"),
        ("<r><f>1+1</f></r>", "'<r><f>1+1</f></r>"),
        ("{=1+1}", "{=1+1}"),
        ("0123", "0123"),
        ("1e5", "1e5"),
    ],
)
def test_text_of_devices_is_a_string_and_nothing_else(
    plant: Assessment, text: str, shown: str
) -> None:
    hostile = replace(plant, assets=(replace(plant.assets[0], name=text),))

    document = workbook.render(hostile)
    book = sheets(document)
    header = [one.value for one in book["Inventory"][1]]
    own = book["Inventory"][2][header.index("name")]
    assert own.value == shown
    assert own.data_type == "s"
    for sheet in book:
        for row in sheet.iter_rows():
            for one in row:
                assert one.data_type in CELL_TYPES
                assert one.hyperlink is None
    for name, content in parts(document).items():
        assert "external" not in name
        assert "vba" not in name.lower()
        if name.startswith("xl/worksheets/"):
            assert b"<f>" not in content
            assert b"<hyperlink" not in content
        if name == "xl/sharedStrings.xml":
            assert b"<r>" not in content  # no markup of its own within a string


@pytest.mark.parametrize("character", ["A", "\U0001f3ed", "\n"])
def test_no_cell_is_longer_than_a_spreadsheet_takes(plant: Assessment, character: str) -> None:
    long = replace(plant, assets=(replace(plant.assets[0], name=character * 40_000),))

    book = sheets(workbook.render(long))
    header = [one.value for one in book["Inventory"][1]]
    value = book["Inventory"][2][header.index("name")].value
    assert CELL_LIMIT <= len(value.encode("utf-16-le")) // 2 <= 32_767
    assert value.endswith("more characters)")


def test_a_number_that_is_none_becomes_words(plant: Assessment) -> None:
    odd = replace(plant, score=(replace(plant.score[0], score=float("nan")),))

    assert sheets(workbook.render(odd))["Score"]["D2"].value == "nan"


def test_equal_assessments_give_equal_bytes(plant: Assessment) -> None:
    assert workbook.render(plant) == workbook.render(replace(plant))


def test_an_empty_table_says_so(plant: Assessment) -> None:
    assert sheets(workbook.render(replace(plant, gaps=())))["Gaps"]["A1"].value == "no rows"


def test_rows_that_a_sheet_cannot_hold_are_told(
    plant: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 3)

    sheet = sheets(workbook.inventory((plant.assets[0],) * 5, plant.run.started_at))["Inventory"]

    assert sheet.max_row == 4
    assert sheet["A3"].value
    assert sheet["A4"].value.startswith("3 more rows: ")


def test_the_inventory_alone(plant: Assessment) -> None:
    book = sheets(workbook.inventory(plant.assets[:2], plant.run.started_at))

    assert book.sheetnames == ["Inventory"]
    assert book["Inventory"].max_row == 3
