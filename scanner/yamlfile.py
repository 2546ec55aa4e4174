"""
A user's YAML file as bounded plain data that remembers its lines.

Only what a settings file needs is accepted: mappings with text keys, lists, scalars. Anchors,
aliases, tags and directives are refused, because they make a small file large or run code;
so are duplicate keys, because one of two limits would be silently lost. Scalars stay the text
that the user wrote (`firmware: 2.10` stays "2.10"); only an unquoted null becomes None. What type a
value should have is the model's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from scanner.errors import SiteError, SiteErrors

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16

Value = Any
"""str, None, Items or Entries: as parsed, before a model has seen it."""

Place = tuple[str | int, ...]
"""Keys and list positions from the top of the file to a value."""

M = TypeVar("M", bound=BaseModel)


class Entries(dict[str, Value]):
    """A mapping that knows where in the file it stands."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class Items(list[Value]):
    """A list that knows where in the file it stands, and the first number of each item there."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.positions: list[int] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed file. `lines` are 1-based; a mapping's entry has the line of its key."""

    path: Path
    root: Value
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a value, or of the nearest thing around it."""
        for length in range(len(place), -1, -1):
            if (found := self.lines.get(place[:length])) is not None:
                return found
        return None

    def problem(self, place: Place, message: str, hint: str = "") -> SiteError:
        return SiteError(message, path=self.path, line=self.line(place), hint=hint)


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """The exception that a validator raises to give its own words to a user."""
    return PydanticCustomError("walkdown", "{message}", {"message": message, "hint": hint})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known words, or all of them when none is near."""
    words = sorted(known)
    if near := get_close_matches(word.lower(), words, n=1, cutoff=0.6):
        return f"did you mean {near[0]!r}?"
    return f"known are: {', '.join(words)}" if words else "none is defined"


def read(path: Path) -> Document:
    """Read and parse one file. Raises SiteErrors with the place of everything wrong in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _single(path, None, f"cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise _single(
            path, None, f"is larger than {MAX_BYTES} bytes", "split the site into several"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _single(path, line, "is not UTF-8 text", "save the file as UTF-8") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Document:
    """Parse the text of a file; `path` is only named in errors. Raises SiteErrors."""
    builder = _Builder(path=path)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        problem = str(error.problem or error.context or "not YAML")
        raise _single(path, line, f"is not valid YAML: {problem}", _YAML_HINT) from None
    except (YAMLError, ValueError, AttributeError, IndexError, TypeError) as error:
        # The parser has raised each of these on malformed input.
        raise _single(
            path, None, f"is not valid YAML ({type(error).__name__})", _YAML_HINT
        ) from None
    if builder.problems:
        raise SiteErrors(tuple(builder.problems))
    return Document(path=path, root=builder.root, lines=builder.lines)


_YAML_HINT = "look for a missing colon, an open quote or bracket, a tab, or uneven indentation"


def _single(path: Path, line: int | None, message: str, hint: str = "") -> SiteErrors:
    return SiteErrors((SiteError(message, path=path, line=line, hint=hint),))


# --- from events to values ---------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet. `key` is the mapping's entry being filled."""

    value: Entries | Items
    key: str | None = None
    key_expected: bool = True


