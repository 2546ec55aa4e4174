"""
TCP connections as they passed on the wire, and the bytes that the scanner sent on each.

A connection is opened by the device's SYN-ACK and closed when both FINs have passed, or by a reset
of either side (RFC 9293 section 3.6). Bytes are put in order by sequence number; a byte that
passes again is a retransmission and is not a second request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.proof.judge.packets import FIN, RST, SYN, Packet

HALF = 1 << 31
AT_ONCE_S: Final = 0.5
"""In which a kernel answers."""
TIME_WAIT_S: Final = 60.0
"""How long the kernel remembers a connection that has ended, and answers for it without a reset."""


@dataclass(slots=True)
class Connection:
    """
    Times in seconds since 1970; None: did not happen. `sent` are the application bytes of the
    scanner in their order, `gaps` says that some were not captured.
    """

    client: str
    client_port: int
    device: str
    port: int
    asked_at: float
    first_sequence: int
    opened_at: float | None = None
    fin_sent_at: float | None = None
    fin_came_at: float | None = None
    reset_sent_at: float | None = None
    reset_came_at: float | None = None
    last_came_at: float | None = None
    longest_silence_s: float = 0.0
    """The longest that the device has left a segment of the scanner without any packet."""
    owed_at_fin_s: float = 0.0
    """For how long the device had owed the answer to what was asked last when the scanner ended."""
    packets_sent: int = 0
    resent: int = 0
    bytes_came: int = 0
    came_after_fin: int = 0
    fin_taken_at: float | None = None
    """When the scanner acknowledged the device's FIN."""
    fin_again_at: float | None = None
    """When the device said FIN once more, after the scanner had acknowledged it; the last time."""
    gaps: bool = False
    refused: bool = False
    sent: bytes = b""
    marks: list[tuple[int, float]] = field(default_factory=list)
    """(offset in `sent` at which a segment ends, its time)."""
    _waits_since: float | None = None
    _owed_since: float | None = None
    _due: int = 0
    """The acknowledgement that covers everything sent."""
    _fin_end: int | None = None
    """The acknowledgement that covers the device's FIN."""
    _segments: list[tuple[int, bytes, float]] = field(default_factory=list)

    @property
    def closed_at(self) -> float | None:
        resets = [t for t in (self.reset_sent_at, self.reset_came_at) if t is not None]
        if self.fin_sent_at is not None and self.fin_came_at is not None:
            resets.append(max(self.fin_sent_at, self.fin_came_at))
        return min(resets, default=None)

    @property
    def name(self) -> str:
        return f"{self.device}:{self.port}"

    def time_of(self, offset: int) -> float:
        """When the byte at this offset of `sent` passed."""
        return next((at for end, at in self.marks if offset < end), self.asked_at)

    def put_in_order(self) -> None:
        whole = bytearray()
        for start, data, at in sorted(self._segments, key=lambda one: (one[0], one[2])):
            if start > len(whole):
                self.gaps = True
                break
            new = data[len(whole) - start :]
            if new:
                whole += new
                self.marks.append((len(whole), at))
        self.sent = bytes(whole)
        self._segments.clear()

    def took_place(self, packet: Packet) -> None:
        """A packet of the scanner."""
        self.packets_sent += 1
        if packet.flags & RST:
            self._note_silence(packet.at)
            self.reset_sent_at = self.reset_sent_at or packet.at
            return
        if self._fin_end is not None and (packet.acknowledged - self._fin_end) & 0xFFFFFFFF < HALF:
            self.fin_taken_at = self.fin_taken_at or packet.at
        if packet.counts:
            end = packet.sequence + len(packet.payload) + bool(packet.flags & FIN)
            if self._due == 0 or (end - self._due) & 0xFFFFFFFF < HALF:
                self._due = end & 0xFFFFFFFF
            if self._waits_since is None:
                self._waits_since = packet.at
        offset = (packet.sequence - self.first_sequence - 1) & 0xFFFFFFFF
        if packet.payload:
            if offset >= HALF:
                self.resent += 1  # a keep-alive or a byte before the first
                return
            known = any(
                start <= offset and offset + len(packet.payload) <= start + len(data)
                for start, data, _ in self._segments
            )
            self.resent += known
            self._segments.append((offset, packet.payload, packet.at))
            if self._owed_since is None:
                self._owed_since = packet.at
        if packet.flags & FIN:
            if self.fin_sent_at is None and self._owed_since is not None:
                self.owed_at_fin_s = packet.at - self._owed_since
            self.resent += self.fin_sent_at is not None
            self.fin_sent_at = self.fin_sent_at or packet.at

    def _note_silence(self, now: float) -> None:
        if self._waits_since is not None:
            self.longest_silence_s = max(self.longest_silence_s, now - self._waits_since)

    @property
    def died(self) -> bool:
        """The last that the scanner sent was never acknowledged."""
        return self._waits_since is not None and self.resent > 0

    def came(self, packet: Packet) -> None:
        """A packet of the device."""
        self._note_silence(packet.at)
        # A device that has died may still send what it had begun; only what takes notice of our
        # last segment ends the waiting.
        if (packet.acknowledged - self._due) & 0xFFFFFFFF < HALF:
            self._waits_since = None
        if packet.flags & RST:
            self.reset_came_at = self.reset_came_at or packet.at
            self.refused = self.refused or self.opened_at is None
            return
        self.last_came_at = packet.at
        if packet.flags & SYN:
            self.opened_at = self.opened_at or packet.at
        self.bytes_came += len(packet.payload)
        if packet.payload:
            self._owed_since = None
        if self.fin_sent_at is not None:
            self.came_after_fin += len(packet.payload)
        if packet.flags & FIN:
            if self.fin_taken_at is not None and self.reset_sent_at is None:
                self.fin_again_at = packet.at
            self.fin_came_at = self.fin_came_at or packet.at
            self._fin_end = (packet.sequence + len(packet.payload) + 1) & 0xFFFFFFFF

    @property
    def reset_of_a_fin_again(self) -> bool:
        """
        Our reset answers a FIN that the device said once more when both had said it, and we had
        acknowledged the device's, longer ago than TIME_WAIT.
        """
        again, reset = self.fin_again_at, self.reset_sent_at
        if again is None or reset is None or not 0 <= reset - again < AT_ONCE_S:
            return False
        ends = (self.fin_sent_at, self.fin_taken_at)
        return all(end is not None and again - end > TIME_WAIT_S for end in ends)


