"""
The certificate: promises 1 to 11 and 15 to 17 of the safety contract, measured in one scan.

`audit` is a pure function of what was recorded and, where there is a capture, of the packets that
really passed. Each row says what it rests on. A row that nothing could decide is "not measured",
with the reason; it is never a pass.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heappop, heappush

from scanner.audit import requests
from scanner.audit.packets import ACK, FIN, RST, SYN, US, Packet
from scanner.model import Certificate, CertifiedPromise, Exchange, Safety, Tier, Transport

SCHEMA = "walkdown-certificate/1"
OUT_OF_ORDER = 4096
"""Packets of a capture that are held back until their turn."""
SILENT_S = 2.0
AFTER_STOP = 5
AFTER_DISTRESS = 8
DISTRESS_S = 5.0
MOST_UNITS = 3
CLOSING_S = 1.6
"""An orderly close waits so long for the device's own end."""
DRAIN_S = 0.6
"""A device that still talks so long after our goodbye is reset: nothing else would end it."""
STALE_S = 1.4
"""A device that has not acknowledged for so long counts as dead; the kernel answers with a reset
what then comes of it."""
ANSWER_S = 0.1
"""A reset so soon after a packet of the device, on the same connection, answers it."""
KERNEL_ICMP = frozenset({3, 1, 135, 136})
"""What a kernel says by itself: "unreachable", and finding neighbours (RFC 792, 4443, 4861)."""
EARLY_S = 0.005
"""The capture's clock against our own."""
PRINTERS = range(9100, 9108)
NOTHING_SENT = "nothing was sent"
COUNTERS = "counters of the scan"
OWN_WORD = "the scan's own word, which no packet confirms"
NO_LIMITS = "the record does not say what was allowed"

Measured = tuple[str, bool | None, str]
"""(words, whether the promise was kept or None, basis)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What one planned device may get. Rates in packets in any second; None: no cap. `seats` are ports
    of somebody else's station that the site file opened on this device.
    """

    zone: str
    addresses: tuple[str, ...]
    profile: str
    packets_per_s: int | None
    zone_packets_per_s: int | None
    connection_interval_s: float
    budget: int
    seats: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """
    Everything that an audit looks at. `events` and `chain_head` are those of the record that was
    audited, `state` how the run stood. `sittings` are the moments of the first request of each.
    `stops` are moments from which on nothing more may be asked before the next sitting, with their
    reason. `left_alone` is when a device was left alone because of distress; `ends` are the ends of
    windows with their zone. `ours` are our own addresses. `packets` are read once, in about their
    order; None: no capture.
    """

    run: str
    site: str
    version: str
    state: str
    events: int
    chain_head: str
    exchanges: Sequence[Exchange]
    limits: Sequence[Limits]
    safety: Safety | None
    sittings: Sequence[datetime] = ()
    stops: Sequence[tuple[datetime, str]] = ()
    left_alone: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    ends: Sequence[tuple[datetime, str]] = ()
    ours: frozenset[str] = frozenset()
    packets: Iterable[Packet] | None = None
    capture: str = ""
    capture_sha256: str = ""
    privileges: str = ""


def audit(audited: Audited) -> Certificate:
    """
    The certificate of a run. A capture that lacks what devices answered to proves nothing: then the
    rows are those of a run without one.
    """
    seen = _Seen(audited)
    if seen.has_packets and (lacking := _lacking(seen)):
        audited = replace(
            audited, packets=None, capture=f"{audited.capture}; not used, since it lacks {lacking}"
        )
        seen = _Seen(audited)
    rows = []
    for number, title, target, measure in _PROMISES:
        words, kept, basis = measure(seen)
        rows.append(
            CertifiedPromise(
                promise=number,
                title=title,
                target=target,
                measured=words,
                verdict="not measured" if kept is None else "pass" if kept else "fail",
                basis=basis,
            )
        )
    return Certificate(
        schema=SCHEMA,
        run=audited.run,
        site=audited.site,
        version=audited.version,
        state=audited.state,
        events=audited.events,
        chain_head=audited.chain_head,
        capture_sha256=audited.capture_sha256,
        capture=audited.capture,
        privileges=audited.privileges,
        promises=tuple(rows),
    )


