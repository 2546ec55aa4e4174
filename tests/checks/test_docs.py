"""docs/checks.md is made from the checks. To write it anew: python tests/checks/test_docs.py"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import checks
from scanner.iec62443 import load
from scanner.spec import Check

PAGE = Path(__file__).parents[2] / "docs" / "checks.md"
HEAD = """# Checks

What each check looks at, why it matters to a plant, and which requirements of IEC 62443-3-3 a
failure touches. A check never passes on what was not seen: it says `not_checked`, and why.

This page is made from the checks themselves (`python tests/checks/test_docs.py`).
"""


def page() -> str:
    modules = [import_module(f"checks.{module.name}") for module in iter_modules(checks.__path__)]
    found = sorted((module.CHECK for module in modules), key=lambda check: check.id)
    docs = {module.CHECK.id: inspect.getdoc(module) or "" for module in modules}
    return "\n".join([HEAD, *_index(found), *(_section(one, docs[one.id]) for one in found)])


def _index(found: Iterable[Check]) -> list[str]:
    rows = [
        f"| [{check.id}](#{check.id}) | {check.title} | {', '.join(check.requirements)} "
        f"| {check.severity} |"
        for check in found
    ]
    return ["| Check | Finding | Requirements | Severity |", "|---|---|---|---|", *rows, ""]


def _section(check: Check, doc: str) -> str:
    first, why, source, rest = _parts(doc)
    requirements = "; ".join(f"{one} {load().get(one).title}" for one in check.requirements)
    lines = [
        f"## {check.id}",
        "",
        first,
        "",
        f"**Why it matters.** {why[0].upper()}{why[1:]}",
        "",
        *([rest, ""] if rest else []),
        f"- Requirements: {requirements}",
        f"- Weight: {check.severity} severity, exploitability {check.exploitability}",
        f"- Looks at: {check.reads.__name__}"
        + (f" over {', '.join(check.protocols)}" if check.protocols else "")
        + f" (tier {check.tier})",
        f"- Remedy: {check.remedy}",
        f"- Effort: {check.effort}, {'needs' if check.needs_outage else 'no'} outage",
        *([f"- ATT&CK for ICS: {', '.join(check.attack)}"] if check.attack else []),
        f"- Source: {source}",
        "",
    ]
    return "\n".join(lines)


def _parts(doc: str) -> tuple[str, str, str, str]:
    """First line, why it matters, source, and the paragraphs behind them."""
    first, _, body = doc.partition("\n")
    match = re.search(r"Why it matters: (.*?)\nSource: (.*?)(?:\n\n(.*))?$", body, re.DOTALL)
    assert match, first
    why, source, rest = (" ".join((part or "").split()) for part in match.groups())
    return first, why, source, rest


def test_the_page_of_checks_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/checks/test_docs.py"


def test_every_check_has_its_section():
    text = page()

    for module in iter_modules(checks.__path__):
        assert f"\n## {module.name}\n" in text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
