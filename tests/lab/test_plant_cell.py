"""The press cell: a scan of it finds what its truth says, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import control, score
from lab.plant import load
from lab.running import default_offset

pytestmark = [pytest.mark.lab, pytest.mark.integration, pytest.mark.timeout(300)]

COMMAND = [sys.executable, "-c", "from scanner.cli import main; main()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    folder: Path
    said: str
    assessment: dict[str, Any]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    folder = tmp_path_factory.mktemp("cell")
    record = control.up("cell", folder, now=datetime.now(UTC), base_port_offset=default_offset())
    try:
        done = subprocess.run(
            [*COMMAND, "scan", record["site"], "--out", folder / "run"],
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
            cwd=folder,
            capture_output=True,
            timeout=240,
            check=False,
        )
    finally:
        control.down(folder)
    said = (done.stdout + done.stderr).decode(errors="replace")
    found = folder / "run" / "assessment.json"
    assert found.exists(), said
    return Scanned(folder=folder, said=said, assessment=json.loads(found.read_bytes()))


def test_everything_is_found_and_nothing_false(scanned: Scanned) -> None:
    result = score.score(scanned.assessment, load("cell"))

    assert result.perfect, score.render(result)


def test_no_device_was_written_to_or_reset(scanned: Scanned) -> None:
    sums = score.ledger_totals(scanned.folder)

    for name in ("writes", "resets", "foreign", "malformed", "empty_connections", "pg_seats"):
        assert sums[name] == 0, (name, sums)
    assert sums["peak_concurrent"] == 1
