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

PACKAGES = ("probes", "scanner.guards", "scanner.importers", "scanner.clients")
FOREIGN = (
    "bytes", "bytes | None", "str", "str | None", "Value", "Sequence[bytes]", "Iterable[str]",
    "Sequence[str]", "Mapping[str, Value]", "Mapping[int, bytes]", "Mapping[str, str]",
    "Mapping[tuple[int, int], bytes]", "dict[str, str]", "list[bytes]", "tuple[bytes, ...]",
)  # fmt: skip
OURS = {
    "probes.sshconfig.fingerprinter": "takes the site's own key",
    "scanner.clients.cip_worker.read_identity_object": "takes the relay's host and port",
    "scanner.clients.http.authority": "takes the address from the site file",
    "scanner.clients.http.secret_spans": "reads our own request",
    "scanner.clients.snmp.reader": "takes the relay's host and port",
    "scanner.guards.open_guard": "takes the name of a protocol",
}
"""Functions whose first parameter is not a device's, and whose it is."""


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