@dataclass(slots=True, kw_only=True)
class Connection:
    """
    A TCP connection that we asked for; `opened` None: the device did not take it. Times in seconds
    since 1970; `closed` None: never. `sent` in bytes, each once.
    """

    device: int
    target: str
    port: int
    asked_at: float
    initial: int
    opened: float | None = None
    closed: float | None = None
    sent: int = 0
    fin_sent: float | None = None
    ended_by: str = ""
    """Who was the first to close or reset it: "us" or "device"."""
    talked_on: bool = False
    """Whether the device sent bytes after our FIN."""
    due: int = 0
    waits_since: float | None = None
    unacknowledged_s: float = 0.0
    """The longest that something of ours was not acknowledged."""
    resets: list[tuple[float, str]] = field(default_factory=list)
    """Ours, each with why it was in order, or "" when it was not."""

    def took(self, p: Packet) -> None:
        """A packet of ours."""
        if p.flags & (FIN | RST):
            self.ended_by = self.ended_by or "us"
            self.closed = self.closed or p.at
        if p.flags & RST:
            self._waited(p.at)
            self.resets.append((p.at, self._why_reset(p.at)))
            return
        if p.flags & FIN:
            self.fin_sent = self.fin_sent or p.at
        if p.payload:
            self.sent = max(self.sent, (p.sequence + p.payload - self.initial - 1) % 2**32)
        if p.counts:
            self.due = (p.sequence + p.payload + bool(p.flags & FIN)) % 2**32
            self.waits_since = self.waits_since or p.at

    def _why_reset(self, at: float) -> str:
        if self.talked_on and self.fin_sent is not None and at - self.fin_sent > DRAIN_S:
            return "that talked on after our goodbye"
        return "that had fallen silent" if self.unacknowledged_s > STALE_S else ""

    def came(self, p: Packet) -> None:
        """A packet of the device."""
        self.talked_on = self.talked_on or (self.fin_sent is not None and bool(p.payload))
        self._waited(p.at)
        if p.flags & ACK and (p.acknowledged - self.due) % 2**32 < 2**31:
            self.waits_since = None
        if p.flags & SYN and p.flags & ACK:
            self.opened = self.opened or p.at
        if p.flags & (FIN | RST):
            self.ended_by = self.ended_by or "device"
        if p.flags & RST:
            self.closed = self.closed or p.at
        elif p.flags & FIN and self.closed and p.at - self.closed <= CLOSING_S:
            self.closed = p.at

    def _waited(self, now: float) -> None:
        if self.waits_since is not None:
            self.unacknowledged_s = max(self.unacknowledged_s, now - self.waits_since)


