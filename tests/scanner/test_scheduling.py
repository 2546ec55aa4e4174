"""What a scheduled scan tells about devices, and what is looked at before any scan."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import assess, site
from scanner.cli.assessing import assess_runs, check_inputs, write_reports
from scanner.cli.scanning import ScanOrder, scan
from scanner.cli.scheduling import _new_devices, _newest_first
from scanner.errors import UsageError
from scanner.model import Assessment, Observation, Outcome, Tier, Transport
from scanner.store import RunMeta, RunStore

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
SITE = """
site: Test
zones:
  - {id: dmz, networks: [127.30.8.0/29], sl_t: 1, profile: lab}
  - {id: control, networks: [127.30.9.0/29], sl_t: 1, profile: lab}
"""
DMZ, CONTROL, STRANGER = ("dmz", "127.30.8.1"), ("control", "127.30.9.1"), ("dmz", "127.30.8.2")
Device = tuple[str, str]


def load(folder: Path, more: str = "") -> site.Site:
    (folder / "site.yaml").write_text(SITE + more)
    return site.load(folder / "site.yaml", now=NIGHT)


async def run(folder: Path, number: int, answered: set[Device], silent: set[Device]) -> Assessment:
    """One finished run in which some devices answered and some addresses were silent."""
    out = folder / "runs" / f"r{number}"
    out.mkdir(parents=True)
    meta = RunMeta(
        id=f"r{number}", site="Test", site_file_text=SITE, plan_digest="", started_at=NIGHT,
        version="0.1", authorisation="", authorised_by="", tiers=("identify",), limits={},
    )  # fmt: skip
    async with RunStore.create(out / "walkdown.db", run=meta, now=NIGHT) as store:
        for zone, address in sorted(answered | silent):
            told = Observation(
                id="", zone=zone, address=address, port=502, transport=Transport.TCP,
                protocol="modbus", probe="modbus", tier=Tier.IDENTIFY, outcome=Outcome.ANSWERED,
                reason="", started_at=NIGHT, finished_at=NIGHT, facts=(), exchanges=(),
            )  # fmt: skip
            if (zone, address) in silent:
                told = replace(told, outcome=Outcome.SILENT)
            await store.question_started(
                f"{zone}|{address}|tcp|502|modbus|identify", protocol="modbus", at=NIGHT
            )
            await store.question_finished(told)
        store.set_state("finished", "", NIGHT)
    told = assess_runs([out / "walkdown.db"], load(folder), now=NIGHT, environment={})
    write_reports(told, out)
    os.utime(out / "assessment.json", (number, number))
    assert assess.from_json((out / "assessment.json").read_bytes()) == told
    return told


def new(folder: Path, number: int, told: Assessment) -> tuple[str, ...]:
    return _new_devices(_newest_first(folder / "runs", folder / "runs" / f"r{number}"), told)


async def test_the_first_run_has_nothing_to_compare_with(tmp_path: Path) -> None:
    assert new(tmp_path, 1, await run(tmp_path, 1, {DMZ, CONTROL}, set())) == ()


async def test_a_run_of_one_zone_makes_nothing_new_elsewhere(tmp_path: Path) -> None:
    await run(tmp_path, 1, {DMZ, CONTROL}, {STRANGER})
    await run(tmp_path, 2, {DMZ}, {STRANGER})

    assert new(tmp_path, 3, await run(tmp_path, 3, {DMZ, CONTROL}, {STRANGER})) == ()


async def test_what_was_silent_when_it_was_last_asked_is_new_again(tmp_path: Path) -> None:
    await run(tmp_path, 1, {DMZ, CONTROL, STRANGER}, set())
    await run(tmp_path, 2, {DMZ}, {STRANGER})
    await run(tmp_path, 3, {CONTROL}, set())

    told = await run(tmp_path, 4, {DMZ, CONTROL, STRANGER}, set())

    assert new(tmp_path, 4, told) == ("dmz/127.30.8.2",)


async def test_what_no_run_ever_asked_is_new(tmp_path: Path) -> None:
    await run(tmp_path, 1, {CONTROL}, set())

    told = await run(tmp_path, 2, {DMZ, CONTROL}, set())

    assert new(tmp_path, 2, told) == ("dmz/127.30.8.1",)


# --- before a scan -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("attestations: misspelt.yaml\n", "misspelt.yaml"),
        ("backups: {sources: [{id: nas, kind: folder, path: gone}]}\n", "gone"),
        ("backups: {sources: [{id: nas, kind: git, path: gone}]}\n", "gone"),
    ],
)
def test_what_the_report_will_need_is_missed_before_the_scan(
    tmp_path: Path, more: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_inputs(load(tmp_path, more), now=NIGHT, environment={})


def test_a_site_without_extras_needs_nothing(tmp_path: Path) -> None:
    check_inputs(load(tmp_path), now=NIGHT, environment={})


async def test_a_secret_that_cannot_be_had_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(
        """
site: Test
zones:
  - id: dmz
    networks: [127.30.8.0/30]
    sl_t: 1
    tier: read
    assets:
      - name: SW-1
        address: 127.30.8.1
        login:
          platform: linux
          user: auditor
          secret: env:WALKDOWN_SW1
          host_key: SHA256:0000000000000000000000000000000000000000000
"""
    )

    with pytest.raises(UsageError, match="WALKDOWN_SW1 is not set"):
        await scan(ScanOrder(site_file=file, out=tmp_path / "run"), environment={})

    assert not (tmp_path / "run").exists()
