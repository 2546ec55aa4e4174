"""Periodic re-scans through the command line: when they may start, and what they tell whom."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

LISTENER = (
    "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read() + chr(10))"
)


def soon() -> datetime:
    """A whole second that has not come when the command that adds a schedule is done."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)


class Scheduler:
    """`walkdown schedule` for one site, with a command that writes down what it is told."""

    def __init__(self, walkdown: Callable[..., Any], folder: Path) -> None:
        self.site = folder / "site.yaml"
        self.runs = folder / "runs"
        self._heard = folder / "heard"
        self._walkdown = walkdown

    def add(self, name: str, first: datetime, rule: str = "FREQ=DAILY") -> Any:
        start = first.replace(tzinfo=None).isoformat()
        command = (sys.executable, "-c", LISTENER, self._heard)
        return self._walkdown(
            "schedule", "add", self.site, "--name", name, "--rule", rule,
            "--start", start, "--timezone", "UTC", "--", *command,
        )  # fmt: skip

    def run_when_due(self, first: datetime) -> Any:
        time.sleep(max(0.0, (first - datetime.now(UTC)).total_seconds()) + 0.05)
        return self.run()

    def run(self) -> Any:
        return self._walkdown("schedule", "run", self.site, "--out", self.runs)

    def listed(self) -> dict[str, Any]:
        said = self._walkdown("schedule", "list", self.site, "--json")
        assert said.code == 0, said.err
        document: dict[str, Any] = json.loads(said.out)
        return document

    def remove(self, name: str) -> Any:
        return self._walkdown("schedule", "remove", self.site, name)

    @property
    def heard(self) -> list[dict[str, Any]]:
        if not self._heard.exists():
            return []
        return [json.loads(line) for line in self._heard.read_text().splitlines()]

    @property
    def scanned(self) -> list[Path]:
        return sorted(self.runs.glob("*/walkdown.db"))


@pytest.fixture
def scheduler(walkdown: Callable[..., Any], tmp_path: Path) -> Scheduler:
    return Scheduler(walkdown, tmp_path)


def test_a_schedule_is_kept_listed_and_forgotten(
    scheduler: Scheduler, write_site: Callable[..., Path]
) -> None:
    write_site([{"id": "z", "networks": ["127.0.0.9/32"], "sl_t": 1}])
    today = datetime.now(UTC).replace(hour=22, minute=0, second=0, microsecond=0)
    first = today + timedelta(days=14 + (5 - today.weekday()) % 7)  # a Saturday

    assert scheduler.add("weekly", first, "FREQ=WEEKLY;BYDAY=SA").code == 0
    (kept,) = scheduler.listed()["schedules"]
    assert (kept["id"], kept["rule"], kept["zone"]) == ("weekly", "FREQ=WEEKLY;BYDAY=SA", "*")
    assert datetime.fromisoformat(kept["next"]) == first
    assert "nothing is due" in scheduler.run().out
    assert scheduler.remove("weekly").code == 0
    assert scheduler.listed()["schedules"] == []
    assert scheduler.scanned == []


def test_the_second_run_tells_a_command_which_device_is_new(
    scheduler: Scheduler, plant: Callable[..., Any], write_site: Callable[..., Path]
) -> None:
    standing = plant("PLC-11")
    address = f"127.{standing.octet}.0"
    write_site(
        [
            {
                "id": "control",
                "networks": [f"{address}.8/29"],
                "sl_t": 1,
                "profile": "lab",
                "probes": ["modbus", "s7"],
                "ports": standing.ports(),
                "assets": [{"name": "PLC-11", "address": f"{address}.11"}],
            }
        ]
    )
    first = soon()
    assert scheduler.add("once", first).code == 0
    ran = scheduler.run_when_due(first)
    assert ran.code == 0, ran.text
    (report,) = scheduler.heard
    assert (report["schedule"], report["state"]) == ("once", "done")
    assert (report["new_devices"], report["halted"], report["failures"]) == ([], None, [])

    assert "nothing is due" in scheduler.run().out  # a job is done once
    plant("PLC-12", octet=standing.octet)
    second = soon()
    assert scheduler.add("again", second).code == 0
    ran = scheduler.run_when_due(second)

    assert ran.code == 0, ran.text
    assert f"{address}.12" in ran.out
    assert len(scheduler.scanned) == 2
    report = scheduler.heard[-1]
    assert (report["schedule"], report["state"]) == ("again", "done")
    assert [one for one in report["new_devices"] if f"{address}.12" in one]
    assert not [one for one in report["new_devices"] if f"{address}.11" in one]


