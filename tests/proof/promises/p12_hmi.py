"""
The HMI does not notice.

Controllers with four seats that close the oldest connection when a fifth comes; a panel holds three
of the seats of each and polls them every 100 ms, from another namespace, over a router. The
controllers' processor is held short by a control group. They are scanned in tier read at the
default pace, again and again; quiet stretches of the same length lie between the scans, and the
panel's latencies in both are compared. One scan is one controller scanned once.

With four of four seats used any connection evicts one: no scanner can know that, and this proof
says nothing about it. Latency is measured on a machine that does other things, too: what it shows
is an upper bound of what the scan adds, with the machine's own noise in it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.proof.driver import Driver
from tests.proof.ground import ground
from tests.proof.plants import authorisation
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

CONTROLLERS = 20
ADDRESSES = tuple(f"10.77.{n}.1" for n in range(CONTROLLERS))
SHARE = 0.30
"""Of one processor, for all controllers together: a little more than their polls need."""
GROWTH = 0.05


def measure(work: Work) -> Measured:
    folder = work.folder / "seats"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    root = Path(__file__).resolve().parents[3]
    words = (sys.executable, "-m", "tests.proof.seats")
    scanners, plants = apart()
    with ground() as made, starved() as (join, how):
        driver = Driver((*made.inside("scanner"), *scanners))
        site = write(folder)
        started = []
        try:
            for side, part in (("device", "plc"), ("router", "hmi")):
                with (folder / f"{part}.said").open("wb") as said:
                    process = made.start(
                        side, *plants, *words, part, str(folder / part), *ADDRESSES,
                        stdout=said, stderr=said, cwd=root,
                    )  # fmt: skip
                started.append(process)
                if part == "plc":
                    join(process.pid)
                wait_for(folder / part, process)
            time.sleep(2)

            def rounds(first: int, n: int) -> Tally:
                return scan_round(driver, site, folder, first, n)

            whole = work.in_chunks(CONTROLLERS, rounds)
        finally:
            driver.close()
            for process in reversed(started):
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    return verdict(whole, how + ("; scanner and plant on a processor each" if scanners else ""))


def apart() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Words before a command of the scanner and of the plant that give each a processor of its own:
    in a plant they are two machines. The scan still reaches the panel over the wire.
    """
    here = sorted(os.sched_getaffinity(0))
    if len(here) < 2:
        return (), ()
    return ("taskset", "-c", str(here[0])), ("taskset", "-c", str(here[1]))


def verdict(whole: Tally, how: str) -> Measured:
    evicted, missed = int(whole.sums["evicted"]), int(whole.sums["missed"])
    quiet, busy = p99(whole, "quiet"), p99(whole, "scan")
    growth = busy / quiet - 1 if quiet else math.inf
    return Measured(
        passed=not evicted and not missed and growth <= GROWTH and whole.cases > 0,
        value=f"{evicted} evictions, {missed} missed polls in {whole.cases:,} scans with 3 of 4 "
        f"seats used; p99 latency of a poll {busy:.1f} ms during scans and {quiet:.1f} ms without "
        f"({growth:+.0%}), {int(whole.sums['polls']):,} polls",
        cases=whole.cases,
        bad=evicted + missed,
        faults=whole.faults,
        note=f"{how}; {int(whole.sums['missed quiet'])} polls missed without any scan; bound on "
        "this machine only",
    )


# --- the controllers' processor ------------------------------------------------------------------


@contextmanager
def starved() -> Iterator[tuple[object, str]]:
    """
    A control group with SHARE of a processor: (function that puts a process into it, how it was
    done). Version 2 (cpu.max) where there is one, else version 1 (cpu.cfs_quota_us). Raises Unable.
    """
    period = 20_000
    quota = int(SHARE * period)
    for parent, files in (
        (Path("/sys/fs/cgroup"), {"cpu.max": f"{quota} {period}"}),
        (
            Path("/sys/fs/cgroup/cpu"),
            {"cpu.cfs_period_us": f"{period}", "cpu.cfs_quota_us": f"{quota}"},
        ),
    ):
        if not (parent / "cgroup.procs").exists():
            continue
        group = parent / f"walkdown-proof-{os.getpid()}"
        try:
            if "cpu.max" in files:
                (parent / "cgroup.subtree_control").write_text("+cpu")
            group.mkdir()
            for name, value in files.items():
                (group / name).write_text(value)
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        version = "cgroup v2 cpu.max" if "cpu.max" in files else "cgroup v1 cpu.cfs_quota_us"

        def join(pid: int, group: Path = group) -> None:
            (group / "cgroup.procs").write_text(str(pid))

        try:
            yield join, f"controllers held to {SHARE:.0%} of a processor by {version}"
        finally:
            for _ in range(100):
                try:
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)
        return
    raise Unable("no control group for the processor can be made here (cpu.max, cpu.cfs_quota_us)")


