"""
The record of a scan as a capture file (pcapng) that Wireshark dissects.

What was recorded are requests and replies with their times, of the layer that a probe speaks; the
headers below are made anew: Ethernet with addresses of our own, IP with 192.0.2.1 (2001:db8::1) for
the scanner, TCP with a handshake and an end for each connection that the record suggests. So the
capture proves nothing that the record does not, and says so itself: in the comment of its section
header, and in one for each packet. Secrets that the record masks are masked here too. Where the
wire was encrypted, the packet shows the plaintext that the guard judged.

Source: draft-ietf-opsawg-pcapng, sections 4.1 (section header), 4.2 (interface description), 4.3
(enhanced packet), 3.5 (options); RFC 791, 768, 8200, 9293; RFC 5737 and 3849 (addresses for
documentation).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address, ip_address

from scanner.model import Exchange, Outcome, Transport

SCANNER_V4, SCANNER_V6 = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
SCANNER_MAC = bytes.fromhex("020000000001")
ETHERNET = 1
SHORTEST = 60
"""A frame of Ethernet without its check sum is no shorter."""
SEGMENT = 1400
MOST_DATAGRAM = 65_000
WINDOW = 65_535
SLACK = timedelta(seconds=5)
"""Requests to several devices may be numbered in another order than they left."""
FIRST_PORT, PORTS = 49_152, 16_384
SYN, FIN, RST, PSH, ACK = 0x02, 0x01, 0x04, 0x08, 0x10
OPT_END, OPT_COMMENT, SHB_APPLICATION, IF_NAME = 0, 1, 4, 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MADE = "reconstructed; not in the record"

COMMENT = (
    "RECONSTRUCTED by Walkdown from the record of a scan; this is no capture. Recorded were the "
    "requests and replies of the application layer with their times. Ethernet, IP, UDP and TCP "
    "headers, ports of the scanner, handshakes and ends of connections are made anew; 192.0.2.1 "
    "and 2001:db8::1 stand for the scanner. A datagram of a device comes from the port that was "
    "asked, also where its protocol answers from another one. Masked secrets are masked. "
)


Timed = tuple[datetime, bytes]
"""A packet's block with its moment."""


@dataclass(frozen=True, slots=True)
class _Key:
    zone: str
    address: str
    port: int
    transport: Transport
    probe: str
    tier: str


@dataclass(slots=True)
class _Connection:
    port: int
    last: str = ""
    """The id of its last exchange."""
    next_sent: dict[str, datetime] = field(default_factory=dict)
    """When the exchange after this one was sent, by id: before that, its reply must have come."""
    ours: int = 1
    theirs: int = 1
    is_open: bool = False


def render(
    exchanges: Callable[[], Iterable[Exchange]], *, run: str, site: str, version: str
) -> Iterator[bytes]:
    """
    The file, block by block. `exchanges` gives them in the order they were sent; it is asked twice:
    once to see where connections end.
    """
    connections, of, left_out = _connections(exchanges())
    words = f"{COMMENT}Run {run} of {site}."
    if left_out:
        words += f" {left_out} exchanges with no IP address are left out."
    yield _section(words, version)
    yield _interface()
    waiting: list[tuple[datetime, int, bytes]] = []
    number = 0
    for exchange in exchanges():
        # Conversations with several devices overlap: a reply waits until its moment has come.
        while waiting and waiting[0][0] <= exchange.sent_at - SLACK:
            yield heappop(waiting)[2]
        connection = connections.get(of.get(exchange.id, -1))
        for at, block in _exchange(exchange, connection) if connection is not None else ():
            heappush(waiting, (at, number, block))
            number += 1
    while waiting:
        yield heappop(waiting)[2]


def _connections(
    exchanges: Iterable[Exchange],
) -> tuple[dict[int, _Connection], dict[str, int], int]:
    """Exchanges of one device that follow each other with the same question share a connection."""
    found: dict[int, _Connection] = {}
    of: dict[str, int] = {}
    current: dict[tuple[str, str], tuple[_Key, int]] = {}
    left_out = 0
    for exchange in exchanges:
        target = exchange.target
        if _packed(target.address) is None:
            left_out += 1
            continue
        key = _Key(
            target.zone, target.address, target.port, target.transport, exchange.probe,
            exchange.tier,
        )  # fmt: skip
        device = (target.zone, target.address)
        before = current.get(device)
        if before is None or before[0] != key:
            number = len(found)
            found[number] = _Connection(FIRST_PORT + number % PORTS)
            current[device] = (key, number)
        number = current[device][1]
        of[exchange.id] = number
        connection = found[number]
        if connection.last:
            connection.next_sent[connection.last] = exchange.sent_at
        connection.last = exchange.id
    return found, of, left_out


