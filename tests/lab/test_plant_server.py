"""The server room: scanned from its own site file, everything found and nothing false."""

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

import pytest

from lab import control, score
from lab.plant import Plant, load

pytestmark = [pytest.mark.lab, pytest.mark.integration, pytest.mark.timeout(180)]

COMMAND = [sys.executable, "-c", "from scanner.cli import main; main()"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    plant: Plant
    assessment: dict[str, Any]
    ledgers: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The plant stands at fixed addresses: other workers wait for theirs."""
    folder = tmp_path_factory.mktemp("server")
    with (Path(tempfile.gettempdir()) / f"walkdown-server-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control.up("server", folder / "lab", now=datetime.now(UTC))
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
        plant=load("server"),
        assessment=json.loads((folder / "assessment.json").read_bytes()),
        ledgers={
            path.stem: json.loads(path.read_bytes())
            for path in (folder / "lab" / "ledgers").glob("*.json")
            if path.stem != "totals"
        },
    )


def test_every_device_and_every_field_is_found_and_nothing_false(scanned: Scanned) -> None:
    result = score.score(scanned.assessment, scanned.plant)

    assert result.perfect, score.render(result)


def test_the_devices_own_ledgers_show_no_harm(scanned: Scanned) -> None:
    assert scanned.ledgers.keys() == {device.name for device in scanned.plant.devices}
    for name, ledger in scanned.ledgers.items():
        assert ledger["alive"], name
        assert ledger["peak_concurrent"] <= 1, name
        for what in ("resets", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{name}: {what}"
        for what in ("writes", "foreign", "malformed", "unexpected_commands"):
            assert ledger[what] == {}, f"{name}: {what}"
    assert all(ledger["requests"] for ledger in scanned.ledgers.values())


def test_a_power_supply_behind_upsd_is_an_asset_of_its_own_and_a_lost_one_none(
    scanned: Scanned,
) -> None:
    (server,) = [a for a in scanned.assessment["assets"] if a["name"] == "UPS-SRV"]
    behind = [a for a in scanned.assessment["assets"] if a["parent"] == server["id"]]

    (supply,) = behind
    said = ("vendor", "model", "serial", "firmware", "name")
    assert supply["sub_address"] == "ups rack1"
    assert supply["device_class"] == "ups"
    assert [supply["identity"][field] for field in said] == [
        "EATON", "5PX 1500", "G118K09012", "02.08.0010", "rack1",
    ]  # fmt: skip
