"""
The form of the tables of registered numbers, and how the registries' own files are read.

Two forms. A listed table (TOML) has the makers that are met in plants: `name` or `vendor` is ours,
as the maker prints it on devices; `listed` is the registry's word, and the only thing that a
refresh changes. A whole table (text) has every row of its registry and nothing of ours.

Source: IANA, enterprise-numbers.txt (its head explains the four lines of an entry); IEEE
Registration Authority, mam.csv, oui36.csv and iab.csv (first line names the columns); ASHRAE, the
page of assigned vendor ids (a table: id, organization, …); PROFIBUS & PROFINET International,
GSDML specification (DeviceIdentity/@VendorID and its VendorName/@Value).
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "probes" / "data"
MAC_BLOCKS = ROOT / "scanner" / "data" / "mac_blocks.tsv"
HEAD = ("source", "licence", "as_of", "refresh")
LONGEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A listed table: where it lies, what its array and its number are called, its columns."""

    path: Path
    array: str
    number: str
    columns: tuple[str, ...]
    hexadecimal: bool = False


FORMS: Mapping[str, Form] = {
    "enterprises": Form(
        path=DATA / "snmp_enterprises.toml",
        array="enterprise",
        number="number",
        columns=("number", "vendor", "class", "listed", "source"),
    ),
    "bacnet": Form(
        path=DATA / "bacnet_vendors.toml",
        array="vendor",
        number="id",
        columns=("id", "name", "listed", "note"),
    ),
    "profinet": Form(
        path=DATA / "profinet_vendors.toml",
        array="vendor",
        number="id",
        columns=("id", "name", "listed", "source"),
        hexadecimal=True,
    ),
}


# --- a listed table ------------------------------------------------------------------------------


def comment(text: str) -> tuple[str, ...]:
    """The lines before the first key."""
    lines = text.splitlines()
    end = next((n for n, line in enumerate(lines) if line and line[0] != "#"), len(lines))
    return tuple(lines[:end])


def render(form: Form, words: Iterable[str], table: Mapping[str, Any]) -> str:
    """The whole file: comment, head, rows by number, columns in their order."""
    lines = [*words]
    for key in HEAD:
        value = table[key]
        lines.append(f"{key} = {value.isoformat() if isinstance(value, date) else _text(value)}")
    lines += ["", f"{form.array} = ["]
    for row in sorted(table[form.array], key=lambda one: int(one[form.number])):
        if unknown := set(row) - set(form.columns):
            raise SystemExit(f"{form.path.name}: unknown columns {sorted(unknown)}")
        cells = [f"{key} = {_cell(form, key, row[key])}" for key in form.columns if key in row]
        lines.append(f"  {{ {', '.join(cells)} }},")
    return "\n".join([*lines, "]"]) + "\n"


