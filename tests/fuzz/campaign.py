"""
Runs cases: damaged conversations through whole probes, damaged inputs through single decoders.

A case is known by its family, seed and number. Even numbers below twice the count of truncation
points cut one recorded reply at one byte, in an order that spreads over all of them, so that a
short run sees a fair part and a long one sees every point; all others draw their damage.

Only BadReply and the other WalkdownErrors may come out. Everything else, more than a second of
processor time, and a value beyond its cap is a fault, told with the case that shows it.
"""

from __future__ import annotations

import inspect
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from scanner.discovery import probes
from scanner.errors import BadReply, GuardRefused, ToolBug, WireError
from scanner.guards import specs
from scanner.model import Tier
from scanner.spec import GuardSpec
from tests.fuzz import caps, mutate, seeds
from tests.fuzz.decoders import Decoder, decoders, modules
from tests.fuzz.session import Broken, Dialogue, FuzzSession, drive
from tests.proof.promise import Tally

HANG_S = 1.0
"""Of processor time: a busy machine is no hang."""
STUCK_S = 120.0
"""Of wall time for a whole chunk's step: nothing here may wait at all."""
CHUNK = 10_000
WHOLE_VALUES = 64
"""Every so many conversations their facts are stored and read back."""
TIERS = tuple(Tier)


class Hang(BaseException):
    """Raised by the timer; no `except Exception` in a decoder can swallow it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a decoder, as it was seen when an undamaged conversation was decoded."""

    decoder: Decoder
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(slots=True)
class Family:
    """Everything that is damaged for one protocol, or for one stand-alone parser."""

    name: str
    dialogues: list[Dialogue] = field(default_factory=list)
    replies: list[list[bytes]] = field(default_factory=list)
    """For each dialogue, what its peer says undamaged."""
    calls: list[list[Call]] = field(default_factory=list)
    """For each decoder that was reached, calls of it."""
    guard: GuardSpec | None = None
    requests: list[bytes] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)
    truncations: list[tuple[int, int, int]] = field(default_factory=list)
    """(dialogue, reply, bytes kept), every one."""


