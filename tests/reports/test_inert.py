from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.inert import CELL_LIMIT, FORMULA_STARTS, bounded, cell, csv_cell, visible


@settings(max_examples=200)
@given(st.text())
def test_nothing_that_controls_or_hides_survives(text: str) -> None:
    shown = visible(text)

    assert all(unicodedata.category(c)[0] not in "CZ" or c == " " for c in shown)


@settings(max_examples=200)
@given(st.text(), st.integers(min_value=0, max_value=40))
def test_a_bounded_text_is_the_visible_beginning(text: str, limit: int) -> None:
    shown = bounded(text, limit)

    assert shown.startswith(visible(text[:limit]))
    assert ("more characters" in shown) >= (len(text) > limit)


@settings(max_examples=200)
@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    assert not cell(text).lstrip(" ").startswith(FORMULA_STARTS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PLC-12 (Pumpe Süd)", "PLC-12 (Pumpe Süd)"),
        ("a\nb", "a\\x0ab"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u00a0b", "a\\xa0b"),
        ("\u3164", "\\u3164"),
        ("i\ufe0f", "i\\ufe0f"),
        ("\ud800", "\\ud800"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_readable_text_stays_and_the_rest_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_pile_of_marks_cannot_paint_over_its_neighbours() -> None:
    assert visible("a" + "\u0300" * 9) == "a" + "\u0300" * 3 + "\\u0300" * 6


@settings(max_examples=200)
@given(st.text(alphabet="a;=+-@\"' ＝,|"))
def test_no_formula_begins_behind_a_semicolon_either(text: str) -> None:
    """A program that splits at semicolons sees our commas and quotes as text."""
    first, *others = csv_cell(text).split(";")
    assert not first.lstrip(" ").startswith(FORMULA_STARTS)
    for part in others:
        assert not part.lstrip(' "').startswith(FORMULA_STARTS)


def test_a_cell_is_measured_as_a_spreadsheet_measures() -> None:
    wide = cell("\U0001f3ed" * 20_000)

    assert len(wide.encode("utf-16-le")) // 2 < CELL_LIMIT + 100
    assert wide.endswith("… (4,000 more characters)")
