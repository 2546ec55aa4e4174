"""
No connect-and-drop on ICS ports, and no more connections than services and tiers need.
"""

from __future__ import annotations

from tests.proof.matrix import measured, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[8]
    counts = found.counts
    return measured(
        found,
        f"{counts['without a request']:.0f} without a request, of "
        f"{counts['connections on ICS ports']:.0f} connections on ICS ports; none of "
        f"{found.cases:,} connections beyond the plan"
        if not found.bad
        else f"{counts['without a request']:.0f} without a request, {found.bad} faults",
        passed=bool(counts["connections on ICS ports"]),
        note="one connection per service and tier, a canary's, S7's second after a refusal, and "
        "in the read tier one per older version of TLS",
    )


PROMISE = Promise(
    number=8,
    title="No connect-and-drop on ICS ports",
    target="0 on ICS ports; connections at most the open services",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
