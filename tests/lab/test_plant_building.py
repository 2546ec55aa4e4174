"""The building plant: a scan finds all that is true of it, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import control
from lab.plant import load

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

WALKDOWN = [sys.executable, "-c", "from scanner.cli import main; main()"]


def walkdown(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WALKDOWN, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("building")
    control.up("building", folder, now=datetime.now(UTC))
    yield folder
    control.down(folder)


@pytest.fixture(scope="module")
def run(lab: Path) -> Path:
    out = lab / "run"
    said = walkdown("scan", lab / "site.yaml", "--out", out, "--no-capture")
    assert said.returncode == 0, said.stderr
    return out


@pytest.fixture(scope="module")
def assets(run: Path) -> dict[str, dict[str, Any]]:
    """By name for devices, by id for devices behind them."""
    document = json.loads((run / "assessment.json").read_bytes())
    return {
        asset["id"] if asset["sub_address"] else asset["name"]: asset
        for asset in document["assets"]
    }


def ledgers(lab: Path) -> dict[str, dict[str, Any]]:
    found = (json.loads(path.read_bytes()) for path in (lab / "ledgers").glob("*.json"))
    return {one["device"]: one for one in found if "device" in one}


def test_everything_is_found_and_nothing_false(lab: Path, run: Path) -> None:
    said = walkdown("lab", "score", run, "--plant", "building", "--dir", lab)

    assert said.returncode == 0, said.stdout + said.stderr
    assert "everything found, nothing false" in said.stdout


def test_no_device_was_harmed(lab: Path, run: Path) -> None:
    found = ledgers(lab)

    assert found.keys() == {device.name for device in load("building").devices if device.services}
    for name, ledger in found.items():
        assert ledger["alive"], name
        for what in ("writes", "foreign", "malformed"):
            assert ledger[what] == {}, f"{name}: {what}"
        for what in ("resets", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{name}: {what}"


def test_devices_behind_a_bacnet_router_are_assets_of_their_own(
    assets: dict[str, dict[str, Any]],
) -> None:
    behind = [assets[f"automation/127.32.0.5#network 3 device {n}"] for n in (29, 108)]

    assert [one["identity"]["name"] for one in behind] == ["112E1", "112E2"]
    for one in behind:
        assert one["parent"] == assets["BAS-1"]["id"]
        assert one["identity"]["vendor"] == "Lithonia Lighting, Inc."
        assert (one["identity"]["model"], one["identity"]["firmware"]) == ("SYSC MLX", "2.62")


def test_transmitters_behind_a_hart_io_system_are_assets_of_their_own(
    assets: dict[str, dict[str, Any]],
) -> None:
    behind = [assets[f"automation/127.32.0.11#I/O card 0 channel {n}"] for n in (0, 1, 3)]

    said = [(one["identity"]["vendor"], one["identity"]["serial"]) for one in behind]
    assert said == [("Rosemount", "a1b2c3"), ("Endress+Hauser", "010203"), ("VEGA", "445566")]
    assert [one["identity"]["name"] for one in behind] == [
        "PT-101 STEAM", "TT-102 FEED", "LT-103 DRUM",
    ]  # fmt: skip