class _Seen:
    """What was audited, sorted by device; a device is one entry of the limits."""

    def __init__(self, audited: Audited) -> None:
        self.all = audited
        self.limits = list(audited.limits)
        self.device = {
            address: number
            for number, limit in enumerate(self.limits)
            for address in limit.addresses
        }
        self.named = [
            (exchange, one)
            for exchange in audited.exchanges
            for one in requests.name(exchange.probe, exchange.tier, exchange.request)
        ]
        self.has_packets = audited.packets is not None and bool(self.limits)
        self.ours: list[Packet] = []
        """What we sent to devices, pure acknowledgements left out where they are well-formed."""
        self.heard: dict[tuple[str, int, int], list[float]] = defaultdict(list)
        self.heard_datagrams: dict[str, list[float]] = defaultdict(list)
        """When devices sent packets, by connection, in order."""
        self.stray_resets: list[Packet] = []
        """Resets of ours on connections whose beginning the capture does not have."""
        in_order = _in_order(audited.packets or ()) if self.has_packets else iter(())
        self.connections = list(self._connections(in_order))

    def _is_ours(self, address: str) -> bool:
        """Our own address may lie inside a zone; where it is not on record, it is none of those."""
        if address == US:
            return True
        return address in self.all.ours if self.all.ours else address not in self.device

    def counted(self) -> Iterator[tuple[int, Packet]]:
        for packet in self.ours:
            if packet.counts:
                yield self.device[packet.target], packet

    def is_answer(self, p: Packet) -> bool:
        """Whether the kernel answers a device that speaks again: with a reset, or unreachable."""
        if p.protocol == "tcp" and p.flags & RST:
            heard = self.heard.get((p.target, p.target_port, p.source_port), [])
        elif p.protocol == "icmp" and p.flags in KERNEL_ICMP:
            heard = self.heard_datagrams.get(p.target, [])
        else:
            return False
        place = bisect(heard, p.at)
        return place > 0 and p.at - heard[place - 1] <= ANSWER_S

    def _connections(self, packets: Iterable[Packet]) -> Iterator[Connection]:
        now: dict[tuple[str, int, str, int], Connection] = {}
        for p in packets:
            ours = p.target in self.device and self._is_ours(p.source)
            if ours and (p.counts or p.odd):
                self.ours.append(p)
            if p.protocol == "udp" and p.source in self.device and self._is_ours(p.target):
                self.heard_datagrams[p.source].append(p.at)
            if p.protocol != "tcp":
                continue
            if ours:
                key = (p.source, p.source_port, p.target, p.target_port)
                if p.flags & SYN and not p.flags & (FIN | RST):
                    old = now.get(key)
                    if old is None or old.opened is not None:
                        if old is not None:
                            yield old
                        now[key] = Connection(
                            device=self.device[p.target], target=p.target, port=p.target_port,
                            asked_at=p.at, initial=p.sequence,
                        )  # fmt: skip
                    continue
                if one := now.get(key):
                    one.took(p)
                elif p.flags & RST:
                    self.stray_resets.append(p)
            elif p.source in self.device and self._is_ours(p.target):
                self.heard[p.source, p.source_port, p.target_port].append(p.at)
                key = (p.target, p.target_port, p.source, p.source_port)
                if one := now.get(key):
                    one.came(p)
        yield from now.values()


def _in_order(packets: Iterable[Packet]) -> Iterator[Packet]:
    """By time: processors hand over what they saw nearly in order."""
    waiting: list[tuple[float, int, Packet]] = []
    for number, packet in enumerate(packets):
        heappush(waiting, (packet.at, number, packet))
        if len(waiting) > OUT_OF_ORDER:
            yield heappop(waiting)[2]
    while waiting:
        yield heappop(waiting)[2]


def most_in_a_second(times: Iterable[float]) -> int:
    """The most events in any span of just under one second."""
    ordered = sorted(times)
    first = most = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def windows_over(times: Iterable[float], cap: int) -> int:
    """How many packets came when the second before them, with them, held more than `cap`."""
    ordered = sorted(times)
    first = over = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        over += last - first + 1 > cap
    return over


# --- one function per promise ---------------------------------------------------------------------


def _no_write(seen: _Seen) -> Measured:
    verdicts: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for exchange, one in seen.named:
        verdict = one.verdict
        if verdict == "sign-in" and exchange.tier is Tier.IDENTIFY:
            verdict = "write"  # nobody was allowed to sign in there
        verdicts[verdict] += 1
        if verdict in ("write", "unknown"):
            bad[f"{one.protocol} {one.service}"] += 1
    if not verdicts:
        return NOTHING_SENT, None, "records"
    words = (
        f"{verdicts['write']} writes, {verdicts['unknown']} unknown of {sum(verdicts.values())} "
        f"requests on record ({verdicts['read']} reads, {verdicts['session']} session set-ups, "
        f"{verdicts['sign-in']} sign-ins)"
    )
    if bad:
        words += ": " + ", ".join(sorted(bad)[:5])
    return words, not bad, "records"


