"""
The cap is a cap, not an average: every second that ends with a packet, per device and per zone.

Beyond the matrix and the crowd, in the full size: crowds in several zones at once, at the default
pace, asked by the product's engine again and again, until there are packets enough.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lab import proving
from tests.proof.engines import Engines
from tests.proof.ground import ground
from tests.proof.judge.verdict import Finding
from tests.proof.matrix import CROWD, crowd, measured, merged, whole
from tests.proof.plants import Seen, judged, planned, standing
from tests.proof.promise import Measured, Promise, Work

CROWDED = ("modbus", "http", "telnet", "snmp_read", "http", "telnet", "snmp_read", "http")
"""The kinds of so many zones."""
SCANS = 20
"""In one part, on one plant."""


def measure(work: Work) -> Measured:
    found = whole(work).findings[5]
    merged(found, crowd(work).findings[5].as_dict())
    number = 0
    while found.counts["packets"] < work.count and not work.is_over:
        merged(found, crowds(work, number))
        number += 1
        work.say(f"{found.counts['packets']:,.0f} of {work.count:,} packets, {found.bad} over")
    packets = found.counts["packets"]
    work.reached(int(packets))
    return measured(
        found,
        f"{found.bad} windows over, of {found.cases:,} that end with one of {packets:,.0f} packets",
        passed=packets >= work.least,
    )


def plant() -> dict[str, Any]:
    several = [proving.crowd(CROWD, network=200 + n, kind=kind) for n, kind in enumerate(CROWDED)]
    raw: dict[str, Any] = {**several[0], "zones": [], "devices": []}
    for n, one in enumerate(several):
        (zone,) = one["zones"]
        zone.update(id=f"crowd-{n}", name=f"crowd-{n}")
        zone["networks"] = [f"{device['address']}/32" for device in one["devices"]]
        for device in one["devices"]:
            device.update(name=f"{device['name']}-{n}", zone=zone["id"])
        raw["zones"].append(zone)
        raw["devices"] += one["devices"]
    return raw


def crowds(work: Work, number: int) -> dict[str, Any]:
    """What the judge says of one part; a part that is done is read from disk."""
    folder = work.folder / f"crowds{number}"
    kept = folder / "judged.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        found = asked(work, folder)
        kept.write_text(json.dumps(found.as_dict()), encoding="utf-8")
        if not found.bad:
            for capture in folder.glob("**/*.pcap"):
                capture.unlink()
    told: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return told


def asked(work: Work, folder: Path) -> Finding:
    found = Finding()
    with ground() as place, standing(place, plant(), folder) as lab:
        plan = planned(place, lab, work.setting.walkdown)
        engines = Engines(place.inside("scanner"))
        try:
            for once in range(SCANS):
                with place.captured(folder / str(once)) as capture:
                    engines.run([(lab.site, ())], paced=True)
                seen = Seen(plan=plan, capture=capture, run=folder, code=0, said="")
                merged(found, judged(seen, lab).findings[5].as_dict())
        finally:
            engines.close()
    return found


PROMISE = Promise(
    number=5,
    title="The cap is a cap, not an average",
    target="0 windows over, in at least 100,000 packets",
    counts={"ci": 500, "full": 100_000},
    measure=measure,
)