@dataclass(slots=True)
class _Builder:
    """Turns parser events into values without recursion, so that depth cannot exhaust a stack."""

    path: Path
    root: Value = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[SiteError] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    documents: int = 0

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        line: int = event.start_mark.line + 1
        if kind == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                raise self._fatal(line, "a second document begins here", "keep one document")
            if getattr(event, "version", None) or getattr(event, "tags", None):
                raise self._fatal(line, "YAML directives are not accepted", "remove the % line")
        elif kind == "AliasEvent":
            raise self._fatal(line, "aliases (*name) are not accepted", "write the value out")
        elif kind == "ScalarEvent":
            self._refuse_decoration(event, line)
            self._scalar(event, line)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._refuse_decoration(event, line)
            self._open(Entries if kind == "MappingStartEvent" else Items, line)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self.stack.pop()

    def _fatal(self, line: int, message: str, hint: str) -> SiteErrors:
        last = SiteError(message, path=self.path, line=line, hint=hint)
        return SiteErrors((*self.problems, last))

    def _refuse_decoration(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            raise self._fatal(line, "anchors (&name) are not accepted", "write the value out")
        if event.tag is not None:
            raise self._fatal(line, "tags (!name) are not accepted", "remove the tag")

    def _scalar(self, event: Any, line: int) -> None:
        text: str = event.value
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, Entries) and top.key_expected:
            place = (*top.value.place, text)
            if place in self.lines:
                self.problems.append(
                    SiteError(
                        f"the key {shown(text)} is given twice",
                        path=self.path,
                        line=line,
                        hint=f"the first is in line {self.lines[place]}; keep one",
                    )
                )
            else:
                self.lines[place] = line
            top.key, top.key_expected = text, False
            return
        plain = event.style is None or event.style == ""
        self._next_place(line)
        self._put(None if plain and text in ("", "~", "null", "Null", "NULL") else text)

    def _open(self, kind: type[Entries] | type[Items], line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, Entries) and top.key_expected:
            raise self._fatal(line, "a key must be text", "quote it, or remove the brackets")
        if len(self.stack) >= MAX_DEPTH:
            raise self._fatal(line, f"is nested deeper than {MAX_DEPTH} levels", "")
        value = kind(self._next_place(line))
        self._put(value)
        self.stack.append(_Open(value=value))

    def _next_place(self, line: int) -> Place:
        """Where the next value goes. A list item's line is its own, an entry's that of its key."""
        if not self.stack:
            place: Place = ()
        elif isinstance(items := self.stack[-1].value, Items):
            place = (*items.place, len(items))
        else:
            place = (*self.stack[-1].value.place, self.stack[-1].key or "")
        self.lines.setdefault(place, line)
        return place

    def _put(self, value: Value) -> None:
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.value, Items):
            top.value.positions.append(len(top.value))
            top.value.append(value)
        else:
            top.value.setdefault(top.key or "", value)
            top.key_expected = True


def shown(text: str) -> str:
    """Text from the file as it may be printed: quoted, bounded, without control characters."""
    return repr(text if len(text) <= 60 else text[:57] + "…")


# --- from values to models ---------------------------------------------------------------------


