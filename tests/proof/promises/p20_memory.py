"""
Promise 20: the memory of a scan is bounded, whatever devices reply.

Fifty devices of the lab (lab.proving) stand on loopback in profile `lab`, where nothing paces the
scan, once well-behaved and once hostile: endless streams in every protocol, lengths that promise
the most there is, bombs of gzip, XML, YAML, HTML, JSON, chunks and headers. The peak of resident
memory is the sum of VmHWM (proc(5)) over the scanning process and all processes that it starts,
as seen every few milliseconds. What may not happen either: a crash, a hang, an unknown exit code.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import control, proving
from lab.faults import FAULTS
from lab.proving import NORMAL, Kind
from scanner import assess
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

BASE = "127.106"
DEVICES = 50
ALLOWED_MIB = 64
ENDS = frozenset({0, 3})
"""Exit codes of a scan with hostile devices: done, or halted by a safety rule."""
LONGEST_S = 1500.0
"""Above the promise's own bounds (10 min a device, 20 in read, all at the same time)."""

GREEDY = ("endless", "endless_banner", "length_max", "length_longer", "two_replies", "bomb_")
"""Beginnings of the names of behaviours that ask for memory; a new bomb is taken in by its name."""


@dataclass(frozen=True, slots=True)
class Pair:
    kind: Kind
    behaviour: str


def greedy() -> list[Pair]:
    """Every kind of device with every behaviour that asks for memory."""
    return [
        Pair(kind, behaviour.name)
        for kind in proving.all_kinds()
        for behaviour in proving.behaviours_for(kind)
        if behaviour.name.startswith(GREEDY)
    ]


def drawn(pairs: Sequence[Pair], chance: random.Random) -> list[Pair]:
    """Fifty of them: every behaviour and every service, then what chance brings."""
    shuffled = chance.sample(pairs, len(pairs))
    chosen: list[Pair] = []
    for key in (lambda pair: pair.behaviour, lambda pair: pair.kind.target):
        for pair in shuffled:
            if all(key(pair) != key(one) for one in chosen):
                chosen.append(pair)
    chosen += [pair for pair in shuffled if pair not in chosen]
    return chosen[:DEVICES]


def plant(pairs: Sequence[Pair], *, hostile: bool) -> dict[str, Any]:
    """The same kinds of devices, with their faults or without."""
    raws = [
        proving.plant([pair.kind], [pair.behaviour], base=BASE, profile="lab", normal=not hostile)
        for pair in pairs
    ]
    whole: dict[str, Any] = {**raws[0], "zones": [], "devices": []}
    for number, raw in enumerate(raws, 1):
        device, zone = raw["devices"][0], raw["zones"][0]
        address = f"{BASE}.{proving.ZONES_FROM}.{number}"
        name = f"z{number}"
        whole["zones"].append({**zone, "id": name, "name": name, "networks": [f"{address}/32"]})
        whole["devices"].append(
            {**device, "zone": name, "address": address, "name": f"{device['name']}-{number}"}
        )
    return whole


# --- memory ------------------------------------------------------------------------------------


def tree(pid: int) -> Iterator[int]:
    """The process and what it has started; a child before its exec has its parent's memory."""
    yield pid
    with suppress(OSError, ValueError):
        own = Path(f"/proc/{pid}/cmdline").read_bytes()
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                if Path(f"/proc/{child}/cmdline").read_bytes() != own:
                    yield from tree(child)


def peak_kib(pid: int) -> int:
    """VmHWM of a process; 0 when it has gone."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    code: int
    peak_mib: float
    """Of all processes together."""
    own_mib: float
    """Of the scanning process alone."""
    workers: int
    worker_mib: float
    """How many processes it had started at once, and the largest of them."""
    seconds: float
    said: str


def watched(command: Sequence[str], folder: Path) -> Ran:
    """Run the scan and watch its memory. A scan that does not end is killed: code -9."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    most = own = workers = worker = 0
    with (
        (folder / "said.txt").open("wb") as said,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=folder
        ) as process,
    ):
        while process.poll() is None:
            alone, *others = map(peak_kib, tree(process.pid))
            most, own = max(most, alone + sum(others)), max(own, alone)
            workers, worker = max(workers, len(others)), max(worker, *others, 0)
            if time.monotonic() - began > LONGEST_S:
                process.kill()
            time.sleep(0.005)
    words = (folder / "said.txt").read_text(errors="replace")[-600:]
    return Ran(
        code=process.returncode,
        peak_mib=most / 1024,
        own_mib=own / 1024,
        workers=workers,
        worker_mib=worker / 1024,
        seconds=time.monotonic() - began,
        said=words,
    )


HOG = "import time; x = b'x' * (100 << 20); time.sleep(0.5)"
TWO_HOGS = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {HOG!r}]); {HOG}"


