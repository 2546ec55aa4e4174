"""
Clean goodbye: no reset towards a responsive device, no session left behind.

Thousands of sessions with sound devices of every kind, by the product's engine with profile `lab`;
resets are counted in the capture, leaked sessions by the devices themselves. Added to it: the
matrix, where devices reset, talk on and die, by the command under test.
"""

from __future__ import annotations

import shutil
from typing import Any

from lab import proving
from tests.proof.engines import Engines
from tests.proof.ground import OWN, ground
from tests.proof.judge.verdict import Allowed, Device, judge
from tests.proof.matrix import merged, whole
from tests.proof.plants import standing
from tests.proof.promise import Measured, Promise, Tally, Work

KINDS = ("modbus_read", "s7_read", "enip_tcp", "http", "https_read", "ssh_read", "telnet")
COPIES = 12
CHUNK = 1000


def plant() -> dict[str, Any]:
    kinds = [proving.KINDS[name] for name in KINDS for _ in range(COPIES)]
    raw = proving.plant(kinds, behaviours=())
    for number, device in enumerate(raw["devices"]):
        device["name"] = device["name"].removesuffix("--0") + f"--{number}"
    return raw


def measure(work: Work) -> Measured:
    raw = plant()
    devices = {
        str(one["name"]): Device(addresses=(str(one["address"]),), zone=str(one["zone"]))
        for one in raw["devices"]
    }

    def part(first: int, n: int) -> Tally:
        folder = work.folder / f"from{first}"
        shutil.rmtree(folder, ignore_errors=True)
        tally = Tally()
        with ground() as place:
            with standing(place, raw, folder) as lab:
                engines = Engines(place.inside("scanner"))
                try:
                    while tally.cases < n:
                        with place.captured(folder) as capture:
                            told = engines.run([(lab.site, ())])[0]
                        allowed = Allowed(scanner=frozenset(OWN), devices=devices)
                        found = judge([capture.device], allowed, lab.keylog).findings[10]
                        if not found.cases:
                            raise RuntimeError(f"no session was held: {told}")
                        tally += Tally(
                            cases=found.cases, bad=found.bad, faults=tuple(found.faults),
                            sums={"resets": found.counts["packets with RST"]},
                        )  # fmt: skip
                finally:
                    engines.close()
            for name, ledger in lab.ledgers().items():
                leaked = ledger["leaked_sessions"] + ledger["open_now"]
                tally += Tally(
                    bad=leaked, sums={"leaked": leaked},
                    faults=(f"{name}: {leaked} sessions leaked",) if leaked else (),
                )  # fmt: skip
        if not tally.bad:
            shutil.rmtree(folder)
        return tally

    tally = work.in_chunks(CHUNK, part)
    found = whole(work).findings[10]
    counts = found.counts
    offending, connections = found.bad, found.cases
    merged(found, {"cases": tally.cases, "bad": tally.bad, "most": {}, "counts": {},
                   "faults": list(tally.faults)})  # fmt: skip
    return Measured(
        passed=not found.bad and tally.cases > 0,
        value=f"{tally.sums.get('resets', 0):.0f} RST and {tally.sums.get('leaked', 0):.0f} leaked "
        f"sessions in {tally.cases:,} sessions with sound devices; {offending} offending resets "
        f"in {connections:,} connections of the matrix",
        cases=tally.cases,
        bad=found.bad,
        faults=tuple(found.faults[:20]),
        note=f"matrix: {counts['to devices that talked on']:.0f} connections reset by the kernel "
        "because the device sent on after our FIN and a second of draining, "
        f"{counts['to silent devices']:.0f} because a device that had been silent for 1.4 s spoke "
        f"again, {counts['left to dead devices']:.0f} left to devices that died; "
        f"{counts['left to devices that owed']:.0f} sessions without a goodbye, with sound devices "
        "that the lab had left silent for 1.4 s",
    )


PROMISE = Promise(
    number=10,
    title="Clean goodbye",
    target="0 RST towards responsive devices, 0 leaked sessions in 10,000 sessions",
    counts={"ci": 100, "full": 10_000},
    measure=measure,
)
