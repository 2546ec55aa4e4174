"""
Nothing outside the signed scope: random scopes and exclusions, and everything that leaves.

Each scope is planned and carried out by the product's engine, against a network that refuses every
connection (so that each address is asked by every probe); captured where the scanner's namespace
ends. Those side by side share no address, so that each packet belongs to one of them. What a scope
allows is worked out without the product. Added to it: all that left during the matrix, where
devices redirect, lure and lie, by the command under test.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.proof.engines import Engines
from tests.proof.ground import OWN, ground
from tests.proof.judge.packets import read
from tests.proof.matrix import whole
from tests.proof.plants import ROUTERS
from tests.proof.promise import Measured, Promise, Tally, Work
from tests.proof.scopes import AT_ONCE, Scope, draw


def measure(work: Work) -> Measured:
    matrix = whole(work).findings[17]

    def part(first: int, n: int) -> Tally:
        folder = work.folder / f"from{first}"
        shutil.rmtree(folder, ignore_errors=True)
        scopes = [draw(work.setting.seed, first + number) for number in range(n)]
        with ground() as place:
            engines = Engines(place.inside("scanner"))
            try:
                with place.captured(folder, leaving=True) as capture:
                    told = engines.run(
                        [
                            (scope.write(folder / f"site-{number}.yaml"), scope.only)
                            for number, scope in enumerate(scopes)
                        ]
                    )
            finally:
                engines.close()
        assert capture.leaving is not None
        tally = judged(scopes, told, [capture.leaving, capture.on_link])
        if not tally.bad:
            shutil.rmtree(folder)
        return tally

    tally = work.in_chunks(AT_ONCE, part)
    outside, ran = int(tally.sums.get("outside", 0)), int(tally.sums.get("ran", 0))
    everything = int(tally.sums.get("packets", 0))
    icmp = matrix.counts.get("ICMP to devices, from the kernel", 0)
    return Measured(
        passed=not tally.bad and not matrix.bad and ran > tally.cases // 2 and everything > 0,
        value=f"{outside + matrix.counts['outside']:.0f} packets outside; {tally.cases:,} scopes, "
        f"{ran:,} of them asked {everything:,} packets, the others asked nobody; and "
        f"{matrix.cases:,} packets of the matrix",
        cases=ran,
        bad=tally.bad + matrix.bad,
        faults=(*tally.faults, *matrix.faults)[:20],
        note=f"{icmp:.0f} ICMP port unreachable by the kernel, to devices that answered a datagram "
        "after its question was over" if icmp else "",
    )  # fmt: skip


def judged(scopes: list[Scope], told: list[dict[str, object]], captures: list[Path]) -> Tally:
    # An answer to who asks for our own address by ARP is asked for, and goes to who asked.
    packets = [
        p
        for p in read(captures)
        if p.source in OWN and not (p.protocol == "arp" and p.target in ROUTERS) and not p.is_reply
    ]
    allowed = {address: number for number, one in enumerate(scopes) for address in one.allowed}
    outside = [packet for packet in packets if packet.target not in allowed]
    asked = {allowed[packet.target] for packet in packets if packet.target in allowed}
    whole = Tally(
        cases=len(scopes),
        sums={"outside": len(outside), "packets": len(packets), "ran": len(asked)},
        bad=len({packet.target for packet in outside}),
        faults=tuple(f"{p.protocol} to {p.target}" for p in outside[:5]),
    )
    for number, (scope, one) in enumerate(zip(scopes, told, strict=True)):
        # A site of which nothing is left to ask may be refused; any other may not.
        if "refused" in one and scope.allowed:
            whole += Tally(bad=1, faults=(f"scope {number} was refused: {one['refused']}",))
    return whole


PROMISE = Promise(
    number=17,
    title="Nothing outside the signed scope, no DNS, no telemetry",
    target="0 packets outside scope, 10,000 random scopes and exclusions",
    counts={"ci": 100, "full": 10_000},
    measure=measure,
)
