"""
The allow-lists: which bytes may leave, per protocol and tier. One file per protocol.

A guard sees the plaintext of every frame before the wire does, whoever built it: our own codec or
a vendor library behind the relay. What is not on a list is refused; so are unknown protocols.
Each module exports `GUARD`, a spec.GuardSpec; this package walks itself to find them. Guards share
no code with the probes they judge.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from scanner.errors import GuardRefused
from scanner.spec import Guard, GuardSpec


@cache
def specs() -> dict[str, GuardSpec]:
    """Guard specs by protocol name."""
    found: dict[str, GuardSpec] = {}
    for module in iter_modules(__path__):
        spec = import_module(f"{__name__}.{module.name}").GUARD
        found[spec.protocol] = spec
    return found


def open_guard(protocol: str) -> Guard:
    """The guard for one new connection. Raises GuardRefused when the protocol has none."""
    try:
        return specs()[protocol].open()
    except KeyError:
        raise GuardRefused(f"no guard for protocol {protocol!r}: nothing may be sent") from None
