"""
Replies that are not what was asked for: false lengths, false references, twice, without end.

What is changed in a frame follows the lab's own framing (lab.frames and the sources named there).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from lab import frames
from lab.faults.base import Behaviour, Fault, Line, Place, Settings
from lab.faults.cuts import header_length
from lab.frames.form import Lie, told


def with_length(protocol: str, frame: bytes, lie: Lie) -> bytes:
    """A frame whose own length field lies; a frame too short to have one is returned as it is."""
    known = frames.protocol(protocol)
    where = None if known is None else known.length_at
    if where is None:
        return frame
    if not isinstance(where, tuple):
        return where(frame, lie)
    offset, size, order = where
    if len(frame) < offset + size:
        return frame
    true = int.from_bytes(frame[offset : offset + size], order)
    says = told(lie, true, size).to_bytes(size, order)
    return frame[:offset] + says + frame[offset + size :]


class _Length(Fault):
    """Where lengths are soon encrypted only the first piece that has one in clear is changed."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self._told: set[Line] = set()

    async def down(self, data: bytes, line: Line) -> None:
        known = frames.protocol(line.protocol)
        if known is not None and known.length_once and line in self._told:
            await line.send(data)
            return
        spoiled = with_length(line.protocol, data, self._lie)
        if spoiled != data:
            self._told.add(line)
            line.count("false length")
        await line.send(spoiled)

    def gone(self, line: Line) -> None:
        self._told.discard(line)


def _content_length(lie: Lie) -> Callable[[str, Settings, Mapping[str, Any]], Settings]:
    def alter(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
        known = frames.protocol(protocol)
        if known is None or not known.pages or known.length_at is not None:
            return settings
        return {**settings, "content_length": lie}

    return alter


def with_reference(protocol: str, frame: bytes) -> bytes:
    """
    A reply whose reference to its question is another one: Modbus transaction id, S7 PDU
    reference, EtherNet/IP sender context, SNMP request-id (v1 and v2c; v3 msgID).
    """
    known = frames.protocol(protocol)
    span = None if known is None or known.reference is None else known.reference(frame)
    if known is None or span is None:
        return frame
    start, end = span
    if len(frame) < end:
        return frame
    changed = bytes(byte ^ 0x55 for byte in frame[start:end])
    if known.reference_signed:
        changed = bytes([changed[0] & 0x7F]) + changed[1:]
        if changed == frame[start:end]:
            changed = bytes([changed[0] ^ 0x01]) + changed[1:]
    return frame[:start] + changed + frame[end:]


class _WrongReference(Fault):
    async def down(self, data: bytes, line: Line) -> None:
        spoiled = with_reference(line.protocol, data)
        if spoiled != data:
            line.count("wrong reference")
        await line.send(spoiled)


class _Twice(Fault):
    async def down(self, data: bytes, line: Line) -> None:
        line.count("reply sent twice")
        await line.send(data)
        await line.send(data)


class _Endless(Fault):
    """
    After the first `start` bytes of a good reply, bytes without end as fast as they are taken.

    With `start` 0 after the header; a web page is then endless inside HTTP (and TLS) instead.
    """

    def __init__(self, start: int, most: int) -> None:
        self._start = start
        self._most = most

    async def down(self, data: bytes, line: Line) -> None:
        known = frames.protocol(line.protocol)
        if not self._start and known is not None and known.pages:
            await line.send(data)
            return
        start = self._start or header_length(line.protocol, data)
        await line.send(data[:start])
        line.count("endless reply begun")
        block = FILLER if known is None else known.filler
        while line.sent < self._most:
            await line.send(block)
            await asyncio.sleep(0)


FILLER = b"A" * 16384
"""For protocols of which nothing is known."""


class _EndlessBanner(Fault):
    """Lines before the identification, as a tarpit sends them, slowly (RFC 4253 section 4.2)."""

    def __init__(self, place: Place, interval_s: float) -> None:
        self._random = place.random
        self._interval_s = interval_s

    async def down(self, data: bytes, line: Line) -> None:
        line.count("endless banner begun")
        while True:
            await line.send(f"{self._random.getrandbits(64):x}\r\n".encode())
            await asyncio.sleep(self._interval_s)


def _endless_page(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    known = frames.protocol(protocol)
    if known is not None and known.pages and not parameters["start"]:
        return {**settings, "bomb": "endless"}
    return settings


_NO_LENGTH = "a stream without frames (Telnet) has no length field"


def _length(lie: Lie, meaning: str) -> Behaviour:
    return Behaviour(
        name=f"length_{lie}",
        meaning=meaning,
        make=lambda _, __: _Length(lie),
        alter=_content_length(lie),
        needs=lambda known: known.pages or known.length_at is not None,
        because=_NO_LENGTH,
    )


FAULTS = (
    _length("zero", "The length field of every reply says 0."),
    _length("max", "The length field of every reply says 0xFFFF (or all ones)."),
    _length("shorter", "The length field says one byte less than there is."),
    _length("longer", "The length field says seven bytes more than there are."),
    Behaviour(
        name="wrong_transaction",
        meaning="Every reply refers to another question than the one asked.",
        make=lambda _, __: _WrongReference(),
        needs=lambda known: known.reference is not None,
        because="such a protocol (HTTP, SSH, Telnet) ties a reply to its question by order alone",
    ),
    Behaviour(
        name="two_replies",
        meaning="Every reply comes twice.",
        make=lambda _, __: _Twice(),
    ),
    Behaviour(
        name="endless",
        meaning="After a good beginning the reply never ends (up to `most` bytes).",
        make=lambda _, p: _Endless(int(p["start"]), int(p["most"])),
        alter=_endless_page,
        parameters={"start": 0, "most": 1 << 34},
        variants=({}, {"start": 5}),
        datagrams=False,
        because="a datagram ends",
    ),
    Behaviour(
        name="endless_banner",
        meaning="Lines without end before the greeting, one every `interval_s` seconds.",
        make=lambda place, p: _EndlessBanner(place, float(p["interval_s"])),
        parameters={"interval_s": 0.5},
        variants=({}, {"interval_s": 0.001}),
        needs=lambda known: known.speaks_first,
        because="only servers that speak first (SSH, Telnet) can go on before they greet",
    ),
)
