"""
Promise 22: damaged replies through every decoder and every probe, and how much of the parsers that
and the fast tests reach.

The cases are those of tests/fuzz: recorded conversations cut at every byte, damaged blindly and
with knowledge of their framing, and answered to whole probes; damaged inputs to single decoders.
A probe or decoder for which there are no seeds fails the promise by its name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.__main__ import measure_all
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

ROOT = Path(__file__).resolve().parents[3]
PARSERS = (
    "probes", "scanner.guards", "scanner.importers", "scanner.clients.certificate",
    "scanner.clients.http",
)  # fmt: skip
FAST_TESTS = (
    "tests/guards", "tests/importers", "tests/probes", "tests/clients/test_http.py",
)  # fmt: skip
BRANCHES = 95.0
SURPLUS = 1.25
"""Cases for each reply that must have been damaged: some conversations end before any."""
SAMPLE = 400
"""Cases of each family that are run with the coverage counted."""


def coverage(work: Work, name: str, *words: str) -> subprocess.Popen[bytes]:
    """`python -m …` with the branches of PARSERS counted, in the background."""
    settings = work.folder / "coverage.ini"
    packages = "".join(f"    {package}\n" for package in PARSERS)
    settings.write_text(f"[run]\nbranch = True\nsource_pkgs =\n{packages}", encoding="utf-8")
    command = (
        sys.executable, "-m", "coverage", "run", f"--rcfile={settings}",
        f"--data-file={work.folder / 'data'}.{name}", "-m", *words,
    )  # fmt: skip
    environment = {**os.environ, "WALKDOWN_CAPTURES": str(work.setting.captures)}
    with (work.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment
        )


def ended(work: Work, name: str, process: subprocess.Popen[bytes]) -> None:
    """Wait. Raises Unable when what was counted did not pass."""
    if process.wait():
        said = (work.folder / f"{name}.log").read_text("utf-8", "replace")[-400:]
        raise Unable(f"{name} did not pass, so that its coverage counts for nothing: {said}")


def branches(work: Work) -> tuple[float, str, float]:
    """Per cent of all parsers' branches reached; the module with the fewest, and its per cent."""
    folder, settings = work.folder, f"--rcfile={work.folder / 'coverage.ini'}"
    whole = f"--data-file={folder / 'whole'}"
    run = (sys.executable, "-m", "coverage")
    parts = [str(folder / "data.fast"), str(folder / "data.fuzz")]
    combine = (*run, "combine", "-q", "--keep", settings, whole, *parts)
    subprocess.run(combine, cwd=ROOT, check=True)
    report = folder / "coverage.json"
    subprocess.run((*run, "json", "-q", settings, whole, "-o", str(report)), cwd=ROOT, check=True)
    files = json.loads(report.read_text("utf-8"))["files"]
    counted = {
        name: (found["summary"]["covered_branches"], found["summary"]["num_branches"])
        for name, found in files.items()
        if found["summary"]["num_branches"]
    }
    lowest = min(counted, key=lambda name: counted[name][0] / counted[name][1])
    covered, total = (sum(pair[i] for pair in counted.values()) for i in (0, 1))
    return 100 * covered / total, lowest, 100 * counted[lowest][0] / counted[lowest][1]


def given(tally: Tally, protocol: bool) -> int:
    """Damaged replies that were decoded; where a family is no protocol, damaged inputs."""
    kinds = ("replies",) if protocol else ("replies", "inputs", "requests")
    return int(sum(tally.sums[kind] for kind in kinds))


def measure(work: Work) -> Measured:
    try:
        families = campaign.families(work.setting.captures)
    except SystemExit as lacking:
        return Measured(
            passed=False, value="not every decoder is fuzzed", cases=0, note=str(lacking)
        )
    # Measured beside other promises, at lowest priority: what is late is not broken.
    words = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.proof.unhurried")
    fast = coverage(work, "fast", *words, *FAST_TESTS)
    try:
        tallies = measure_all(
            work.setting.captures,
            work.folder / "cases",
            seed=work.setting.seed,
            count=int(work.count * SURPLUS),
            processes=1 if work.size == "ci" else 2,
            longest_s=work.setting.longest_s,
        )
        words = ("tests.fuzz", "--count", str(SAMPLE), "--processes", "0")
        sample = coverage(work, "fuzz", *words)
        ended(work, "fuzz", sample)
        ended(work, "fast", fast)
    finally:
        if fast.poll() is None:
            fast.kill()
            fast.wait()
    reached, lowest, lowest_reached = branches(work)
    whole = sum(tallies.values(), Tally())
    wire = {name for name, family in families.items() if any(family.replies)}
    amounts = {name: given(tally, name in wire) for name, tally in tallies.items()}
    fewest = min(amounts, key=lambda name: amounts[name])
    points = sum(len(family.truncations) for family in families.values())
    sums = whole.sums
    value = (
        f"{int(sums['replies'] + sums['inputs'] + sums['requests']):,} damaged replies and inputs, "
        f"at least {amounts[fewest]:,} for each of {len(amounts)} protocols and parsers; "
        f"{int(sums['uncaught'])} uncaught, {int(sums['hangs'])} hangs, "
        f"{int(sums['cap_breaks'])} cap breaks; slowest {whole.figures['slowest_ms']:.0f} ms; "
        f"{reached:.1f} % of the parsers' branches ({Path(lowest).as_posix()}: "
        f"{lowest_reached:.0f} %)"
    )
    cut = int(sums["truncations"])
    note = f"{cut:,} of {points:,} truncation points"
    work.reached(amounts[fewest])
    return Measured(
        passed=whole.bad == 0 and reached >= BRANCHES and amounts[fewest] >= work.least,
        value=value,
        cases=int(sums["replies"] + sums["inputs"] + sums["requests"]),
        bad=whole.bad,
        faults=whole.faults,
        note=note,
    )


PROMISE = Promise(
    number=22,
    title="Fuzzed parsers",
    target=(
        "at least 1,000,000 mutated replies per protocol: 0 uncaught exceptions, 0 hangs over 1 s, "
        "0 cap breaks; at least 95 % branch coverage of parsers"
    ),
    counts={"ci": 3_000, "full": 1_000_000},
    measure=measure,
    aside=True,
)
