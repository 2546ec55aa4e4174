"""The readers of promise 24 see what is active, and only that; the forms fill every field."""

from __future__ import annotations

import io

import pytest
import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from tests.proof import consumers, forms
from tests.proof.promises import p27_secrets
from tests.reports.payloads import PAYLOADS


@pytest.mark.parametrize(
    ("seen", "colours", "active"),
    [
        (b"plain text\nand more", False, False),
        ("Pumpe Süd – ok".encode(), False, False),
        (b"\x1b[31mred", False, True),
        (b"\x1b[31mours\x1b[0m\r\x1b[2K", True, False),
        (b"\x1b]0;title\x07", True, True),
        (b"over\rwritten", True, True),
        ("a\u202eb".encode(), False, True),
        (b"\xff", False, True),
        (b"\x9b31m", False, True),
    ],
)
def test_what_a_terminal_would_obey_is_seen(seen: bytes, colours: bool, active: bool) -> None:
    assert bool(consumers.active_on_a_terminal(seen, colours=colours)) == active


@pytest.mark.parametrize(
    ("document", "active"),
    [
        (b"a,b\r\n'=1+1,c\r\n", False),
        (b"a,b\r\n-1.5,2e-3\r\n", False),
        (b"a,b\r\n=1+1,c\r\n", True),
        (b"a,b\r\n-1+1,c\r\n", True),
        (b"a,b\r\nc\r\n", True),
        (b'a,b\r\n"x\ny",c\r\n', False),
        (b"a,b\r\nx\x1b,c\r\n", True),
    ],
)
def test_what_a_sheet_would_calculate_is_seen(document: bytes, active: bool) -> None:
    assert bool(consumers.active_csv(document)) == active


def test_formulas_and_links_of_a_workbook_are_seen() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_formula(0, 0, "=1+1")
    sheet.write_url(1, 0, "http://192.0.2.1/")
    book.close()

    seen = consumers.active_xlsx(file.getvalue())

    assert any("type f" in one for one in seen)
    assert any("link" in one for one in seen)


def test_formulas_and_links_of_an_opened_sheet_are_seen() -> None:
    seen = consumers.active_sheet(
        '<table:table-cell table:formula="of:=1+1"/><text:a xlink:href="http://192.0.2.1/">x</text:a>'
    )

    assert len(seen) == 3
    assert (
        consumers.active_sheet("<table:table-cell><text:p>=1+1</text:p></table:table-cell>") == []
    )


@pytest.mark.parametrize(
    ("document", "active"), [(b'{"a": "\\u001b"}\n', False), (b'{"a": "\x7f"}', True), (b"{", True)]
)
def test_json_is_ascii_without_controls(document: bytes, active: bool) -> None:
    assert bool(consumers.active_json(document)) == active


def test_every_text_field_of_the_model_is_filled_with_every_payload() -> None:
    document = forms.assessment(PAYLOADS[:40], head="head")
    filled: dict[str, set[str]] = {}
    for name, text in forms.texts_in(document):
        filled.setdefault(name, set()).add(text)

    assert set(filled) >= set(forms.text_fields())
    for name in ("Asset.name", "Finding.summary", "Exchange.reason", "ZoneInfo.name"):
        assert filled[name] == set(PAYLOADS[:40])


def test_a_canary_is_found_in_every_spelling_and_packed_too() -> None:
    secret = "Kq7vWmZ3xTb8RnYd5HsJ2cLf"
    searcher = p27_secrets.Searcher({"one": secret})

    for spelled in p27_secrets.spellings(secret):
        assert searcher.hits(b"..." + spelled + b"...") == {"one"}
    assert searcher.hits(b"nothing of it: Kq7vWmZ3 5HsJ2cLf") == set()
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    book.add_worksheet().write_string(0, 0, secret)
    book.close()
    assert searcher.hits(file.getvalue()) == {"one"}
