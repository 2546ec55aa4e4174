"""
The proof of the safety contract: `python3 tests/prove.py`, see there.

Measures every promise found in `promises/`, prints the table promise by promise and writes it to
STATE/proof.json. Ends with 0 when every promise that has to hold holds, else with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from tests.proof.promise import Measured, Promise, Setting, Unable, Work

ROOT = Path(__file__).resolve().parents[2]
MUST_HOLD = frozenset({*range(1, 12), *range(13, 23), *range(24, 29)})
"""The promises whose failure fails the proof; the others are shown as they are."""
ALL = range(1, 31)
PRODUCT = ("scanner", "probes", "credentials", "lab")
MIXED = "measured on several states of the code"


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
    work = Work(promise=promise, setting=setting)
    try:
        found = promise.measure(work)
        return replace(found, note="; ".join(filter(None, (*work.unreached, found.note))))
    except Unable as missing:
        return Measured(passed=False, value="not measured", cases=0, note=str(missing))
    except Exception as bug:
        traceback.print_exc()
        what = f"the proof itself broke: {type(bug).__name__}: {bug}"
        return Measured(passed=False, value="not measured", cases=0, note=what)


Row = dict[str, Any]


def measured(promise: Promise, setting: Setting) -> Row:
    """The promise's row of the table, which is also printed."""
    started = time.monotonic()
    found = measure(promise, setting)
    setting.say(f"promise {promise.number}: {time.monotonic() - started:.0f} s")
    row = {
        "number": promise.number, "title": promise.title, "target": promise.target, **asdict(found),
        "bound": found.bound,
    }  # fmt: skip
    print(line(row), flush=True)
    return row


def missing(number: int) -> Row:
    none = Measured(passed=False, value="not measured", cases=0, note="no proof yet")
    return {"number": number, "title": "(no proof)", "target": "", **asdict(none), "bound": ""}


def line(row: Row) -> str:
    verdict = "pass" if row["passed"] else "FAIL"
    words = [f"{row['number']:>2}  {verdict}  {row['title']}"]
    for name, value in (
        ("target", row["target"]), ("measured", row["value"]), ("bound", row["bound"]),
        ("note", row["note"]), *(("broken", fault) for fault in row["faults"]),
    ):  # fmt: skip
        if value or name in ("target", "measured"):
            words.append(f"          {name:<9} {value}")
    return "\n".join(words)


@contextmanager
def aside(numbers: Sequence[int], state: Path) -> Iterator[Callable[[], list[Row]]]:
    """
    These promises measured by a process beside this one, at lowest priority, while the block
    runs. Yields a function that waits for their rows.
    """
    if not numbers:
        yield list
        return
    told, said = state / "aside.json", state / "aside.txt"
    told.unlink(missing_ok=True)
    words = sys.argv[1:]
    command = [
        "nice", "-n", "19", sys.executable, "-m", "tests.proof", *words,
        "--state", str(state), "--only", ",".join(map(str, numbers)), "--aside", str(told),
    ]  # fmt: skip
    with said.open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def rows() -> list[Row]:
        code = process.wait()
        if code or not told.exists():
            raise SystemExit(f"the promises measured aside ended with {code}: {said}")
        return list(json.loads(told.read_text(encoding="utf-8")))

    try:
        yield rows
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/prove.py", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the numbers of the contract (hours)")
    parser.add_argument(
        "--only", type=chosen, default=chosen(""), help="numbers of promises, such as 1-5,15"
    )
    parser.add_argument("--state", type=Path, help="where parts done are kept; give it to resume")
    parser.add_argument(
        "--minutes", type=float, default=math.inf,
        help="per promise; fewer cases are then shown, with their bound",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="for everything drawn at random")
    parser.add_argument(
        "--mixed", action="store_true",
        help="go on with parts that another state of the code was measured with",
    )  # fmt: skip
    parser.add_argument("--walkdown", help="another scanner: a Python file instead of the product")
    parser.add_argument("--aside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(only: str) -> frozenset[int]:
    """Raises argparse.ArgumentTypeError."""
    numbers: set[int] = set()
    for part in filter(None, only.split(",")):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part)
        if match is None:
            raise argparse.ArgumentTypeError(f"{part!r} is no number of a promise, such as 1-5,15")
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if unknown := numbers - {*ALL}:
        raise argparse.ArgumentTypeError(f"there is no promise {min(unknown)}")
    return frozenset(numbers or ALL)


