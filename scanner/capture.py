"""
Watches our own packets while scans run: a helper process with CAP_NET_RAW and nothing else.

It keeps IP and transport headers of packets between this machine and the addresses of the plan, and
never a byte of payload: no secret can be in the file, and the length of what was cut off is in the
headers. Packets of other programs on this machine to the same addresses cannot be told from ours
and are kept too. The file is a pcap of raw IP packets with nanoseconds (link type 101). Why headers
only: docs/decisions/0014-headers-only-capture.md. Where a plan asks on layer 2, and only there, the
heads of PROFINET's DCP frames between this machine and neighbours of the plan are kept beside it in
a second file (link type 1).

The helper is started before the scanning process gives up its rights and serves one scan after
another. Told to end, it goes on until the wire is quiet; so it does when its parent dies, and then
keeps only what a kernel still sends for a process that is gone.

The kernel passes us only what the filter names, and cuts it: cheap also where this machine is busy
with other things. A packet may pass several interfaces (a bridge and its port): it is kept once.
Sources: packet(7), Documentation/networking/packet_mmap.rst and filter.rst of Linux, RFC 791,
RFC 8200, RFC 9293, draft-ietf-opsawg-pcap.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from pathlib import Path
from types import TracebackType
from typing import Any

from scanner import privileges

FILE = "capture.pcap"
LINK_FILE = "link.pcap"
ARP_TABLE = Path("/proc/net/arp")
MOST_BYTES = 16 * 1024 * 1024
"""About 260,000 packets: two thousand devices. The audit holds of them what we sent."""
ANSWER_S = 5.0
"""How long the helper may take to answer; it needs milliseconds."""
QUIET_S = 0.2
"""The wire is quiet when nothing passed for so long, and all connections were ended."""
QUIET_UNENDED_S = 1.0
"""The same where one was not: a segment is sent again after 0.2, 0.4 and 0.8 s."""
LAST_S = 2.5
"""No socket of ours sends longer than this after its end (TCP_USER_TIMEOUT, 2 s at most)."""
BATCH_S = 0.02

HEADERS = 128
"""Bytes that the kernel hands over of each packet: more than the longest headers we ever send."""
_FRAME, _BLOCK, _BLOCKS = 256, 1 << 16, 64
"""The ring between kernel and helper: 16,384 packets may wait for us."""
_FRAMES = _BLOCK // _FRAME * _BLOCKS

_ETH_P_ALL, _ETH_P_IP, _ETH_P_IPV6 = 3, 0x0800, 0x86DD
_SOL_PACKET, _RX_RING, _STATISTICS, _VERSION, _TPACKET_V2 = 263, 5, 6, 10, 1
_SO_ATTACH_FILTER = 26
_LOAD, _LOAD_HALF, _MASK, _EQUAL, _JUMP, _RETURN = 0x20, 0x28, 0x54, 0x15, 0x05, 0x06
"""Instructions of classic BPF, in the words of linux/bpf_common.h."""
_HOST, _OUTGOING = 0, 4
_LOOPBACK = 772
_USER = 1
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_RING = struct.Struct("=IIIHHII")
_ENTRY = struct.Struct("<IIII")
_MAGIC, _LINK_RAW, _LINK_ETHERNET, _LONGEST = 0xA1B23C4D, 101, 1, 65535
_ETH_P_PROFINET, _DCP, _DCP_MASK = 0x8892, 0xFEFC, 0xFFFC
"""The FrameIDs of DCP are FEFC to FEFF."""
LINK_HEADERS = 26
"""Ethernet, FrameID and the header of DCP; no block of it, where names and addresses stand."""
_MOST_NETWORKS = 400
_TWIN_NS = 50_000_000
"""The same packet on another interface comes within this."""

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """
    `dropped` by the kernel, because we were too slow; `full`: the file reached its limit;
    `clock_set_s`: the wall clock was set by so much meanwhile. The times in the file go on as if it
    had not been. `frames` are those of layer 2, `stations` the MAC addresses that they went to or
    came from ("02:00:…"), with the addresses of the plan that each of them had.
    """

    packets: int
    dropped: int
    full: bool
    clock_set_s: float = 0.0
    frames: int = 0
    stations: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return not self.dropped and not self.full


# --- what is kept -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """One packet's headers and what they say. `length` is that of the whole packet."""

    data: bytes
    length: int
    source: bytes
    target: bytes
    protocol: int
    source_port: int = 0
    target_port: int = 0
    flags: int = 0


