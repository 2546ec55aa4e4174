"""
Quietest source first, and stop when the identity is known: what identifying a sound device takes.
"""

from __future__ import annotations

from scanner import discovery
from tests.proof.judge.verdict import QUESTIONS
from tests.proof.matrix import crowd, measured, merged, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    found = whole(work).findings[13]
    merged(found, crowd(work).findings[13].as_dict())
    spoken = {
        name for probe in discovery.probes() for name in (probe.protocol, probe.service, probe.name)
    }
    seen = {name: found.most.get(f"{name} questions", 0) for name in QUESTIONS if name in spoken}
    packets = found.most.get("packets of a Modbus identification", 0)
    missing = [name for name, most in seen.items() if not most]
    told = ", ".join(f"{name} {most:.0f}" for name, most in seen.items())
    again = found.counts.get("datagrams sent once more", 0)
    return measured(
        found,
        f"request PDUs at most: {told}; a Modbus identification takes {packets:.0f} packets; "
        f"{again} unanswered datagrams were sent once more",
        passed=not missing and 0 < packets <= 6,
        note=f"not seen: {', '.join(missing)}" if missing else "",
    )


PROMISE = Promise(
    number=13,
    title="Quietest source first; stop as soon as the identity is known",
    target="at most 2 request PDUs for Modbus, EtherNet/IP and BACnet, 4 for S7; "
    "6 packets for Modbus",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