# --- the scans -----------------------------------------------------------------------------------


def write(folder: Path) -> Path:
    now = datetime.now(UTC)
    site = {
        "site": "Seats",
        "authorisation": authorisation(now),
        "zones": [
            {"id": "z", "sl_t": 1, "tier": "read", "probes": ["modbus", "s7", "http"],
             "ports": {"http": [80], "https": [443]},
             "networks": [f"{address}/32" for address in ADDRESSES]}
        ],
    }  # fmt: skip
    path = folder / "site.yaml"
    path.write_text(json.dumps(site), encoding="utf-8")
    return path


def wait_for(log: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not log.exists() or not log.read_text(encoding="utf-8").startswith("ready"):
        if process.poll() is not None or time.monotonic() > end:
            raise Unable(f"{log.name} did not start: {log.with_suffix('.said')}")
        time.sleep(0.05)


def scan_round(driver: Driver, site: Path, folder: Path, first: int, n: int) -> Tally:
    """A quiet stretch and a scan of all controllers, of the same length."""
    began = time.time()
    name = str(first)
    driver.start(name, ("scan", str(site), "--out", str(folder / f"run{first}")), folder / "said")
    code = driver.join(name, 300)
    ended = time.time()
    if code != 0:
        raise Unable(f"a scan ended with {code}: {folder / 'said'}")
    time.sleep(ended - began + 1)
    shutil.rmtree(folder / f"run{first}")
    scan = latencies(folder / "hmi", began, ended)
    quiet = latencies(folder / "hmi", ended + 0.5, ended + 0.5 + (ended - began))
    evictions = (folder / "plc").read_text(encoding="utf-8").splitlines()[1:]
    (folder / "plc").write_text("ready\n", encoding="utf-8")
    missed = sum(1 for one in scan if one is None)
    return Tally(
        cases=n,
        bad=len(evictions) + missed,
        sums={
            "evicted": len(evictions), "missed": missed,
            "missed quiet": sum(1 for one in quiet if one is None),
            "polls": len(scan) + len(quiet),
            **binned("scan", scan), **binned("quiet", quiet),
        },
        faults=tuple(evictions[:5]),
    )  # fmt: skip


def latencies(log: Path, begin: float, end: float) -> list[float | None]:
    """In ms, of the polls that were due in a stretch; None: missed."""
    found: list[float | None] = []
    for line in log.read_text(encoding="utf-8").splitlines()[1:]:
        at, _, told = line.partition(" ")
        if told and begin <= float(at) < end:
            found.append(None if told == "missed" else float(told))
    return found


def binned(name: str, times: Sequence[float | None]) -> dict[str, float]:
    """Counts per bin of 2 %, so that parts can be added up and a percentile read from the sum."""
    bins: dict[str, float] = {}
    for one in times:
        if one is not None:
            key = f"{name} {round(math.log(max(one, 0.01)) / math.log(1.02))}"
            bins[key] = bins.get(key, 0) + 1
    return bins


def p99(whole: Tally, name: str) -> float:
    """The 99th percentile in ms, to 2 %."""
    bins = {
        int(key.removeprefix(f"{name} ")): count
        for key, count in whole.sums.items()
        if key.startswith(f"{name} ")
    }
    left = 0.99 * sum(bins.values())
    for place in sorted(bins):
        left -= bins[place]
        if left <= 0:
            return float(1.02**place)
    return 0.0


PROMISE = Promise(
    number=12,
    title="The HMI does not notice",
    target="3 of 4 seats used: 0 evictions, 0 missed polls, p99 poll latency +<= 5 %",
    counts={"ci": CONTROLLERS, "full": 1000},
    measure=measure,
)