_EXTENSIONS = {0: 8, 43: 8, 60: 8, 44: 0}
"""IPv6 extension headers, with the unit of their length field (a fragment header has none)."""


def headers(packet: bytes, length: int) -> Headers | None:
    """IP and transport header of a packet, without its payload; None when it is no IP packet."""
    later_fragment = False
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        size, protocol = (packet[0] & 15) * 4, packet[9]
        source, target = packet[12:16], packet[16:20]
        later_fragment = bool(struct.unpack_from("!H", packet, 6)[0] & 0x1FFF)
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        size, protocol = 40, packet[6]
        source, target = packet[8:24], packet[24:40]
        while protocol in _EXTENSIONS and len(packet) >= size + 8:
            unit = _EXTENSIONS[protocol]
            if protocol == 44:
                later_fragment = bool(struct.unpack_from("!H", packet, size + 2)[0] & 0xFFF8)
            protocol, size = packet[size], size + 8 + packet[size + 1] * unit
    else:
        return None
    if later_fragment or len(packet) < size + 8 or protocol not in (_TCP, _UDP, _ICMP, _ICMPV6):
        return Headers(
            data=packet[:size], length=length, source=source, target=target, protocol=protocol
        )
    ports, flags, end = (0, 0), 0, size + 8
    if protocol in (_TCP, _UDP):
        ports = struct.unpack_from("!HH", packet, size)
    if protocol == _TCP:
        if len(packet) < size + 14:
            return Headers(
                data=packet[:size], length=length, source=source, target=target, protocol=protocol
            )
        end, flags = size + max((packet[size + 12] >> 4) * 4, 20), packet[size + 13]
    return Headers(
        data=packet[:end], length=length, source=source, target=target, protocol=protocol,
        source_port=ports[0], target_port=ports[1], flags=flags,
    )  # fmt: skip


