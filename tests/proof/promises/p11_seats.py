"""
Never take a seat that belongs to someone: IEC 104, DNP3, a programming device's, unit ids.
"""

from __future__ import annotations

from tests.proof.matrix import measured, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[11]
    counts, most = found.counts, found.most
    return measured(
        found,
        f"{counts['packets to 2404 or 20000']:.0f} packets to 2404 or 20000 (and "
        f"{counts['packets to opened seats']:.0f} where the site file names the device), "
        f"{counts['connections for a programming device']:.0f} connections for a programming "
        f"device, at most {most.get('units asked of one device', 0):.0f} unit ids, at least "
        f"{most.get('least s between units', 0):.2f} s apart",
        passed="units asked of one device" in most,
    )


PROMISE = Promise(
    number=11,
    title="Never take a seat that belongs to someone",
    target="0 / 0 / at most 3 unit ids",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