def digest_of_product(root: Path = ROOT) -> str:
    """What the scanner and the lab consist of, in 16 hex digits."""
    whole = hashlib.sha256()
    for name in PRODUCT:
        for path in sorted((root / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                whole.update(f"{path.relative_to(root)} {content}\n".encode())
    return whole.hexdigest()[:16]


def commit() -> str:
    """Of the sources; "" where there is no git."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def gone_on_with(state: Path, now: Mapping[str, Any], *, mixed: bool) -> bool:
    """
    Whether the parts in `state` come from several states of the code. `now` is what this sitting
    measures with. SystemExit where the parts of the one cannot be added to those of the other.
    """
    path = state / "measured.json"
    if not path.exists():
        if any(re.fullmatch(r"p[0-9]{2}|shared", one.name) for one in state.iterdir()):
            raise SystemExit(
                f"{state} does not say what it was measured with: give another --state"
            )
        path.write_text(json.dumps({**now, "mixed": False}) + "\n", encoding="utf-8")
        return False
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in ("seed", "size", "scanner"):
        if before[name] != now[name]:
            words = f"{state} was measured with {name} {before[name]}, not {now[name]}"
            raise SystemExit(f"{words}: give another --state")
    if before["product"] == now["product"]:
        return bool(before["mixed"])
    if not mixed:
        raise SystemExit(
            f"{state} was measured with another state of the code: give another --state, or "
            "--mixed to go on with it"
        )
    path.write_text(json.dumps({**now, "mixed": True}) + "\n", encoding="utf-8")
    return True


def kept_rows(state: Path, asked: Collection[int]) -> list[dict[str, Any]]:
    """What this state's last table says of the promises that are not measured now."""
    try:
        last = json.loads((state / "proof.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [row for row in last["promises"] if row["number"] not in asked]


def end_in_order(number: int, frame: object) -> None:
    """Told to end, the proof takes down its networks and labs like at a Ctrl-C."""
    raise SystemExit(128 + number)


def main() -> int:
    began = time.monotonic()
    given = arguments()
    for told in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, end_in_order)
    if os.geteuid() != 0:
        raise SystemExit("the proof needs root: it makes networks of its own and captures there")
    size = "full" if given.full else "ci"
    state = (given.state or ROOT / ".proof" / size).resolve()
    if given.state is None and state.exists() and not given.full:
        shutil.rmtree(state)  # the small proof is quick: it always starts anew
    state.mkdir(parents=True, exist_ok=True)
    captures = Path(os.environ.get("WALKDOWN_CAPTURES", ROOT.parent / "shared" / "captures"))
    scanner = given.walkdown or str(Path(__file__).with_name("watched.py"))
    walkdown = (sys.executable, scanner)
    measuring = {
        "seed": given.seed, "size": size, "scanner": str(Path(scanner).resolve()),
        "product": digest_of_product(),
    }  # fmt: skip
    mixed = gone_on_with(state, measuring, mixed=given.mixed)
    if mixed:
        print(MIXED)
    setting = Setting(
        size=size, seed=given.seed, state=state, walkdown=walkdown, captures=captures,
        say=lambda words: print(f"[{time.monotonic() - began:6.0f} s] {words}", flush=True),
        longest_s=given.minutes * 60,
    )  # fmt: skip
    wanted = [one for one in promises() if one.number in given.only]
    beside = [] if given.aside is not None else [one.number for one in wanted if one.aside]
    if len(beside) == len(wanted):
        beside = []  # nothing to be measured beside
    with aside(beside, state) as others_told:
        rows = [measured(one, setting) for one in wanted if one.number not in beside]
        rows += others_told()
    if given.aside is not None:
        given.aside.write_text(json.dumps(rows), encoding="utf-8")
        return 0
    rows.sort(key=lambda row: int(row["number"]))
    found = {row["number"] for row in rows}
    rows += [missing(number) for number in sorted(given.only - found)]
    others_kept = kept_rows(state, given.only)
    if beside:
        print("\n" + "\n".join(line(row) for row in rows), flush=True)
    rows = sorted([*rows, *others_kept], key=lambda row: int(row["number"]))
    failed = [r["number"] for r in rows if not r["passed"] and r["number"] in MUST_HOLD]
    minutes = (time.monotonic() - began) / 60
    result = {
        "size": size, "seed": given.seed, "minutes": round(minutes, 1), "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(), "mixed": mixed, "promises": rows,
    }  # fmt: skip
    (state / "proof.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    others = [r["number"] for r in rows if not r["passed"] and r["number"] not in MUST_HOLD]
    holding = len(rows) - len(failed) - len(others)
    print(f"\n{holding} of {len(rows)} promises hold; {minutes:.1f} min")
    if mixed:
        print(MIXED)
    if others:
        print(f"do not hold, and are said so: {', '.join(map(str, others))}")
    if failed:
        print(f"BROKEN: {', '.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
