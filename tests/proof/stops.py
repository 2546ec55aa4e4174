"""
Scans that are stopped at random moments, with live and with dead devices, many side by side.

Every block is a handful of real emulators on addresses of its own, so that several scans run at
once and are told apart by address in one capture taken on the device side. A case starts the
product, lets some of its devices die (their packets are dropped by the device side's firewall, so
that nothing is acknowledged any more), stops the scan in its way and notes when.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.proof.driver import Driver
from tests.proof.ground import Ground
from tests.proof.plants import authorisation
from tests.proof.promise import Unable

BLOCKS = 8
NETWORK = "10.77"
DEVICES = ("HMI-2", "PLC-12", "PLC-14", "HMI-1", "UPS-2", "SHMI-1", "UPS-1", "JUMP-1")
"""Of the plant that ships: Modbus, S7, EtherNet/IP, web, SNMP, TLS, Telnet and SSH."""
LAST_MOMENT_S = 11.0
"""A scan of a block is still asking at this time."""
WATCHED_S = 5.0
"""How long after the stop the wire is watched: more than twice what is promised."""


def plant(path: Path, blocks: int = BLOCKS) -> Path:
    """A plant file with `blocks` times the same devices, each block in a network of its own."""
    harbour = Path(__file__).resolve().parents[2] / "lab" / "plants" / "harbour.yaml"
    whole = YAML(typ="safe", pure=True).load(harbour.read_text(encoding="utf-8"))
    zones, devices = [], []
    for block in range(blocks):
        zones.append({"id": f"b{block}", "networks": [f"{NETWORK}.{block}.0/28"], "sl_t": 1})
        for place, name in enumerate(DEVICES, 1):
            found = next(one for one in whole["devices"] if one["name"] == name)
            new = {**found, "name": f"B{block}-{name}", "zone": f"b{block}", "declared": None}
            new["address"] = address(block, place)
            devices.append({**new, "backup": None, "truth": {}})
    content = {"plant": path.stem, "site": "Stopped", "zones": zones, "devices": devices}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@contextmanager
def emulated(ground: Ground, path: Path, folder: Path) -> Iterator[Path]:
    """The plant's emulators on the device side while the block runs; yields the lab's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lab = folder / "lab"
    shutil.rmtree(lab, ignore_errors=True)
    words = [
        sys.executable, "-m", "lab", "serve", str(path.with_suffix("")), str(lab),
        "--now", datetime.now(UTC).isoformat(), "--offset", "0", "--network", f"{NETWORK}.0.0/16",
    ]  # fmt: skip
    with (folder / "lab.log").open("wb") as log:
        process = ground.start("device", *words, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not (lab / "lab.json").exists():
            if process.poll() is not None or time.monotonic() > end:
                words_of_it = (folder / "lab.log").read_text(encoding="utf-8")[-500:]
                raise Unable(f"the emulators did not start: {words_of_it}")
            time.sleep(0.05)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def address(block: int, place: int) -> str:
    """The address of a block's device, counted from 1."""
    return f"{NETWORK}.{block}.{place}"


def site(path: Path, block: int, *, until: datetime | None = None, **zone: Any) -> Path:
    """A site file for one block. `until` ends the authorisation, and so the scan."""
    now = datetime.now(UTC)
    content = {
        "site": f"Block {block}",
        "authorisation": authorisation(now, after=until - now if until else timedelta(days=1)),
        # A zone for each device: where the machine is busy, two that are slow do not stop them all.
        "zones": [
            {
                "id": f"b{block}-{n}", "networks": [f"{address(block, n)}/32"], "sl_t": 1,
                "tier": "read", **zone,
            }
            for n in range(1, len(DEVICES) + 1)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@dataclass(slots=True, kw_only=True)
class Case:
    """One scan and how it is stopped. Times are of the wall clock, in seconds since the epoch."""

    number: int
    cause: str
    moment: float
    """Seconds after the start of the scan."""
    dying: Mapping[int, float]
    """Places of devices that die, with how long before the stop."""
    block: int = -1
    folder: Path = field(default_factory=Path)
    started: float = 0.0
    stopped: float = 0.0
    over: bool = False
    """The scan had ended by itself before the stop."""
    code: int | None = None
    resumed: float = 0.0
    resume_code: int | None = None
    finished: float = 0.0


CAUSES = (
    "Ctrl-C", "SIGTERM", "closed terminal", "kill -9", "window end",
    "clock put forward", "window end, clock put back",
)  # fmt: skip
SIGNALS = {
    "Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "closed terminal": signal.SIGHUP,
    "kill -9": signal.SIGKILL,
}  # fmt: skip


def cases(seed: int, first: int, n: int, causes: Sequence[str] = CAUSES) -> list[Case]:
    """Cases `first` to `first + n`; each is drawn from its own number, so that parts agree."""
    found = []
    for number in range(first, first + n):
        dice = random.Random(f"{seed} {number}")
        dying: dict[int, float] = {}
        if dice.random() < 0.5:
            places = dice.sample(range(1, len(DEVICES) + 1), dice.randint(1, len(DEVICES)))
            dying = {place: dice.uniform(0.0, 1.5) for place in places}
        found.append(
            Case(
                number=number,
                cause=causes[number % len(causes)],
                moment=dice.uniform(0.15, LAST_MOMENT_S),
                dying=dying,
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """What a running ground lends to the cases."""

    driver: Driver
    drop: Callable[[str], None]
    heal: Callable[[str], None]
    options: tuple[str, ...] = ()
    """More words for `walkdown scan`."""


def carry_out(
    levers: Levers,
    todo: Sequence[Case],
    folder: Path,
    *,
    zone: Mapping[str, Any] | None = None,
    stopped: Callable[[Case], None] = lambda case: None,
    resume: bool = False,
) -> None:
    """
    Run all cases, as many at once as there are blocks. Fills in what happened.

    `stopped` is called for each case when its wire was watched long enough; then, with `resume`,
    the scan is gone on with until it ends by itself.
    """
    waiting = list(reversed(todo))
    running: dict[int, Iterator[float]] = {}
    due: dict[int, float] = {}
    while waiting or running:
        for block in range(BLOCKS):
            if block not in running and waiting:
                case = waiting.pop()
                case.block = block
                case.folder = folder / f"case{case.number}"
                running[block] = _steps(levers, case, zone or {}, stopped, resume)
                due[block] = 0.0
        for block in list(running):
            if due[block] <= time.time():
                try:
                    due[block] = next(running[block])
                except StopIteration:
                    del running[block]
        time.sleep(0.005)


def _steps(
    levers: Levers,
    case: Case,
    zone: Mapping[str, Any],
    stopped: Callable[[Case], None],
    resume: bool,
) -> Iterator[float]:
    """One case; yields the moment at which it wants to go on."""
    case.folder.mkdir(parents=True)
    now = time.time()
    until = None
    clock = None
    if case.cause.startswith("window end"):
        # The window is checked against a plan's worst case: it needs some length to scan at all.
        until = datetime.fromtimestamp(now + 4 + case.moment, UTC)
        case.stopped = until.timestamp()
        if "back" in case.cause:
            clock = {"after": max(case.moment / 2, 1.5), "by": -3600.0}
    elif case.cause == "clock put forward":
        until = datetime.fromtimestamp(now + 1800, UTC)
        clock = {"after": case.moment, "by": 3600.0}
        case.stopped = now + case.moment
    else:
        case.stopped = now + case.moment
    path = site(case.folder / "site.yaml", case.block, until=until, **zone)
    argv = ("scan", str(path), "--out", str(case.folder / "run"), *levers.options)
    name = f"{case.number}"
    case.started = time.time()
    levers.driver.start(name, argv, case.folder / "said", clock)
    deaths = sorted((case.stopped - before, place) for place, before in case.dying.items())
    for moment, place in deaths:
        yield moment
        levers.drop(address(case.block, place))
    yield case.stopped
    if case.cause in SIGNALS:
        case.stopped = time.time()
        case.over = not levers.driver.signal(name, SIGNALS[case.cause])
    else:
        levers.driver.poll()
        case.over = name in levers.driver.codes
    yield case.stopped + (2.5 if resume else WATCHED_S)
    yield from _until_ended(levers.driver, name, 60)
    case.code = levers.driver.join(name, 0.1)
    for _, place in deaths:
        levers.heal(address(case.block, place))
    stopped(case)
    if resume:
        case.resumed = time.time()
        begun = (case.folder / "run" / "walkdown.db").exists()  # else it is started anew
        again = [*argv, "--resume"] if begun else argv
        levers.driver.start(f"{name} resumed", again, case.folder / "said")
        yield from _until_ended(levers.driver, f"{name} resumed", 180)
        case.resume_code = levers.driver.join(f"{name} resumed", 0.1)
    case.finished = time.time()


def _until_ended(driver: Driver, name: str, seconds: float) -> Iterator[float]:
    end = time.time() + seconds
    while time.time() < end and name not in driver.codes:
        driver.poll()
        yield time.time() + 0.1


def asked_before(case: Case, ours: Iterable[tuple[float, str]]) -> bool:
    """Whether the scan had sent anything when it was stopped."""
    net = f"{NETWORK}.{case.block}."
    return any(case.started < at < case.stopped and to.startswith(net) for at, to in ours)


def after_the_stop(
    case: Case, ours: Iterable[tuple[float, str]]
) -> tuple[dict[str, int], float | None]:
    """
    (packets per device, last one in seconds) after the stop of a case, from our counted packets as
    (time, target). None: nothing more came.
    """
    per_device: dict[str, int] = {}
    last = None
    net = f"{NETWORK}.{case.block}."
    for at, target in ours:
        if target.startswith(net) and case.stopped < at <= case.stopped + WATCHED_S:
            per_device[target] = per_device.get(target, 0) + 1
            last = at - case.stopped
    return per_device, last
