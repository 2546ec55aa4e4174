"""
Emulators, one module per kind of service; each stands on a third-party server or codec.

A module has a constant `SERVES`, its `serve` by the kinds of emulator that a plant file may name,
and `SHAREABLE` where devices may have a server between them. Both tables are found by walking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from lab.bench import Serve
from lab.errors import LabError

Shareable = Callable[[Mapping[str, Any]], bool]


def _walk() -> tuple[Mapping[str, Serve], Mapping[str, Shareable]]:
    kinds: dict[str, Serve] = {}
    shareable: dict[str, Shareable] = {}
    for found in sorted(iter_modules(__path__), key=lambda each: each.name):
        module = import_module(f"{__name__}.{found.name}")
        serves: Mapping[str, Serve] = getattr(module, "SERVES", {})
        if twice := set(serves) & set(kinds):
            raise LabError(f"two emulators are called {', '.join(sorted(twice))}")
        kinds.update(serves)
        shareable.update(getattr(module, "SHAREABLE", {}))
    return MappingProxyType(kinds), MappingProxyType(shareable)


KINDS, SHAREABLE = _walk()
"""
KINDS: every emulator by its kind. SHAREABLE: emulators of which devices with equal settings may
have one between them, if this says so.
"""
