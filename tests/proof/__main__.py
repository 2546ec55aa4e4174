"""
The proof of the safety contract: `python3 tests/prove.py`, see there.

Measures every promise found in `promises/`, prints the table promise by promise and writes it to
STATE/proof.json. Ends with 0 when every promise that has to hold holds, else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from tests.proof.promise import Measured, Promise, Setting, Unable, Work

ROOT = Path(__file__).resolve().parents[2]
MUST_HOLD = frozenset({*range(1, 12), *range(13, 23), *range(24, 29)})
"""The promises whose failure fails the proof; the others are shown as they are."""
ALL = range(1, 31)


def promises() -> tuple[Promise, ...]:
    """Every PROMISE of `promises/`, by number. SystemExit when one is missing or stands twice."""
    package = Path(__file__).parent / "promises"
    found: dict[int, Promise] = {}
    for module in iter_modules([str(package)]):
        promise = import_module(f"tests.proof.promises.{module.name}").PROMISE
        if promise.number in found:
            raise SystemExit(f"promise {promise.number} is proved twice")
        found[promise.number] = promise
    return tuple(found[number] for number in sorted(found))


def measure(promise: Promise, setting: Setting) -> Measured:
    """The result, also when the proof itself breaks: then the promise has failed."""
    try:
        return promise.measure(Work(promise=promise, setting=setting))
    except Unable as missing:
        return Measured(passed=False, value="not measured", cases=0, note=str(missing))
    except Exception as bug:
        traceback.print_exc()
        what = f"the proof itself broke: {type(bug).__name__}: {bug}"
        return Measured(passed=False, value="not measured", cases=0, note=what)


def line(number: int, title: str, target: str, measured: Measured) -> str:
    verdict = "pass" if measured.passed else "FAIL"
    words = [f"{number:>2}  {verdict}  {title}", f"          target    {target}"]
    words.append(f"          measured  {measured.value}")
    if measured.bound:
        words.append(f"          bound     {measured.bound}")
    if measured.note:
        words.append(f"          note      {measured.note}")
    words += [f"          broken    {fault}" for fault in measured.faults]
    return "\n".join(words)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/prove.py", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the numbers of the contract (hours)")
    parser.add_argument("--only", default="", help="numbers of promises, such as 1-5,15")
    parser.add_argument("--state", type=Path, help="where parts done are kept; give it to resume")
    parser.add_argument("--seed", type=int, default=1, help="for everything drawn at random")
    parser.add_argument("--walkdown", help="another scanner: a Python file instead of the product")
    return parser.parse_args()


def chosen(only: str) -> frozenset[int]:
    numbers: set[int] = set()
    for part in filter(None, only.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers or ALL)


def main() -> int:
    began = time.monotonic()
    given = arguments()
    size = "full" if given.full else "ci"
    state = (given.state or ROOT / ".proof" / size).resolve()
    if given.state is None and state.exists() and not given.full:
        shutil.rmtree(state)  # the small proof is quick: it always starts anew
    state.mkdir(parents=True, exist_ok=True)
    captures = Path(os.environ.get("WALKDOWN_CAPTURES", ROOT.parent / "shared" / "captures"))
    scanner = given.walkdown or str(Path(__file__).with_name("watched.py"))
    walkdown = (sys.executable, scanner)
    setting = Setting(
        size=size, seed=given.seed, state=state, walkdown=walkdown, captures=captures,
        say=lambda words: print(f"[{time.monotonic() - began:6.0f} s] {words}", flush=True),
    )  # fmt: skip
    wanted = chosen(given.only)
    known = {promise.number: promise for promise in promises()}
    rows, failed = [], []
    for number in sorted(wanted):
        promise = known.get(number)
        if promise is None:
            measured = Measured(passed=False, value="not measured", cases=0, note="no proof yet")
            title, target = "(no proof)", ""
        else:
            started = time.monotonic()
            measured = measure(promise, setting)
            setting.say(f"promise {number}: {time.monotonic() - started:.0f} s")
            title, target = promise.title, promise.target
        rows.append({"number": number, "title": title, "target": target, **asdict(measured)})
        print(line(number, title, target, measured), flush=True)
        if not measured.passed and number in MUST_HOLD:
            failed.append(number)
    minutes = (time.monotonic() - began) / 60
    result = {"size": size, "seed": given.seed, "minutes": round(minutes, 1), "promises": rows}
    (state / "proof.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    others = [r["number"] for r in rows if not r["passed"] and r["number"] not in MUST_HOLD]
    holding = len(rows) - len(failed) - len(others)
    print(f"\n{holding} of {len(rows)} promises hold; {minutes:.1f} min")
    if others:
        print(f"do not hold, and are said so: {', '.join(map(str, others))}")
    if failed:
        print(f"BROKEN: {', '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
