"""
Finds probes, checks and importers by walking their packages; nothing is registered.

The packages are imported by name, so that no room has to import them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import pairwise
from pkgutil import iter_modules
from typing import TypeVar

from scanner.errors import ToolBug
from scanner.importers.form import Importer
from scanner.spec import Check, Probe

T = TypeVar("T")


@cache
def checks() -> tuple[Check, ...]:
    """Every Check of the package `checks`, by id. Raises ToolBug when two share an id."""
    found = sorted(constants("checks", Check), key=lambda check: check.id)
    _refuse_twins(found, "check id", lambda check: check.id)
    return tuple(found)


@cache
def probes() -> tuple[Probe, ...]:
    """
    Every Probe of the package `probes`, by name, then tier, then ports.

    One name may stand in several tiers and for several sets of ports; ToolBug when all agree.
    """
    found = sorted(constants("probes", Probe), key=lambda p: (p.name, p.tier.rank, p.ports))
    _refuse_twins(found, "probe", lambda p: f"{p.name} {p.tier} {p.transport} {p.ports}")
    return tuple(found)


@cache
def importers() -> tuple[Importer, ...]:
    """Every Importer of the package `scanner.importers`, by name. ToolBug when two share one."""
    found = sorted(constants("scanner.importers", Importer), key=lambda one: one.name)
    _refuse_twins(found, "importer", lambda one: one.name)
    return tuple(found)


def constants(package: str, kind: type[T]) -> tuple[T, ...]:
    """The constants of one type in the modules of a package, each object once."""
    found: dict[int, T] = {}
    for module in sorted(iter_modules(import_module(package).__path__), key=lambda m: m.name):
        members = vars(import_module(f"{package}.{module.name}"))
        found.update({id(value): value for value in members.values() if isinstance(value, kind)})
    return tuple(found.values())


def _refuse_twins(found: list[T], what: str, name: Callable[[T], str]) -> None:
    for one, other in pairwise(found):
        if name(one) == name(other):
            raise ToolBug(f"{what} {name(one)!r} is defined twice")