def _one_connection(seen: _Seen) -> Measured:
    if not seen.has_packets:
        return _from_safety(seen, "peak_concurrent", 1, "open at once to one device")
    most = 0
    by_device: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for one in seen.connections:
        if one.opened is not None:
            by_device[one.device].append((one.opened, 1))
            by_device[one.device].append((one.closed or float("inf"), -1))
    for changes in by_device.values():
        now = 0
        for _, change in sorted(changes, key=lambda c: (c[0], c[1])):
            now += change
            most = max(most, now)
    if not most:
        return "no connection was made", None, "packets"
    return f"{most} open at once to one device, at most{_chassis(seen)}", most <= 1, "packets"


def _chassis(seen: _Seen) -> str:
    """Which addresses are one device is known where the site file says so, and nowhere else."""
    several = sum(len(limit.addresses) > 1 for limit in seen.limits)
    return f"; {_count(several, 'device')} known to have several addresses" if seen.limits else ""


def _from_safety(seen: _Seen, name: str, most: int, what: str) -> Measured:
    if seen.all.safety is None:
        return "no figures were kept", None, "records"
    values = [int(getattr(one, name)) for one in seen.all.safety.devices]
    worst = max(values, default=0)
    return f"{worst} {what}, at most; {OWN_WORD}", None if worst <= most else False, COUNTERS


def _device_rate(seen: _Seen) -> Measured:
    if not seen.limits:
        return NO_LIMITS, None, "records"
    if not seen.has_packets:
        return _rate_from_safety(seen)
    times: dict[int, list[float]] = defaultdict(list)
    for device, packet in seen.counted():
        times[device].append(packet.at)
    over = []
    peaks: dict[str, int] = {}
    for device, at in times.items():
        limit = seen.limits[device]
        peak = most_in_a_second(at)
        cap = limit.packets_per_s
        peaks[limit.profile] = max(peak, peaks.get(limit.profile, 0))
        if cap is not None and peak > cap:
            over.append(f"{limit.addresses[0]}: {peak} of {cap}")
    if not times:
        return NOTHING_SENT, None, "packets"
    early = _early_connections(seen)
    words = "peaks in 1 s: " + ", ".join(f"{k} {v}" for k, v in sorted(peaks.items()))
    words += f"; {len(early)} connections too soon"
    if over or early:
        words += ": " + ", ".join([*over, *early][:5])
    return words, not over and not early, "packets"


def _early_connections(seen: _Seen) -> list[str]:
    last: dict[int, float] = {}
    early = []
    for one in sorted(seen.connections, key=lambda c: c.asked_at):
        interval = seen.limits[one.device].connection_interval_s
        if one.device in last and one.asked_at - last[one.device] < interval - EARLY_S:
            early.append(f"{one.target} after {one.asked_at - last[one.device]:.2f} s")
        last[one.device] = one.asked_at
    return early


def _rate_from_safety(seen: _Seen) -> Measured:
    if seen.all.safety is None:
        return "no figures were kept", None, "records"
    caps = {
        (limit.zone, address): limit.packets_per_s
        for limit in seen.limits
        for address in limit.addresses
    }
    over = []
    for one in seen.all.safety.devices:
        cap = caps.get((one.zone or "", one.address or ""))
        if cap is not None and one.peak_packets_1s > cap:
            over.append(f"{one.address}: {one.peak_packets_1s} of {cap}")
    peaks: dict[str, int] = {}
    for one in seen.all.safety.devices:
        profile = one.profile or "?"
        peaks[profile] = max(one.peak_packets_1s, peaks.get(profile, 0))
    told = ", ".join(f"{profile} {peak}" for profile, peak in sorted(peaks.items()))
    return f"peaks in 1 s: {told}{_list(over)}; {OWN_WORD}", False if over else None, COUNTERS


def _list(bad: Sequence[str]) -> str:
    more = f", and {len(bad) - 5} more" if len(bad) > 5 else ""
    return ": " + ", ".join(bad[:5]) + more if bad else ""


