"""
What a capture says was asked: our requests in clear text, without what changes from time to time.

The proof's own reading of frames, to compare two sittings of one scan. Transaction numbers, session
handles and request ids are left out, so that the same question gives the same value. What only
sets a session up is no question. Sources: Modbus Messaging on TCP/IP 1.0b section 3.1.3, RFC 1006
section 6, ISO 8073 section 13.3, CIP volume 2 section 2-3, RFC 3416 section 3, RFC 9112 section 2.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

Sent = tuple[float, str, int, int, int, bytes]
"""(time, target, target port, source port, sequence number or -1 for a datagram, payload)."""
Question = tuple[str, int, bytes]
"""(target, port, what)."""


def questions(packets: Iterable[Sent]) -> Counter[Question]:
    """
    How often each question was put. A segment that the kernel sent again counts once, and so does
    a datagram that was repeated byte by byte.
    """
    streams: dict[tuple[str, int, int], dict[int, bytes]] = defaultdict(dict)
    datagrams: set[tuple[str, int, bytes]] = set()
    for _, target, port, source_port, sequence, payload in packets:
        if not payload:
            continue
        if sequence < 0:
            datagrams.add((target, port, payload))
        else:
            streams[(target, port, source_port)].setdefault(sequence, payload)
    found: Counter[Question] = Counter()
    for (target, port, _), segments in streams.items():
        for what in of_stream(port, joined(segments)):
            found[(target, port, what)] += 1
    for target, port, payload in datagrams:
        if what := of_datagram(port, payload):
            found[(target, port, what)] += 1
    return found


def joined(segments: Mapping[int, bytes]) -> bytes:
    """The bytes of one connection in order; sequence numbers may wrap once."""
    if not segments:
        return b""
    first = min(segments)
    if max(segments) - first > 1 << 31:
        first = min(number for number in segments if number > 1 << 31)
    whole = b""
    for number in sorted(segments, key=lambda n: (n - first) % (1 << 32)):
        place = (number - first) % (1 << 32)
        if place <= len(whole):
            whole = whole[:place] + segments[number] + whole[place + len(segments[number]) :]
    return whole


def of_stream(port: int, data: bytes) -> Iterator[bytes]:
    split = {502: _modbus, 102: _s7, 44818: _enip, 80: _http}.get(port)
    if split is not None:
        yield from split(data)


def of_datagram(port: int, data: bytes) -> bytes | None:
    if port == 161:
        return _snmp(data)
    if port == 44818:
        return next(_enip(data), None)
    return data


def _modbus(data: bytes) -> Iterator[bytes]:
    while len(data) >= 8:
        length = struct.unpack_from("!H", data, 4)[0]
        yield data[6 : 6 + length]
        data = data[6 + length :]


def _s7(data: bytes) -> Iterator[bytes]:
    while len(data) >= 7:
        length = max(struct.unpack_from("!H", data, 2)[0], 4)
        frame, data = data[:length], data[length:]
        if frame[5] == 0xF0 and len(frame) > 17 and frame[7] == 0x32:
            setup = frame[8] == 1 and frame[17] == 0xF0
            if not setup:
                yield frame[7:11] + frame[13:]


def _enip(data: bytes) -> Iterator[bytes]:
    while len(data) >= 24:
        command, length = struct.unpack_from("<HH", data)
        body, data = data[24 : 24 + length], data[24 + length :]
        if command not in (0x65, 0x66):  # a session begins and ends
            yield struct.pack("<H", command) + body


def _http(data: bytes) -> Iterator[bytes]:
    for part in data.split(b"\r\n\r\n"):
        if part:
            yield part.split(b"\r\n")[0]


def _tlv(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, rest) of one BER element with a definite length (X.690 section 8.1)."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(data[2:start], "big")
    return tag, data[start : start + length], data[start + length :]


def _snmp(data: bytes) -> bytes | None:
    """Version, community, PDU type and variable bindings; None for SNMPv3's session set-up."""
    _, message, _ = _tlv(data)
    _, version, rest = _tlv(message)
    if version == b"\x03":
        return None
    _, community, rest = _tlv(rest)
    kind, pdu, _ = _tlv(rest)
    _, _, after_id = _tlv(pdu)
    return bytes([version[-1], kind]) + community + b"\0" + after_id
