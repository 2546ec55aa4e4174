"""
The proof against an intentionally unsafe probe: it fails on what is broken, and on nothing else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lab import proving
from tests.proof.ground import ground
from tests.proof.judge.verdict import Finding
from tests.proof.plants import judged, scan, standing

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(300)]

UNSAFE = Path(__file__).with_name("unsafe") / "main.py"
PRODUCT = (sys.executable, "-c", "from scanner.cli import main; main()")
BROKEN = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 17}


def findings(walkdown: tuple[str, ...], folder: Path) -> dict[int, Finding]:
    raw = proving.plant(["modbus", "s7", "http"], behaviours=["normal"])
    for zone in raw["zones"]:
        zone["tier"] = "identify"
    with ground() as place, standing(place, raw, folder) as lab:
        seen = scan(place, lab, folder, walkdown, leaving=True)
    assert json.loads((folder / "plant.json").read_text())["devices"]
    return dict(judged(seen, lab).findings)


def test_an_unsafe_probe_breaks_the_promises_that_it_breaks(tmp_path: Path) -> None:
    found = findings((sys.executable, str(UNSAFE)), tmp_path)

    assert {number for number, one in found.items() if one.bad} == BROKEN
    named = "\n".join(words for one in found.values() for words in one.faults)
    for deed in (
        "control: modbus 0x06 write single register",
        "control: S7 job 0x29 PLC stop",
        " at once: ",
        "packets captured",
        "not modbus: 47 45 54",
        "port 9100",
        "which nobody planned",
        "connected and left without a request",
        "malformed",
        "reset 0.",
        "TSAP 0102",
        "port 2404",
        "unit ids asked",
        "questions, 2 granted",
        "udp to 10.99.0.53 port 53",
    ):
        assert deed in named, f"{deed!r} is not among\n{named}"


def test_the_product_breaks_none_of_them(tmp_path: Path) -> None:
    found = findings(PRODUCT, tmp_path)

    assert {number: one.faults for number, one in found.items() if one.bad} == {}
    assert found[1].cases >= 6
