"""
The cap is a cap, not an average: every second that ends with a packet, per device and per zone.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[5]
    merged(found, crowd(work).findings[5].as_dict())
    packets = found.counts["packets"]
    return measured(
        found,
        f"{found.bad} windows over, of {found.cases:,} that end with one of {packets:,.0f} packets",
        passed=packets >= work.count,
    )


PROMISE = Promise(
    number=5,
    title="The cap is a cap, not an average",
    target="0 windows over, in at least 100,000 packets",
    counts={"ci": 500, "full": 100_000},
    measure=measure,
)
