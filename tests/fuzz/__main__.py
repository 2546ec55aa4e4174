"""
The long fuzz run: `python -m tests.fuzz --count 1000000`, on two processes, resumable.

Prints for each protocol (and stand-alone parser) how many damaged replies and inputs were read and
how that ended. Ends with 1 when anything but BadReply and its kin came out, a decoder took more
than a second of processor time, or a value was beyond its cap. Recordings: WALKDOWN_CAPTURES.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.fuzz import campaign
from tests.proof.promise import Tally, in_chunks

ROOT = Path(__file__).resolve().parents[2]
SLOWEST_FIRST = ("http", "sshconfig", "ios", "linux", "certificate", "snmp", "telnet")


def measure(
    captures: Path, state: Path, seed: int, count: int, chunk: int, longest_s: float, name: str
) -> Tally:
    """One family, in this process; parts done are kept in `state`."""
    end = time.monotonic() + longest_s
    campaign.ready()
    family = campaign.families(captures)[name]
    said = 0.0

    def say(words: str) -> None:
        nonlocal said
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(f"  {name}: {words}", flush=True)

    log = state / f"{name}-{seed}.jsonl"
    part = partial(campaign.run, family, seed)
    return in_chunks(log, count, chunk, part, say, lambda: time.monotonic() > end)


def measure_all(
    captures: Path,
    state: Path,
    *,
    seed: int,
    count: int,
    only: str = "",
    processes: int = 2,
    longest_s: float = math.inf,
) -> dict[str, Tally]:
    """
    Tallies by family; with `longest_s`, fewer cases than `count` where the time is over. Raises
    SystemExit when a decoder or probe has no seeds.
    """
    names = [*campaign.families(captures)]
    if only and only not in names:
        raise SystemExit(f"no family {only!r}: there are {', '.join(names)}")
    chosen = [only] if only else names
    chosen.sort(key=lambda n: SLOWEST_FIRST.index(n) if n in SLOWEST_FIRST else 99)
    state.mkdir(parents=True, exist_ok=True)
    chunk = min(campaign.CHUNK, max(count // 4, 1))
    each_s = longest_s * max(processes, 1) / len(chosen)
    work = partial(measure, captures, state, seed, count, chunk, each_s)
    if not processes:
        return {name: work(name) for name in chosen}
    with ProcessPoolExecutor(processes) as pool:
        return dict(zip(chosen, pool.map(work, chosen), strict=True))


def line(name: str, tally: Tally) -> str:
    s = tally.sums
    rate = tally.cases / s["cpu_s"] if s["cpu_s"] else 0
    return (
        f"{name:<12}{int(s['replies']):>11,}{int(s['inputs']):>11,}{int(s['requests']):>10,}"
        f"{int(s['truncations']):>10,}{int(s['accepted']):>11,}{int(s['bad_reply']):>11,}"
        f"{int(s['other_refusals']):>10,}{int(s['uncaught']):>9}{int(s['hangs']):>6}"
        f"{int(s['cap_breaks']):>6}{tally.figures['slowest_ms']:>11,.1f}{rate:>9,.0f}"
    )


HEAD = (
    f"{'family':<12}{'replies':>11}{'inputs':>11}{'requests':>10}{'cut':>10}{'accepted':>11}"
    f"{'BadReply':>11}{'refused':>10}{'uncaught':>9}{'hangs':>6}{'caps':>6}{'slowest ms':>11}"
    f"{'cases/s':>9}"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="cases for each protocol")
    parser.add_argument("--protocol", default="", help="one family only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="where parts done are kept; give it to resume")
    parser.add_argument("--processes", type=int, default=2, help="0: all in this one")
    given = parser.parse_args()
    captures = Path(os.environ.get("WALKDOWN_CAPTURES", ROOT.parent / "shared" / "captures"))
    with tempfile.TemporaryDirectory() as scratch:
        tallies = measure_all(
            captures,
            given.state or Path(scratch),
            seed=given.seed,
            count=given.count,
            only=given.protocol,
            processes=given.processes,
        )
    print(HEAD)
    for name in sorted(tallies):
        print(line(name, tallies[name]))
    bad = sum(tally.bad for tally in tallies.values())
    for tally in tallies.values():
        for fault in tally.faults:
            print(fault)
    print(f"{sum(t.cases for t in tallies.values()):,} cases, {bad} faults")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
