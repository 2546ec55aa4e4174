"""
One PDU per service that may never be sent, and bytes of the wrong protocol for each port.

They are written by hand from the specifications, for the judge to flag: in captures made by hand,
and sent with plain sockets through the proving ground. One module is one protocol, named as its
grammar; `any_port` is for what belongs to none. They are found by walking this package; `form` says
what each may export.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Final, TypeVar

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET
from tests.proof.judge.injected.modbus import IDENTIFY_MODBUS
from tests.proof.judge.injected.s7 import CONNECT_S7, SETUP_S7, SZL_S7

__all__ = [
    "BEHIND_A_LOGIN", "CONNECT_S7", "FOREIGN", "GET", "GRANTED", "HARMLESS", "IDENTIFY_MODBUS",
    "MODULES", "NOT_ONLY_READING", "SETUP_S7", "SIGNING_IN", "SZL_S7", "WRITES", "merged",
]  # fmt: skip

T = TypeVar("T")

MODULES: Final[Mapping[str, ModuleType]] = {
    module.name: import_module(f"{__name__}.{module.name}")
    for module in sorted(iter_modules(__path__), key=lambda each: each.name)
    if module.name != "form"
}


def merged(those: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """Raises ValueError for a name that stands twice: one of them would not be tried."""
    found: dict[str, T] = {}
    for one in those:
        if twice := found.keys() & one.keys():
            raise ValueError(f"injected twice: {', '.join(sorted(twice))}")
        found.update(one)
    return found


def _requests(name: str) -> dict[str, tuple[str, int, tuple[bytes, ...]]]:
    return merged(getattr(module, name, {}) for module in MODULES.values())


WRITES: Final[Requests] = _requests("WRITES")
SIGNING_IN: Final[Requests] = _requests("SIGNING_IN")
NOT_ONLY_READING: Final[Requests] = merged([_requests("NOT_ONLY_READING"), SIGNING_IN])
GRANTED: Final[Requests] = _requests("GRANTED")
BEHIND_A_LOGIN: Final[Requests] = _requests("BEHIND_A_LOGIN")
HARMLESS: Final[Requests] = _requests("HARMLESS")
FOREIGN: Final[Foreign] = merged(getattr(module, "FOREIGN", {}) for module in MODULES.values())

merged([WRITES, NOT_ONLY_READING, BEHIND_A_LOGIN, HARMLESS])  # tried side by side, by name
merged([dict.fromkeys(WRITES), dict.fromkeys(FOREIGN), dict.fromkeys(HARMLESS)])
