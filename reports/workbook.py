"""
The assessment's tables as one workbook (XLSX), a sheet per table.

Device text is a string cell and nothing else: no formula, no link, no markup of its own. The cells
are those of the CSV (`inert.cell`), so that a sheet saved as CSV is as harmless as ours. The only
time in the file is the run's, so equal input gives equal bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from reports.inert import cell
from reports.tables import inventory_rows, tables
from scanner.model import Assessment, Asset

NAME = "assessment.xlsx"

MOST_ROWS = 1_048_575
"""Of one sheet, below its header (ECMA-376 leaves it open; spreadsheets have 2^20 rows)."""

NARROWEST, WIDEST = 8, 60
"""Width of a column, in characters."""

OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


def render(assessment: Assessment) -> bytes:
    """inventory, findings, control_matrix, levels, gaps, score, roadmap and safety."""
    return _workbook(tables(assessment), assessment.run.started_at)


def inventory(assets: Iterable[Asset], at: datetime) -> bytes:
    """The asset list alone, with the time that the file is to bear."""
    return _workbook({"inventory": inventory_rows(assets)}, at)


def _workbook(sheets: Mapping[str, Sequence[Mapping[str, Any]]], at: datetime) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, OPTIONS)
    book.set_properties({"created": at.astimezone(UTC)})
    heading = book.add_format({"bold": True, "bottom": 1, "valign": "top"})
    text = book.add_format({"valign": "top"})
    wrapped = book.add_format({"valign": "top", "text_wrap": True})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name.replace("_", " ").capitalize())
        if not rows:
            sheet.write_string(0, 0, "no rows", heading)
            continue
        columns = list(rows[0])
        for x, column in enumerate(columns):
            said = {row[column] for row in rows}
            width = max(len(column) + 3, *(len(_shown(one)) for one in said))
            long = width > WIDEST
            sheet.set_column(x, x, min(max(width, NARROWEST), WIDEST), wrapped if long else text)
            sheet.write_string(0, x, column, heading)
        fit = rows if len(rows) <= MOST_ROWS else rows[: MOST_ROWS - 1]
        for y, row in enumerate(fit, start=1):
            for x, column in enumerate(columns):
                _write(sheet, y, x, row[column])
        if left := len(rows) - len(fit):
            words = f"{left} more rows: a sheet holds no more, the CSV of this table has all"
            sheet.write_string(MOST_ROWS, 0, words, heading)
        sheet.freeze_panes(1, 1)
        sheet.autofilter(0, 0, min(len(rows), MOST_ROWS), len(columns) - 1)
    book.close()
    return file.getvalue()


def _write(sheet: Any, y: int, x: int, value: object) -> None:
    if value in (None, ""):
        return
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        sheet.write_number(y, x, value)
    else:
        sheet.write_string(y, x, _shown(value))


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = cell(str(value))
    # The library writes a string that begins and ends like its own rich text as raw XML.
    return f"'{text}" if text.startswith("<r>") else text
