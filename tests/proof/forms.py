"""
A whole assessment made from its own types: every field that can hold text holds the text wanted.

Nothing is listed here but the few fields whose values are a closed set by agreement. A field or a
class that is new in scanner.model or scanner.facts is therefore filled, and rendered, without a
word here.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from scanner import facts, model
from scanner.model import FR_IDS, FR_KEYS, SCHEMA, Assessment

MOMENT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)

SPREAD = 7
"""Of the many kinds of facts every seventh stands in one row, the next ones in the next row."""

Text = Callable[[], str]


def made(kind: Any, text: Text, number: int = 0, name: str = "") -> Any:
    """A value of `kind`. `number` turns through enumerations and levels from row to row."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return made(arguments[0], text, number, name)
    if origin is Literal:
        return arguments[number % len(arguments)]
    if origin in (Union, types.UnionType):
        real = [one for one in arguments if one is not type(None)]
        return made(real[number % len(real)], text, number, name)
    if origin is tuple:
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        if inner is None:
            return tuple(made(one, text, number, name) for one in arguments)
        kinds = each_of(inner)
        chosen = [kinds[(number + step) % len(kinds)] for step in range(0, len(kinds), SPREAD)]
        return tuple(made(one, text, number, name) for one in chosen)
    if origin is dict:
        keys = FR_KEYS if name == "sl_t" else (text(),)
        return {key: made(arguments[1], text, number, name) for key in keys}
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return kind(**{f.name: _field(f.name, hints[f.name], text, number) for f in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[number % len(kind)]
    simple: dict[Any, Any] = {
        str: text, int: lambda: number % 5, float: lambda: 0.5, bool: lambda: bool(number % 2),
        datetime: lambda: MOMENT, bytes: lambda: text().encode("utf-8", "surrogatepass"),
    }  # fmt: skip
    return simple[kind]()


def _field(name: str, kind: Any, text: Text, number: int) -> Any:
    if name == "fr":
        return FR_IDS[number % len(FR_IDS)]
    if name == "schema":
        return SCHEMA
    return made(kind, text, number, name)


def each_of(kind: Any) -> Sequence[Any]:
    """The members of a union of dataclasses (all facts), else the kind alone."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else ()
    return members if members and all(is_dataclass(one) for one in members) else (kind,)


def assessment(texts: Sequence[str], *, head: str) -> Assessment:
    """
    One row per text in every list of the document, the same text in all fields of a row, so that
    what refers to each other does. What there is only once bears `head`.
    """
    hints = get_type_hints(Assessment, include_extras=True)
    values: dict[str, Any] = {}
    for field in fields(Assessment):
        kind = hints[field.name]
        if is_row(kind):
            values[field.name] = rows(get_args(kind)[0], texts)
        elif is_dataclass(kind):
            values[field.name] = single(kind, texts, head)
        elif get_origin(kind) is dict:
            values[field.name] = dict(zip(texts, texts, strict=True))
        else:
            values[field.name] = _field(field.name, kind, lambda: head, 0)
    return Assessment(**values)


def single(kind: Any, texts: Sequence[str], head: str) -> Any:
    """What stands once in the document, its own lists with one entry per text."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in fields(kind):
        inner = hints[field.name]
        if is_row(inner):
            values[field.name] = rows(get_args(inner)[0], texts)
        elif get_origin(inner) is tuple and get_args(inner)[0] is str:
            values[field.name] = tuple(texts)
        elif get_origin(inner) is dict and get_args(inner)[0] is str:
            other = get_args(inner)[1]
            values[field.name] = {t: made(other, lambda t=t: t, 1) for t in texts}
        else:
            values[field.name] = _field(field.name, inner, lambda: head, 0)
    return kind(**values)


def is_row(kind: Any) -> bool:
    return get_origin(kind) is tuple and is_dataclass(get_args(kind)[0])


def rows(kind: Any, texts: Sequence[str]) -> tuple[Any, ...]:
    return tuple(made(kind, lambda t=t: t, n) for n, t in enumerate(texts))


def text_fields() -> Iterator[str]:
    """Every field of the model and of the facts that can hold text, by name."""
    for module in (model, facts):
        for name, kind in vars(module).items():
            if is_dataclass(kind) and kind.__module__ == module.__name__:
                hints = get_type_hints(kind, include_extras=True)
                yield from (f"{name}.{f}" for f, hint in hints.items() if "str" in _names(hint))


def _names(kind: Any) -> set[str]:
    if isinstance(kind, type) and not get_args(kind):
        return {kind.__name__}
    if get_origin(kind) is Literal:
        return set()
    return {name for one in get_args(kind) for name in _names(one)}


def texts_in(value: Any) -> Iterator[tuple[str, str]]:
    """(class.field, text) of every string in a document: what was really filled."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for inner in _strings(getattr(value, field.name)):
                if isinstance(inner, str):
                    yield f"{type(value).__name__}.{field.name}", inner
                else:
                    yield from texts_in(inner)


def _strings(value: Any) -> Iterator[Any]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str) or is_dataclass(value):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _strings(key)
            yield from _strings(one)
