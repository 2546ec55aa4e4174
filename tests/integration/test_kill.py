"""A scan killed, or told to stop, at any moment: nothing is lost and nothing is asked twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scanner.model import Outcome
from scanner.store import RunStore, key_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(480)]

KILLS = 20
NAMES = ("HMI-1", "HMI-2", "UPS-2", "PLC-19")
"""Devices that survive a scanner's sudden death, most of them not paced as fragile ones are."""
Functions = dict[str, Counter[str]]
DONE = (0, 3)
"""A scanner that was killed may have left a connection without its request, and then says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The plant, its site file, and what an uninterrupted scan of it found and sent."""

    plant: Any
    site: Path
    folder: Path
    inventory: list[dict[str, Any]]
    functions: Functions


def functions_of(plant: Any) -> Functions:
    """What each device was asked for so far, by its own ledger."""
    return {name: Counter(plant.ledger(name)["functions"]) for name in NAMES}


def since(before: Functions, after: Functions) -> Functions:
    return {name: after[name] - before[name] for name in NAMES}


def inventory_of(folder: Path) -> list[dict[str, Any]]:
    document = json.loads((folder / "assessment.json").read_bytes())
    return [
        {key: asset[key] for key in ("id", "identity", "device_class", "presence")}
        | {"services": sorted(json.dumps(one, sort_keys=True) for one in asset["services"])}
        for asset in document["assets"]
    ]


