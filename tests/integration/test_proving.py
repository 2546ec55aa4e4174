"""A scan meets the fault of every kind of device that the proving plants know, in its own step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import control, proving
from lab.running import default_offset

pytestmark = [pytest.mark.integration, pytest.mark.lab, pytest.mark.timeout(300)]


def test_every_kind_meets_its_fault(walkdown, octets, tmp_path: Path) -> None:
    """
    Every reply of the steps under proof comes twice, which a device counts; a kind that counts
    none has an `after` that comes too late for the scan of today.
    """
    raw = proving.plant(
        behaviours=["two_replies"], normal=False, base=f"127.{octets()}", profile="lab"
    )
    path = proving.write(raw, tmp_path / "plant.json")
    record: dict[str, Any] = control.up(
        str(path), tmp_path, now=datetime.now(UTC), base_port_offset=default_offset()
    )
    try:
        said = walkdown("scan", record["site"], cwd=tmp_path, timeout=240)
    finally:
        control.down(tmp_path)

    ledgers = proving.ledgers(tmp_path)
    met = {name: ledger["faults"].get("reply sent twice", 0) for name, ledger in ledgers.items()}
    assert len(met) == len(proving.all_kinds()), said.text
    assert all(met.values()), (met, said.text)
