"""
Puts measured figures into docs/safety.md: `python -m tests.proof.document STATE`.

STATE is the folder of a proof that was run. Its results are kept as docs/safety-proof.json, and the
tables of the document are written anew from that file; a test compares the two. With no argument
only the tables are written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOCUMENT = DOCS / "safety.md"
RESULTS = DOCS / "safety-proof.json"


def keep(state: Path) -> None:
    """Take over what a proof found. Raises OSError, ValueError."""
    result = json.loads((state / "proof.json").read_text(encoding="utf-8"))
    beside = state / "shared" / "nmap" / "side_by_side.json"
    if beside.exists():
        result["side_by_side"] = json.loads(beside.read_text(encoding="utf-8"))
    elif RESULTS.exists():
        # It takes twenty minutes, so it is not measured with every proof; its own day is told.
        earlier = json.loads(RESULTS.read_text(encoding="utf-8"))
        result["side_by_side"] = earlier.get("side_by_side")
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def written(text: str, results: Mapping[str, Any]) -> str:
    """The document with its tables made anew."""
    text = between(text, "promises", table(results))
    return between(text, "nmap", side_by_side(results.get("side_by_side")))


def between(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{content}{end}{after}"


def cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def row(*cells: object) -> str:
    return "| " + " | ".join(cell(one) for one in cells) + " |\n"


def table(results: Mapping[str, Any]) -> str:
    size = {"ci": "small", "full": "full"}[results["size"]]
    text = f"Measured by the {size} proof, seed {results['seed']}"
    if results.get("commit"):
        text += f", of commit {results['commit']}"
    if results.get("date"):
        text += f", on {results['date']}"
    if results.get("mixed"):
        text += "; some rows on another state of the code, as said below"
    text += ".\n\n"
    text += row("", "Promise", "To reach", "Measured", "")
    text += row("--:", "---", "---", "---", "---")
    for promise in results["promises"]:
        measured = promise["value"]
        if promise["bound"]:
            measured += f"; {promise['bound']}"
        if promise["note"]:
            measured += f" ({promise['note']})"
        if not promise["passed"] and promise["faults"] and promise["faults"][0] != promise["note"]:
            measured += f". Broken by: {promise['faults'][0]}"
        verdict = "holds" if promise["passed"] else "**does not hold**"
        text += row(promise["number"], promise["title"], promise["target"], measured, verdict)
    return text


ROWS = (
    "seconds", "packets", "peak in 1 s, one device", "peak in 1 s, all devices", "connections",
    "connections to the silent port 502", "at once, one device", "connections without a request",
    "foreign payloads", "foreign payloads on ICS ports", "write or control PDUs", "resets",
    "devices that died", "identity",
)  # fmt: skip


def side_by_side(measured: Mapping[str, Any] | None) -> str:
    """What each tool did to the same devices, as tests/proof/nmap.py measured it."""
    if not measured:
        return "Not measured yet.\n"
    tools = measured["tools"]
    text = row("", *tools) + row("---", *("--:" for _ in tools))
    for name in ROWS:
        text += row(name, *(said(one[name]) for one in tools.values()))
    version = measured["nmap"].split(" ( ")[0]
    day = f", measured on {measured['date']}" if measured.get("date") else ""
    return text + f"\n{version}; {measured['devices']} devices{day}.\n"


def said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return f"{value['fields']} of {value['of']} fields"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def main(arguments: Sequence[str]) -> None:
    if arguments:
        keep(Path(arguments[0]))
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
