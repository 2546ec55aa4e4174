"""
The cap is a cap, not an average: every second that ends with a packet, per device and per zone.

Beyond the matrix and the one crowd: crowds in several zones at once, at the default pace, scanned
again and again, until there are packets enough.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, crowds, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[5]
    merged(found, crowd(work).findings[5].as_dict())
    number = 0
    while found.counts["packets"] < work.count and not work.is_over:
        merged(found, crowds(work, number).findings[5].as_dict())
        number += 1
        work.say(f"{found.counts['packets']:,.0f} of {work.count:,} packets, {found.bad} over")
    packets = found.counts["packets"]
    work.reached(int(packets))
    return measured(
        found,
        f"{found.bad} windows over, of {found.cases:,} that end with one of {packets:,.0f} packets",
        passed=packets >= work.least,
    )


PROMISE = Promise(
    number=5,
    title="The cap is a cap, not an average",
    target="0 windows over, in at least 100,000 packets",
    counts={"ci": 500, "full": 100_000},
    measure=measure,
)
