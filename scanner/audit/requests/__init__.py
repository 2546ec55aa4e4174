"""
Names what a recorded request asked for: the auditor's own, small reading of each protocol.

Nothing of the guards or the probes is used, so that one mistake would have to be made twice. What
is not on the list of reads is a write until somebody shows otherwise, and what cannot be read is
unknown; both fail the certificate. Secrets are masked in the record, and what a library encrypts
stands there in words.

One file per protocol, with its tables and its sources. It exports `READER`, a form.Reader (or
`READERS`, several), and `SEAT`, a form.Seat, where its port is somebody's; this package walks
itself to find them. A reader is chosen by the name of the probe, never by the port, so that several
protocols may ride on one port. What several protocols ride on is read in `layers`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from scanner.audit.requests.form import Foreign, Named, Reader, Seat
from scanner.audit.requests.layers.iso import called_tsap as tsap_of
from scanner.audit.requests.modbus import units_of
from scanner.errors import ToolBug
from scanner.model import Tier

__all__ = ["Named", "name", "readers", "sealed", "seats", "tsap_of", "units_of"]

T = TypeVar("T")


def _exported(kind: type[T], *names: str) -> Iterator[T]:
    """What the protocols' files export of one kind, under one of these names, alone or several."""
    for module in iter_modules(__path__):
        exports = vars(import_module(f"{__name__}.{module.name}"))
        for found in (exports[name] for name in names if name in exports):
            yield from (found,) if isinstance(found, kind) else found


@cache
def readers() -> dict[str, Reader]:
    """Readers by the name of the probe. Raises ToolBug when two read for the same."""
    found: dict[str, Reader] = {}
    for reader in _exported(Reader, "READER", "READERS"):
        for probe in reader.probes or (reader.protocol,):
            if probe in found:
                raise ToolBug(f"two readers for the requests of probe {probe!r}")
            found[probe] = reader
    return found


@cache
def seats() -> dict[int, Seat]:
    """Seats that belong to somebody, by port, in the order of the ports."""
    found = sorted(_exported(Seat, "SEAT"), key=lambda seat: seat.port)
    return {seat.port: seat for seat in found}


@cache
def sealed() -> dict[str, int]:
    """Reader.sealed of all of them."""
    return {
        protocol: goodbye
        for reader in readers().values()
        for protocol, goodbye in reader.sealed.items()
    }


def name(probe: str, tier: Tier, request: bytes) -> tuple[Named, ...]:
    """Every service in a recorded request of this probe; () where nothing was sent."""
    if not request:
        return ()
    reader = readers().get(probe)
    if reader is None:
        return (Named(protocol=probe, service="no reader", verdict="unknown", foreign=True),)
    try:
        return tuple(reader.read(request, tier))
    except Foreign as problem:
        why = str(problem)
    except (IndexError, struct.error):
        why = "cut off"
    return (Named(protocol=reader.protocol, service=why, verdict="unknown", foreign=True),)
