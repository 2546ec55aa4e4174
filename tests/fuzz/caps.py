"""
How large what comes out of a decoder may be: facts field by field, everything else as a whole.

The numbers are written here once more on purpose: a constant that grows in a probe by mistake is
a broken promise (20, 22) and no new normal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache

from pydantic import TypeAdapter

from scanner.facts import Fact
from tests.fuzz import seeds

TEXT = 512
"""Characters of a text in a fact, unless TEXTS says otherwise."""
TEXTS = seeds.merged({"the seeds": seeds.TEXTS, "caps": {("device_identity", "vendor"): 256}})
"""By kind of fact and field: those of one protocol stand in TEXTS of its seeds."""
ITEMS = 500
"""Elements of a list in a fact; KEXINIT's two directions have 200 names each."""
FACTS = 1024
"""Facts of one probe run: 500 accounts, 500 sessions and the rest, or 128 rows of two tables."""
NUMBER = 2**64
"""The widest counter on any wire here."""
INTERMEDIATE = 2 * 1024 * 1024
"""Bytes and characters in what a decoder hands on: the 1 MiB of a page, twice."""

_JSON: TypeAdapter[tuple[Fact, ...]] = TypeAdapter(tuple[Fact, ...])


def broken_by_facts(facts: tuple[object, ...]) -> str | None:
    """Which cap the facts of one probe run break, in words; None: none."""
    if len(facts) > FACTS:
        return f"{len(facts)} facts"
    for fact in facts:
        kind = getattr(fact, "kind", type(fact).__name__)
        for name in _names(type(fact)):
            if words := _field(kind, name, getattr(fact, name)):
                return words
    return None


def not_storable(facts: tuple[Fact, ...]) -> str | None:
    """Why the store could not keep these facts as JSON and read them back the same."""
    try:
        if _JSON.validate_json(_JSON.dump_json(facts)) != facts:
            return "facts change when they are stored"
    except Exception as error:
        return f"facts cannot be stored: {type(error).__name__}: {error}"[:300]
    return None


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _field(kind: str, name: str, value: object) -> str | None:
    match value:
        case None | bool() | datetime() | Enum():
            return None
        case str():
            most = TEXTS.get((kind, name), TEXT)
            if len(value) > most:
                return f"{kind}.{name} has {len(value)} characters, at most {most} are allowed"
            return None
        case int():
            return (
                f"{kind}.{name} is a number of {value.bit_length()} bits"
                if (abs(value) >= NUMBER)
                else None
            )
        case tuple() | list():
            if len(value) > ITEMS:
                return f"{kind}.{name} has {len(value)} elements, at most {ITEMS} are allowed"
            return next((words for one in value if (words := _field(kind, name, one))), None)
        case _:
            return f"{kind}.{name} is a {type(value).__name__}"


def broken_by_value(value: object) -> str | None:
    """Whether what a decoder handed on is larger than INTERMEDIATE as a whole."""
    size = _size(value)
    return f"a value of {size} bytes" if size > INTERMEDIATE else None


def _size(value: object) -> int:
    if value is None or isinstance(value, bool | datetime | Enum):
        return 1
    if isinstance(value, bytes | str | bytearray):
        return len(value)
    if isinstance(value, int):
        return value.bit_length() // 8 + 1
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(one) for key, one in value.items())
    if is_dataclass(value):
        return sum(_size(getattr(value, name)) for name in _names(type(value)))
    if isinstance(value, Iterable):
        return sum(map(_size, value))
    return 1
