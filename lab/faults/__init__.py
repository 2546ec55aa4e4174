"""
Responder behaviours: ways in which any device of the lab can be made to misbehave.

A device of a plant file lists them:

    faults:
      - {name: drip, interval_s: 4}
      - {name: reset_at_byte, n: 7, on: [modbus], after: 1}

`FAULTS` is the whole table by name, found by walking this package; `given` reads one entry of a
plant file. A new behaviour is one more `Behaviour` in a module here, and every probe meets it by
construction: lab.proving makes one device of every kind with every behaviour of the table.
How a behaviour is written: lab.faults.base.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from lab.errors import LabError
from lab.faults.base import COMMON, Behaviour, Given

__all__ = ["FAULTS", "Behaviour", "Given", "given"]


def _walk() -> Mapping[str, Behaviour]:
    found: dict[str, Behaviour] = {}
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        behaviours: tuple[Behaviour, ...] = getattr(
            import_module(f"{__name__}.{module.name}"), "FAULTS", ()
        )
        for behaviour in behaviours:
            if behaviour.name in found:
                raise LabError(f"two faults are called {behaviour.name}")
            found[behaviour.name] = behaviour
    return MappingProxyType(found)


FAULTS = _walk()


def given(device: str, raw: Mapping[str, Any]) -> Given:
    """One entry of `faults`, checked. Raises LabError that names the device."""
    name = str(raw.get("name", ""))
    behaviour = FAULTS.get(name)
    if behaviour is None:
        near = get_close_matches(name, FAULTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LabError(f"{device}: there is no fault {name!r}{hint}")
    known = {**COMMON, **behaviour.parameters}
    if unknown := set(raw) - set(known) - {"name"}:
        raise LabError(f"{device}: fault {name} has no {', '.join(sorted(unknown))}")
    parameters = {**known, **{key: value for key, value in raw.items() if key != "name"}}
    return Given(behaviour=behaviour, parameters=MappingProxyType(parameters))
