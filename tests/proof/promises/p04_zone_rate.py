"""
A rate cap per zone: fifty devices of one zone at once, and every zone of the matrix.
"""

from __future__ import annotations

from tests.proof.matrix import CROWD, crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = crowd(work).findings[4]
    most = found.most.get("in 1 s, cap 50 a second", 0)
    devices = found.most.get("devices in one zone", 0)
    merged(found, whole(work).findings[4].as_dict())
    return measured(
        found,
        f"{most:.0f} packets in any second, {devices:.0f} devices of one zone at once",
        passed=devices == CROWD,
    )


PROMISE = Promise(
    number=4,
    title="Global rate cap per segment",
    target="at most 50 packets in any 1 s, 50 devices at once",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