@cache
def families(captures: Path) -> dict[str, Family]:
    """
    All families by name. Raises SystemExit, naming them, when a probe has no conversation or a
    decoder is reached by no seed.
    """
    found: dict[str, Family] = {}
    for decoder in decoders():
        found.setdefault(decoder.family, Family(decoder.family))
    for spec in specs().values():
        name = spec.open.__module__.rpartition(".")[2]
        found.setdefault(name, Family(name)).guard = spec
    names = {decoder.function: decoder for decoder in decoders()}
    seen: dict[Decoder, list[Call]] = {}
    with seeds.made_up_libraries(), recorded(names, seen):
        for name, make in seeds.DIALOGUES.items():
            family = found.setdefault(name, Family(name))
            for dialogue in make(captures):
                family.dialogues.append(dialogue)
                family.replies.append(seeds.recorded_replies(dialogue))
        for _, call in seeds.samples(captures):
            call()
    without = {probe.run for probe in probes()} - {
        dialogue.probe.run for family in found.values() for dialogue in family.dialogues
    }
    problems = [f"no conversation for {run.__module__}.{run.__qualname__}" for run in without]
    problems += [f"no seed reaches {d.name}" for d in decoders() if d not in seen]
    if problems:
        raise SystemExit("the fuzzer lacks seeds, see tests/fuzz/seeds/: " + "; ".join(problems))
    for decoder, calls in seen.items():
        found[decoder.family].calls.append(calls[:: max(len(calls) // 300, 1)])
    for probe in probes():
        for family in found.values():
            if family.guard is not None and family.guard.protocol == probe.protocol:
                family.requests += [q.sample for q in probe.questions if q.sample]
    for family in found.values():
        _finish(family)
    return {name: found[name] for name in sorted(found)}


def _finish(family: Family) -> None:
    told = dict.fromkeys(reply for replies in family.replies for reply in replies)
    family.others = [*told]
    if not told:
        family.others = [
            data for calls in family.calls for call in calls[:50] for data in _bytes_in(call.args)
        ][:500]
    family.truncations = [
        (d, r, size)
        for d, replies in enumerate(family.replies)
        for r, reply in enumerate(replies)
        for size in range(len(reply))
    ]
    if family.guard is not None and not family.requests:
        hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
        family.requests = [hello, b"exec linux who", b"auth none", b"exec cisco_ios show users"]


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode("utf-8", "replace")
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _bytes_in(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _bytes_in(one)


@contextmanager
def recorded(names: Mapping[Any, Decoder], seen: dict[Decoder, list[Call]]) -> Iterator[None]:
    """Within the block every call of a decoder, from wherever it is made, is kept in `seen`."""
    changed: list[tuple[Any, str, Any]] = []

    def watched(decoder: Decoder) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            kept = seen.setdefault(decoder, [])
            if len(kept) < 20_000:
                kept.append(Call(decoder, _kept(args), dict(kwargs)))
            return decoder.function(*args, **kwargs)

        return call

    wrappers = {function: watched(decoder) for function, decoder in names.items()}
    for module in modules():
        for name, value in list(vars(module).items()):
            if inspect.isfunction(value) and value in wrappers:
                changed.append((module, name, value))
                setattr(module, name, wrappers[value])
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)


def _kept(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments that can be used again: iterators are written out."""
    return tuple(list(a) if hasattr(a, "__next__") else a for a in args)


# --- damage --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Drawn:
    """Damage drawn at every reply, most of the time."""

    rng: Random
    family: Family
    mend: mutate.Mutation | None
    done: int = 0
    spent_s: float = 0.0
    """On doing the damage: no time of a decoder's."""

    def reply(self, data: bytes) -> bytes:
        if self.done and self.rng.random() < 0.4:
            return data  # so that later replies of a conversation are reached too
        self.done += 1
        began = time.thread_time()
        changed = mutate.mutate(self.rng, data, self.family.others, self.mend)
        self.spent_s += time.thread_time() - began
        return changed

    def value(self, name: str, value: Any) -> Any:
        self.done += 1
        began = time.thread_time()
        mend = mutate.ber if name == "certificate" else None
        changed = damaged(self.rng, value, self.family.others, mend)
        self.spent_s += time.thread_time() - began
        return changed


@dataclass(slots=True)
class Truncated:
    """One reply of a conversation cut at one byte, everything else as it was."""

    rng: Random
    which: int
    size: int
    done: int = 0
    seen: int = 0
    spent_s: float = 0.0

    def reply(self, data: bytes) -> bytes:
        self.seen += 1
        if self.seen - 1 != self.which:
            return data
        self.done += 1
        return data[: self.size]

    def value(self, name: str, value: Any) -> Any:
        return self.reply(value) if isinstance(value, bytes) else value


def damaged(
    rng: Random, value: Any, others: Sequence[bytes], mend: mutate.Mutation | None = None
) -> Any:
    """A value of the same type, or nearly: bytes, texts, numbers, and what is made of them."""
    match value:
        case bytes():
            return mutate.mutate(rng, value, others, mend)
        case str():
            raw = mutate.mutate(rng, value.encode("utf-8", "replace"), others, None)
            return raw.decode("utf-8", "replace")
        case bool() | None:
            return value
        case int():
            return rng.choice((value, value, *mutate.WIDE)) if rng.random() < 0.5 else value
        case dict():
            return _damaged_mapping(rng, value, others)
        case tuple() | list():
            kept = [damaged(rng, one, others, mend) if rng.random() < 0.4 else one for one in value]
            if kept and rng.random() < 0.2:
                at = rng.randrange(len(kept))
                kept[at:at] = [kept[at]] * rng.choice((1, 2, 300))
            return type(value)(kept[: rng.randint(0, len(kept))] if rng.random() < 0.2 else kept)
        case _:
            return value


def _damaged_mapping(rng: Random, value: dict[Any, Any], others: Sequence[bytes]) -> dict[Any, Any]:
    changed = dict(value)
    keys = list(changed)
    for _ in range(min(len(keys), rng.randint(1, 6))):
        key = keys[int(rng.random() * len(keys))]
        draw = rng.random()
        if draw < 0.7:
            changed[key] = damaged(rng, value[key], others)
        elif draw < 0.8:
            changed.pop(key, None)
        elif draw < 0.9:
            changed[key] = value[rng.choice(keys)]
        elif isinstance(key, str) and key[:1].isdecimal():  # the name of a variable
            numbers = key.split(".")
            numbers[rng.randrange(len(numbers))] = str(rng.choice(mutate.WIDE))
            changed[".".join(numbers[: rng.randint(1, len(numbers))])] = value[key]
    return changed


# --- cases ---------------------------------------------------------------------------------------


def ready() -> None:
    """Timers for this process."""

    def too_long(number: int, frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGPROF, too_long)
    signal.signal(signal.SIGALRM, too_long)


def run(family: Family, seed: int, first: int, n: int) -> Tally:
    """
    Cases `first` to `first + n` of a family.

    Sums: `replies` damaged replies that a probe was given, `inputs` damaged inputs of single
    decoders, `requests` damaged requests put to the guard, and how those ended: `accepted`,
    `bad_reply`, `other_refusals` (silence, a close, the guard), `uncaught`, `hangs`, `cap_breaks`.
    """
    with seeds.made_up_libraries():
        return _run(family, seed, first, n)


def _run(family: Family, seed: int, first: int, n: int) -> Tally:
    rng = Random(f"{seed} {family.name} {first}")
    counts = dict.fromkeys(
        ("replies", "conversations", "inputs", "requests", "truncations", "accepted", "bad_reply",
         "other_refusals", "uncaught", "hangs", "cap_breaks", "cpu_s"), 0.0,
    )  # fmt: skip
    faults: list[str] = []
    slowest = 0.0
    mend = seeds.FRAMINGS.get(family.name)
    clock = time.thread_time
    began = clock()
    cases = 0
    for number in range(first, first + n):
        steps: list[tuple[str, Callable[[], tuple[str, str | None]]]] = []
        damage: Drawn | Truncated | None = None
        if family.dialogues:
            dialogue, damage = _conversation(family, rng, number, mend)
            counts["truncations"] += isinstance(damage, Truncated)
            counts["conversations"] += 1
            check = number % WHOLE_VALUES == 0
            steps.append((dialogue.name, partial(converse, dialogue, damage, check)))
        if family.calls:
            call = rng.choice(rng.choice(family.calls))
            args = _damaged_args(rng, call, family, mend)
            counts["inputs"] += 1
            steps.append((call.decoder.name, partial(decode, call, args)))
        if family.guard is not None and (not steps or number % 8 == 0):
            request = mutate.mutate(rng, rng.choice(family.requests), family.requests, None)
            counts["requests"] += 1
            steps.append(("guard", partial(judge, family.guard, request)))
        for name, step in steps:
            started = clock()
            signal.setitimer(signal.ITIMER_PROF, HANG_S)
            signal.setitimer(signal.ITIMER_REAL, STUCK_S)
            try:
                ended, fault = step()
            except Hang:
                ended, fault = "hangs", f"more than {HANG_S:g} s"
            except Exception as error:
                ended, fault = "uncaught", _place(error)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.setitimer(signal.ITIMER_REAL, 0)
            took = clock() - started
            if damage is not None:
                took, damage.spent_s = took - damage.spent_s, 0.0
            slowest = max(slowest, took)
            counts[ended] += 1
            if fault is not None:
                faults.append(f"{family.name} case {number} (chunk {first}) {name}: {fault}")
        if damage is not None:
            counts["replies"] += damage.done
        cases += 1
    counts["cpu_s"] = clock() - began
    return Tally(
        cases=cases,
        bad=len(faults),
        figures={"slowest_ms": round(1000 * slowest, 2)},
        sums=counts,
        faults=tuple(faults[:20]),
    )


def _conversation(
    family: Family, rng: Random, number: int, mend: mutate.Mutation | None
) -> tuple[Dialogue, Drawn | Truncated]:
    points = len(family.truncations)
    if number % 2 == 0 and number // 2 < points:
        at = number // 2 * _stride(points) % points
        d, which, size = family.truncations[at]
        return family.dialogues[d], Truncated(rng, which, size)
    return rng.choice(family.dialogues), Drawn(rng, family, mend)


@cache
def _stride(points: int) -> int:
    """A step that visits all of `points` and spreads from the beginning."""
    from math import gcd

    step = max(int(points * 0.6180339887), 1)
    while gcd(step, points) != 1:
        step += 1
    return step


OURS = frozenset({"platform", "user", "hide", "refused"})
"""
Parameters of decoders that a device has no say in, or that were decoded before; those of one family
alone stand in OUR_PARAMETERS of its seeds.
"""


@cache
def _foreign(function: Callable[..., Any], family: str) -> tuple[bool, ...]:
    ours = OURS.union(seeds.OUR_PARAMETERS.get(family, ()))
    return tuple(name not in ours for name in inspect.signature(function).parameters)


def _damaged_args(
    rng: Random, call: Call, family: Family, mend: mutate.Mutation | None
) -> tuple[Any, ...]:
    """What a device sends damaged: the first such argument always, the others now and then."""
    args = list(call.args)
    first = True
    decoder = call.decoder
    for i, foreign in enumerate(_foreign(decoder.function, decoder.family)[: len(args)]):
        if foreign and (first or rng.random() < 0.2):
            args[i] = damaged(rng, args[i], family.others, mend if rng.random() < 0.3 else None)
            first = False
    return tuple(args)


def converse(dialogue: Dialogue, damage: Drawn | Truncated, whole: bool) -> tuple[str, str | None]:
    """(how it ended, fault or None) of one damaged conversation."""
    session = FuzzSession(dialogue, damage)
    try:
        facts = drive(dialogue.probe.run(session))  # type: ignore[arg-type]
    except BadReply:
        return "bad_reply", None
    except ToolBug as bug:
        return "uncaught", _place(bug)
    except (WireError, GuardRefused):
        return "other_refusals", None
    except Broken as broken:
        return "cap_breaks", str(broken)
    fault = caps.broken_by_facts(facts) or (caps.not_storable(facts) if whole else None)
    return ("cap_breaks", fault) if fault else ("accepted", None)


def decode(call: Call, args: tuple[Any, ...]) -> tuple[str, str | None]:
    try:
        value = call.decoder.function(*args, **call.kwargs)
        if callable(value):  # a decoder that makes a framer
            value = value(args[0])
    except BadReply:
        return "bad_reply", None
    length = call.decoder.short.endswith(("_length", "framer"))
    if length and isinstance(value, int) and not 0 <= value <= len(args[0]):
        return "cap_breaks", f"{value} of {len(args[0])} bytes"
    fault = caps.broken_by_value(value)
    return ("cap_breaks", fault) if fault else ("accepted", None)


def judge(spec: GuardSpec | None, request: bytes) -> tuple[str, str | None]:
    """Whether a guard splits and judges without a word but its own, and loses no byte."""
    assert spec is not None
    guard = spec.open()
    try:
        frames, rest = guard.split(request)
    except GuardRefused:
        frames, rest = (), request
    else:
        if b"".join(frames) + rest != request:
            return "cap_breaks", f"the guard lost bytes of {request[:80].hex()}"
    passed = False
    for tier in TIERS:
        for frame in (*frames, request):
            reason = spec.open().judge(frame, tier)
            passed = passed or reason is None
            if tier is Tier.PASSIVE and reason is None and spec.protocol != "tls":
                return "cap_breaks", f"the guard lets out {frame[:80].hex()} in tier passive"
    return ("accepted" if passed else "other_refusals"), None


def _place(error: BaseException) -> str:
    """Type, words and place of an exception."""
    trace = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/tests/fuzz/" not in code.co_filename:
            where = f"{Path(code.co_filename).name}:{trace.tb_lineno} {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__}: {str(error)[:160]} at {where}"
