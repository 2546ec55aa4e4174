"""
A packet budget is printed before the scan and holds: `plan --json` against the capture.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[6]
    merged(found, crowd(work).findings[6].as_dict())
    share = found.most.get("share of a budget that was used", 0)
    within = (found.cases - found.bad) / max(found.cases, 1)
    return measured(
        found,
        f"{within:.0%} of {found.cases:,} devices within their budget; the fullest was used to "
        f"{share:.0%}; {found.counts['captured']:,.0f} packets captured, "
        f"{found.counts['predicted']:,.0f} predicted at most",
    )


PROMISE = Promise(
    number=6,
    title="A packet budget is printed before the scan and holds",
    target="captured at most predicted in 100 % of devices",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
