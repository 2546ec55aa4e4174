"""
A small reader of captures: what passed on the wire, counted as a device counts it.

Reads pcap files of Ethernet frames with microsecond or nanosecond stamps. Counted towards a device
are SYN, FIN, RST, segments with payload and datagrams, each time that they pass, also when the
kernel sends them again; pure ACKs are apart. IPv4, TCP and UDP are taken apart, and so are frames
of PROFINET, whose ends are known by the ARP before them; everything else is kept under the name of
its protocol.

Sources: draft-ietf-opsawg-pcap, IEEE 802.3 (clause 3.2.8: padding), RFC 791, RFC 9293, RFC 768,
RFC 826.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
HEADER = 24
PROFINET = 0x8892
SHORTEST = 60
"""A frame of Ethernet without its check sum is no shorter; a kernel pads what IP makes."""


class Unreadable(Exception):
    """A capture that cannot be judged: not whole, or not of a form that we read."""


@dataclass(frozen=True, slots=True)
class Packet:
    """
    One frame. `at` in seconds since 1970. `protocol` is tcp, udp, icmp, arp, link (PROFINET's own
    frames, with their type as the port), or a number with its layer ("ip 47", "ethertype 0x86dd").
    Addresses and ports are those of IPv4, TCP and UDP; for ARP the addresses asked from and for,
    with the operation in `flags`; for link those that ARP told last of its MAC addresses, and where
    it told none the MAC address itself. `odd` names what a well-formed packet has not.
    """

    number: int
    at: float
    source: str
    target: str
    protocol: str
    source_port: int
    target_port: int
    flags: int
    sequence: int
    acknowledged: int
    payload: bytes
    length: int
    odd: str

    @property
    def counts(self) -> bool:
        """Everything but a pure ACK."""
        return self.protocol != "tcp" or bool(self.payload) or bool(self.flags & (FIN | SYN | RST))

    @property
    def is_reply(self) -> bool:
        """An answer to who asked for our address by ARP (RFC 826: operation 2)."""
        return self.protocol == "arp" and self.flags == 2

    @property
    def is_pure_ack(self) -> bool:
        return not self.counts


def read(paths: Iterable[Path]) -> list[Packet]:
    """All packets of some captures, in the order of their time. Raises Unreadable."""
    found = [packet for path in paths for packet in packets_of(path.read_bytes())]
    found.sort(key=lambda packet: packet.at)
    return found


def packets_of(capture: bytes) -> Iterator[Packet]:
    """Raises Unreadable."""
    if len(capture) < HEADER:
        raise Unreadable("not a capture: it has no header")
    for order in "<>":
        magic = struct.unpack_from(f"{order}I", capture)[0]
        if magic in (0xA1B2C3D4, 0xA1B23C4D):
            break
    else:
        raise Unreadable("not a pcap file")
    part = 1e-6 if magic == 0xA1B2C3D4 else 1e-9
    if struct.unpack_from(f"{order}I", capture, 20)[0] & 0xFFFF != 1:
        raise Unreadable("not frames of Ethernet")
    place, number = HEADER, 0
    entry = struct.Struct(f"{order}IIII")
    told: dict[bytes, str] = {}  # MAC address → the IPv4 address that its owner last called its own
    while place + 16 <= len(capture):
        seconds, parts, kept, length = entry.unpack_from(capture, place)
        if kept != length:
            raise Unreadable(f"frame {number + 1} was cut when it was captured")
        frame = capture[place + 16 : place + 16 + kept]
        if len(frame) != kept:
            raise Unreadable("the capture ends in the middle of a frame")
        place += 16 + kept
        number += 1
        yield _ethernet(number, seconds + parts * part, frame, told)
    if place != len(capture):
        raise Unreadable("the capture ends in the middle of a frame")


def shortened(capture: bytes, scanner: frozenset[str], kept: int) -> tuple[bytes, list[int]]:
    """
    (a capture with all that the scanner sent, and of each connection the first `kept` bytes of
    what came back; the number that each of its frames has in the whole one).

    For a dissector that would put an endless answer together, which takes it as long.
    """
    out = [capture[:HEADER]]
    numbers: list[int] = []
    came: dict[tuple[str, int, str, int], int] = {}
    order: Literal["little", "big"] = "little" if capture[0] in (0x4D, 0xD4) else "big"
    place = HEADER
    for packet in packets_of(capture):
        size = 16 + int.from_bytes(capture[place + 8 : place + 12], order)
        if packet.source not in scanner and packet.payload:
            key = (packet.source, packet.source_port, packet.target, packet.target_port)
            came[key] = came.get(key, 0) + len(packet.payload)
            if came[key] > kept:
                place += size
                continue
        out.append(capture[place : place + size])
        numbers.append(packet.number)
        place += size
    return b"".join(out), numbers


def _link(number: int, at: float, frame: bytes, told: Mapping[bytes, str]) -> Packet:
    target, source = (told.get(mac, mac.hex(":")) for mac in (frame[:6], frame[6:12]))
    odd = f"a frame of {len(frame)} bytes" if len(frame) < SHORTEST else ""
    return Packet(
        number, at, source, target, "link", PROFINET, PROFINET, 0, 0, 0, frame[14:],
        len(frame) - 14, odd,
    )  # fmt: skip


def _ethernet(number: int, at: float, frame: bytes, told: dict[bytes, str]) -> Packet:
    kind = int.from_bytes(frame[12:14], "big") if len(frame) >= 14 else 0
    if kind == 0x0800 and len(frame) >= 34:
        return _ipv4(number, at, frame[14:])
    if kind == PROFINET:
        return _link(number, at, frame, told)
    source, target, operation = "", "", 0
    protocol = f"ethertype {kind:#06x}"
    if kind == 0x0806 and len(frame) >= 42:
        protocol, source, target = "arp", _dotted(frame[28:32]), _dotted(frame[38:42])
        operation = int.from_bytes(frame[20:22], "big")
        if any(frame[28:32]) and frame[6:12] == frame[22:28]:
            told[frame[22:28]] = source
    return Packet(
        number, at, source, target, protocol, 0, 0, operation, 0, 0, frame[14:], len(frame) - 14, ""
    )


def _dotted(four: bytes) -> str:
    return f"{four[0]}.{four[1]}.{four[2]}.{four[3]}"


def _ipv4(number: int, at: float, packet: bytes) -> Packet:
    header = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    fragment = int.from_bytes(packet[6:8], "big")
    odd = []
    if packet[0] >> 4 != 4 or header < 20 or not header <= total <= len(packet):
        odd.append("IP lengths that do not fit")
    if header > 20:
        odd.append("IP options")
    if fragment & 0x3FFF:
        odd.append("a fragment")
    if fragment & 0x8000:
        odd.append("the reserved IP flag")
    source, target = _dotted(packet[12:16]), _dotted(packet[16:20])
    protocol = {1: "icmp", 6: "tcp", 17: "udp"}.get(packet[9], f"ip {packet[9]}")
    body = packet[header:total]
    source_port = target_port = flags = sequence = acknowledged = 0
    payload = body
    if protocol == "tcp" and len(body) >= 20 and not fragment & 0x1FFF:
        source_port, target_port, sequence, acknowledged, offset, flags, _, _, urgent = (
            struct.unpack_from("!HHIIBBHHH", body)
        )
        start = (offset >> 4) * 4
        payload = body[start:]
        odd += _odd_tcp(offset, flags, urgent, body[20:start], start)
    elif protocol == "udp" and len(body) >= 8 and not fragment & 0x1FFF:
        source_port, target_port, length = struct.unpack_from("!HHH", body)
        payload = body[8:]
        if length != len(body):
            odd.append("a UDP length that does not fit")
    elif protocol in ("tcp", "udp"):
        odd.append(f"{protocol} without its header")
    return Packet(
        number, at, source, target, protocol, source_port, target_port, flags, sequence,
        acknowledged, payload, total, "; ".join(odd),
    )  # fmt: skip


_USUAL_FLAGS = frozenset(
    {SYN, ACK, PSH | ACK, FIN | ACK, FIN | PSH | ACK, RST, RST | ACK, SYN | ACK}
)
_USUAL_OPTIONS = frozenset({0, 1, 2, 3, 4, 5, 8})
"""End, no operation, segment size, window scale, SACK permitted, SACK, timestamps (IANA)."""


def _odd_tcp(offset: int, flags: int, urgent: int, options: bytes, start: int) -> list[str]:
    odd = []
    if start < 20:
        odd.append("a TCP header that is too short")
    if offset & 0x0F or flags & 0xE0:
        odd.append(f"TCP flags {flags:#04x} with reserved, congestion or urgent bits")
    elif flags not in _USUAL_FLAGS:
        odd.append(f"TCP flags {flags:#04x}")
    if urgent:
        odd.append("an urgent pointer")
    place = 0
    while place < len(options):
        kind = options[place]
        if kind not in _USUAL_OPTIONS:
            odd.append(f"TCP option {kind}")
        if kind == 0:
            break
        if kind == 1:
            place += 1
            continue
        size = options[place + 1] if place + 1 < len(options) else 0
        if size < 2 or place + size > len(options):
            odd.append("TCP options whose lengths do not fit")
            break
        place += size
    return odd


def most_within(times: Sequence[float], span_s: float) -> tuple[int, int]:
    """
    (the most events in any span of less than `span_s`, number of events at which a span ends).

    `times` in order.
    """
    first = most = 0
    for last, at in enumerate(times):
        while at - times[first] >= span_s:
            first += 1
        most = max(most, last - first + 1)
    return most, len(times)


def windows_over(times: Sequence[float], span_s: float, cap: int) -> int:
    """How many of the spans that end with an event hold more than `cap` of them."""
    first = over = 0
    for last, at in enumerate(times):
        while at - times[first] >= span_s:
            first += 1
        over += last - first + 1 > cap
    return over
