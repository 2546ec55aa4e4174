"""
Recordings played to the probes, and what the probes said held against the labels.

A recording without a probe of its protocol is listed and counted apart (`labels.NO_PROBE`); one
that nothing plays and that is not listed there counts with all its labels as missed.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from tests.probes.test_snmp import folded
from tests.replay.imported import can_import, imported, is_announced
from tests.replay.labels import NO_PROBE, Label, fits, label_of, label_of_banner

BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    **{name: (0.0, 1.0) for name in IDENTITY_FIELDS},
    "vendor": (0.95, 1.0), "model": (0.95, 1.0), "firmware": (0.95, 1.0),
}  # fmt: skip
"""Field → least (recall, precision)."""

MORE: Final = 24
"""Characters that a told value may have more than the label: "Inc.", a brand, a suffix."""


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
class Part:
    """
    One kind of input: recordings, or texts. `played` of `total` were; `apart` of the others by
    reason. `out` are labels that do not count, with their reason.
    """

    scores: dict[str, Score] = field(default_factory=dict)
    total: int = 0
    played: int = 0
    apart: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    out: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Of which recording, name, value, reason."""

    def below(self) -> list[str]:
        """The fields below their bounds."""
        return [
            name
            for name, (recall, precision) in BOUNDS.items()
            if (score := self.scores.get(name, Score())).recall < recall
            or score.precision < precision
        ]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of a recording, and the bytes that it was made of."""

    facts: tuple[Fact, ...]
    replies: tuple[bytes, ...]


def records_of(captures: Path) -> dict[str, dict[str, Any]]:
    """By id. Raises SystemExit when there is no recording, or two of a name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(captures.glob("*__*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["id"] in found:
            raise SystemExit(f"two recordings in {captures} are named {record['id']}")
        found[record["id"]] = record
    if not found:
        raise SystemExit(f"no recordings in {captures}: set WALKDOWN_CAPTURES")
    return found


def heard_of(captures: Path, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Heard]:
    """By id, of what is played to a probe or imported."""
    facts: dict[str, list[Fact]] = {}
    replies: dict[str, list[bytes]] = {}
    with seeds.made_up_libraries():
        for dialogue in seeds.recordings(captures, records):
            said, heard = conversation(dialogue)
            facts.setdefault(dialogue.name, []).extend(said)
            replies.setdefault(dialogue.name, []).extend(heard)
    if can_import():
        with tempfile.TemporaryDirectory(prefix="walkdown-replay-") as folder:
            for name, record in records.items():
                if is_announced(record):
                    read, frames = imported(record, Path(folder))
                    facts.setdefault(name, []).extend(read)
                    replies.setdefault(name, []).extend(frames)
    return {name: Heard(tuple(told), tuple(replies[name])) for name, told in facts.items()}


def conversation(dialogue: Dialogue) -> tuple[tuple[Fact, ...], list[bytes]]:
    """What the probe made of an undamaged conversation, and what it heard."""
    session = FuzzSession(dialogue, None)
    facts: tuple[Fact, ...] = ()
    with suppress(WalkdownError):
        facts = drive(dialogue.probe.run(session))  # type: ignore[arg-type]
    return facts, [*session.replies, *_raw(dialogue.values)]


def _raw(value: object) -> Iterator[bytes]:
    """The texts and bytes among what a vendor library hands over."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _raw(one)


def replayed(captures: Path, heard: Mapping[str, Heard] | None = None) -> Part:
    """`heard` None: everything is played. Raises SystemExit when there is no recording."""
    records = records_of(captures)
    if heard is None:
        heard = heard_of(captures, records)
    result = Part(total=len(records))
    labels = {name: label_of(record) for name, record in records.items()}
    siblings: dict[str, list[Label]] = {}
    for name, record in records.items():
        siblings.setdefault(record["identity_key"], []).append(labels[name])
    for name, record in records.items():
        protocol = str(record["protocol"])
        result.out += [(name, *one) for one in labels[name].out]
        if name not in heard:
            reason = NO_PROBE.get(protocol)
            if is_announced(record) and not can_import():
                reason = "read by the importer of captures alone, and here is no tshark"
            if reason:
                result.apart[f"{protocol}: {reason}"] += 1
                result.lines.append(f"{name}: not played ({protocol}: {reason})")
                continue
        result.played += name in heard
        score(
            result, name, labels[name], heard.get(name, Heard((), ())),
            siblings[record["identity_key"]],
        )  # fmt: skip
    return result


def score(
    result: Part, name: str, label: Label, heard: Heard, siblings: Iterable[Label] = ()
) -> None:
    """
    The identity of the device itself against the label; of parts and devices behind it every
    value has to stand in the replies. Where the label has no such field, a value has to agree with
    another recording of the same device (`siblings`) or stand in the replies.
    """
    identities = [fact for fact in heard.facts if isinstance(fact, DeviceIdentity)]
    own = [one for one in identities if one.sub_address is None] or identities
    raw = b"\n".join(heard.replies)
    shown = []
    for key in IDENTITY_FIELDS:
        told = list(dict.fromkeys(value for one in own if (value := getattr(one, key))))
        good = label.fields.get(key, ())
        right = {value for value in told if any(means(key, value, one) for one in good)}
        points = result.scores.setdefault(key, Score())
        if good:
            points.labelled += 1
            points.found += bool(right)
            if not right:
                words = told[0] if told else "nothing"
                result.missing.append(f"{name}: {key} {good[0]!r}, told {words!r}")
        else:
            others = [one for each in siblings for one in each.fields.get(key, ())]
            right = {
                value
                for value in told
                if any(means(key, value, one) for one in others) or stands_in(value, raw)
            }
        parts = [value for one in identities if one not in own and (value := getattr(one, key))]
        points.told += len(told) + len(parts)
        points.right += len(right) + sum(stands_in(value, raw) for value in parts)
        result.wrong += [f"{name}: {key} {v!r} is wrong ({good})" for v in told if v not in right]
        result.wrong += [
            f"{name}: {key} {v!r} of a part does not stand in the replies"
            for v in parts
            if not stands_in(v, raw)
        ]
        shown += [f"{key} {value!r}" for value in told]
    result.lines.append(f"{name}: {', '.join(shown) or 'no identity'}")


def means(name: str, told: str, labelled: str) -> bool:
    """They agree, and what was told is no sentence around the label."""
    return agree(name, told, labelled) and len(told) <= len(labelled) + MORE


def stands_in(value: str, heard: bytes) -> bool:
    """Whether a text, or the number it prints in hex, was in the replies."""
    lower = heard.lower()
    if value.lower().encode("utf-8", "replace") in lower:
        return True
    if value.lower().encode("utf-16-le", "replace") in lower:
        return True
    digits = value.replace(":", "").replace(" ", "")
    if len(digits) < 4 or len(digits) % 2 or set(digits.lower()) - set("0123456789abcdef"):
        return False
    raw = bytes.fromhex(digits)
    return raw in heard or raw[::-1] in heard


def read_banners(captures: Path) -> Part:
    """The labelled texts of banners.json, each read by whichever probe reads such texts."""
    items = json.loads((captures / "banners.json").read_text(encoding="utf-8"))["items"]
    result = Part(total=len(items))
    for item in items:
        kind, banner = str(item["kind"]), str(item["banner"])
        reader = seeds.BANNERS.get(kind)
        if reader is None:
            result.apart[f"{kind}: not read by any probe"] += 1
            continue
        result.played += 1
        label = label_of_banner(item)
        result.out += [(kind, *one) for one in label.out]
        identity = reader(banner)
        for key in IDENTITY_FIELDS:
            told: str | None = getattr(identity, key) if identity else None
            good = label.fields.get(key, ())
            points = result.scores.setdefault(key, Score())
            right = bool(told and good and fits(told, good))
            if good:
                points.labelled += 1
                points.found += right
            if good and not right:
                result.missing.append(f"{kind} {banner[:70]!r}: {key} {good}, told {told!r}")
            if told:
                # Where the label lacks a field, or names a product by its family, the value has to
                # stand in the text.
                right = right or fits(told, label.true.get(key, ()))
                right = right or folded(told) in folded(banner)
                points.told += 1
                points.right += right
                if not right:
                    result.wrong.append(f"{kind} {banner[:70]!r}: {key} {told!r}, not {good}")
    return result