class Scope:
    """Which addresses belong to the plan. Addresses are bytes, as they stand in a packet."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._known: dict[bytes, bool] = {}
        self._networks: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            size = network.max_prefixlen // 8
            shift = network.max_prefixlen - network.prefixlen
            self._networks.setdefault((size, shift), set()).add(int(network[0]) >> shift)

    def __contains__(self, address: bytes) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) > 100_000:
                self._known.clear()
            number = int.from_bytes(address, "big")
            known = self._known[address] = any(
                size == len(address) and number >> shift in numbers
                for (size, shift), numbers in self._networks.items()
            )
        return known


class Chosen:
    """
    Decides packet by packet whether it is kept. After `parent_died` it keeps only what the kernel
    sends of itself, and `is_over` tells when somebody else has begun.
    """

    def __init__(self, scope: Scope, ours: Iterable[bytes]) -> None:
        self._scope = scope
        self._ours = frozenset(ours)
        self._recent: dict[tuple[bytes, bool], tuple[int, int]] = {}
        self._before = self._recent
        self._since = 0
        self._open: dict[tuple[bytes, int, int], int] = {}
        self._orphaned = False
        self.is_over = False

    @property
    def unended(self) -> bool:
        """Whether the device took a connection that did not end on both sides yet."""
        return any(seen & _ACK for seen in self._open.values())

    @property
    def orphaned(self) -> bool:
        return self._orphaned

    def parent_died(self) -> None:
        self._orphaned = True

    def keeps(self, packet: Headers, *, interface: int, kind: int, loopback: bool, at: int) -> bool:
        """`kind` is the packet type of packet(7); `at` in nanoseconds."""
        outgoing = kind == _OUTGOING
        if loopback:
            if not outgoing:
                return False  # each packet passes twice
            outgoing = packet.target in self._scope and (
                packet.source in self._ours or packet.source not in self._scope
            )
        elif not outgoing and kind != _HOST:
            return False
        if (packet.target if outgoing else packet.source) not in self._scope:
            return False
        if self._is_twin(packet, outgoing, interface, at):
            return False
        if self._orphaned and outgoing and not self._is_from_the_dead(packet):
            self.is_over = True
        if self.is_over:
            return False
        self._follow(packet, outgoing)
        return True

    def _is_twin(self, packet: Headers, outgoing: bool, interface: int, at: int) -> bool:
        """Whether this very packet passed another interface a moment ago."""
        if not 0 <= at - self._since < _TWIN_NS:
            self._since, self._before, self._recent = at, self._recent, {}
        key = (packet.data, outgoing)
        seen = self._recent.get(key) or self._before.get(key)
        if seen is not None and seen[0] != interface and at - seen[1] < _TWIN_NS:
            return True
        self._recent[key] = (interface, at)
        return False

    def _is_from_the_dead(self, packet: Headers) -> bool:
        return packet.protocol == _TCP and not packet.flags & _SYN

    def _follow(self, packet: Headers, outgoing: bool) -> None:
        """Keep in mind which connections are not at their end: 1 our FIN, 2 theirs, 16 taken."""
        if packet.protocol != _TCP:
            return
        ports = (packet.source_port, packet.target_port)
        key = (packet.target, *ports) if outgoing else (packet.source, *ports[::-1])
        if outgoing and packet.flags & _SYN:
            self._open[key] = 0
        elif key in self._open:
            if packet.flags & _FIN:
                self._open[key] |= 1 if outgoing else 2
            if not outgoing and packet.flags & _SYN:
                self._open[key] |= _ACK
            if packet.flags & _RST or self._open[key] & 3 == 3:
                del self._open[key]


class Stations:
    """
    Which DCP frames are kept: those to a neighbour that has an address of the plan, and those that
    come from one to which such a frame went. `table` is read anew when a frame leaves for a MAC
    address that is not known.
    """

    def __init__(self, scope: Scope, table: Path = ARP_TABLE) -> None:
        self._scope = scope
        self._table = table
        self._recent: dict[tuple[bytes, bool], tuple[int, int]] = {}
        self.known: dict[bytes, tuple[str, ...]] = {}
        """MAC address → its addresses of the plan."""

    def keeps(self, frame: bytes, *, interface: int, kind: int, at: int) -> bool:
        """`kind` is the packet type of packet(7); `at` in nanoseconds."""
        outgoing = kind == _OUTGOING
        if len(frame) < LINK_HEADERS or (not outgoing and kind != _HOST):
            return False
        mac = frame[:6] if outgoing else frame[6:12]
        if outgoing and mac not in self.known:
            self._look_up(mac)
        if mac not in self.known:
            return False
        seen = self._recent.get((frame, outgoing))
        if seen is not None and seen[0] != interface and at - seen[1] < _TWIN_NS:
            return False  # it passed a bridge and its port
        if len(self._recent) > 1000:
            self._recent.clear()
        self._recent[(frame, outgoing)] = (interface, at)
        return True

    def _look_up(self, mac: bytes) -> None:
        """proc(5), /proc/net/arp: IP address, HW type, flags (0x2: complete), HW address, …"""
        try:
            lines = self._table.read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            return
        found = []
        for fields in map(str.split, lines):
            if len(fields) >= 4 and fields[3].lower() == mac.hex(":"):
                with suppress(ValueError):
                    address = ip_address(fields[0])
                    if address.packed in self._scope:
                        found.append(str(address))
        if found:
            self.known[mac] = tuple(found)


# --- the kernel's part --------------------------------------------------------------------------


def collapsed(networks: Iterable[Network]) -> list[Network]:
    """The same addresses in as few networks as possible."""
    several = list(networks)
    four = [n for n in several if isinstance(n, IPv4Network)]
    six = [n for n in several if isinstance(n, IPv6Network)]
    return [*collapse_addresses(four), *collapse_addresses(six)]


def _few(networks: Sequence[Network]) -> list[Network]:
    """At least these addresses in few networks: the filter of the kernel is only a first sieve."""
    found, step = list(networks), 0
    while len(found) > _MOST_NETWORKS:
        step += 4
        found = collapsed(n.supernet(min(step, n.prefixlen)) for n in networks)
    return found


def filter_program(networks: Sequence[Network]) -> bytes:
    """
    Classic BPF: packets to or from these networks, HEADERS bytes of each. The packet begins with
    its IP header. Of IPv6 addresses only the first 32 bits are compared.
    """
    four: list[tuple[int, int, int, int]] = []
    six: list[tuple[int, int, int, int]] = []
    for network in _few(networks):
        length = min(network.prefixlen, 32)
        mask = (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        wanted = int(network[0]) >> (network.max_prefixlen - 32) & mask
        for offset in (12, 16) if network.version == 4 else (8, 24):
            (four if network.version == 4 else six).extend(
                [
                    (_LOAD, 0, 0, offset),
                    (_MASK, 0, 0, mask),
                    (_EQUAL, 0, 1, wanted),
                    (_RETURN, 0, 0, HEADERS),
                ]
            )
    program = [
        (_LOAD, 0, 0, 0xFFFFF000),  # SKF_AD_PROTOCOL: the type of the frame
        (_EQUAL, 0, 1, _ETH_P_IP),
        (_JUMP, 0, 0, 3),
        (_EQUAL, 0, 1, _ETH_P_IPV6),
        (_JUMP, 0, 0, 1 + len(four) + 1),
        (_RETURN, 0, 0, 0),
        *four,
        (_RETURN, 0, 0, 0),
        *six,
        (_RETURN, 0, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", *one) for one in program)


def link_program() -> bytes:
    """Classic BPF over whole frames: LINK_HEADERS bytes of those of DCP."""
    program = [
        (_LOAD_HALF, 0, 0, 12),
        (_EQUAL, 0, 4, _ETH_P_PROFINET),
        (_LOAD_HALF, 0, 0, 14),
        (_MASK, 0, 0, _DCP_MASK),
        (_EQUAL, 0, 1, _DCP),
        (_RETURN, 0, 0, LINK_HEADERS),
        (_RETURN, 0, 0, 0),
    ]
    return b"".join(struct.pack("=HBBI", *one) for one in program)


class Ring:
    """The kernel's ring of packet headers on all interfaces. Needs CAP_NET_RAW; raises OSError."""

    def __init__(self, program: bytes, kind: socket.SocketKind = socket.SOCK_DGRAM) -> None:
        """Packets that `program` lets pass, beginning with IP; with SOCK_RAW, with Ethernet."""
        code = ctypes.create_string_buffer(program, len(program))
        self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(_ETH_P_ALL))
        try:
            fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
            self._socket.setsockopt(
                _SOL_PACKET, _RX_RING, struct.pack("=4I", _BLOCK, _BLOCKS, _FRAME, _FRAMES)
            )
            self._ring = mmap.mmap(self._socket.fileno(), _BLOCK * _BLOCKS)
        except OSError:
            self._socket.close()
            raise
        self._next = 0
        self._dropped = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def packets(self) -> Iterator[tuple[int, int, int, bool, int, bytes]]:
        """(nanoseconds, interface, type, whether loopback, length, packet cut) of all that waits"""
        for _ in range(_FRAMES):
            at = self._next * _FRAME
            status, length, kept, start, _, seconds, nanoseconds = _RING.unpack_from(self._ring, at)
            if not status & _USER:
                return
            interface, hardware, kind = struct.unpack_from("=iHB", self._ring, at + 36)
            data = self._ring[at + start : at + start + min(kept, _FRAME - start)]
            struct.pack_into("=I", self._ring, at, 0)  # the frame is the kernel's again
            self._next = (self._next + 1) % _FRAMES
            moment = seconds * 1_000_000_000 + nanoseconds
            yield moment, interface, kind, hardware == _LOOPBACK, length, data

    def dropped(self) -> int:
        """Packets that found the ring full, up to now."""
        self._dropped += struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))[
            1
        ]
        return self._dropped

    def close(self) -> None:
        self._ring.close()
        self._socket.close()