def connections_of(packets: Iterable[Packet], scanner: frozenset[str]) -> list[Connection]:
    """Those that the scanner asked for, by time. `scanner` are its addresses."""
    now: dict[tuple[str, int, str, int], Connection] = {}
    every: list[Connection] = []
    for packet in packets:
        if packet.protocol != "tcp":
            continue
        if packet.source in scanner:
            key = (packet.source, packet.source_port, packet.target, packet.target_port)
            known = now.get(key)
            if packet.flags & SYN and not packet.flags & 16:
                if known is not None and known.first_sequence == packet.sequence:
                    known.packets_sent += 1
                    known.resent += 1
                    continue
                known = now[key] = Connection(
                    packet.source, packet.source_port, packet.target, packet.target_port,
                    packet.at, packet.sequence, packets_sent=1,
                )  # fmt: skip
                every.append(known)
            elif known is not None:
                known.took_place(packet)
        elif packet.target in scanner:
            key = (packet.target, packet.target_port, packet.source, packet.source_port)
            if (known := now.get(key)) is not None:
                known.came(packet)
    for connection in every:
        connection.put_in_order()
    return every


def most_at_once(
    connections: Iterable[Connection], device_of: Mapping[str, str]
) -> dict[str, tuple[int, str]]:
    """
    Device → (the most connections at the same moment, which those were).

    All addresses of a device count together. A connection that the device never opened takes none
    of its seats; it is counted from its SYN-ACK on, or, where that is not there, not at all.
    """
    events: dict[str, list[tuple[float, int, Connection]]] = {}
    for one in connections:
        if one.opened_at is None:
            continue
        mine = events.setdefault(device_of.get(one.device, one.device), [])
        mine.append((one.opened_at, 1, one))
        if one.closed_at is not None:
            mine.append((max(one.closed_at, one.opened_at), -1, one))
    most: dict[str, tuple[int, str]] = {}
    for device, mine in events.items():
        # An end at the same moment as a beginning comes first, but never before its own beginning.
        mine.sort(key=lambda event: (event[0], event[1]))
        now: list[Connection] = []
        best, which = 0, ""
        for _, change, one in mine:
            if change > 0:
                now.append(one)
            elif one in now:
                now.remove(one)
            if len(now) > best:
                best = len(now)
                which = ", ".join(sorted(f"{c.name} from port {c.client_port}" for c in now))
        most[device] = (best, which)
    return most
