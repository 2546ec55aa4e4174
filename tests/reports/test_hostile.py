"""
Safety promise 24 for the report and the tables: hostile text in every string of an assessment.

The document with a hostile payload must have exactly the elements and attributes of the same
document with a harmless text of the same length in its place.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from html.parser import HTMLParser
from typing import Any

import pytest

from reports import html, tables
from reports.inert import FORMULA_STARTS
from scanner.model import Assessment
from tests.reports.payloads import FIRST, PAYLOADS

CHOICES = {
    "state", "scope", "kind", "basis", "schema", "scheme", "identification", "known", "known_by",
    "certainty", "confidence",
}  # fmt: skip
"""Fields whose values are a closed set in the document's schema."""

OUR_KEYS = {"sl_t", "sources"}
"""Dictionaries whose keys are our own."""


def poisoned(value: Any, change: Callable[[str], str], name: str = "") -> Any:
    """The same document with every free string changed, references staying whole."""
    if isinstance(value, Enum) or name in CHOICES:
        return value
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(poisoned(one, change, name) for one in value)
    if isinstance(value, dict):
        keep = name in OUR_KEYS
        return {k if keep else change(k): poisoned(v, change) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: poisoned(getattr(value, f.name), change, f.name) for f in fields(value)}
        return replace(value, **own)
    return value


@pytest.fixture(scope="session")
def small(plant: Assessment) -> Assessment:
    """The sample without the mass of its equal rows."""
    return replace(
        plant,
        requirements=plant.requirements[:6] + plant.requirements[-3:],
        levels=plant.levels[:8],
        gaps=plant.gaps[:6],
        roadmap=plant.roadmap[:6],
    )


class Skeleton(HTMLParser):
    """Elements, names of attributes, and the values that could do something."""

    def __init__(self, document: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[object] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.feed(document.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.shape.append((tag, tuple(name for name, _ in attributes)))
        for name, value in attributes:
            self.text.append(value or "")
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name in ("class", "id", "tabindex", "role", "scope", "type", "for", "name"):
                self.shape.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        self.shape.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.shape.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.shape.append(f"!{decl}")

    def handle_pi(self, data: str) -> None:
        self.shape.append("?")

    def unknown_decl(self, data: str) -> None:
        self.shape.append("[")


def harmless(payload: str) -> str:
    return "".join(" " if character == " " else "a" for character in payload)


@pytest.mark.parametrize("payload", FIRST, ids=lambda text: ascii(text)[:40])
def test_no_element_and_no_attribute_comes_from_data(small: Assessment, payload: str) -> None:
    seen = Skeleton(html.render(poisoned(small, lambda text: payload + text)))
    expected = Skeleton(html.render(poisoned(small, lambda text: harmless(payload) + text)))

    assert seen.shape == expected.shape
    assert all(link.startswith("#") for link in seen.links if link != "data:,")
    assert len(set(seen.ids)) == len(seen.ids)
    letters = {letter for text in seen.text for letter in text}
    active = {c for c in letters if unicodedata.category(c)[0] in "CZ" and c not in " \n"}
    assert not active


@pytest.mark.parametrize("payload", FIRST, ids=lambda text: ascii(text)[:40])
def test_no_cell_runs_and_none_breaks_out_of_its_table(small: Assessment, payload: str) -> None:
    hostile = poisoned(small, lambda text: payload + text)
    wanted = tables.tables(small)
    for name, document in tables.render(hostile).items():
        if name.endswith(".json"):
            assert document.isascii()
            assert set(document) & set(range(0x20)) == {0x0A}
            continue
        text = document.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) == 1 + len(wanted[name.removesuffix(".csv")])
        for row in rows:
            assert len(row) == len(rows[0])
            for one in row:
                assert not one.lstrip(" ").startswith(FORMULA_STARTS)
                assert not any(unicodedata.category(c)[0] in "CZ" and c != " " for c in one)


def test_enough_payloads_and_the_poison_reaches_the_document(small: Assessment) -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 200
    document = html.render(poisoned(small, lambda text: f"<i>mark</i>{text}"))

    assert document.count(b"&lt;i&gt;mark&lt;/i&gt;") > 500
    assert b"<i>mark" not in document


def test_the_skeleton_notices_an_element_that_data_brought(small: Assessment) -> None:
    """Negative control of the method itself."""
    document = html.render(small)
    leaky = document.replace(b"PLC-11", b"PLC<b>-11</b>", 1)

    assert Skeleton(leaky).shape != Skeleton(document).shape


def test_an_over_long_value_is_cut_and_says_so(small: Assessment) -> None:
    document = html.render(replace(small, site="A" * 20_000)).decode()

    assert "16,000 more characters" in document
    assert "A" * 4001 not in document
