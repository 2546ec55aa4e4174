"""
Makes foreign text harmless where reports show it (safety promise 24).

Device strings are hostile input: control and formatting characters become visible escapes, and a
spreadsheet cell never begins with what a spreadsheet would run. HTML is escaped by Jinja2's
autoescape on top of this. Source of the list of leading characters: OWASP ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

FORMULA_STARTS = (
    *("=", "+", "-", "@", "\t", "\r", "\n", "\0"),
    *("＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "⁼", "⁺", "⁻", "₌", "₊", "₋", "−"),
)
"""The list of OWASP, and what else a spreadsheet may take for one of these signs."""

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    chr(code)
    for span in (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
    for code in span
)
"""Letters and marks that take a place and show nothing (fillers, variation selectors)."""

CELL_LIMIT = 32_000
"""Spreadsheets break off or refuse a cell beyond 32,767 characters."""

MARKS_IN_A_ROW = 3
"""More combining marks than this on one letter would paint over the lines around it."""


def visible(text: str) -> str:
    """Every character shows: control, bidirectional, unassigned and private ones as \\u escapes."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        harmless = character == " " or category[0] not in "CZ"
        if harmless and character not in BLANK and marks <= MARKS_IN_A_ROW:
            shown.append(character)
        else:
            code = ord(character)
            shown.append(f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
    return "".join(shown)


def bounded(text: str, limit: int) -> str:
    """Visible text of the first `limit` characters, and a word on what is left out."""
    if len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])}… ({len(text) - limit:,} more characters)"


def cell(text: str) -> str:
    """
    Visible text that no spreadsheet takes for a formula; an apostrophe stands before one. Tables
    say the same words in thousands of rows, so that the last few are kept if they are short.
    """
    return _known_cell(text) if len(text) <= KEPT_LENGTH else _cell(text)


def _cell(text: str) -> str:
    shown = visible(text)
    runs = text.lstrip(" ").startswith(FORMULA_STARTS) or shown.startswith("\\x")
    if _units(shown) > CELL_LIMIT:
        kept = shown.encode("utf-16-le")[: 2 * CELL_LIMIT].decode("utf-16-le", "ignore")
        shown = f"{kept}… ({len(shown) - len(kept):,} more characters)"
    return f"'{shown}" if runs else shown


KEPT_LENGTH: Final = 200
"""What is kept is the device's to choose: so much of it, and no more."""
_known_cell = lru_cache(maxsize=8192)(_cell)


def csv_cell(text: str) -> str:
    """
    As `cell`, and no formula either for a program that takes the semicolon for the separator, as
    spreadsheets do where the comma is the decimal sign: there our quotes do not hold it together.
    """
    return _AFTER_SEMICOLON.sub(r"\1'", cell(text))


_AFTER_SEMICOLON = re.compile(rf"(;[\s\"']*)(?=[{re.escape(''.join(FORMULA_STARTS))}])")


def ascii_json(document: bytes) -> bytes:
    """
    JSON that was written in ASCII, with DEL spelled out too: a terminal that shows it obeys
    nothing. Outside strings there is no DEL.
    """
    return document.replace(b"\x7f", b"\\u007f")


def _units(text: str) -> int:
    """Length as spreadsheets count it: what is beyond the 16-bit characters counts twice."""
    if text.isascii():
        return len(text)
    return len(text) + sum(character > "\uffff" for character in text)
