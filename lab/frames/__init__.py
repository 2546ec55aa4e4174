"""
The lab's own view of a frame: where it ends, what it asks for, whether it would change something.

Written for the fronts alone and shared with nothing else, so that a mistake made in the product
is not made here as well. A `Stream` is fed the bytes of one direction of one connection and tells
what it found; `classify_datagram` does the same for one datagram.

`PROTOCOLS` is every protocol by its name, found by walking this package: a module here with a
constant `PROTOCOL` is all that a new one needs (lab.frames.form says what it may hold).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Literal

from lab.errors import LabError
from lab.frames.asn1 import ber
from lab.frames.form import Length, Protocol, Seen
from lab.frames.looks import guess
from lab.frames.snmp import community_of, snmp_version, with_community

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "Seen",
    "Splitter",
    "Stream",
    "ber",
    "classify_datagram",
    "community_of",
    "guess",
    "is_framed",
    "protocol",
    "snmp_version",
    "with_community",
]


def _walk() -> Mapping[str, Protocol]:
    found: dict[str, Protocol] = {}
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        each: Protocol | None = getattr(
            import_module(f"{__name__}.{module.name}"), "PROTOCOL", None
        )
        if each is None:
            continue
        if each.name in found:
            raise LabError(f"two protocols are called {each.name}")
        found[each.name] = each
    return MappingProxyType(found)


PROTOCOLS = _walk()


def protocol(name: str) -> Protocol | None:
    """What is known of a protocol; None when nothing is."""
    return PROTOCOLS.get(name)


class Stream:
    """One direction of one connection; for text protocols only its first bytes are judged."""

    def __init__(self, name: str) -> None:
        self._known = protocol(name)
        self._buffer = b""
        self._stopped = False

    def feed(self, data: bytes) -> list[Seen]:
        if self._stopped:
            return []
        self._buffer += data
        known = self._known
        if known is not None and known.length is not None and known.classify is not None:
            return self._frames(known.length, known.classify)
        begins = known.begins if known is not None else None
        self._stopped = True
        if begins is not None and not begins(self._buffer):
            return [Seen(kind="foreign", function=guess(self._buffer))]
        return []

    def _frames(self, length_of: Length, classify: Callable[[bytes], Seen]) -> list[Seen]:
        found: list[Seen] = []
        while self._buffer:
            length = length_of(self._buffer)
            if length is None:
                break
            if isinstance(length, str):
                self._stopped = True
                kind: Literal["foreign", "malformed"] = (
                    "foreign" if length == "foreign" else "malformed"
                )
                what = guess(self._buffer) if kind == "foreign" else length
                found.append(Seen(kind=kind, function=what))
                break
            frame, self._buffer = self._buffer[:length], self._buffer[length:]
            seen = classify(frame)
            found.append(seen)
            if seen.kind == "malformed":
                self._stopped = True
                break
        return found

    def count(self, data: bytes) -> int:
        """Whole frames in the other direction, for knowing whether an answer is owed."""
        self._buffer += data
        length_of = self._known.length if self._known is not None else None
        if length_of is None:
            raise LabError("only frames can be counted, and this protocol is not framed here")
        frames = 0
        while self._buffer and isinstance(length := length_of(self._buffer), int):
            self._buffer = self._buffer[length:]
            frames += 1
        if self._buffer and isinstance(length_of(self._buffer), str):
            self._buffer = b""  # no frame, so nothing to wait for; an endless stream is not kept
        return frames


class Splitter:
    """Bytes of one direction cut into whole frames; what is not framed here passes as it came."""

    def __init__(self, name: str) -> None:
        known = protocol(name)
        self._length_of = known.length if known is not None else None
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        if self._length_of is None:
            return [data]
        self._buffer += data
        pieces: list[bytes] = []
        while self._buffer:
            length = self._length_of(self._buffer)
            if length is None:
                break
            if isinstance(length, str):  # no frame of this protocol: nothing to wait for
                length = len(self._buffer)
            pieces.append(self._buffer[:length])
            self._buffer = self._buffer[length:]
        return pieces

    def rest(self) -> bytes:
        """What never became a whole frame."""
        left, self._buffer = self._buffer, b""
        return left


def is_framed(name: str) -> bool:
    """Whether requests of this protocol are told apart here (else its emulator reports them)."""
    known = protocol(name)
    return known is not None and known.length is not None


def classify_datagram(name: str, data: bytes) -> Seen:
    """What one datagram asks for."""
    known = protocol(name)
    if known is None or "udp" not in known.transports:
        return Seen(kind="foreign", function=guess(data))
    if known.datagram is not None:
        return known.datagram(data)
    if known.length is None or known.classify is None:
        raise LabError(f"protocol {name} does not say how a datagram is classified")
    length = known.length(data)
    if length == "foreign":
        return Seen(kind="foreign", function=guess(data))
    if length != len(data):
        return Seen(kind="malformed", function=f"length {length} of {len(data)}")
    return known.classify(data)