def _span(seconds: float) -> str:
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _zone_times(seen: _Seen) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for device, packet in seen.counted():
        times[seen.limits[device].zone].append(packet.at)
    return times


def _zone_rate(seen: _Seen) -> Measured:
    if not seen.has_packets:
        return "no packets to count", None, "packets"
    caps = {limit.zone: limit.zone_packets_per_s for limit in seen.limits}
    peaks = {zone: most_in_a_second(at) for zone, at in _zone_times(seen).items()}
    over = [
        f"{zone}: {peak} of {cap}"
        for zone, peak in sorted(peaks.items())
        if (cap := caps[zone]) is not None and peak > cap
    ]
    if not peaks:
        return NOTHING_SENT, None, "packets"
    peak = max(peaks.values())
    return f"at most {peak} to one zone in 1 s{_list(over)}", not over, "packets"


def _is_cap(seen: _Seen) -> Measured:
    if not seen.has_packets:
        return "no packets to count", None, "packets"
    devices: dict[int, list[float]] = defaultdict(list)
    for device, packet in seen.counted():
        devices[device].append(packet.at)
    over = sum(
        windows_over(at, cap)
        for device, at in devices.items()
        if (cap := seen.limits[device].packets_per_s) is not None
    )
    caps = {limit.zone: limit.zone_packets_per_s for limit in seen.limits}
    over += sum(
        windows_over(at, cap)
        for zone, at in _zone_times(seen).items()
        if (cap := caps[zone]) is not None
    )
    counted = sum(map(len, devices.values()))
    if not counted:
        return NOTHING_SENT, None, "packets"
    return f"{over} windows over, {counted} packets", over == 0, "packets"


def _budget(seen: _Seen) -> Measured:
    if not seen.limits:
        return NO_LIMITS, None, "records"
    sent: Counter[int] = Counter()
    if seen.has_packets:
        sent.update(device for device, _ in seen.counted())
        basis = "packets"
    elif seen.all.safety is not None:
        for one in seen.all.safety.devices:
            if (device := seen.device.get(one.address or "")) is not None:
                sent[device] += one.packets_counted
        basis = COUNTERS
    else:
        return "no figures were kept", None, "records"
    over = [
        f"{seen.limits[device].addresses[0]}: {count} of {seen.limits[device].budget}"
        for device, count in sent.items()
        if count > seen.limits[device].budget
    ]
    if not sent.total():
        return NOTHING_SENT, None, basis
    granted = sum(seen.limits[device].budget for device in sent)
    words = f"{sum(sent.values())} sent of {granted} granted to {len(sent)} devices"
    if len(seen.all.sittings) > 1:
        words += f" in {len(seen.all.sittings)} sittings, each granted what it printed"
    words += f", {len(over)} over{_list(over)}"
    if basis == COUNTERS:
        return f"{words}; {OWN_WORD}", False if over else None, basis
    return words, not over, basis


def _own_protocol(seen: _Seen) -> Measured:
    if not seen.named:
        return NOTHING_SENT, None, "records"
    foreign = [
        f"{one.service} on port {exchange.target.port} ({exchange.probe})"
        for exchange, one in seen.named
        if one.foreign
    ]
    known = {_endpoint(exchange) for exchange in seen.all.exchanges}
    foreign += sorted({f"port {port}, a printer's" for _, port, _ in known if port in PRINTERS})
    if not seen.has_packets:
        return (
            f"{len(foreign)} requests of another protocol{_list(foreign)}",
            not foreign,
            "records",
        )
    unknown = {
        (p.target, p.target_port, p.protocol)
        for p in seen.ours
        if (p.target, p.target_port, p.protocol) not in known
        and not (p.protocol == "icmp" and p.flags in KERNEL_ICMP)
    }
    foreign += sorted(f"{p} port {n} of {a}, which no request names" for a, n, p in unknown)
    foreign += sorted(
        f"{more} bytes more to port {port} of {address} than the record has"
        for (address, port, _), more in _unrecorded(seen).items()
    )
    words = f"{len(foreign)} requests or bytes of another protocol{_list(foreign)}"
    return words, not foreign, "records and packets"