def _exchange(exchange: Exchange, connection: _Connection) -> Iterator[Timed]:
    until = exchange.finished_at or exchange.sent_at
    following = connection.next_sent.get(exchange.id, until)
    until = max(exchange.sent_at, min(until, following))
    asked = f"{exchange.id}: {exchange.label} ({exchange.probe}, {exchange.tier})"
    came = f"{exchange.id}: {exchange.outcome}" + (
        f", {exchange.reason}" if exchange.reason else ""
    )
    if exchange.finished_at is not None and exchange.finished_at > until:
        came += f"; its end was recorded at {exchange.finished_at.isoformat()}"
    if _is_plaintext(exchange):
        asked += "; plaintext of an encrypted connection"
        came += "; plaintext of an encrypted connection"
    wire = _Wire(exchange, connection)
    if exchange.target.transport is Transport.UDP:
        if exchange.wire_bytes_out > len(exchange.request) > 0:
            asked += f"; it was sent more than once, {exchange.wire_bytes_out} bytes in all"
        if exchange.wire_bytes_in > len(exchange.reply) > 0:
            came += f"; {exchange.wire_bytes_in} bytes came, and no more than these are kept"
        if exchange.request:
            yield wire.datagram(exchange.request, exchange.sent_at, asked, from_device=False)
        if exchange.reply:
            yield wire.datagram(exchange.reply, until, came, from_device=True)
        return
    if exchange.target.transport is Transport.LINK:
        if exchange.wire_bytes_out:  # what was withheld in the last moment did not leave
            yield wire.frame(exchange.request, exchange.sent_at, asked, from_device=False)
        if exchange.reply:
            yield wire.frame(exchange.reply, until, came, from_device=True)
        return
    nothing = not exchange.request and not exchange.reply
    if not connection.is_open:
        yield wire.segment(SYN, exchange.sent_at, f"{MADE}: handshake; {asked}", from_device=False)
        if exchange.outcome is Outcome.REFUSED and not exchange.reply:
            yield wire.segment(RST | ACK, until, f"{MADE}: {came}", from_device=True)
            return
        if nothing and exchange.outcome is Outcome.SILENT:
            return
        yield wire.segment(SYN | ACK, exchange.sent_at, MADE, from_device=True)
        yield wire.segment(ACK, exchange.sent_at, MADE, from_device=False)
        connection.is_open = True
    yield from wire.data(exchange.request, exchange.sent_at, asked, from_device=False)
    yield from wire.data(exchange.reply, until, came, from_device=True)
    if connection.last == exchange.id:
        yield wire.segment(FIN | ACK, until, MADE, from_device=False)
        yield wire.segment(FIN | ACK, until, MADE, from_device=True)
        yield wire.segment(ACK, until, MADE, from_device=False)


def _is_plaintext(exchange: Exchange) -> bool:
    """
    Whether the transport carried something else than what was recorded. A datagram may have come
    twice, or not be kept whole; encrypted ones there are none.
    """
    return exchange.target.transport is Transport.TCP and any(
        wire not in (0, len(recorded))
        for wire, recorded in (
            (exchange.wire_bytes_out, exchange.request),
            (exchange.wire_bytes_in, exchange.reply),
        )
    )


