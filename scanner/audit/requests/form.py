"""
The forms that a protocol's file fills in: a `Reader`, and what it finds in a request.

Everything that an audit knows about a protocol stands in that protocol's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from scanner.model import Tier

Verdict = Literal["read", "session", "sign-in", "write", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """
    One service: `service` in the protocol's terms. `foreign`: these bytes are no request of the
    protocol at all.
    """

    protocol: str
    service: str
    verdict: Verdict
    foreign: bool = False


class Foreign(Exception):
    """These bytes are not a request of this protocol; the text says why."""


def either(read: bool) -> Verdict:
    """What is not on the list of reads is a write."""
    return "read" if read else "write"


def no_units(request: bytes) -> frozenset[int]:
    """For a protocol that has no unit ids."""
    return frozenset()


def never_programs(request: bytes) -> bool:
    """For a protocol in which nobody connects as a programming device."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """
    How the requests of some probes are read. `read` names every service in what one exchange sent,
    which is never empty; it raises Foreign, IndexError or struct.error on what is no request.
    """

    protocol: str
    """As the certificate shows it."""
    read: Callable[[bytes, Tier], Iterator[Named]]
    probes: tuple[str, ...] = ()
    """The names of the probes that it reads for; (): the one that is named like the protocol."""
    is_control: bool = False
    """Spoken by controllers, whose ports want a request on every connection (promise 8): there no
    server speaks first."""
    units_of: Callable[[bytes], frozenset[int]] = no_units
    """The unit ids that a request names (promise 11)."""
    programs: Callable[[bytes], bool] = never_programs
    """Whether a request takes the connection of a programming device (promise 11)."""
    sealed: Mapping[str, int] = field(default_factory=dict)
    """What is encrypted, by the protocol as it is named, so that the record does not say how long
    it became; with the most bytes of a goodbye that a connection sends and no record keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A port whose few connections belong to somebody, which no scan takes (promise 11)."""

    port: int
    protocol: str
    short: str