def _endpoint(exchange: Exchange) -> tuple[str, int, str]:
    return exchange.target.address, exchange.target.port, str(exchange.target.transport)


def _on_the_wire(seen: _Seen) -> Counter[tuple[str, int, str]]:
    """Bytes of ours in the capture, each once, by endpoint."""
    wire: Counter[tuple[str, int, str]] = Counter()
    for one in seen.connections:
        wire[(one.target, one.port, "tcp")] += one.sent
    for p in seen.ours:
        if p.protocol in ("udp", "link"):
            wire[(p.target, p.target_port, p.protocol)] += p.payload
    return wire


def _lacking(seen: _Seen) -> str:
    """What the capture should have and has not, in words: requests that were answered did leave."""
    wire = _on_the_wire(seen)
    answered: Counter[tuple[str, int, str]] = Counter()
    for exchange in seen.all.exchanges:
        if exchange.reply:
            answered[_endpoint(exchange)] += exchange.wire_bytes_out
    short = sum(max(count - wire[place], 0) for place, count in answered.items())
    return f"{short} of {sum(answered.values())} bytes that were answered" if short else ""


def _unrecorded(seen: _Seen) -> dict[tuple[str, int, str], int]:
    """
    Bytes on the wire that no request on record accounts for, by endpoint. A request that was cut
    off in mid-flight may have been sent or not; where it was encrypted, how long it became is not
    known, and its endpoint is left out.
    """
    wire = _on_the_wire(seen)
    sealing = requests.sealed()
    for exchange, named in seen.named:
        wire[_endpoint(exchange)] -= sealing.get(named.protocol, 0)
    recorded: Counter[tuple[str, int, str]] = Counter()
    for exchange in seen.all.exchanges:
        recorded[_endpoint(exchange)] += exchange.wire_bytes_out
    sealed = {_endpoint(e) for e, named in seen.named if named.protocol in sealing}
    unsure = set()
    for exchange in seen.all.exchanges:
        if exchange.finished_at is None:
            # A datagram is sent once more where no answer comes.
            times = 2 if exchange.target.transport is Transport.UDP else 1
            recorded[_endpoint(exchange)] += len(exchange.request) * times
            unsure.add(_endpoint(exchange))
    more = {place: count - recorded[place] for place, count in wire.items()}
    return {
        place: count
        for place, count in more.items()
        if count > 0 and not (place in unsure and place in sealed)
    }


def _no_drop(seen: _Seen) -> Measured:
    if not seen.has_packets:
        return "no packets to count", None, "packets"
    readers = requests.readers()
    control = {
        (e.target.address, e.target.port)
        for e in seen.all.exchanges
        if e.probe in readers and readers[e.probe].is_control
    }
    dropped = [
        f"{one.target} port {one.port}"
        for one in seen.connections
        if one.opened is not None
        and one.closed is not None
        and not one.sent
        and one.ended_by != "device"
        and (one.target, one.port) in control
    ]
    taken = sum(
        one.opened is not None and (one.target, one.port) in control for one in seen.connections
    )
    if not taken:
        return "no controller was connected to", None, "packets"
    words = f"{len(dropped)} of {_count(taken, 'connection')} to controllers{_list(dropped)}"
    return words, not dropped, "packets"


def _well_formed(seen: _Seen) -> Measured:
    odd = [f"{p.target}: {p.odd}" for p in seen.ours if p.odd]
    odd += [
        f"{one.protocol} to {exchange.target.address}: {one.service}"
        for exchange, one in seen.named
        if one.foreign
    ]
    basis = "records and packets" if seen.has_packets else "records"
    if not seen.named:
        return NOTHING_SENT, None, basis
    return f"{len(odd)} malformed{_list(odd)}", not odd, basis


