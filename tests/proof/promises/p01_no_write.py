"""
No write or control PDU, ever.

Every PDU that was sent in the matrix is named by tshark and by a parser of the judge's own; what
is inside TLS is opened with keys that the lab wrote down, and what is inside SSH is named by the
lab's own ledger. A PDU that both do not know, or that they name differently, fails as a write does.
Then the judge itself: every write of its list, and foreign bytes for every port, are sent with
plain sockets, and all of them have to be flagged.
"""

from __future__ import annotations

from tests.proof.controls import controls
from tests.proof.matrix import measured, whole
from tests.proof.promise import Measured, Promise, Work


def measure(work: Work) -> Measured:
    matrix = whole(work)
    found = matrix.findings[1]
    for words in matrix.without_device:
        found.fault(words)
    unmet = work.folder / "not-met.txt"
    unmet.write_text("\n".join(matrix.unmet) + "\n", encoding="utf-8")
    pairs = len(matrix.wanted)
    met = (
        f"{pairs - len(matrix.unmet)} of {pairs} pairs of probe and behaviour (in "
        f"{len(matrix.struck)} the device's ledger counts what its fault did)"
    )
    if matrix.unmet and work.size == "full":
        met += f"; not met: {', '.join(matrix.unmet)}"
        found.fault(f"{len(matrix.unmet)} pairs of probe and behaviour were not met")
    elif matrix.unmet:
        met += f" (the others: {unmet.parent.name}/{unmet.name}; the full size takes all)"
    counts = found.counts
    control = controls(work.folder)
    injected = control.writes + control.foreign
    flagged = injected - len(control.missed)
    for name in control.missed:
        found.fault(f"the judge did not flag an injected offence: {name}")
    for name in control.wrongly:
        found.fault(f"the judge flagged what is harmless: {name}")
    return measured(
        found,
        f"{counts['control']:.0f} write or control PDUs, {counts['unknown']:.0f} unknown among "
        f"{found.cases:,} PDUs of {len(matrix.services)} services; {counts.get('sealed', 0):.0f} "
        f"sealed in SSH, where the ledger names {counts['commands inside SSH']:.0f} commands; "
        f"{flagged} of {injected} injected writes and foreign bytes flagged",
        note=f"{matrix.devices} devices; {met}; {counts.get('login', 0):.0f} PDUs of logins, all "
        "on devices with that tier",
    )


PROMISE = Promise(
    number=1,
    title="No write or control PDU, ever",
    target="0 write or control PDUs; 100 % of sent PDUs classified, 100 % of injected flagged",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
