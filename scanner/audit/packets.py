"""
Reads the headers that a scan's own capture kept: what a device saw of us, packet by packet.

A pcap file of raw IP packets, cut behind the transport header; the length of the payload is
computed from the headers. Anything unexpected raises Unreadable: it cannot be audited then.
Sources: draft-ietf-opsawg-pcap, RFC 791, RFC 8200, RFC 9293, RFC 768.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from mmap import mmap

Capture = bytes | mmap
FIN, SYN, RST, ACK = 1, 2, 4, 16
_MAGIC, _LINK_RAW = 0xA1B23C4D, 101
_ENTRY = struct.Struct("<IIII")
_FRAGMENT = 44
_EXTENSIONS = {0: "hop-by-hop options", 43: "a routing header", 44: "a fragment", 60: "IP options"}
"""What may stand between the header of IPv6 and that of the transport (RFC 8200 section 4)."""
_PLAIN_FLAGS = 0x3F
"""FIN, SYN, RST, PSH, ACK, URG; the kernel may add ECE and CWR where ECN is on."""


class Unreadable(Exception):
    """The file is not a capture that this scan could have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """
    One packet; `payload` in bytes, `flags` those of TCP or the type of an ICMP message. `odd`
    names what a well-formed packet does not have.
    """

    at: float
    source: str
    target: str
    protocol: str
    source_port: int
    target_port: int
    flags: int
    sequence: int
    acknowledged: int
    payload: int
    odd: str

    @property
    def counts(self) -> bool:
        """Everything but a pure ACK (safety contract, section 0)."""
        return self.protocol != "tcp" or self.payload > 0 or bool(self.flags & (FIN | SYN | RST))


@lru_cache(maxsize=65536)
def _text(address: bytes) -> str:
    """One string for all packets of an address: a capture may have hundreds of thousands."""
    return str(ip_address(address))


def read(capture: Capture) -> Iterator[Packet]:
    """Raises Unreadable. A last packet that was cut off in the writing is left out."""
    if len(capture) < 24:
        raise Unreadable("no capture: its header is missing")
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", capture)
    if magic != _MAGIC or link != _LINK_RAW:
        raise Unreadable("not a capture of raw IP packets with nanoseconds")
    place = 24
    while place + _ENTRY.size <= len(capture):
        seconds, nanoseconds, kept, length = _ENTRY.unpack_from(capture, place)
        packet = capture[place + _ENTRY.size : place + _ENTRY.size + kept]
        if len(packet) < kept:
            return
        place += _ENTRY.size + kept
        yield _packet(seconds + nanoseconds / 1e9, packet, length)


def _packet(at: float, data: bytes, length: int) -> Packet:
    odd: list[str] = []
    if data and data[0] >> 4 == 4 and len(data) >= 20:
        header = (data[0] & 15) * 4
        total, fragment = struct.unpack_from("!H2xH", data, 2)
        protocol = data[9]
        source, target = _text(data[12:16]), _text(data[16:20])
        if header != 20:
            odd.append("IP options")
        if fragment & 0x3FFF:
            odd.append("a fragment")
    elif data and data[0] >> 4 == 6 and len(data) >= 40:
        header, total, protocol = 40, struct.unpack_from("!H", data, 4)[0] + 40, data[6]
        source, target = _text(data[8:24]), _text(data[24:40])
        while protocol in _EXTENSIONS and len(data) >= header + 8:
            odd.append(_EXTENSIONS[protocol])
            size = 8 if protocol == _FRAGMENT else (data[header + 1] + 1) * 8
            protocol, header = data[header], header + size
    else:
        raise Unreadable("a packet that is not IP")
    if total != length:
        odd.append("a length that does not fit")
    name = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp"}.get(protocol, str(protocol))
    source_port = target_port = flags = sequence = acknowledged = 0
    payload = total - header
    if name == "tcp" and len(data) >= header + 20:
        source_port, target_port, sequence, acknowledged = struct.unpack_from("!HHII", data, header)
        flags = data[header + 13]
        payload -= (data[header + 12] >> 4) * 4
        odd += _odd_flags(flags, payload)
    elif name == "udp" and len(data) >= header + 8:
        source_port, target_port, told = struct.unpack_from("!HHH", data, header)
        payload -= 8
        if told != payload + 8:
            odd.append("a datagram whose length does not fit")
    elif name == "icmp" and len(data) > header:
        flags = data[header]
    elif name in ("tcp", "udp"):
        odd.append("a transport header that is cut")
    if payload < 0:
        odd.append("headers longer than the packet")
        payload = 0
    return Packet(
        at=at, source=source, target=target, protocol=name, source_port=source_port,
        target_port=target_port, flags=flags, sequence=sequence,
        acknowledged=acknowledged, payload=payload,
        odd=", ".join(odd),
    )  # fmt: skip


def _odd_flags(flags: int, payload: int) -> list[str]:
    flags &= _PLAIN_FLAGS
    kinds = bool(flags & SYN) + bool(flags & FIN) + bool(flags & RST)
    if kinds > 1 or flags == 0 or (flags & FIN and not flags & ACK):
        return [f"TCP flags {flags:#04x}"]
    if flags & SYN and payload:
        return ["a SYN with payload"]
    if flags & 32:
        return ["urgent data"]
    return []