def _clean_goodbye(seen: _Seen) -> Measured:
    if not seen.has_packets:
        return _from_safety(seen, "resets_sent", 0, "resets to one device")
    left: dict[int | None, float] = {}
    for (_, address), moment in seen.all.left_alone.items():
        device, at = seen.device.get(address), moment.timestamp()
        left[device] = min(at, left.get(device, at))
    resets = [f"{p.target} port {p.target_port}" for p in seen.stray_resets]
    excused: Counter[str] = Counter()
    for one in seen.connections:
        for at, why in one.resets:
            if why or at >= left.get(one.device, math.inf):
                excused[why or "that were left alone"] += 1
            else:
                resets.append(f"{one.target} port {one.port}")
    if not seen.connections and not resets:
        return "no connection was made", None, "packets"
    words = f"{len(resets)} resets from us{_list(resets)}"
    if excused:
        kinds = (f"{count} to devices {why}" for why, count in sorted(excused.items()))
        words += f"; not counted: {', '.join(kinds)}"
    return words, not resets, "packets"


def _no_seat(seen: _Seen) -> Measured:
    programmers: list[str] = []
    units: dict[str, set[int]] = defaultdict(set)
    ports = {(e.target.address, e.target.port) for e in seen.all.exchanges if e.request}
    for exchange in seen.all.exchanges:
        address, reader = exchange.target.address, requests.readers().get(exchange.probe)
        if reader is None:
            continue
        if reader.programs(exchange.request):
            programmers.append(f"programming device's connection to {address}")
        units[address] |= reader.units_of(exchange.request)
    ports |= {(p.target, p.target_port) for p in seen.ours}
    seats = requests.seats()
    opened = {(a, port) for limit in seen.limits for a in limit.addresses for port in limit.seats}
    asked = {(one, port) for one, port in ports if port in seats}
    taken = sorted(f"{seats[port].protocol} of {one}" for one, port in asked - opened)
    most = max(map(len, units.values()), default=0)
    crowded = [
        f"{len(of)} unit ids of {address}" for address, of in units.items() if len(of) > MOST_UNITS
    ]
    words = (
        f"{len(taken)} to {' or '.join(seat.short for seat in seats.values())}, "
        f"{len(programmers)} as programming device, "
        f"at most {_count(most, 'unit id')} of one device"
    )
    if by_name := len(asked & opened):
        words += f"; {_count(by_name, 'station')} more asked that the site file names for it"
    bad = [*taken, *programmers, *crowded]
    if not seen.all.exchanges:
        return NOTHING_SENT, None, "records"
    return words + _list(bad), not bad, "records and packets" if seen.has_packets else "records"


def _breaker(seen: _Seen) -> Measured:
    if not seen.all.left_alone:
        return "no device showed distress", None, "records"
    bad, most = [], 0
    latest = 0.0
    for (zone, address), moment in seen.all.left_alone.items():
        at = moment.timestamp()
        until = _next_sitting(seen, at)
        if seen.has_packets and (device := seen.device.get(address)) is not None:
            after = [
                p
                for one, p in seen.counted()
                if one == device and at < p.at < until and not seen.is_answer(p)
            ]
            times = [p.at - at for p in after]
            new = sum(p.protocol == "tcp" and bool(p.flags & SYN) for p in after)
        else:
            times = [
                e.sent_at.timestamp() - at
                for e in seen.all.exchanges
                if (e.target.zone, e.target.address) == (zone, address)
                and at < e.sent_at.timestamp() < until
            ]
            new = len(times)
        most = max(most, len(times))
        latest = max(latest, *times, 0.0)
        if new or len(times) > AFTER_DISTRESS or max(times, default=0.0) > DISTRESS_S:
            bad.append(
                f"{address}: {len(times)} packets, {new} new connections, the last "
                f"{max(times, default=0.0):.2f} s after"
            )
    words = (
        f"{_count(len(seen.all.left_alone), 'device')} left alone, at most {most} packets after, "
        f"the last {latest:.2f} s{_list(bad)}"
    )
    return words, not bad, "packets" if seen.has_packets else "records"


