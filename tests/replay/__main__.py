"""
How well recordings of real devices are recognised: `python -m tests.replay`.

Each recording is played to the probe of its protocol, unchanged, and what the probe says of the
device is held against the recording's label; walks of SNMP agents are played to the read tier, what
devices announce to everybody goes through the importer of captures. Labelled texts (banners.json)
go to the recognition of the probe that reads such texts.

Recall: of the values that a label has and the replies carry, how many were told. Precision: of the
values that were told, how many are right; where the label has no such field, a value has to stand
in the replies. What is not played, and labels that do not count, are listed with their reason.
Ends with 1 below the bounds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from scanner.model import IDENTITY_FIELDS
from tests.replay.replay import Part, read_banners, replayed

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "captures"


def show(title: str, part: Part, *, each: bool) -> None:
    if each:
        for line in part.lines:
            print(line)
    print(f"{title}: {part.total}, {part.played} of them played")
    print(f"{'field':<14}{'told':>6}{'of':>6}{'recall':>9}{'right':>8}{'of':>6}{'precision':>11}")
    for name in IDENTITY_FIELDS:
        if (score := part.scores.get(name)) and (score.labelled or score.told):
            print(
                f"{name:<14}{score.found:>6}{score.labelled:>6}{score.recall:>9.1%}"
                f"{score.right:>8}{score.told:>6}{score.precision:>11.1%}"
            )
    for reason, count in sorted(part.apart.items()):
        print(f"  not played: {count:>3}  {reason}")
    for reason, count in sorted(Counter(reason for *_, reason in part.out).items()):
        print(f"  labels that do not count: {count:>3}  {reason}")
    if each:
        for name, label, value, reason in part.out:
            print(f"  does not count: {name}: {label} {value!r} ({reason})")
    for words in part.missing:
        print(f"  missed: {words}")
    for words in part.wrong:
        print(f"  wrong: {words}")
    print()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument(
        "--captures", type=Path, default=Path(os.environ.get("WALKDOWN_CAPTURES", DEFAULT))
    )
    parser.add_argument("--each", action="store_true", help="a line for each recording and label")
    given = parser.parse_args()
    parts = {
        "recordings": replayed(given.captures),
        "labelled texts": read_banners(given.captures),
    }
    broken = False
    for title, part in parts.items():
        show(title, part, each=given.each)
        if below := part.below():
            broken = True
            print(f"below the bounds: {', '.join(below)} of the {title}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
