"""
Only a port's own protocol goes to that port: every byte sent parses as that protocol.
"""

from __future__ import annotations

from tests.proof.matrix import measured, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[7]
    return measured(
        found,
        f"{found.counts['foreign bytes']:.0f} foreign bytes in {found.cases:,} PDUs; "
        "0 packets to 9100-9107" if not found.bad else
        f"{found.counts['foreign bytes']:.0f} foreign bytes in {found.cases:,} PDUs",
    )  # fmt: skip


PROMISE = Promise(
    number=7,
    title="Only a port's own protocol goes to that port",
    target="0 foreign bytes; 9100-9107 never touched",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