@pytest.fixture(scope="module")
def ground(
    stand: Callable[..., Any],
    walkdown: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("kill")
    with stand(folder, NAMES) as plant:
        control = f"127.{plant.octet}.0."
        zone = {
            "id": "control",
            "networks": [control + "19/32"],
            "sl_t": 1,
            "tier": "read",
            "ports": plant.ports(),
            "probes": ["modbus", "s7", "enip"],
            "assets": [
                {
                    "name": "PLC-19",
                    "address": control + "19",
                    "profile": "fragile",
                    "tier": "identify",
                    "probes": ["modbus"],
                },
            ],
        }
        panel = {
            "id": "supervision",
            "networks": [f"127.{plant.octet}.1.{last}/32" for last in (10, 11, 29)],
            "sl_t": 1,
            "tier": "read",
            "ports": plant.ports(),
            "probes": ["modbus", "snmp", "http"],
        }
        site = folder / "site.yaml"
        site.write_text(json.dumps({"site": "Killed", "zones": [zone, panel]}), encoding="utf-8")
        before = functions_of(plant)
        said = walkdown("scan", site, "--out", folder / "whole")
        assert said.code == 0, said.err
        functions = since(before, functions_of(plant))
        assert all(functions.values()), "a device was not asked at all"
        yield Ground(
            plant=plant,
            site=site,
            folder=folder,
            inventory=inventory_of(folder / "whole"),
            functions=functions,
        )


def in_flight(folder: Path) -> list[Any]:
    with RunStore.open(folder / "walkdown.db", read_only=True) as store:
        return [o for o in store.observations() if o.outcome is Outcome.INTERRUPTED]


def assert_asked_once(folder: Path) -> None:
    """By the evidence: a question with an end was begun again only where the owner said so."""
    finished: dict[str, str] = {}
    requests: dict[str, list[str]] = defaultdict(list)
    with RunStore.open(folder / "walkdown.db", read_only=True) as store:
        assert not store.verify().problems
        for event in store.events():
            told = json.loads(event.payload)
            key = told.get("question")
            if event.kind == "question":
                assert key not in finished, f"asked again after {finished[key]}: {key}"
            elif event.kind == "intent" and key:
                assert key not in finished
                requests[key].append(f"x{event.seq}")
            elif event.kind == "observation":
                finished[key] = told["outcome"]
            elif event.kind == "reopened":
                assert finished.pop(key) == "interrupted"
                requests.pop(key)
        for observation in store.observations():
            key = key_of(observation)
            assert finished[key] == observation.outcome
            assert list(observation.exchanges) == requests[key], key


def kill_at(process: subprocess.Popen[bytes], moment: float, number: int) -> bool:
    """Send the signal after `moment` seconds; False when the scan was over before."""
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        return True
    return False


def wait_for_a_change(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the process has written to the run: on a busy machine it takes a while to start."""
    begun = time.time_ns()

    def changed() -> bool:
        files = (out / "walkdown.db", out / "walkdown.db-wal")
        return any(file.exists() and file.stat().st_mtime_ns > begun for file in files)

    while not changed() and process.poll() is None:
        time.sleep(0.02)


def test_killed_at_20_moments_nothing_is_asked_twice_and_nothing_is_lost(
    ground: Ground, walkdown: Callable[..., Any], begin_walkdown: Callable[..., Any]
) -> None:
    moments = random.Random(62443)
    kills = runs = seen_in_flight = 0
    while kills < KILLS:
        runs += 1
        out = ground.folder / f"run{runs}"
        before = functions_of(ground.plant)
        resume: tuple[str, ...] = ()
        interrupted: set[str] = set()
        finished = False
        while kills < KILLS:
            process = begin_walkdown("scan", ground.site, "--out", out, *resume)
            wait_for_a_change(out, process)
            killed = kill_at(process, moments.uniform(0.0, 1.6), signal.SIGKILL)
            _, err_text = process.communicate()
            if not killed:
                assert process.returncode in (DONE if resume else (0,)), err_text.decode()
                finished = True
                break
            kills += 1
            resume = ("--resume",)
            with RunStore.open(out / "walkdown.db", read_only=True) as store:
                now = store.interrupted_questions()
                per_device = Counter(question.key.split("|")[1] for question in now)
            assert all(number == 1 for number in per_device.values()), per_device
            interrupted |= {question.key for question in now}
        if not finished:
            said = walkdown("scan", ground.site, "--out", out, *resume)
            assert said.code in DONE, said.err

        assert {key_of(one) for one in in_flight(out)} == interrupted
        assert_asked_once(out)
        sent = since(before, functions_of(ground.plant))
        for name in NAMES:
            more = sent[name] - ground.functions[name]
            assert not more, f"{name} was asked more than in one whole scan: {dict(more)}"
        seen_in_flight += len(interrupted)

        repeated = walkdown("scan", ground.site, "--out", out, "--repeat-interrupted")
        assert repeated.code in DONE, repeated.err
        assert in_flight(out) == []
        assert_asked_once(out)
        assert inventory_of(out) == ground.inventory
        again = since(before, functions_of(ground.plant))
        for name in NAMES:
            more = sum((again[name] - ground.functions[name]).values())
            mine = [key for key in interrupted if key.split("|")[1] == ground.plant.address(name)]
            most = max(ground.functions[name].values(), default=0)
            assert more <= len(mine) * 2 * max(most, 1), f"{name}: {more} repeated requests"
    assert seen_in_flight > 0, "no kill hit a question in flight: this test saw nothing"
    for name in NAMES:
        ledger = ground.plant.ledger(name)
        assert not ledger["writes"]
        assert ledger["peak_concurrent"] <= 1


def wait_for_requests(ground: Ground, since_then: Functions) -> None:
    deadline = time.monotonic() + 30
    while not any(since(since_then, functions_of(ground.plant)).values()):
        assert time.monotonic() < deadline, "the scan did not begin"
        time.sleep(0.05)
    time.sleep(0.5)  # well into it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_told_to_stop_it_closes_in_order_and_says_how_to_go_on(
    ground: Ground,
    walkdown: Callable[..., Any],
    begin_walkdown: Callable[..., Any],
    number: signal.Signals,
) -> None:
    out = ground.folder / f"stopped-by-{number.name}"
    before = functions_of(ground.plant)
    resets = {name: ground.plant.ledger(name)["resets"] for name in NAMES}
    process = begin_walkdown("scan", ground.site, "--out", out)
    wait_for_requests(ground, since_then=before)
    process.send_signal(number)
    told_at = time.monotonic()
    _, errors = process.communicate(timeout=20)
    words = " ".join(errors.decode().split())

    assert process.returncode == 130, words
    assert time.monotonic() - told_at < 8
    assert "--resume" in words
    assert str(out) in words
    assert "Traceback" not in words
    assert (out / "report.html").exists()
    for name in NAMES:
        ledger = ground.plant.ledger(name)
        assert (ledger["open_now"], ledger["resets"]) == (0, resets[name]), name

    assert walkdown("scan", ground.site, "--out", out, "--resume").code == 0
    assert_asked_once(out)
    sent = since(before, functions_of(ground.plant))
    for name in NAMES:
        assert not sent[name] - ground.functions[name], name
    assert walkdown("scan", ground.site, "--out", out, "--repeat-interrupted").code == 0
    assert inventory_of(out) == ground.inventory
