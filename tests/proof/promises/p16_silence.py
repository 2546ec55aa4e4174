"""
Window end and stop silence the wire.

Scans are stopped at random moments in every way there is, with all devices alive or with some that
died up to 1.5 s before. Measured on the device side: when the last counted packet of the scan came
after the stop, and how many came to one device. Packets of a window's last step that leave before
its end are not after it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.proof import stops
from tests.proof.driver import Driver
from tests.proof.ground import OWN, ground
from tests.proof.judge.packets import read
from tests.proof.promise import Measured, Promise, Tally, Work

SILENT_AFTER_S = 2.0
PACKETS = 5
CHUNK = 60


def measure(work: Work) -> Measured:
    with ground() as made:
        path = stops.plant(work.folder / "stops.yaml")
        with stops.emulated(made, path, work.folder):
            driver = Driver(made.inside("scanner"))
            levers = stops.Levers(driver=driver, drop=made.drop, heal=made.heal)

            def part(first: int, n: int) -> Tally:
                todo = stops.cases(work.setting.seed, first, n)
                folder = work.folder / f"from{first}"
                shutil.rmtree(folder, ignore_errors=True)
                with made.captured(folder) as capture:
                    stops.carry_out(levers, todo, folder)
                tally = judged(todo, capture.device)
                if not tally.bad:
                    shutil.rmtree(folder)
                return tally

            try:
                whole = work.in_chunks(CHUNK, part)
            finally:
                driver.close()
    last, most = whole.figures.get("last_s", 0.0), int(whole.figures.get("most", 0))
    hit = int(whole.sums.get("stopped while asking", 0))
    dead = int(whole.sums.get("with dead devices", 0))
    enough = hit * 2 >= whole.cases
    return Measured(
        passed=not whole.bad and enough,
        value=f"last packet {last:.2f} s after the stop, at most {most} packets to one device; "
        f"{whole.cases:,} stops, {hit:,} while a scan was asking, {dead:,} with dead devices",
        cases=hit,  # the others say nothing
        bad=whole.bad,
        faults=whole.faults,
        note="" if enough else "too many scans had ended before their stop",
    )


def judged(todo: list[stops.Case], capture: Path) -> Tally:
    ours = [(p.at, p.target) for p in read([capture]) if p.source in OWN and p.counts]
    whole = Tally()
    for case in todo:
        per_device, last = stops.after_the_stop(case, ours)
        most = max(per_device.values(), default=0)
        faults = []
        if last is not None and last > SILENT_AFTER_S:
            faults.append(f"last packet {last:.2f} s after")
        if most > PACKETS:
            faults.append(f"{most} packets to one device")
        if case.code is None:
            faults.append("the program did not end within a minute")
        asked = stops.asked_before(case, ours)
        what = f"case {case.number} ({case.cause} at {case.moment:.2f} s)"
        whole += Tally(
            cases=1,
            bad=int(bool(faults)),
            figures={"last_s": last or 0.0, "most": most},
            sums={
                "stopped while asking": int(not case.over and asked),
                "with dead devices": int(bool(case.dying)),
                case.cause: 1,
            },
            faults=tuple(f"{what}: {fault}" for fault in faults),
        )
    return whole


PROMISE = Promise(
    number=16,
    title="Window end and stop button silence the wire",
    target="at most 2 s for all causes, at most 5 packets",
    counts={"ci": 16, "full": 1000},
    measure=measure,
)