def _cell(form: Form, key: str, value: Any) -> str:
    if key != form.number:
        return _text(value)
    return f"0x{value:04X}" if form.hexadecimal else str(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def refreshed(
    form: Form, text: str, registry: Mapping[int, str], as_of: date, *, whole: bool = True
) -> tuple[str, tuple[str, ...]]:
    """
    The file with the registry's words of that day, and what a person has to look at: numbers whose
    entry has other words now, or is gone. `whole` False: the registry's file has some numbers only.
    """
    table = {**tomllib.loads(text), "as_of": as_of}
    rows, told = [], []
    for row in table[form.array]:
        number, before = row[form.number], row.get("listed")
        now = registry.get(number)
        if now is None:
            if whole:
                told.append(f"{number} is no longer listed; here it is {before!r}")
        elif now != before:
            told.append(f"{number} is listed as {now!r}; it was {before!r}")
            row = {**row, "listed": now}
        rows.append(row)
    table[form.array] = rows
    return render(form, comment(text), table), tuple(told)


# --- the registries' own files --------------------------------------------------------------------


def tidy(name: str) -> str:
    """Without what does not print, blanks and commas at the ends; of bounded length."""
    shown = "".join(c if c.isprintable() else " " for c in name)
    return " ".join(shown.split())[:LONGEST].strip(" ,;")


def read_iana(text: str) -> dict[int, str]:
    """An entry is the number alone on its line, then the organization behind two blanks."""
    found: dict[int, str] = {}
    lines = text.splitlines()
    for number, name in pairwise(lines):
        if number.isdecimal() and re.match(r" {2}\S", name) and (tidied := tidy(name)):
            found[int(number)] = tidied
    return found


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        self._inside = tag == "td" or (self._inside and tag not in ("tr", "th"))
        if tag == "td" and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def read_bacnet(text: str) -> dict[int, str]:
    """Rows of a table whose first cell is a number; the second is the organization."""
    cells = _Cells()
    cells.feed(text)
    return {
        int(row[0]): name
        for row in cells.rows
        if len(row) > 1 and row[0].strip().isdecimal() and (name := tidy(row[1]))
    }


def read_gsdml(text: str) -> dict[int, str]:
    """The one maker of a device description. Its root has a namespace, which may be any."""
    found: dict[int, str] = {}
    for element in ElementTree.fromstring(text).iter():  # noqa: S314 - the developer's own file
        if element.tag.rpartition("}")[2] == "DeviceIdentity":
            names = [
                tidy(child.get("Value", ""))
                for child in element
                if child.tag.rpartition("}")[2] == "VendorName"
            ]
            if names and names[0]:
                found[int(element.get("VendorID", ""), 16)] = names[0]
    return found


def read_ieee(text: str) -> dict[str, str]:
    """Assignment (7 or 9 hex digits) to organization; private ones have none."""
    found: dict[str, str] = {}
    for row in csv.DictReader(io.StringIO(text)):
        block, name = row["Assignment"].strip().lower(), tidy(row["Organization Name"])
        if not re.fullmatch(r"[0-9a-f]{7}|[0-9a-f]{9}", block):
            raise SystemExit(f"{block!r} is no block of 28 or 36 bits: oui.csv is not read here")
        if name and name.casefold() != "private":
            found[block] = name
    return found


# --- the whole table of MAC blocks ----------------------------------------------------------------


def render_blocks(blocks: Mapping[str, str], as_of: date) -> str:
    """Digits, a tabulator, the organization; by digits."""
    head = (
        "# Blocks of MAC addresses that are smaller than 24 bits, and to whom they are assigned.",
        "#",
        "# First the 7 or 9 hex digits that all addresses of the block begin with (28 or 36 bits),",
        "# then the organization. Private assignments are left out. Blocks of 24 bits are those of",
        "# the package netutils: see scanner/makers.py.",
        "#",
        "# source: IEEE Registration Authority, public listing: MA-M (mam.csv), MA-S (oui36.csv)",
        "#   and IAB (iab.csv), as Debian's package ieee-data carries them",
        "# licence: the IEEE asserts no copyright in the listing and does not restrict its",
        "#   distribution (Debian, ieee-data, copyright)",
        f"# as_of: {as_of.isoformat()}",
        "# refresh: python -m tests.registries mac mam.csv oui36.csv iab.csv --as-of DATE",
    )
    rows = (f"{block}\t{name}" for block, name in sorted(blocks.items()))
    return "\n".join([*head, *rows]) + "\n"


def read_blocks(text: str) -> dict[str, str]:
    rows = (line.partition("\t") for line in text.splitlines() if not line.startswith("#"))
    return {block: name for block, _, name in rows}


def as_of_blocks(text: str) -> date:
    found = re.search(r"^# as_of: (\S+)$", text, re.MULTILINE)
    if found is None:
        raise SystemExit("the table does not say of which day it is")
    return date.fromisoformat(found[1])


def merged(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """A block in two files is one assignment; the first file's words count."""
    found: dict[str, str] = {}
    for part in parts:
        for block, name in part.items():
            found.setdefault(block, name)
    return found
