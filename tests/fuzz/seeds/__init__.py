"""
What is damaged: conversations of every probe with recorded or emulated devices, and samples for
decoders that no conversation reaches. One module for each probe module, under the same name, and
one for each parser that stands alone; they are found by walking this package, so that a new
protocol is one more file. A probe without a conversation makes the fuzzer fail by its name.

A module may say, and whoever leaves a thing out gets its default:

- `dialogues(captures) -> Iterator[Dialogue]`: conversations of its probes; in a module that is
  named after a probe module.
- `recordings(captures) -> Iterator[Dialogue]`: the conversations as they were recorded, each named
  after its recording, for the replay (tests/replay); default: the dialogues that are so named.
  For modules whose dialogues mix recordings, or name them otherwise.
- `BANNERS`: kind of banner (banners.json) -> what its text says of a device, for the replay.
- `samples(captures) -> Iterator[tuple[str, Callable[[], object]]]`: (family, call) of decoders
  that no conversation reaches.
- `LIBRARIES`: (place, name, stand-in), what replaces a vendor library during a run.
- `mend`: damage that knows the framing (tests/fuzz/mutate.py); default: blind damage alone.
- `TEXTS`: characters by (kind of fact, field), where not the cap that all texts have
  (tests/fuzz/caps.py).
- `FOREIGN`: types that a decoder's first parameter has, beyond the usual (tests/fuzz/decoders.py).
- `OURS`: by full name, functions that look like decoders and are not, with the reason.
- `OUR_PARAMETERS`: parameters of the family's decoders that a device has no say in.

Recordings come from WALKDOWN_CAPTURES; where they have no device of a protocol or tier, the bytes
are those of the plant that ships (lab/plants) or made here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from scanner.facts import DeviceIdentity
from tests.fuzz.mutate import Mutation
from tests.fuzz.seeds.form import hide, recorded_replies
from tests.fuzz.session import Dialogue

__all__ = [
    "BANNERS", "DIALOGUES", "FOREIGN", "FRAMINGS", "LIBRARIES", "MODULES", "OURS",
    "OUR_PARAMETERS", "TEXTS", "hide", "made_up_libraries", "merged", "recorded_replies",
    "recordings", "samples", "walked",
]  # fmt: skip


def walked() -> dict[str, ModuleType]:
    """Every module of this package by its name, in the order of the names."""
    return {
        name: import_module(f"{__name__}.{name}")
        for name in sorted(module.name for module in iter_modules(__path__))
    }


def merged(tables: Mapping[str, Mapping[Any, Any]]) -> dict[Any, Any]:
    """One of the tables of several modules. Raises SystemExit when two speak of the same."""
    found: dict[Any, Any] = {}
    for name, table in tables.items():
        if twice := found.keys() & table.keys():
            raise SystemExit(f"tests/fuzz/seeds/{name}.py repeats {sorted(twice)}")
        found |= table
    return found


MODULES = walked()


def _said(name: str) -> dict[str, Any]:
    """What modules export under `name`, by module."""
    return {at: vars(module)[name] for at, module in MODULES.items() if name in vars(module)}


DIALOGUES: dict[str, Callable[[Path], Iterator[Dialogue]]] = _said("dialogues")
"""By probe module."""
FRAMINGS: dict[str, Mutation] = _said("mend")
"""By family; one without an entry gets blind damage alone."""
LIBRARIES: tuple[tuple[Any, str, Any], ...] = tuple(
    one for libraries in _said("LIBRARIES").values() for one in libraries
)
TEXTS: dict[tuple[str, str], int] = merged(_said("TEXTS"))
FOREIGN: frozenset[str] = frozenset(one for types in _said("FOREIGN").values() for one in types)
OURS: dict[str, str] = merged(_said("OURS"))
OUR_PARAMETERS: dict[str, tuple[str, ...]] = _said("OUR_PARAMETERS")
"""By family."""
BANNERS: dict[str, Callable[[str], DeviceIdentity | None]] = merged(_said("BANNERS"))


def recordings(captures: Path, names: Collection[str]) -> Iterator[Dialogue]:
    """The conversations with the recorded devices `names`, as they were recorded."""
    for module, dialogues in DIALOGUES.items():
        said = vars(MODULES[module]).get("recordings", dialogues)
        yield from (dialogue for dialogue in said(captures) if dialogue.name in names)


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """(family, call) of decoders that stand alone: what they call in turn is seen as well."""
    for name, dialogues in DIALOGUES.items():
        # By its module, so that the call is seen; one that frames no reply has nothing to say here.
        guard = sys.modules.get(f"scanner.guards.{name}")
        if guard is None or not hasattr(guard, "reply_framer"):
            continue
        for dialogue in dialogues(captures):
            for reply in recorded_replies(dialogue):
                yield name, lambda f=guard.reply_framer, r=reply: f(r)  # type: ignore[misc]
    for more in _said("samples").values():
        yield from more(captures)


@contextmanager
def made_up_libraries() -> Iterator[None]:
    """Within the block vendor libraries hand over what the current session's dialogue says."""
    before = [(place, name, getattr(place, name)) for place, name, _ in LIBRARIES]
    for place, name, made_up in LIBRARIES:
        setattr(place, name, made_up)
    try:
        yield
    finally:
        for place, name, real in before:
            setattr(place, name, real)