# --- the file -----------------------------------------------------------------------------------


class Writer:
    """A pcap file that stays readable whenever it is cut off. Packets of a resumed run follow."""

    def __init__(self, path: Path, *, most: int = MOST_BYTES, link_type: int = _LINK_RAW) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = _whole(self._file)
        os.ftruncate(self._file, size)
        self._left = most - size
        self._waiting: list[bytes] = []
        self.packets = 0
        self.full = False
        if not size:
            self._add(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _LONGEST, link_type))
            self.flush()

    def _add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._left -= len(data)

    def keep(self, at: int, packet: Headers) -> None:
        """`at` in nanoseconds since 1970."""
        self.keep_head(at, packet.data, packet.length)

    def keep_head(self, at: int, head: bytes, length: int) -> None:
        """The beginning of something that is `length` bytes long."""
        if self._left < _ENTRY.size + len(head):
            self.full = True
            return
        entry = _ENTRY.pack(*divmod(at, 1_000_000_000), len(head), length)
        self._add(entry + head)
        self.packets += 1

    def flush(self) -> None:
        """Whole packets in one write, so that a helper that is killed leaves no half one."""
        data, self._waiting = b"".join(self._waiting), []
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        self.flush()
        os.fsync(self._file)
        os.close(self._file)


def _whole(file: int) -> int:
    """How much of a capture file is whole packets; 0 when it is none."""
    with os.fdopen(os.dup(file), "rb") as reader:
        if len(reader.read(24)) < 24:
            return 0
        size, end = 24, os.fstat(file).st_size
        while len(entry := reader.read(_ENTRY.size)) == _ENTRY.size:
            following = size + _ENTRY.size + _ENTRY.unpack(entry)[2]
            if following > end:
                break
            size = reader.seek(following)
        return size