def meter_fault(folder: Path) -> list[str]:
    """The control: two processes that take 100 MiB each have to be seen as such."""
    seen = watched([sys.executable, "-c", TWO_HOGS], folder)
    if seen.peak_mib < 200 or not 100 < seen.own_mib < 200:
        return [f"the meter sees {seen.peak_mib:.0f} MiB of two processes with 100 MiB each"]
    return []


def scanned(work: Work, pairs: Sequence[Pair], folder: Path, *, hostile: bool) -> Ran:
    """Start the devices, scan them, stop them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = proving.write(plant(pairs, hostile=hostile), folder / "plant.json")
    lab = folder / "lab"
    control.up(str(path), lab, now=datetime.now(UTC), within_s=180)
    try:
        return watched(
            [*work.setting.walkdown, "scan", str(lab / "site.yaml"), "--out", str(folder / "run")],
            folder,
        )
    finally:
        control.down(lab)


def answered(run: Path) -> int:
    """How many devices said something at all."""
    assessment = assess.from_json((run / "assessment.json").read_bytes())
    return sum(1 for device in assessment.safety.devices if device.bytes_in > 0)


def judge(name: str, ran: Ran, folder: Path, usual: Ran | None = None) -> list[str]:
    """What a scan did that it must not; measured against the `usual` one where that is given."""
    faults = []
    if ran.code not in ENDS:
        faults.append(f"{name}: ended with {ran.code}: {ran.said!r}")
    elif (seen := answered(folder / "run")) < DEVICES * 9 // 10:
        faults.append(f"{name}: only {seen} of {DEVICES} devices said a word")
    if usual is not None and ran.peak_mib > (most := usual.peak_mib) + ALLOWED_MIB:
        faults.append(f"{name}: {ran.peak_mib:.0f} MiB instead of {most:.0f} MiB")
    if usual is not None and ran.own_mib > usual.own_mib + ALLOWED_MIB:
        faults.append(f"{name}: {ran.own_mib:.0f} MiB alone instead of {usual.own_mib:.0f} MiB")
    if usual is not None and ran.worker_mib > usual.worker_mib + ALLOWED_MIB:
        faults.append(f"{name}: a worker of {ran.worker_mib:.0f} MiB")
    return faults


def measure(work: Work) -> Measured:
    pairs = greedy()
    if len({pair.behaviour for pair in pairs}) < 10 or not set(FAULTS) >= {"endless", "bomb_gzip"}:
        raise Unable("the lab has lost the behaviours that ask for memory")

    def rounds(first: int, n: int) -> Tally:
        tally = Tally()
        for number in range(first, first + n):
            chance = random.Random(work.setting.seed * 1000 + number)
            chosen = drawn(pairs, chance)
            place = work.folder / f"round{number}"
            usual = scanned(work, chosen, place / NORMAL, hostile=False)
            hostile = scanned(work, chosen, place / "hostile", hostile=True)
            faults = meter_fault(place / "meter")
            faults += judge(f"round {number}, well-behaved", usual, place / NORMAL)
            faults += judge(f"round {number}, hostile", hostile, place / "hostile", usual)
            tally += Tally(
                cases=len(chosen),
                bad=len(faults),
                figures={
                    "baseline": usual.peak_mib,
                    "hostile": hostile.peak_mib,
                    "more": hostile.peak_mib - usual.peak_mib,
                    "workers": hostile.workers,
                    "usual workers": usual.workers,
                    "alone": hostile.own_mib - usual.own_mib,
                    "seconds": hostile.seconds,
                },
                faults=tuple(faults),
            )
            if not faults:
                shutil.rmtree(place)
        return tally

    tally = work.in_chunks(1, rounds, name="rounds")
    most: Mapping[str, float] = tally.figures
    return Measured(
        passed=not tally.bad,
        value=(
            f"peak {most['hostile']:.0f} MiB with {DEVICES} hostile devices at once, "
            f"{most['more']:+.0f} MiB beside {DEVICES} well-behaved ones "
            f"({most['baseline']:.0f} MiB; "
            f"up to {most['workers']:.0f} and {most['usual workers']:.0f} workers), "
            f"its own process {most['alone']:+.0f} MiB; "
            f"0 crashes, longest scan {most['seconds']:.0f} s"
            if not tally.bad
            else f"{tally.bad} faults, peak {most['hostile']:.0f} MiB, {most['more']:+.0f} MiB"
        ),
        cases=tally.cases,
        bad=tally.bad,
        faults=tally.faults,
        note=f"{len(pairs)} pairs of device and behaviour; each round draws {DEVICES} of them",
    )


PROMISE = Promise(
    number=20,
    title="Bounded memory against hostile replies",
    target=f"50 hostile devices at once: peak RSS at most baseline + {ALLOWED_MIB} MiB, no crash",
    counts={"ci": 1, "full": 12},
    measure=measure,
    aside=True,
)
