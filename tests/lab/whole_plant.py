"""A shipped plant, started at its own addresses and scanned from its own site file."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import control
from lab.plant import Plant, load

COMMAND = [sys.executable, "-c", "from scanner.cli import main; main()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    plant: Plant
    assessment: dict[str, Any]
    ledgers: dict[str, dict[str, Any]]


def scan(name: str, folder: Path) -> Scanned:
    """The plant stands at fixed addresses: other workers wait for theirs."""
    with (Path(tempfile.gettempdir()) / f"walkdown-{name}-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control.up(name, folder / "lab", now=datetime.now(UTC))
        try:
            said = subprocess.run(
                [*COMMAND, "scan", str(folder / "lab" / "site.yaml"), "--out", str(folder)],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=150,
                env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
            )  # fmt: skip
        finally:
            control.down(folder / "lab")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr
    return Scanned(
        plant=load(name),
        assessment=json.loads((folder / "assessment.json").read_bytes()),
        ledgers={
            path.stem: json.loads(path.read_bytes())
            for path in (folder / "lab" / "ledgers").glob("*.json")
            if path.stem != "totals"
        },
    )


def assert_no_harm(found: Scanned) -> None:
    """Fails where a device's own ledger shows that we did it harm."""
    assert found.ledgers.keys() == {device.name for device in found.plant.devices}
    for name, ledger in found.ledgers.items():
        assert ledger["alive"], name
        assert ledger["peak_concurrent"] <= 1, name
        for what in ("resets", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{name}: {what}"
        for what in ("writes", "foreign", "malformed", "unexpected_commands"):
            assert ledger[what] == {}, f"{name}: {what}"
    assert all(ledger["requests"] for ledger in found.ledgers.values())
