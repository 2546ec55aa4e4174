"""The machine plant, scanned as a user would: everything found, nothing false, no harm done."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab import control
from lab.plant import PLANTS, load
from tests.integration.conftest import COMMAND, environment

PLANT = "machine"
ASKED = ("fins", "melsoft", "modbus", "nport", "slmp", "srtp")
"""Its own protocols, and one that none of it speaks: a fragile device takes 5 s for each port."""
pytestmark = [pytest.mark.lab, pytest.mark.integration, pytest.mark.timeout(300)]


def say(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, words)], env=environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def asked_less(path: Path) -> str:
    """The plant, with what is asked in it limited; returns what `lab.control.up` takes."""
    raw = YAML(typ="safe", pure=True).load((PLANTS / f"{PLANT}.yaml").read_text(encoding="utf-8"))
    for zone in raw["zones"]:
        zone["probes"] = list(ASKED)
    path.write_text(json.dumps(raw), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one scan. The plant stands at fixed addresses: others wait for theirs."""
    folder = tmp_path_factory.mktemp(PLANT)
    lock = Path(tempfile.gettempdir()) / f"walkdown-{PLANT}-{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        plant = asked_less(folder / "plant.json")
        control.up(plant, folder / "lab", now=datetime.now(UTC))
        try:
            only = [w for d in load(PLANT).devices for w in ("--only", d.address)]
            said = say("scan", folder / "lab" / "site.yaml", "--out", folder / "run", *only)
            assert said.returncode == 0, said.stderr
        finally:
            control.down(folder / "lab")
    return folder


def test_every_device_is_found_and_nothing_false(run: Path) -> None:
    said = say("lab", "score", run / "run", "--plant", PLANT)

    assert said.returncode == 0, said.stdout
    assert "everything found, nothing false" in said.stdout


def test_the_devices_own_ledgers_show_no_harm(run: Path) -> None:
    ledgers: list[dict[str, Any]] = [
        json.loads(path.read_bytes())
        for path in (run / "lab" / "ledgers").glob("*.json")
        if path.stem != "totals"
    ]

    assert len(ledgers) == len(load(PLANT).devices)
    for ledger in ledgers:
        device = ledger["device"]
        assert ledger["requests"], device
        assert ledger["peak_concurrent"] <= 1, device
        for what in ("resets", "half_closes", "empty_connections"):
            assert ledger[what] == 0, f"{device}: {what}"
        for what in ("writes", "foreign", "malformed"):
            assert ledger[what] == {}, f"{device}: {what}"


def test_the_certificate_holds(run: Path) -> None:
    certificate = json.loads((run / "run" / "certificate.json").read_bytes())

    kept = {row["promise"]: row["verdict"] for row in certificate["promises"]}
    assert "fail" not in kept.values(), certificate["promises"]
    assert kept[1] == kept[8] == "pass"
