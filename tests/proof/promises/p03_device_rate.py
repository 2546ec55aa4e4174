"""
A rate cap per device: all counted packets in any second, and the time between new connections.
"""

from __future__ import annotations

from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[3]
    merged(found, crowd(work).findings[3].as_dict())
    most = found.most
    both = "in 1 s, cap 4 a second" in most and "in 1 s, cap 8 a second" in most
    return measured(
        found,
        f"default: {most.get('in 1 s, cap 8 a second', 0):.0f} in any second "
        f"({most.get('in 100 ms, cap 8 a second', 0):.0f} in 100 ms), connections at least "
        f"{most.get('least s between connections, 1 granted', 0):.2f} s apart; fragile: "
        f"{most.get('in 1 s, cap 4 a second', 0):.0f} "
        f"({most.get('in 100 ms, cap 4 a second', 0):.0f} in 100 ms), "
        f"{most.get('least s between connections, 5 granted', 0):.2f} s",
        passed=both,
        note=f"{found.counts['pure ACKs']:.0f} pure ACKs apart, never more than segments received"
        + ("" if both else "; not both profiles were seen"),
    )


PROMISE = Promise(
    number=3,
    title="Per-device rate cap",
    target="default: at most 8 packets in any 1 s and 1 new connection/s; fragile: 4, 1 per 5 s",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
