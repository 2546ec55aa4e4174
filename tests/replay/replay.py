"""Recordings played to the probes, and what the probes said held against the labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scanner.correlate import agree
from scanner.errors import WalkdownError
from scanner.facts import DeviceIdentity, Fact
from scanner.model import IDENTITY_FIELDS
from tests.fuzz import seeds
from tests.fuzz.session import Dialogue, FuzzSession, drive
from tests.replay.labels import wanted

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    **{name: (0.0, 1.0) for name in IDENTITY_FIELDS},
    "vendor": (0.95, 1.0), "model": (0.95, 1.0), "firmware": (0.95, 1.0),
}  # fmt: skip
"""Field → least (recall, precision)."""


@dataclass(slots=True)
class Score:
    """`found` of the `labelled` values were told; `right` of those `told` are right."""

    labelled: int = 0
    found: int = 0
    told: int = 0
    right: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.told if self.told else 1.0


@dataclass(slots=True)
class Result:
    scores: dict[str, Score] = field(default_factory=dict)
    recordings: int = 0
    with_identity: int = 0
    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def replayed(captures: Path) -> Result:
    """Raises SystemExit when there is no recording."""
    records = {
        record["id"]: record
        for path in sorted(captures.glob("*__*.json"))
        for record in [json.loads(path.read_text(encoding="utf-8"))]
    }
    if not records:
        raise SystemExit(f"no recordings in {captures}: set WALKDOWN_CAPTURES")
    said: dict[str, list[Fact]] = {name: [] for name in records}
    heard: dict[str, list[bytes]] = {name: [] for name in records}
    with seeds.made_up_libraries():
        for dialogues in seeds.DIALOGUES.values():
            for dialogue in dialogues(captures):
                if dialogue.name in records:
                    facts, replies = conversation(dialogue)
                    said[dialogue.name] += facts
                    heard[dialogue.name] += replies
    result = Result(recordings=len(records))
    for name, record in records.items():
        _score(result, record, said[name], b"".join(heard[name]))
    return result


def conversation(dialogue: Dialogue) -> tuple[tuple[Fact, ...], list[bytes]]:
    """What the probe made of an undamaged conversation, and what it heard."""
    session = FuzzSession(dialogue, None)
    facts: tuple[Fact, ...] = ()
    with suppress(WalkdownError):
        facts = drive(dialogue.probe.run(session))  # type: ignore[arg-type]
    return facts, session.replies


def _score(result: Result, record: Mapping[str, Any], facts: Iterable[Fact], heard: bytes) -> None:
    labels = wanted(record)
    result.with_identity += bool(labels)
    identities = [fact for fact in facts if isinstance(fact, DeviceIdentity)]
    shown = []
    for name in IDENTITY_FIELDS:
        told = [(getattr(one, name), one.basis) for one in identities if getattr(one, name)]
        score = result.scores.setdefault(name, Score())
        good = labels.get(name, ())
        fits = [value for value, _ in told if any(agree(name, value, one) for one in good)]
        if good:
            score.labelled += 1
            score.found += bool(fits)
            if not fits:
                words = told[0][0] if told else "nothing"
                result.missing.append(f"{record['id']}: {name} {good[0]!r}, told {words!r}")
        for value, basis in dict.fromkeys(told):
            right = value in fits if good else _stands_in(value, heard) or basis != "protocol"
            score.told += 1
            score.right += right
            if not right:
                result.wrong.append(f"{record['id']}: {name} {value!r} is wrong ({good})")
        shown += [f"{name} {value!r}" for value, _ in told]
    result.lines.append(f"{record['id']}: {', '.join(shown) or 'no identity'}")


def _stands_in(value: str, heard: bytes) -> bool:
    """Whether a text, or the number it prints, was in the replies."""
    folded = heard.lower()
    if value.lower().encode("utf-8", "replace") in folded:
        return True
    if value.lower().encode("utf-16-le", "replace") in folded:
        return True
    digits = "".join(c for c in value if c in "0123456789abcdefABCDEF")
    raw = bytes.fromhex(digits) if digits and len(digits) % 2 == 0 else b""
    return bool(raw) and (raw in heard or raw[::-1] in heard)
