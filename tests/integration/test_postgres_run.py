"""A scan whose run and site state live in PostgreSQL finds and keeps what one in files does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanner.state import SiteState

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def without_runs_own(document: dict[str, Any]) -> dict[str, Any]:
    """What two scans of the same plant have to agree on."""
    assets = [
        {key: asset[key] for key in ("id", "identity", "device_class", "presence", "services")}
        for asset in document["assets"]
    ]
    findings = sorted((f["id"], f["verdict"]) for f in document["findings"])
    verdicts = sorted(
        (r["zone"] or "", r["conduit"] or "", r["id"], r["verdict"])
        for r in document["requirements"]
    )
    return {"assets": assets, "findings": findings, "requirements": verdicts}


def test_the_same_inventory_from_postgresql_as_from_a_file(
    postgres: str,
    walkdown: Callable[..., Any],
    plant: Callable[..., Any],
    write_site: Callable[..., Path],
    tmp_path: Path,
) -> None:
    standing = plant("PLC-11", "PLC-12", "HMI-1")
    octet = standing.octet
    zones = [
        {
            "id": "control",
            "networks": [f"127.{octet}.0.8/29"],
            "sl_t": 2,
            "tier": "read",
            "profile": "lab",
            "ports": standing.ports(),
            "probes": ["modbus", "s7"],
        },
        {
            "id": "supervision",
            "networks": [f"127.{octet}.1.10/32"],
            "sl_t": 2,
            "profile": "lab",
            "ports": standing.ports(),
            "probes": ["snmp", "http"],
        },
    ]
    server = postgres.replace("postgresql://", "postgresql+psycopg://")
    run = f"{server}&schema=whole_run_{os.getpid()}"
    state = f"{postgres}&schema=whole_state_{os.getpid()}"
    in_files = write_site(zones, name="files/site.yaml")
    in_server = write_site(zones, name="server/site.yaml", state=state)

    one = walkdown("scan", in_files, "--out", tmp_path / "one")
    two = walkdown("scan", in_server, "--out", tmp_path / "two", "--store", run)

    assert one.code == 0, one.err
    assert two.code == 0, two.err
    assert not (tmp_path / "two" / "walkdown.db").exists()
    assert not in_server.with_name("site.state.db").exists()
    first, second = (
        json.loads((tmp_path / name / "assessment.json").read_bytes()) for name in ("one", "two")
    )
    assert without_runs_own(first) == without_runs_own(second)
    assert {f"control/127.{octet}.0.{last}" for last in (11, 12)} <= {
        asset["id"] for asset in second["assets"]
    }

    assert walkdown("evidence", "verify", run).code == 0
    shown = json.loads(walkdown("evidence", "show", run, "--json").out)
    files = json.loads(walkdown("evidence", "show", tmp_path / "one", "--json").out)
    assert len(shown) == len(files) > 0
    again = walkdown("scan", in_server, "--out", tmp_path / "two", "--store", run, "--resume")
    assert again.code == 0, again.err
    assert len(json.loads(walkdown("evidence", "show", run, "--json").out)) == len(shown)
    assert walkdown("assess", run, "--site", in_server, "--out", tmp_path / "three").code == 0
    third = json.loads((tmp_path / "three" / "assessment.json").read_bytes())
    assert without_runs_own(third) == without_runs_own(second)
    with SiteState.open(state) as kept:
        assert {address for _, address in kept.last_contacts()} >= {f"127.{octet}.0.11"}


def test_a_second_run_in_the_same_schema_is_refused(
    postgres: str,
    walkdown: Callable[..., Any],
    octets: Callable[[], int],
    write_site: Callable[..., Path],
    tmp_path: Path,
) -> None:
    zone = {
        "id": "z",
        "networks": [f"127.{octets()}.200.1/32"],
        "sl_t": 1,
        "profile": "lab",
        "probes": ["modbus"],
    }
    site = write_site([zone])
    run = f"{postgres}&schema=taken_{os.getpid()}"
    assert walkdown("scan", site, "--out", tmp_path / "one", "--store", run).code == 0

    said = walkdown("scan", site, "--out", tmp_path / "two", "--store", run)

    assert said.code == 1
    assert "Traceback" not in said.text
    assert "internal error" not in said.text
    assert "--resume" in said.text


def test_a_server_that_is_not_there_is_told_without_the_password(
    walkdown: Callable[..., Any], write_site: Callable[..., Path], tmp_path: Path
) -> None:
    site = write_site([{"id": "z", "networks": ["127.0.0.9/32"], "sl_t": 1}])
    url = f"postgresql://scan:hunter2@/walkdown?host={tmp_path}"

    said = walkdown("scan", site, "--out", tmp_path / "run", "--store", url)

    assert said.code == 1
    assert "no connection to the database" in said.text
    assert "hunter2" not in said.text
    assert "Traceback" not in said.text
