"""
Makes foreign text harmless where reports show it (safety promise 24).

Device strings are hostile input: control and formatting characters become visible escapes, and a
spreadsheet cell never begins with what a spreadsheet would run. HTML is escaped by Jinja2's
autoescape on top of this. Source of the list of leading characters: OWASP ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import unicodedata

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")


def visible(text: str) -> str:
    """Every character shows: control, bidirectional, unassigned and private ones as \\u escapes."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character == " " or category[0] not in "CZ":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def cell(text: str) -> str:
    """Visible text that no spreadsheet takes for a formula: such a cell begins with an apostrophe."""
    shown = visible(text)
    return f"'{shown}" if text.startswith(FORMULA_STARTS) or shown.startswith("\\x") else shown
