"""
Finds every function that reads what a device said, by walking the packages that may hold one.

A decoder is a public, synchronous function of `probes`, `scanner.guards`, `scanner.importers` or
`scanner.clients` that does not build a request (`encode_*`) and whose first parameter is foreign
data: bytes, text, or a list or mapping of them. What looks like one and is not stands in OURS with
the reason. Nothing is registered: a decoder that is written tomorrow is found tomorrow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from tests.fuzz import seeds

PACKAGES = ("probes", "scanner.guards", "scanner.importers", "scanner.clients")
FOREIGN = (
    "bytes", "bytes | None", "str", "str | None", "Sequence[bytes]", "Iterable[str]",
    "Sequence[str]", "Mapping[str, str]", "dict[str, str]", "list[bytes]", "tuple[bytes, ...]",
    *sorted(seeds.FOREIGN),
)  # fmt: skip
"""Types of a first parameter; those of one protocol alone stand in FOREIGN of its seeds."""
OURS = {"scanner.guards.open_guard": "takes the name of a protocol", **seeds.OURS}
"""
Functions whose first parameter is not a device's, and whose it is; those of one protocol stand in
OURS of its seeds.
"""


@dataclass(frozen=True, slots=True)
class Decoder:
    """`family` is the last part of the module's name: one protocol's probe, guard and client."""

    name: str
    family: str
    module: ModuleType
    function: Callable[..., Any]

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


@cache
def modules() -> tuple[ModuleType, ...]:
    found = []
    for package in PACKAGES:
        root = import_module(package)
        found.append(root)
        found += [import_module(f"{package}.{m.name}") for m in iter_modules(root.__path__)]
    return tuple(found)


@cache
def decoders() -> tuple[Decoder, ...]:
    found = []
    for module in modules():
        for name, value in sorted(vars(module).items()):
            full = f"{module.__name__}.{name}"
            if is_decoder(name, value, module) and full not in OURS:
                family = module.__name__.rpartition(".")[2]
                found.append(Decoder(full, family, module, value))
    return tuple(found)


def is_decoder(name: str, value: object, module: ModuleType) -> bool:
    if name.startswith(("_", "encode_")) or getattr(value, "__module__", "") != module.__name__:
        return False
    if not inspect.isfunction(value) or inspect.iscoroutinefunction(value):
        return False
    first = next(iter(inspect.signature(value).parameters.values()), None)
    return first is not None and str(first.annotation) in FOREIGN
