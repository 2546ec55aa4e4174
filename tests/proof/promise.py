"""
The form of one promise's proof, and how long work is counted, kept and gone on with.

Each file of `promises/` holds one `PROMISE`; they are found by walking the folder. A proof counts
cases and those that broke the promise; what it cannot count it says in words. Nothing is skipped:
a missing tool or privilege raises `Unable`, and the promise has failed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Size = Literal["ci", "full"]
KEPT_FAULTS = 20


class Unable(Exception):
    """Something that the proof needs is not here. The message names it and how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """
    What one part of an experiment came to.

    `figures` are the greatest values seen (merged by maximum), `sums` are added up, `faults` name
    what broke the promise (a few of them).
    """

    cases: int = 0
    bad: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    sums: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        figures, sums = dict(self.figures), dict(self.sums)
        for name, value in other.figures.items():
            figures[name] = max(value, figures.get(name, value))
        for name, value in other.sums.items():
            sums[name] = sums.get(name, 0) + value
        return Tally(
            cases=self.cases + other.cases,
            bad=self.bad + other.bad,
            figures=figures,
            sums=sums,
            faults=(*self.faults, *other.faults)[:KEPT_FAULTS],
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "cases": self.cases, "bad": self.bad, "figures": dict(self.figures),
            "sums": dict(self.sums), "faults": list(self.faults),
        }  # fmt: skip

    @staticmethod
    def of(content: Mapping[str, Any]) -> Tally:
        return Tally(**{**content, "faults": tuple(content["faults"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    What the proof of one promise found. `value` is the measured figure in words; `cases` of `bad`
    decide the 95 % bound that is printed (0 of n: below 3/n); `note` says what was not reached.
    """

    passed: bool
    value: str
    cases: int
    bad: int = 0
    faults: tuple[str, ...] = ()
    note: str = ""

    @property
    def bound(self) -> str:
        """The 95 % bound on the true rate when nothing bad was seen in `cases` tries."""
        if self.bad or not self.cases:
            return ""
        return f"0 of {self.cases:,}: below {3 / self.cases:.1g} (95 %)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """
    `target` as safety.md words it; `counts` is how many cases each size tries. `aside`: nothing of
    it depends on how busy the machine is, so it is measured beside others, at lowest priority.
    """

    number: int
    title: str
    target: str
    counts: Mapping[Size, int]
    measure: Callable[[Work], Measured]
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """
    What all promises of one run of the proof share. `walkdown` is the command of the scanner under
    test (an unsafe one in the negative test), `captures` the folder of recorded replies.
    `longest_s`: after so long no further part of a promise is begun; fewer cases are then shown,
    with their bound.
    """

    size: Size
    seed: int
    state: Path
    walkdown: tuple[str, ...]
    captures: Path
    say: Callable[[str], None]
    longest_s: float = math.inf


@dataclass(slots=True, kw_only=True)
class Work:
    """One promise being measured in one setting."""

    promise: Promise
    setting: Setting
    began: float = field(default_factory=time.monotonic)
    unreached: list[str] = field(default_factory=list)
    """What was ended by `longest_s`, in words for the table's note."""

    @property
    def count(self) -> int:
        return self.promise.counts[self.setting.size]

    @property
    def least(self) -> int:
        """Fewer cases say nothing; between these and `count`, the bound tells how much they say."""
        return min(self.promise.counts["ci"], self.count)

    @property
    def size(self) -> Size:
        return self.setting.size

    @property
    def is_over(self) -> bool:
        """Whether its time is over: then what is there is shown."""
        return time.monotonic() - self.began > self.setting.longest_s

    @property
    def folder(self) -> Path:
        """This promise's own folder for whatever it writes; kept from sitting to sitting."""
        place = self.setting.state / f"p{self.promise.number:02}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def say(self, words: str) -> None:
        self.setting.say(f"promise {self.promise.number}: {words}")

    def in_chunks(
        self, chunk: int, part: Callable[[int, int], Tally], *, name: str = "cases"
    ) -> Tally:
        """
        `part(first, n)` for all cases, `chunk` at a time. A part that is done is on disk and is
        not done again when the proof is resumed.
        """
        log = self.folder / f"{name}.jsonl"
        whole = in_chunks(log, self.count, chunk, part, self.say, lambda: self.is_over)
        self.reached(sum(n for _, n in kept(log)))
        return whole

    def reached(self, cases: int) -> None:
        """Have it told in the table when these are fewer than the size asks for."""
        if cases < self.count:
            self.unreached.append(f"{cases:,} of {self.count:,}: the time given was over")

    def shared(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder that several promises need, made by whoever asks first."""
        place = self.setting.state / "shared" / name
        mark = place / "complete"
        if not mark.exists():
            place.mkdir(parents=True, exist_ok=True)
            self.say(f"making {name}")
            make(place)
            mark.touch()
        return place


def in_chunks(
    log: Path,
    total: int,
    chunk: int,
    part: Callable[[int, int], Tally],
    say: Callable[[str], None],
    is_over: Callable[[], bool] = lambda: False,
) -> Tally:
    """As Work.in_chunks, with the log named. At least one new part is done, if there is one."""
    done = kept(log)
    whole = Tally()
    begun = False
    for first in range(0, total, chunk):
        n = min(chunk, total - first)
        if (first, n) not in done:
            if begun and is_over():
                break
            begun = True
            tally = part(first, n)
            entry = {"first": first, "n": n, "tally": tally.as_dict()}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            done[(first, n)] = tally
            say(f"{first + n:,} of {total:,}, {(whole + tally).bad} bad")
        whole += done[(first, n)]
    return whole


def kept(log: Path) -> dict[tuple[int, int], Tally]:
    """The parts that are done, by (first, n)."""
    done: dict[tuple[int, int], Tally] = {}
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                done[(entry["first"], entry["n"])] = Tally.of(entry["tally"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off in the middle of a line: that part is done again
    return done