def test_a_due_scan_waits_for_its_window_and_starts_once_it_is_open(
    scheduler: Scheduler, octets: Callable[[], int], write_site: Callable[..., Path]
) -> None:
    zone = {
        "id": "z",
        "networks": [f"127.{octets()}.200.1/32"],
        "sl_t": 1,
        "profile": "lab",
        "probes": ["modbus"],
        "window": "night",
    }
    opens = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)
    night = {"id": "night", "start": opens.isoformat(), "duration": "2h"}
    write_site([zone], windows=[night])
    first = soon()
    assert scheduler.add("nightly", first).code == 0

    waited = scheduler.run_when_due(first)

    assert "the window night is closed" in waited.text
    assert scheduler.scanned == []
    assert [one["state"] for one in scheduler.heard] == ["withheld"]
    assert "the window night is closed" in scheduler.heard[0]["reason"]
    (job,) = scheduler.listed()["jobs"]
    assert job["schedule"] == "nightly"

    scheduler.run()
    assert len(scheduler.heard) == 1, "the same reason is told once"

    now_open = {**night, "start": (opens - timedelta(hours=6)).isoformat()}
    write_site([zone], windows=[now_open])
    ran = scheduler.run()
    assert ran.code == 0, ran.text
    assert len(scheduler.scanned) == 1
    assert scheduler.heard[-1]["state"] == "done"


def test_a_due_scan_beyond_loopback_waits_for_its_authorisation(
    scheduler: Scheduler, write_site: Callable[..., Path]
) -> None:
    site = write_site([{"id": "far", "networks": ["192.0.2.0/30"], "sl_t": 1}])
    document = json.loads(site.read_text())
    del document["authorisation"]
    site.write_text(json.dumps(document))
    first = soon()
    assert scheduler.add("daily", first).code == 0

    waited = scheduler.run_when_due(first)

    assert "has no authorisation" in waited.text
    assert scheduler.scanned == []
    assert "has no authorisation" in scheduler.heard[0]["reason"]


def test_a_command_that_fails_is_told_again_later(
    scheduler: Scheduler,
    walkdown: Callable[..., Any],
    octets: Callable[[], int],
    write_site: Callable[..., Path],
) -> None:
    zone = {
        "id": "z",
        "networks": [f"127.{octets()}.200.1/32"],
        "sl_t": 1,
        "profile": "lab",
        "probes": ["modbus"],
    }
    site = write_site([zone])
    first = soon()
    added = walkdown(
        "schedule", "add", site, "--name", "deaf", "--rule", "FREQ=DAILY",
        "--start", first.replace(tzinfo=None).isoformat(), "--", site.with_name("not-there-yet"),
    )  # fmt: skip
    assert added.code == 0

    ran = scheduler.run_when_due(first)
    assert "could not tell" in ran.text
    assert len(scheduler.scanned) == 1

    command = site.with_name("not-there-yet")
    command.write_text(f"#!/bin/sh\ncat > {site.with_name('told')}\n")
    command.chmod(0o755)
    scheduler.run()

    told = json.loads(site.with_name("told").read_text())
    assert (told["schedule"], told["state"]) == ("deaf", "done")
    assert len(scheduler.scanned) == 1
