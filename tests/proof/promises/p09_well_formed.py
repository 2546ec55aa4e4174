"""
Well-formed traffic only: no odd flags, fragments or options, nothing that tshark calls malformed.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[9]
    merged(found, crowd(work).findings[9].as_dict())
    return measured(found, f"{found.bad} malformed or odd of {found.cases:,} packets sent")


PROMISE = Promise(
    number=9,
    title="Well-formed traffic only",
    target="0 malformed packets or expert errors, over all sent packets",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
