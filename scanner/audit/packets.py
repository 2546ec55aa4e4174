"""
Reads the headers that a scan's own capture kept: what a device saw of us, packet by packet.

A pcap file of raw IP packets, cut behind the transport header; the length of the payload is
computed from the headers. And, where layer 2 was asked, one of Ethernet frames, cut behind the
header of DCP. Anything unexpected raises Unreadable: it cannot be audited then.
Sources: draft-ietf-opsawg-pcap, RFC 791, RFC 8200, RFC 9293, RFC 768, IEEE 802.3, IEC 61158-6-10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from mmap import mmap

Capture = bytes | mmap
FIN, SYN, RST, ACK = 1, 2, 4, 16
_MAGIC, _LINK_RAW, _LINK_ETHERNET = 0xA1B23C4D, 101, 1
_PROFINET = 0x8892
_DCP = struct.Struct("!6s6sHHBB6xH")
"""MAC addresses, type, FrameID, service and its type, length of what follows; 26 bytes."""
_IDENTIFY = (0xFEFE, 5, 0)
_SHORTEST = 60
US = ""
"""The sender of what this machine sent on layer 2, where it has no address of IP."""
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
    names what a well-formed packet does not have. Protocol "link" is a frame of layer 2: its ports
    are the type in its header, and its payload what DCP says, without padding.
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
    for at, packet, length in _entries(capture, _LINK_RAW, "raw IP packets"):
        yield _packet(at, packet, length)


def read_link(capture: Capture, stations: Mapping[str, str]) -> Iterator[Packet]:
    """
    The same of frames on layer 2. `stations`: MAC address ("02:00:…") → address of the plan. Raises
    Unreadable, also for a frame from or to nobody known.
    """
    for at, head, length in _entries(capture, _LINK_ETHERNET, "Ethernet frames"):
        yield _frame(at, head, length, stations)


def _entries(capture: Capture, wanted: int, what: str) -> Iterator[tuple[float, bytes, int]]:
    """(seconds, what was kept, length on the wire)"""
    if len(capture) < 24:
        raise Unreadable("no capture: its header is missing")
    magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", capture)
    if magic != _MAGIC or link != wanted:
        raise Unreadable(f"not a capture of {what} with nanoseconds")
    place = 24
    while place + _ENTRY.size <= len(capture):
        seconds, nanoseconds, kept, length = _ENTRY.unpack_from(capture, place)
        packet = capture[place + _ENTRY.size : place + _ENTRY.size + kept]
        if len(packet) < kept:
            return
        place += _ENTRY.size + kept
        yield seconds + nanoseconds / 1e9, packet, length


def _frame(at: float, head: bytes, length: int, stations: Mapping[str, str]) -> Packet:
    if len(head) < _DCP.size:
        raise Unreadable("a frame whose head is cut")
    to, by, kind, frame_id, service, service_type, said = _DCP.unpack_from(head)
    target, source = stations.get(to.hex(":")), stations.get(by.hex(":"))
    if kind != _PROFINET or (target is None) == (source is None):
        raise Unreadable("a frame that is not between this machine and a device")
    odd = []
    if target is not None and (frame_id, service, service_type) != _IDENTIFY:
        odd.append(f"DCP service {service}, type {service_type}, FrameID {frame_id:#06x}")
    if length < _SHORTEST:
        odd.append(f"a frame of {length} bytes")
    if 14 + 12 + said > length:
        odd.append("a length that does not fit")
    return Packet(
        at=at, source=source or US, target=target or US, protocol="link", source_port=_PROFINET,
        target_port=_PROFINET, flags=0, sequence=0, acknowledged=0, payload=12 + said,
        odd=", ".join(odd),
    )  # fmt: skip


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