# --- the helper ---------------------------------------------------------------------------------


def _offset() -> int:
    """How far the wall clock is ahead of the clock that nobody can set, in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class _Sitting:
    """One scan being watched."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        networks = collapsed(ip_network(text) for text in order["scope"])
        self.ring = Ring(filter_program(networks))
        self.link: _Link | None = None
        try:
            if order.get("link"):
                self.link = _Link(Path(order["link"]), Stations(Scope(networks)))
            self._writer = Writer(Path(order["path"]))
        except OSError:
            self.ring.close()
            if self.link is not None:
                self.link.close()
            raise
        ours = (ip_address(text).packed for text in order["ours"])
        self.chosen = Chosen(Scope(networks), ours)
        self._offset = _offset()
        self.last = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def take(self) -> None:
        """Keep what waits. The file's clock goes on where somebody sets the machine's."""
        shift = self._set_by()
        for at, interface, kind, loopback, length, data in self.ring.packets():
            packet = headers(data, length)
            if packet is not None and self.chosen.keeps(
                packet, interface=interface, kind=kind, loopback=loopback, at=at
            ):
                self._writer.keep(at - shift, packet)
                self.last = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self._writer.flush()
        if self.link is not None and self.link.take(shift, keep=not self.chosen.orphaned):
            self.last = time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def _set_by(self) -> int:
        shift = _offset() - self._offset
        return shift if abs(shift) > 100_000_000 else 0  # less is the work of a time service

    def rest(self) -> None:
        """Go on until the wire is quiet."""
        until = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + round(LAST_S * 1e9)
        self.last = max(self.last, until - round(LAST_S * 1e9))
        while not self.chosen.is_over:
            self.take()
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            quiet = QUIET_UNENDED_S if self.chosen.unended else QUIET_S
            if now >= until or now - self.last >= quiet * 1e9:
                return
            select.select([], [], [], BATCH_S)

    def end(self) -> Captured:
        dropped = self.ring.dropped()
        self.ring.close()
        self._writer.close()
        found = Captured(
            packets=self._writer.packets,
            dropped=dropped,
            full=self._writer.full,
            clock_set_s=self._set_by() / 1e9,
        )
        return found if self.link is None else self.link.end(found)

    def files(self) -> list[int]:
        """What becomes readable when something passed."""
        rings = [self.ring] if self.link is None else [self.ring, self.link.ring]
        return [ring.fileno() for ring in rings]


class _Link:
    """What is kept of layer 2, where the plan asks there."""

    def __init__(self, path: Path, stations: Stations) -> None:
        self.ring = Ring(link_program(), socket.SOCK_RAW)
        self._stations = stations
        try:
            self._writer = Writer(path, link_type=_LINK_ETHERNET)
        except OSError:
            self.ring.close()
            raise

    def take(self, shift: int, *, keep: bool) -> bool:
        """Keep what waits; whether anything was. Without `keep` it is another program's."""
        before = self._writer.packets
        for at, interface, kind, loopback, length, data in self.ring.packets():
            if not keep or loopback:
                continue
            if self._stations.keeps(data, interface=interface, kind=kind, at=at):
                self._writer.keep_head(at - shift, data, length)
        self._writer.flush()
        return self._writer.packets > before

    def close(self) -> None:
        self.ring.close()
        self._writer.close()

    def end(self, found: Captured) -> Captured:
        """`found`, with what was kept here."""
        dropped = self.ring.dropped()
        self.close()
        return replace(
            found,
            dropped=found.dropped + dropped,
            full=found.full or self._writer.full,
            frames=self._writer.packets,
            stations={mac.hex(":"): has for mac, has in self._stations.known.items()},
        )