class Block(BaseModel):
    """A mapping of the file. Unknown keys are errors; `place` tells where it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    _place: Place = PrivateAttr(default=())

    @property
    def place(self) -> Place:
        return self._place

    @model_validator(mode="wrap")
    @classmethod
    def _remember_place(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(data)
        model._place = data.place if isinstance(data, Entries) else ()
        return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated(Generic[M]):
    """
    The file as a model, all that is wrong with it, and the places that were left out.

    With problems, `model` is what remains once the faulty entries are cut away, so that checks
    which compare entries can still run and a user sees everything at once; it must not be used
    for anything else. None when too little remains.
    """

    document: Document
    model: M | None
    problems: tuple[SiteError, ...]
    cut: frozenset[Place]

    def damaged(self, place: Place) -> bool:
        """Whether something at or below this place was left out."""
        return any(each[: len(place)] == place for each in self.cut)

    def item(self, place: Place, index: int) -> Place:
        """The place of a list's item, or the list's own when items before it may be missing."""
        return place if self.damaged(place) else (*place, index)


def validate(
    document: Document, model: type[M], stand_ins: Mapping[str, str] | None = None
) -> Validated[M]:
    """
    Check the file against a model. No value is quoted but those of closed vocabularies.

    `stand_ins` are values for required keys that are missing or faulty, so that the rest of their
    block can still be compared with others; the problem is reported all the same.
    """
    root = document.root
    problems: list[SiteError] = []
    cut: set[Place] = set()
    found: M | None = None
    for attempt in range(MAX_DEPTH):
        try:
            found = model.model_validate(root)
            break
        except ValidationError as error:
            details = error.errors(include_url=False)
        places = [_original(root, _without_marks(each["loc"])) for each in details]
        if attempt == 0:
            problems = [
                _translated(document, model, each, place)
                for each, place in zip(details, places, strict=True)
            ]
        faulty: set[Place] = set()
        filled: dict[Place, str] = {}
        for each, place in zip(details, places, strict=True):
            stand_in = (stand_ins or {}).get(str(place[-1])) if place else None
            if each["type"] != "missing":
                faulty.add(place)
            elif stand_in is None:
                faulty.add(place[:-1])
            else:
                filled[place] = stand_in
        if () in faulty:
            break
        cut |= faulty | filled.keys()
        root = _changed(root, faulty, filled)
    return Validated(document=document, model=found, problems=tuple(problems), cut=frozenset(cut))


def _without_marks(loc: tuple[str | int, ...]) -> Place:
    return tuple(part for part in loc if part != "[key]")


def _original(value: Value, loc: Place) -> Place:
    """
    A place as pydantic names it, in the numbering of the file (earlier cuts shift list items).

    Steps that the file does not have (a scalar that a validator spread over several keys) end it;
    the name of a missing or unknown key is kept as the last step.
    """
    place: Place = ()
    for step in loc:
        if isinstance(value, Items) and isinstance(step, int) and step < len(value):
            place, value = (*place, value.positions[step]), value[step]
        elif isinstance(value, Entries) and isinstance(step, str):
            place, value = (*place, step), value.get(step)
        else:
            break
    return place


def _changed(value: Value, cut: Set[Place], filled: Mapping[Place, str]) -> Value:
    """A copy without the entries at some places of the file, and with stand-ins at others."""
    if isinstance(value, Entries):
        entries = Entries(value.place)
        for key, entry in value.items():
            if (*value.place, key) not in cut:
                entries[key] = _changed(entry, cut, filled)
        for place, stand_in in filled.items():
            if place[:-1] == value.place:
                entries[str(place[-1])] = stand_in
        return entries
    if isinstance(value, Items):
        items = Items(value.place)
        for position, item in zip(value.positions, value, strict=True):
            if (*value.place, position) not in cut:
                items.append(_changed(item, cut, filled))
                items.positions.append(position)
        return items
    return value


# --- a user's words for what is wrong ----------------------------------------------------------

_EXPECTED = {
    "list_type": "expected a list, as in [a, b]",
    "tuple_type": "expected a list, as in [a, b]",
    "dict_type": "expected keys with values",
    "model_type": "expected keys with values",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}


def _translated(
    document: Document, model: type[BaseModel], detail: ErrorDetails, place: Place
) -> SiteError:
    context: Mapping[str, Any] = detail.get("ctx") or {}
    kind = detail["type"]
    key = str(place[-1]) if place else ""
    loc = _without_marks(detail["loc"])
    if kind == "extra_forbidden":
        hint = did_you_mean(key, _keys_at(model, loc[:-1]))
        return document.problem(place, f"unknown key {shown(key)}", hint)
    if kind == "missing":
        return document.problem(place[:-1], f"the key {key!r} is missing", _about(model, loc))
    if kind == "walkdown":
        return document.problem(place, f"{_named(place)}{context['message']}", context["hint"])
    if kind in ("literal_error", "enum") and isinstance(detail["input"], str):
        known = _quoted(str(context["expected"]))
        return document.problem(
            place,
            f"{_named(place)}{shown(detail['input'])} is not known here",
            did_you_mean(detail["input"], known),
        )
    said = _EXPECTED.get(kind) or _lower(detail["msg"].replace("Input should be", "must be"))
    return document.problem(place, f"{_named(place)}{said}", _about(model, loc))


def _named(place: Place) -> str:
    """The key that a message is about; for a list item, the key of the list."""
    names = [part for part in place if isinstance(part, str)]
    return f"{names[-1]}: " if names else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _quoted(text: str) -> tuple[str, ...]:
    """The words between single quotes in pydantic's list of expected values."""
    return tuple(text.split("'")[1::2])


def _about(model: type[BaseModel], loc: Place) -> str:
    """The description of the nearest key on the way to a place."""
    for length in range(len(loc), 0, -1):
        name = loc[length - 1]
        for owner in _models_at(model, loc[: length - 1]):
            if isinstance(name, str) and (found := _field(owner, name)) is not None:
                return f"{name}: {found.description}" if found.description else ""
    return ""


def _keys_at(model: type[BaseModel], loc: Place) -> list[str]:
    return [key for owner in _models_at(model, loc) for key in keys(owner)]


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys of a model as they are written in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field(model: type[BaseModel], key: str) -> FieldInfo | None:
    return keys(model).get(key)


def _models_at(model: type[BaseModel], loc: Place) -> tuple[type[BaseModel], ...]:
    """The models that may stand at a place, following the annotations step by step."""
    here: tuple[Any, ...] = (model,)
    for step in loc:
        found: list[Any] = []
        for annotation in here:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                if (field := _field(annotation, str(step))) is not None:
                    found.extend(_inside(field.annotation))
            else:
                found.extend(part for each in get_args(annotation) for part in _inside(each))
        here = tuple(found)
    return tuple(each for each in here if isinstance(each, type) and issubclass(each, BaseModel))


def _inside(annotation: Any) -> Iterator[Any]:
    """An annotation without Annotated and with each member of a union on its own."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _inside(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _inside(member)
    else:
        yield annotation
