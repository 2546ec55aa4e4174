"""
Replies that are not what was asked for: false lengths, false references, twice, without end.

What is changed in a frame follows the lab's own framing (lab.frames and the sources named there).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Literal

from lab.faults.base import Behaviour, Fault, Line, Place, Settings
from lab.faults.cuts import header_length
from lab.frames import ber

Lie = Literal["zero", "max", "shorter", "longer"]
LENGTHS: Mapping[str, tuple[int, int, Literal["big", "little"]]] = {
    "modbus": (4, 2, "big"),
    "s7": (2, 2, "big"),
    "enip": (2, 2, "little"),
    "https": (3, 2, "big"),
}
"""Where a frame's length stands: offset, size, order. For HTTPS that of the TLS record."""


def _told(lie: Lie, true: int, size: int) -> int:
    most = (1 << 8 * size) - 1
    return {"zero": 0, "max": most, "shorter": max(0, true - 1), "longer": min(most, true + 7)}[lie]


def ber_length(message: bytes, lie: Lie) -> bytes:
    """An SNMP message whose outer length is false; the length keeps its form, `max` takes two."""
    if len(message) < 2:
        return message
    size = message[1] & 0x7F if message[1] & 0x80 else 0
    if len(message) < 2 + size:
        return message
    content = message[2 + size :]
    told = _told(lie, len(content), max(size, 1))
    if lie == "max":
        return message[:1] + b"\x82\xff\xff" + content
    if size:
        return message[:2] + told.to_bytes(size, "big") + content
    return message[:1] + bytes([min(told, 0x7F)]) + content


def ssh_length(data: bytes, lie: Lie) -> bytes:
    """
    The first binary packet in `data` with a false packet_length (RFC 4253 section 6).

    The identification line may stand before it. Data without a whole length is returned as it is.
    """
    at = data.find(b"\n") + 1 if data.startswith(b"SSH-") else 0
    if len(data) < at + 4:
        return data
    true = int.from_bytes(data[at : at + 4], "big")
    return data[:at] + _told(lie, true, 4).to_bytes(4, "big") + data[at + 4 :]


def with_length(protocol: str, frame: bytes, lie: Lie) -> bytes:
    """A frame whose own length field lies; a frame too short to have one is returned as it is."""
    if protocol == "snmp":
        return ber_length(frame, lie)
    if protocol == "ssh":
        return ssh_length(frame, lie)
    offset, size, order = LENGTHS[protocol]
    if len(frame) < offset + size:
        return frame
    true = int.from_bytes(frame[offset : offset + size], order)
    told = _told(lie, true, size).to_bytes(size, order)
    return frame[:offset] + told + frame[offset + size :]


class _Length(Fault):
    """Of SSH and TLS only the first piece that carries a length in clear is changed."""

    def __init__(self, lie: Lie) -> None:
        self._lie = lie
        self._told: set[Line] = set()

    async def down(self, data: bytes, line: Line) -> None:
        once = line.protocol in ("ssh", "https")
        if line.protocol == "http" or (once and line in self._told):
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
        return {**settings, "content_length": lie} if protocol == "http" else settings

    return alter


def with_reference(protocol: str, frame: bytes) -> bytes:
    """
    A reply whose reference to its question is another one: Modbus transaction id, S7 PDU
    reference, EtherNet/IP sender context, SNMP request-id (v1 and v2c; v3 msgID).
    """
    spans = {"modbus": (0, 2), "enip": (12, 20)}
    if protocol == "s7":
        at = 5 + frame[4] if len(frame) > 4 else 0
        if not at or frame[at : at + 1] != b"\x32":
            return frame  # a COTP frame has none
        spans["s7"] = (at + 4, at + 6)
    if protocol == "snmp":
        span = request_id(frame)
        if span is None:
            return frame
        spans["snmp"] = span
    start, end = spans[protocol]
    if len(frame) < end:
        return frame
    changed = bytes(byte ^ 0x55 for byte in frame[start:end])
    if protocol == "snmp":
        changed = bytes([changed[0] & 0x7F]) + changed[1:]
        if changed == frame[start:end]:
            changed = bytes([changed[0] ^ 0x01]) + changed[1:]
    return frame[:start] + changed + frame[end:]


def request_id(message: bytes) -> tuple[int, int] | None:
    outer = ber(message, 0)
    version = ber(message, outer[1]) if outer else None
    second = ber(message, version[2]) if version else None
    if version is None or second is None:
        return None
    if second[0] == 0x30:  # v3: msgID is the first of the header data
        number = ber(message, second[1])
    else:
        pdu = ber(message, second[2])
        number = ber(message, pdu[1]) if pdu else None
    if number is None or number[0] != 0x02 or number[1] == number[2]:
        return None
    return number[1], number[2]


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
        if not self._start and line.protocol in ("http", "https"):
            await line.send(data)
            return
        start = self._start or header_length(line.protocol, data)
        await line.send(data[:start])
        line.count("endless reply begun")
        block = filler(line.protocol)
        while line.sent < self._most:
            await line.send(block)
            await asyncio.sleep(0)


def filler(protocol: str) -> bytes:
    """About 16 KiB that a reader of the protocol does not refuse at once."""
    if protocol == "telnet":
        return b"\xff\xfb\x01\xff\xfd\x18" * 1024 + b"a line of text\r\n" * 600
    if protocol == "ssh":
        return b"\0" * 16384
    return b"A" * 16384


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
    if protocol in ("http", "https") and not parameters["start"]:
        return {**settings, "bomb": "endless"}
    return settings


_FRAMED = frozenset({"modbus", "s7", "enip", "snmp", "ssh", "http", "https"})
_NO_LENGTH = "a terminal stream has no length field"


def _length(lie: Lie, meaning: str) -> Behaviour:
    return Behaviour(
        name=f"length_{lie}",
        meaning=meaning,
        make=lambda _, __: _Length(lie),
        alter=_content_length(lie),
        protocols=_FRAMED,
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
        protocols=frozenset({"modbus", "s7", "enip", "snmp"}),
        because="HTTP, SSH and Telnet tie a reply to its question by order alone",
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
        protocols=frozenset({"ssh", "telnet"}),
        because="only SSH and Telnet servers speak first",
    ),
)
