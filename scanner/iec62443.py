"""
The catalogue of IEC 62443-3-3: 7 FR, 51 system requirements (SR), 49 enhancements (RE).

Source: IEC 62443-3-3:2013 with corrigendum 1 of 2014, Annex B (levels). Only identifiers, titles,
clause numbers and levels are taken from it; the intents are our own sentences. The data stand in
`data/iec62443.yaml` beside this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ruamel.yaml import YAML

from scanner.errors import ToolBug
from scanner.model import FR_IDS, FR_KEYS

FR_KEY = dict(zip(FR_IDS, FR_KEYS, strict=True))
"""The key of an FR in an SL vector: "FR 5" -> "rdf"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """
    One SR, or one RE when `base` names the SR it enhances.

    `sl` is the lowest level that needs it. `observable`: "full" means a scan with read-only access
    can decide it, "partial" that a scan can prove a failure but not a pass, "no" that people must.
    `clause` of an RE is that of its base.
    """

    id: str
    title: str
    fr: str
    clause: str
    sl: int
    sl_confidence: Literal["high", "medium"]
    observable: Literal["full", "partial", "no"]
    intent: str
    base: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All requirements in the order of the standard, each SR followed by its REs."""

    requirements: tuple[Requirement, ...]
    fr_titles: Mapping[str, str]
    by_id: Mapping[str, Requirement]

    def items(self, fr: str | None = None, max_sl: int = 4) -> tuple[Requirement, ...]:
        """What level `max_sl` needs in one FR, or in all."""
        return tuple(
            item
            for item in self.requirements
            if item.sl <= max_sl and (fr is None or item.fr == fr)
        )

    def get(self, requirement: str) -> Requirement:
        """Raises ToolBug for an id that is not in the catalogue (a check names a wrong one)."""
        try:
            return self.by_id[requirement]
        except KeyError:
            raise ToolBug(f"IEC 62443-3-3 has no requirement {requirement!r}") from None

    def enhancements(self, sr: str) -> tuple[Requirement, ...]:
        return tuple(item for item in self.requirements if item.base == sr)


@cache
def load() -> Catalogue:
    text = (files("scanner") / "data" / "iec62443.yaml").read_text(encoding="utf-8")
    data = YAML(typ="safe", pure=True).load(text)
    requirements = tuple(
        item
        for entry in data["system_requirements"]
        for item in (
            _requirement(entry, base=None),
            *(
                _requirement({**entry, **re}, base=entry["id"])
                for re in entry.get("enhancements", ())
            ),
        )
    )
    return Catalogue(
        requirements=requirements,
        fr_titles={entry["id"]: entry["title"] for entry in data["foundational_requirements"]},
        by_id={item.id: item for item in requirements},
    )


def _requirement(entry: Mapping[str, Any], *, base: str | None) -> Requirement:
    return Requirement(
        id=entry["id"],
        title=entry["title"],
        fr=entry["fr"],
        clause=entry["clause"],
        sl=entry["sl"],
        sl_confidence=entry["sl_confidence"],
        observable=entry["observable"],
        intent=entry["intent"],
        base=base,
    )
