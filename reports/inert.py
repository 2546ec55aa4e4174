"""
Makes foreign text harmless where reports show it (safety promise 24).

Device strings are hostile input: control and formatting characters become visible escapes, and a
spreadsheet cell never begins with what a spreadsheet would run. HTML is escaped by Jinja2's
autoescape on top of this. Source of the list of leading characters: OWASP ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")

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
    """Visible text that no spreadsheet takes for a formula; an apostrophe stands before one."""
    shown = visible(text)
    runs = text.lstrip(" ").startswith(FORMULA_STARTS) or shown.startswith("\\x")
    if len(shown) > CELL_LIMIT:
        shown = f"{shown[:CELL_LIMIT]}… ({len(shown) - CELL_LIMIT:,} more characters)"
    return f"'{shown}" if runs else shown
