"""
One connection per device at a time, over all its ports and addresses, from SYN-ACK to both FINs.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[2]
    merged(found, crowd(work).findings[2].as_dict())
    most = found.most.get("connections at once", 0)
    strict = found.most.get("with halves that devices kept open", 0)
    return measured(
        found,
        f"at most {most:.0f} at once, on {found.cases:,} devices",
        passed=most == 1,
        note=f"{found.counts['kept open by the device']:.0f} connections whose other half the "
        f"device kept open for over a second after our FIN; counted to the end of those, "
        f"at most {strict:.0f}",
    )


PROMISE = Promise(
    number=2,
    title="One connection per device at a time",
    target="1",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