class _Wire:
    """Makes the packets of one exchange."""

    def __init__(self, exchange: Exchange, connection: _Connection) -> None:
        device = _packed(exchange.target.address)
        assert device is not None  # noqa: S101 - others were left out
        self._device = device
        self._scanner = (SCANNER_V4 if len(device) == 4 else SCANNER_V6).packed
        self._port = exchange.target.port
        self._connection = connection
        place = f"{exchange.target.zone}/{exchange.target.address}".encode()
        self._mac = b"\x02" + hashlib.sha256(place).digest()[:5]

    def datagram(self, payload: bytes, at: datetime, comment: str, *, from_device: bool) -> Timed:
        payload = payload[:MOST_DATAGRAM]
        source, target = self._ports(from_device)
        length = 8 + len(payload)
        head = struct.pack(">HHHH", source, target, length, 0)
        ends = self._ends(from_device)
        total = _checksum(_pseudo(*ends, 17, length) + head + payload) or 0xFFFF
        return _packet(
            self._frame(17, head[:6] + total.to_bytes(2, "big") + payload, from_device), at, comment
        )

    def frame(self, payload: bytes, at: datetime, comment: str, *, from_device: bool) -> Timed:
        """On layer 2 the port is the type of the frame, and there is no IP."""
        macs = (SCANNER_MAC + self._mac) if from_device else (self._mac + SCANNER_MAC)
        whole = macs + self._port.to_bytes(2, "big") + payload[:SEGMENT]
        return _packet(whole.ljust(SHORTEST, b"\0"), at, comment)

    def data(
        self, payload: bytes, at: datetime, comment: str, *, from_device: bool
    ) -> Iterator[Timed]:
        for start in range(0, len(payload), SEGMENT):
            part = payload[start : start + SEGMENT]
            yield self.segment(PSH | ACK, at, comment, from_device=from_device, payload=part)

    def segment(
        self, flags: int, at: datetime, comment: str, *, from_device: bool, payload: bytes = b""
    ) -> Timed:
        connection = self._connection
        own, other = connection.ours, connection.theirs
        if from_device:
            own, other = other, own
        source, target = self._ports(from_device)
        head = struct.pack(
            ">HHIIBBHHH", source, target, own % 2**32, other % 2**32 if flags & ACK else 0, 0x50,
            flags, WINDOW, 0, 0,
        )  # fmt: skip
        ends = self._ends(from_device)
        total = _checksum(_pseudo(*ends, 6, len(head) + len(payload)) + head + payload)
        segment = head[:16] + total.to_bytes(2, "big") + head[18:] + payload
        step = len(payload) + bool(flags & (SYN | FIN))
        if from_device:
            connection.theirs += step
        else:
            connection.ours += step
        return _packet(self._frame(6, segment, from_device), at, comment)

    def _ports(self, from_device: bool) -> tuple[int, int]:
        ends = (self._connection.port, self._port)
        return ends[::-1] if from_device else ends

    def _ends(self, from_device: bool) -> tuple[bytes, bytes]:
        return (self._device, self._scanner) if from_device else (self._scanner, self._device)

    def _frame(self, protocol: int, content: bytes, from_device: bool) -> bytes:
        source, target = self._ends(from_device)
        macs = (SCANNER_MAC + self._mac) if from_device else (self._mac + SCANNER_MAC)
        if len(source) == 16:
            head = struct.pack(">IHBB", 0x60000000, len(content), protocol, 64) + source + target
            return macs + b"\x86\xdd" + head + content
        head = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 20 + len(content), 0, 0x4000, 64, protocol, 0, source, target
        )
        head = head[:10] + _checksum(head).to_bytes(2, "big") + head[12:]
        return macs + b"\x08\x00" + head + content


def _packed(address: str) -> bytes | None:
    try:
        return ip_address(address).packed
    except ValueError:
        return None


def _pseudo(source: bytes, target: bytes, protocol: int, length: int) -> bytes:
    if len(source) == 16:
        return source + target + struct.pack(">IxxxB", length, protocol)
    return source + target + struct.pack(">xBH", protocol, length)


def _checksum(data: bytes) -> int:
    """The complement of the ones' complement sum of 16-bit words."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# --- blocks ------------------------------------------------------------------------------------


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    value = value[:65_535]
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _options(*options: bytes) -> bytes:
    return b"".join(options) + struct.pack("<HH", OPT_END, 0)


def _section(comment: str, version: str) -> bytes:
    options = _options(
        _option(OPT_COMMENT, comment.encode("utf-8", "replace")),
        _option(SHB_APPLICATION, f"Walkdown {version}".encode("utf-8", "replace")),
    )
    return _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def _interface() -> bytes:
    """Times are in microseconds, which is what holds without an option."""
    options = _options(_option(IF_NAME, b"reconstructed"))
    return _block(1, struct.pack("<HHI", ETHERNET, 0, 0) + options)


def _packet(frame: bytes, at: datetime, comment: str) -> Timed:
    micros = max((at - EPOCH) // timedelta(microseconds=1), 0)
    head = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(frame), len(frame))
    options = _options(_option(OPT_COMMENT, comment.encode("utf-8", "replace")))
    return at, _block(6, head + frame + bytes(-len(frame) % 4) + options)
