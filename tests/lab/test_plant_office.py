"""The office plant: scanned as a user would, everything is found and nothing false."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import control, proving
from lab.plant import load
from lab.score import render, score

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

WALKDOWN = [sys.executable, "-c", "from scanner.cli import main; main()"]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of one scan; the lab's own files are in `lab`, and the plant is still up."""
    folder = tmp_path_factory.mktemp("office")
    control.up("office", folder / "lab", now=datetime.now(UTC))
    try:
        words = ["scan", folder / "lab" / "site.yaml", "--out", folder / "run", "--no-capture"]
        done = subprocess.run(
            [*WALKDOWN, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder
    finally:
        control.down(folder / "lab")


def test_every_device_and_planted_weakness_is_found_and_nothing_false(scanned: Path) -> None:
    document = json.loads((scanned / "run" / "assessment.json").read_bytes())

    found = score(document, load("office"))

    assert found.perfect, render(found)


def test_the_devices_own_ledgers_show_no_harm(scanned: Path) -> None:
    ledgers: dict[str, dict[str, Any]] = proving.ledgers(scanned / "lab")

    assert ledgers
    for device, ledger in ledgers.items():
        assert ledger["requests"], device
        assert ledger["peak_concurrent"] <= 1, device
        for what in ("resets", "lockouts", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{device}: {what}"
        for what in ("writes", "foreign", "malformed", "unexpected_commands"):
            assert ledger[what] == {}, f"{device}: {what}"


def test_every_device_answers_its_canaries(scanned: Path) -> None:
    """Also one that refuses the newer of two versions: it is asked again what it answered."""
    document = json.loads((scanned / "run" / "assessment.json").read_bytes())
    canaries = [one for device in document["safety"]["devices"] for one in device["canary"]]

    assert canaries
    assert all(canary["healthy"] for canary in canaries), canaries
