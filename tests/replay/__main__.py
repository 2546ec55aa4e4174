"""
How well recordings of real devices are recognised: `python -m tests.replay`.

Each recording is played to the probe of its protocol, unchanged, and what the probe says of the
device is held against the recording's label. Recall: of the values that a label has, how many were
told. Precision: of the values that were told, how many are right; where the label has no such
field, a value has to stand in the replies or in a vendor table. Ends with 1 below the bounds.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.replay.replay import BOUNDS, Score, replayed

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "captures"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument(
        "--captures", type=Path, default=Path(os.environ.get("WALKDOWN_CAPTURES", DEFAULT))
    )
    parser.add_argument("--each", action="store_true", help="a line for each recording")
    given = parser.parse_args()
    result = replayed(given.captures)
    if given.each:
        for line in result.lines:
            print(line)
    print(f"{'field':<14}{'told':>6}{'of':>6}{'recall':>9}{'right':>8}{'of':>6}{'precision':>11}")
    for field, score in sorted(result.scores.items()):
        print(
            f"{field:<14}{score.found:>6}{score.labelled:>6}{score.recall:>9.1%}"
            f"{score.right:>8}{score.told:>6}{score.precision:>11.1%}"
        )
    print(f"{result.recordings} recordings, {result.with_identity} of them carry an identity")
    for words in (*result.missing, *result.wrong):
        print(words)
    broken = [
        field
        for field, (recall, precision) in BOUNDS.items()
        if (score := result.scores.get(field, Score())).recall < recall
        or score.precision < precision
    ]
    if broken:
        print(f"below the bounds: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
