"""A run handed to other programs: whole files, or none; and not from a damaged record."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner.cli import assessing, exporting
from scanner.errors import Damaged, UsageError
from scanner.facts import ModbusAccess
from scanner.model import Observation, Outcome, Target, Tier, Transport
from scanner.store import RunMeta, RunStore, question_key
from tests.reports.conftest import *  # noqa: F403 - the sample plant

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
PLC = Target(zone="control", address="10.1.0.7", port=502, transport=Transport.TCP)


async def run(folder: Path, *, asked: bool = True) -> Path:
    meta = RunMeta(
        id="R1", site="Harbour", site_file_text="", plan_digest="", started_at=NIGHT, version="0",
        authorisation="", authorised_by="", tiers=("identify",),
    )  # fmt: skip
    folder.mkdir()  # noqa: ASYNC240 - a test alone
    async with RunStore.create(folder / "walkdown.db", run=meta, now=NIGHT) as store:
        if asked:
            key = question_key(PLC, "modbus", Tier.IDENTIFY)
            await store.question_started(key, protocol="modbus", at=NIGHT)
            name = await store.intent(
                target=PLC, probe="modbus", tier=Tier.IDENTIFY, label="read", question=key,
                request=b"\x00\x01\x00\x00\x00\x05\xff\x2b\x0e\x01\x00", sent_at=NIGHT,
            )  # fmt: skip
            await store.ended(
                name, outcome=Outcome.ANSWERED, reason="", reply=b"", finished_at=NIGHT,
                wire_out=11, wire_in=0,
            )  # fmt: skip
            await store.question_finished(
                Observation(
                    id="", zone="control", address="10.1.0.7", port=502, transport=Transport.TCP,
                    protocol="modbus", probe="modbus", tier=Tier.IDENTIFY,
                    outcome=Outcome.ANSWERED, reason="", started_at=NIGHT, finished_at=NIGHT,
                    facts=(ModbusAccess(unit_id=255),), exchanges=(name,),
                )
            )  # fmt: skip
        store.set_state("finished", "", NIGHT)
    return folder


async def test_a_run_becomes_a_capture_file(tmp_path: Path) -> None:
    folder = await run(tmp_path / "run")

    (path,) = exporting.export(str(folder), "pcapng", tmp_path / "out.pcapng")

    assert path.read_bytes().startswith(b"\x0a\x0d\x0d\x0a")
    assert b"x3: read (modbus, identify)" in path.read_bytes()


async def test_of_a_run_that_sent_nothing_there_is_no_capture(tmp_path: Path) -> None:
    folder = await run(tmp_path / "run", asked=False)

    with pytest.raises(UsageError, match="nothing was sent"):
        exporting.export(str(folder), "pcapng", tmp_path / "out.pcapng")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]  # noqa: ASYNC240 - as above


async def test_nothing_is_made_of_a_record_that_was_changed(tmp_path: Path) -> None:
    folder = await run(tmp_path / "run")
    with sqlite3.connect(folder / "walkdown.db") as base:
        base.execute("UPDATE exchanges SET request = x'00'")
    base.close()

    with pytest.raises(Damaged, match="not intact"):
        exporting.export(str(folder), "pcapng", tmp_path / "out.pcapng")


@pytest.mark.parametrize("kind", ["csv", "cyclonedx"])
def test_one_file_for_one_document(plant, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]  # the fixture of another room
    assessing.write_reports(plant, tmp_path / "run")

    (path,) = exporting.export(str(tmp_path / "run"), kind, tmp_path / "out")

    assert path.stat().st_size > 1000


def test_netbox_gets_a_document_or_a_folder(plant, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # the fixture of another room
    assessing.write_reports(plant, tmp_path / "run")

    (one,) = exporting.export(str(tmp_path / "run"), "netbox", tmp_path / "devices.json")
    files = exporting.export(str(tmp_path / "run"), "netbox", tmp_path / "lists")

    assert set(json.loads(one.read_text())) >= {"devices", "interfaces", "ip_addresses"}
    assert len(files) == 6
    assert all(path.exists() for path in files)
    with pytest.raises(UsageError, match="there already"):
        exporting.export(str(tmp_path / "run"), "netbox", tmp_path / "lists")


def test_an_unknown_format_is_told_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="netbox"):
        exporting.export(str(tmp_path), "word", tmp_path / "out")