def serve(orders: int, answers: int) -> None:
    """
    Be the helper: lines of JSON come in on `orders`, one line goes back for each on `answers`.
    Ends when `orders` does, which it also does when the parent dies.
    """
    sitting: _Sitting | None = None
    waiting = b""
    while True:
        watched = [orders] if sitting is None else [orders, *sitting.files()]
        readable = select.select(watched, [], [])[0]
        if sitting is not None:
            sitting.take()
        if orders not in readable:
            # What comes in the next moments is taken together; an order is not kept waiting.
            select.select([orders], [], [], BATCH_S)
            continue
        data = os.read(orders, 65536)
        if not data:
            if sitting is not None:
                sitting.chosen.parent_died()
                sitting.rest()
                sitting.end()
            return
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            sitting, told = _obey(json.loads(line), sitting)
            os.write(answers, json.dumps(told).encode() + b"\n")


def _obey(
    order: Mapping[str, Any], sitting: _Sitting | None
) -> tuple[_Sitting | None, dict[str, object]]:
    if sitting is not None:  # any order ends what went on
        sitting.rest()
        captured = sitting.end()
        if order["do"] == "end":
            return None, asdict(captured)
    if order["do"] != "begin":
        return None, {"error": "nothing was begun"}
    try:
        return _Sitting(order), {"begun": True}
    except (OSError, ValueError) as error:
        return None, {"error": str(error)}


def main() -> None:
    privileges.drop(keep=privileges.NET_RAW)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when: after the last packet
    with suppress(BrokenPipeError):
        os.write(1, b"{}\n")
        serve(0, 1)


# --- the parent's side --------------------------------------------------------------------------


class Helper:
    """
    A helper that waits for scans. It ends with `close` or with its parent. One that died or does
    not answer keeps nothing, and says so; it never disturbs a scan.
    """

    def __init__(self) -> None:
        """Start the process. Raises OSError."""
        root = str(Path(__file__).resolve().parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "scanner.capture"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": root}, start_new_session=True,
        )  # fmt: skip
        self._waiting = b""
        self.problem = ""
        """Why the last order came to nothing, in words."""
        self._answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_well(self) -> bool:
        return not self.problem

    def begin(
        self, scope: Iterable[str], ours: Iterable[str], path: Path, link: Path | None = None
    ) -> bool:
        """
        Watch from now on; False, with `problem`, where that is not possible. `scope` are networks
        and addresses, `ours` the addresses that this machine has towards them. `link` is where the
        heads of frames on layer 2 are kept; None: nowhere.
        """
        order: dict[str, object] = {
            "do": "begin", "scope": list(scope), "ours": list(ours), "path": str(path),
        }  # fmt: skip
        if link is not None:
            order["link"] = str(link)
        return "begun" in self._ask(order)

    def end(self) -> Captured | None:
        """What was kept, after the wire is quiet; None, with `problem`, when that is not known."""
        told = self._ask({"do": "end"})
        if self.problem:
            return None
        return Captured(
            packets=told["packets"], dropped=told["dropped"], full=told["full"],
            clock_set_s=told["clock_set_s"], frames=told["frames"], stations=told["stations"],
        )  # fmt: skip

    def close(self) -> None:
        """End the helper. May be called twice."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, order: Mapping[str, object]) -> dict[str, Any]:
        try:
            assert self._process.stdin is not None  # noqa: S101 - PIPE above
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            self.problem = "the capture helper is gone"
            return {}
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        """The next line of the helper, within ANSWER_S."""
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._waiting:
            readable = select.select([pipe], [], [], ANSWER_S)[0]
            data = os.read(pipe, 65536) if readable else b""
            if not data:
                self.problem = "the capture helper does not answer"
                return {}
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        self.problem = str(told.get("error", ""))
        return told


def launch() -> Helper | None:
    """A helper, where this process may watch packets. Call it before rights are given up."""
    if not privileges.may_capture():
        return None
    try:
        helper = Helper()
    except OSError:
        return None
    if helper.is_well:
        return helper
    helper.close()
    return None


if __name__ == "__main__":
    main()
