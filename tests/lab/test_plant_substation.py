"""The substation plant, scanned with the command a user types: everything found, nothing false."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import control

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

RUN = [sys.executable, "-c", "from scanner.cli import main; main()"]


def walkdown(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *map(str, words)], capture_output=True, text=True, timeout=200, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's folder, with the run in it; the plant stands at its own addresses."""
    folder = tmp_path_factory.mktemp("substation")
    control.up("substation", folder, now=datetime.now(UTC))
    try:
        said = walkdown("scan", folder / "site.yaml", "--out", folder / "run", "--no-capture")
        assert said.returncode == 0, said.stderr
        yield folder
    finally:
        control.down(folder)


def ledgers(folder: Path) -> dict[str, dict[str, Any]]:
    paths = (folder / "ledgers").glob("*.json")
    told = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {one["device"]: one for one in told if "device" in one}


def test_everything_is_found_and_nothing_false(scanned: Path) -> None:
    said = walkdown("lab", "score", scanned / "run", "--plant", "substation")

    assert said.returncode == 0, said.stdout + said.stderr
    assert "everything found, nothing false" in said.stdout


def test_no_device_saw_a_write_or_anything_that_was_not_its_protocol(scanned: Path) -> None:
    for name, ledger in ledgers(scanned).items():
        assert ledger["alive"], name
        assert ledger["peak_concurrent"] <= 1, name
        for what in ("writes", "foreign", "malformed", "unexpected_commands"):
            assert ledger[what] == {}, f"{name}: {what}"
        for what in ("resets", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{name}: {what}"


def test_an_ied_is_identified_and_its_nameplate_read(scanned: Path) -> None:
    functions = ledgers(scanned)["IED-1"]["functions"]

    assert functions["mms identify"] == 1 + functions["mms associate"] - 2  # canaries ask again
    assert functions["mms getNameList"] == 1
    assert functions["mms read"] <= 2
    assert functions["mms conclude"] >= 2


def test_only_the_station_that_the_site_file_names_was_asked(scanned: Path) -> None:
    told = ledgers(scanned)

    assert set(told["RTU-1"]["functions"]) == {"iec104 TESTFR act"}
    assert told["RTU-2"]["connections"] == 0
    assert told["RTU-3"]["functions"]["dnp3 REQUEST LINK STATUS"] == 2
    assert set(told["RTU-3"]["functions"]) == {"dnp3 REQUEST LINK STATUS"}
    assert told["RTU-4"]["functions"] == {"dnp3 REQUEST LINK STATUS": 1}
    certificate = json.loads((scanned / "run" / "certificate.json").read_bytes())
    row = next(one for one in certificate["promises"] if one["promise"] == 11)
    assert row["verdict"] == "pass"
    assert row["measured"].startswith("0 to IEC 104 or DNP3")


def test_an_ams_router_was_asked_who_it_is_and_nothing_else(scanned: Path) -> None:
    told = ledgers(scanned)

    for name in ("CX-1", "ENG-1"):
        assert set(told[name]["functions"]) == {"ads server information"}