def _next_sitting(seen: _Seen, at: float) -> float:
    """A run that was gone on with begins anew: only this sitting's packets are after its end."""
    starts = (moment.timestamp() - EARLY_S for moment in seen.all.sittings)
    return min((start for start in starts if start > at), default=float("inf"))


def _silence(seen: _Seen) -> Measured:
    basis = "records and packets" if seen.has_packets else "records"
    sent = [(e.sent_at.timestamp(), e.target.zone, e.target.address) for e in seen.all.exchanges]
    if seen.has_packets:
        sent = [
            (p.at, seen.limits[device].zone, seen.limits[device].addresses[0])
            for device, p in seen.counted()
        ]
    moments: list[tuple[datetime, str, str | None]] = [(at, w, None) for at, w in seen.all.stops]
    # An end that came when all was over proves nothing.
    known = max([at for at, _, _ in sent] + [at.timestamp() for at, _ in seen.all.stops], default=0)
    moments += [
        (at, f"the end of the window of zone {zone}", zone)
        for at, zone in sorted(seen.all.ends)
        if at.timestamp() <= known
    ]
    if not moments or not sent:
        return "no stop, and no window that ended while something was asked", None, basis
    what = "packet" if seen.has_packets else "request"
    bad: list[str] = []
    worst: tuple[float, str] | None = None
    for moment, why, zone in moments:
        at = moment.timestamp()
        again = _next_sitting(seen, at)
        late = [one for one in sent if at < one[0] < again and zone in (None, one[1])]
        if not late:
            continue
        last = max(late)[0] - at
        worst = max(worst or (last, why), (last, why))
        most = max(Counter(address for _, _, address in late).values())
        if last > SILENT_S:
            bad.append(f"a {what} {last:.2f} s after {why}")
        elif most > AFTER_STOP:
            bad.append(f"{most} packets to one device after {why}")
    if worst is not None:
        words = f"the last {what} {worst[0]:.2f} s after {worst[1]}"
    else:
        moment, why, _ = min(moments, key=lambda one: one[0])
        first = moment.timestamp()
        left = min((first - at for at, _, _ in sent if at <= first), default=0.0)
        words = f"nothing after it; the last {what} {_span(left)} before {why}"
    return words + _list(bad), not bad, basis


def _scope(seen: _Seen) -> Measured:
    if not seen.limits:
        return NO_LIMITS, None, "records"
    planned = {(limit.zone, a) for limit in seen.limits for a in limit.addresses}
    outside = [
        e.target.address
        for e in seen.all.exchanges
        if (e.target.zone, e.target.address) not in planned
    ]
    asked = len({e.target.address for e in seen.all.exchanges})
    words = f"{len(outside)} requests outside {len(planned)} planned addresses, {asked} asked"
    if not seen.all.exchanges:
        return NOTHING_SENT, None, "records"
    return words + _list(outside), not outside, "records"


_PROMISES: tuple[tuple[int, str, str, Callable[[_Seen], Measured]], ...] = (
    (1, "No write or control request", "0 writes, 0 unknown", _no_write),
    (2, "One connection per device at a time", "1", _one_connection),
    (3, "Rate per device", "at most the profile's, in any 1 s", _device_rate),
    (4, "Rate per zone", "at most the profile's, in any 1 s", _zone_rate),
    (5, "A cap, not an average", "0 windows over", _is_cap),
    (6, "The packet budget holds", "sent at most what was planned, every device", _budget),
    (7, "Only a port's own protocol", "0 foreign requests", _own_protocol),
    (8, "No connect-and-drop at controllers", "0", _no_drop),
    (9, "Well-formed traffic only", "0 malformed", _well_formed),
    (10, "Clean goodbye", "0 resets", _clean_goodbye),
    (11, "Nobody's seat is taken", "0, 0, at most 3 unit ids", _no_seat),
    (15, "Circuit breaker", "at most 8 packets, 5 s, no new connection", _breaker),
    (16, "Stop and window end silence the wire", "at most 2 s, 5 packets", _silence),
    (17, "Nothing outside the scope", "0", _scope),
)
