"""
When, how often and whether at all: windows, budgets, slots, pacing, breakers, halt.

The governor never sees bytes. It counts what the device will count: SYN, FIN, segments with
payload, datagrams and retransmissions (pure ACKs apart). Before each step it
reserves the worst case, afterwards it gives back what the kernel did not use. Clock and sleep are
arguments, so that pacing is tested without waiting.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from scanner.errors import BreakerOpen, BudgetSpent, Halted, OutsideScope, OutsideWindow, TierTooLow
from scanner.model import CanaryResult, SafetyFigures, Tier
from scanner.profiles import Profile
from scanner.windows import Permission

WINDOW_S = 1.05
"""Packets are counted over a little more than the promised second, for jitter on the way."""

UNDER_WAY_S = 0.05
"""How soon to look again where packets that are under way are in the way."""

LOST_S = 10.0
"""Nothing that was set aside so long ago can still leave: TCP_USER_TIMEOUT is 2 s at most."""

CLOSE_S = 2.0
"""An orderly close is bounded by this; no step starts that would not fit before the window ends."""

CONNECT_S = 2.0
KNOWN_CONNECT_S = 0.8
"""On a device that has answered, a connect is one SYN: the kernel sends the next after 1 s."""
PATIENCE_S = 2.0
DATAGRAM_PATIENCE_S = 1.0
CANARY_PATIENCE_S = 1.0
"""How long a device that has answered before may leave a question without its first byte."""
SILENT_PORTS = 2
"""So many silent new ports in a row ask for a canary (section 6 allows three)."""
DOUBT_S = 4.9
"""A fragile device whose silence is older than this gets no connection to find out more."""
SUSPICIOUS_S = 1.0
"""A new question answered so much later than the device's first one asks for a canary."""
SUSPICIOUS_STEP_S = 1.25
"""The same inside a library's session, where servers look names up and prove their keys."""
CLOCK_SLACK_S = 1.0
"""Wall clock and monotonic clock are corrected by less than this in a scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """`monotonic` and `sleep` in seconds, `wall` an aware datetime."""

    monotonic: Callable[[], float]
    wall: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]


class Rate:
    """
    A cap on packets in any window of WINDOW_S seconds; a cap, not an average.

    `wait(n, now)` tells how long until n more fit; `charge` counts them at a moment; a reservation
    is a charge that is later replaced by what really happened. Until then it counts, however old
    it is: its packets may leave at any moment. When it is settled, its first packet counts from
    the moment that `left` told, the others (and the first, where nobody told) from then on.
    """

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self._log: deque[tuple[float, int]] = deque()
        self._logged = 0
        """Packets in `_log`."""
        self._open: dict[int, tuple[float, int]] = {}
        self._left: dict[int, float] = {}
        self._numbers = count()
        self.peak = 0

    def _inside(self, now: float) -> int:
        while self._log and self._log[0][0] <= now - WINDOW_S:
            self._logged -= self._log.popleft()[1]
        under_way = 0
        for number, (moment, packets) in list(self._open.items()):
            if moment <= now - LOST_S:
                self.settle(number, 0, now)
            else:
                under_way += packets
        return self._logged + under_way

    def wait(self, count: int, now: float) -> float:
        inside = self._inside(now)
        if self.cap is None:
            return 0.0
        count = min(count, self.cap)  # a step larger than the cap goes alone, after silence
        if inside + count <= self.cap:
            return 0.0
        excess = inside + count - self.cap
        longest = UNDER_WAY_S if self._open else WINDOW_S
        for moment, packets in self._log:
            excess -= packets
            if excess <= 0:
                return min(max(moment + WINDOW_S - now, 0.001), longest)
        return longest

    def charge(self, count: int, now: float) -> int:
        """Set packets aside; the returned number is passed to `settle`."""
        number = next(self._numbers)
        self._open[number] = (now, count)
        self.peak = max(self.peak, self._inside(now))
        return number

    def settle(self, number: int, used: int, now: float) -> None:
        """Replace a reservation by what was used."""
        self._open.pop(number, None)
        left = self._left.pop(number, now)
        self._logged += used
        if used:
            self._log.append((left, 1))
        if used > 1:
            self._log.append((now, used - 1))

    def left(self, number: int, now: float) -> None:
        """The first packet of a reservation has been handed to the kernel."""
        self._left[number] = now


@dataclass(slots=True)
class Health:
    """What is known of how a device fares; decides on distress."""

    silent_ports: set[int] = field(default_factory=set)
    """Ports that left a question unanswered since the last answer."""
    silent_since: float | None = None
    """When the first of those questions was put."""
    answered_ports: set[int] = field(default_factory=set)
    answered_questions: set[tuple[int, str]] = field(default_factory=set)
    identified_by: set[tuple[int, str]] = field(default_factory=set)
    """Those of the identify tier in this sitting: what a canary may ask."""
    baseline_s: dict[tuple[int, str], float] = field(default_factory=dict)
    suspicious_s: float = math.inf
    """From here on a new question's first reply is suspiciously late."""
    granted_s: float = 0.0
    """So late a reply was found to be this device's way, by a healthy canary."""
    signs: list[str] = field(default_factory=list)
    needs_canary: str | None = None
    paused: bool = False
    """Nothing at all before the canary, not even on the connection that is open."""
    stopped: str | None = None
    stopped_at: float | None = None
    """When that was, by the monotonic clock."""
    canaries: list[CanaryResult] = field(default_factory=list)


@dataclass(slots=True)
class Figures:
    connections: int = 0
    open_now: int = 0
    peak_concurrent: int = 0
    exchanges: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    packets: int = 0
    resets_sent: int = 0
    last_exchange_at: float | None = None
    smallest_gap_s: float | None = None
    refusals: Counter[str] = field(default_factory=Counter)


class Device:
    """The state of one device: all protocols, all addresses of its chassis."""

    def __init__(
        self, *, zone: str, key: str, address: str, limits: Profile, tier: Tier, budget: int
    ) -> None:
        self.zone = zone
        self.key = key
        self.address = address
        self.limits = limits
        self.tier = tier
        self.budget = budget
        self.rate = Rate(limits.packets_per_s)
        self.slot = asyncio.Lock()
        self.pace = asyncio.Lock()
        self.next_connection_at = 0.0
        self.waited_s = 0.0
        """How long our own pacing has kept this device's sessions waiting: not their doing."""
        self.health = Health()
        self.figures = Figures()

    def safety(self) -> SafetyFigures:
        f = self.figures
        return SafetyFigures(
            zone=self.zone,
            address=self.address,
            profile=self.limits.name,
            connections=f.connections,
            peak_concurrent=f.peak_concurrent,
            exchanges=f.exchanges,
            bytes_out=f.bytes_out,
            bytes_in=f.bytes_in,
            packets_counted=f.packets,
            packets_budget=self.budget,
            smallest_gap_s=f.smallest_gap_s,
            peak_packets_1s=self.rate.peak,
            resets_sent=f.resets_sent,
            refusals=dict(f.refusals),
            canary=tuple(self.health.canaries),
        )


class ZoneState:
    def __init__(self, zone: str, cap: int | None) -> None:
        self.zone = zone
        self.rate = Rate(cap)
        self.pace = asyncio.Lock()
        self.signs: deque[tuple[float, str]] = deque()
        self.stopped: str | None = None


class Reservation:
    """Packets set aside for one step; `settle` tells how many the kernel really sent."""

    def __init__(self, device: Device, zone: ZoneState, count: int, now: float) -> None:
        self._device = device
        self._zone = zone
        self._entries = (device.rate.charge(count, now), zone.rate.charge(count, now))

    def left(self, now: float) -> None:
        """The first packet has been handed to the kernel."""
        self._device.rate.left(self._entries[0], now)
        self._zone.rate.left(self._entries[1], now)

    def settle(self, used: int, now: float) -> None:
        self._device.rate.settle(self._entries[0], used, now)
        self._zone.rate.settle(self._entries[1], used, now)
        self._device.figures.packets += used


class Governor:
    """
    One per scan. `permission(zone_id, now)` is asked at every frame, at the time of the wall clock
    and at the time that it would show if nobody had set it since the scan began: both must allow.
    The first `until` becomes a monotonic deadline. So no clock that is set can lengthen a window.
    `in_scope(zone_id, address)` is asked before every connection.
    """

    def __init__(
        self,
        clock: Clock,
        permission: Callable[[str, datetime], Permission],
        in_scope: Callable[[str, str], bool],
        *,
        since: tuple[datetime, float] | None = None,
        resumed: bool = False,
    ) -> None:
        """
        `since`: wall and monotonic clock when the scan was called for; None: now. `resumed`: a
        sitting that was killed may have connected to any device a moment ago.
        """
        self.clock = clock
        self._permission = permission
        self._in_scope = in_scope
        self._deadlines: dict[str, float] = {}
        self._begun = since or (clock.wall(), clock.monotonic())
        self._resumed = resumed
        self._devices: dict[str, Device] = {}
        self._zones: dict[str, ZoneState] = {}
        self._halt = asyncio.Event()
        self.halt_reason: str | None = None
        self.halt_rule: str | None = None

    # --- halt -----------------------------------------------------------------------------------

    def halt(self, reason: str, *, rule: str) -> None:
        """Stop everything: no new step starts, waiting ones end, connections close in order."""
        if self.halt_reason is None:
            self.halt_reason = reason
            self.halt_rule = rule
            self._halt.set()

    @property
    def halted(self) -> bool:
        return self.halt_reason is not None

    async def until_halted(self) -> None:
        await self._halt.wait()

    # --- registry -------------------------------------------------------------------------------

    def device(
        self,
        *,
        zone: str,
        zone_cap: int | None,
        key: str,
        address: str,
        limits: Profile,
        tier: Tier,
        budget: int,
    ) -> Device:
        """
        The device with this chassis key, made on first use; a chassis with a foot in two zones is
        planned in both and gets both budgets. `zone_cap` is its zone's own.
        """
        if zone not in self._zones:
            self._zones[zone] = ZoneState(zone, zone_cap)
        if key in self._devices:
            self._devices[key].budget += budget
        else:
            self._devices[key] = Device(
                zone=zone, key=key, address=address, limits=limits, tier=tier, budget=budget
            )
            if self._resumed:
                self.note_connect(self._devices[key])
        return self._devices[key]

    def devices(self) -> tuple[Device, ...]:
        return tuple(self._devices.values())

    def stopped_zones(self) -> tuple[str, ...]:
        """Why zones were stopped, in words; empty when none was."""
        return tuple(zone.stopped for zone in self._zones.values() if zone.stopped)

    # --- the gates, in their order --------------------------------------------------------------

    def check(
        self,
        device: Device,
        tier: Tier,
        worst_case_s: float,
        *,
        zone: str | None = None,
        begun: bool = False,
    ) -> None:
        """
        Raise Halted, TierTooLow, OutsideWindow or BreakerOpen unless a step may start now. `zone`
        is the endpoint's own, where a chassis has a foot in another one than its first address.
        `begun`: the connection was made for this step, and it alone may still be said after a stop,
        since a connection without a request is worse; never after the end of a window.
        """
        zone = zone or device.zone
        try:
            if self.halt_reason is not None and not begun:
                raise Halted(self.halt_reason)
            if not device.tier.allows(tier):
                raise TierTooLow(f"tier {tier} is not granted here (highest: {device.tier})")
            self._check_window(zone, 0.0 if begun else worst_case_s)
            if not begun:
                self._check_breaker(device, zone)
        except (Halted, TierTooLow, OutsideWindow, BreakerOpen) as refusal:
            device.figures.refusals[refusal.rule] += 1
            raise

    def _check_window(self, zone: str, worst_case_s: float) -> None:
        mono = self.clock.monotonic()
        for moment in self._moments(mono):
            permission = self._permission(zone, moment)
            if not permission.allowed:
                raise OutsideWindow(permission.reason)
            if permission.until is None:
                continue
            deadline = mono + (permission.until - moment).total_seconds()
            deadline = min(self._deadlines.setdefault(zone, deadline), deadline)
            self._deadlines[zone] = deadline
            if mono + worst_case_s + CLOSE_S > deadline:
                ends = permission.until.isoformat(timespec="minutes")
                raise OutsideWindow(f"the window ends at {ends}; this step might not end before it")

    def _moments(self, mono: float) -> tuple[datetime, ...]:
        """What the clock on the wall says, and what it would say had nobody set it meanwhile."""
        wall = self.clock.wall()
        then, mono_then = self._begun
        steady = then + timedelta(seconds=mono - mono_then)
        if abs((wall - steady).total_seconds()) < CLOCK_SLACK_S:
            return (wall,)
        return (wall, steady)

    def window_left(self, zone: str) -> float:
        """Seconds until everything in this zone must be closed, as asked for last."""
        deadline = self._deadlines.get(zone)
        return math.inf if deadline is None else deadline - CLOSE_S - self.clock.monotonic()

    def is_over(self, zone: str) -> bool:
        """Whether everything in this zone has to be closed by now: stopped, or its window ended."""
        if self.halt_reason is not None or self.window_left(zone) <= 0:
            return True
        moments = self._moments(self.clock.monotonic())
        return not all(self._permission(zone, moment).allowed for moment in moments)

    def _check_breaker(self, device: Device, zone: str) -> None:
        if stopped := self._zones[zone].stopped or self._zones[device.zone].stopped:
            raise BreakerOpen(stopped)
        if device.health.stopped:
            raise BreakerOpen(device.health.stopped)

    def check_pause(self, device: Device, *, connecting: bool) -> None:
        """
        Raise BreakerOpen: a device that waits for its canary gets no other connection, and where it
        fell silent or became suspiciously slow, no other request either.
        """
        cause = device.health.needs_canary
        if cause and (connecting or device.health.paused):
            device.figures.refusals[BreakerOpen.rule] += 1
            raise BreakerOpen(f"paused after a sign of distress: {cause}")

    def check_scope(self, device: Device, zone: str, address: str) -> None:
        """Raise OutsideScope: the plan says whom to ask, and the door looks once more."""
        if not self._in_scope(zone, address):
            device.figures.refusals[OutsideScope.rule] += 1
            raise OutsideScope(f"{address} is not in the scope of zone {zone}")

    @contextmanager
    def connection(self, device: Device) -> Iterator[None]:
        """Count one as open, also while it is made. The caller holds `device.slot` meanwhile."""
        f = device.figures
        f.open_now += 1
        f.peak_concurrent = max(f.peak_concurrent, f.open_now)
        try:
            yield
        finally:
            f.open_now -= 1

    @contextmanager
    def waiting(self, device: Device) -> Iterator[None]:
        """Count the time of this block as our own waiting."""
        began = self.clock.monotonic()
        try:
            yield
        finally:
            device.waited_s += self.clock.monotonic() - began

    async def may_connect(self, device: Device) -> None:
        """Wait until the profile allows a new connection."""
        now = self.clock.monotonic()
        if device.next_connection_at > now:
            with self.waiting(device):
                await self.sleep(device.next_connection_at - now)
        since = device.health.silent_since
        if _is_fragile(device) and since is not None:
            if self.clock.monotonic() - since > DOUBT_S:
                self.leave(device, "silent, and its pacing allows no question soon enough")
            self._check_breaker(device, device.zone)
        self.note_connect(device)

    def note_connect(self, device: Device) -> None:
        """A connection is made now: from here the interval to the next one counts."""
        device.next_connection_at = self.clock.monotonic() + device.limits.connection_interval_s

    async def reserve(
        self,
        device: Device,
        packets: int,
        *,
        closing: bool = False,
        then: int = 0,
        zone: str | None = None,
    ) -> Reservation:
        """
        Wait until `packets` more fit under the caps of device and zone, and set them aside. `zone`
        as in `check`. `closing`: a halt does not end the wait and no budget refuses it, for silence
        must be reachable from everywhere. `then` more must fit in the budget: those of the request
        for which a connection is made.
        """
        if not closing and device.figures.packets + packets + then > device.budget:
            device.figures.refusals[BudgetSpent.rule] += 1
            raise BudgetSpent(f"the plan granted {device.budget} packets to {device.address}")
        place = self._zones[zone or device.zone]
        with self.waiting(device):
            async with device.pace:
                await self._until_fits(device.rate, packets, closing)
                async with place.pace:
                    await self._until_fits(place.rate, packets, closing)
                    return Reservation(device, place, packets, self.clock.monotonic())

    async def _until_fits(self, rate: Rate, packets: int, closing: bool) -> None:
        while (wait := rate.wait(packets, self.clock.monotonic())) > 0:
            if closing:
                await self.clock.sleep(wait)
            else:
                await self.sleep(wait)

    async def sleep(self, seconds: float) -> None:
        """Sleep that a halt ends early, by raising Halted."""
        if self.halt_reason is None:
            sleeper = asyncio.ensure_future(self.clock.sleep(seconds))
            halted = asyncio.ensure_future(self._halt.wait())
            try:
                await asyncio.wait({sleeper, halted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sleeper, halted):
                    task.cancel()
                await asyncio.gather(sleeper, halted, return_exceptions=True)
        if self.halt_reason is not None:
            raise Halted(self.halt_reason)

    # --- how it went ----------------------------------------------------------------------------

    def note_exchange(self, device: Device, *, bytes_out: int, bytes_in: int) -> None:
        f = device.figures
        now = self.clock.monotonic()
        if f.last_exchange_at is not None:
            gap = now - f.last_exchange_at
            f.smallest_gap_s = gap if f.smallest_gap_s is None else min(f.smallest_gap_s, gap)
        f.last_exchange_at = now
        f.exchanges += 1
        f.bytes_out += bytes_out
        f.bytes_in += bytes_in

    def has_answered(self, device: Device) -> bool:
        return bool(device.health.answered_ports)

    def connect_s(self, device: Device) -> float:
        """How long a connect may take: where the way is known, one SYN tells."""
        known = self.has_answered(device) and not _is_lab(device)
        return KNOWN_CONNECT_S if known else CONNECT_S

    def patience_s(
        self, device: Device, deadline_s: float, *, datagram: bool, canary: bool, exempt: bool
    ) -> float:
        """
        How long to wait for the first byte of a reply; at most `deadline_s`. A device that has
        answered and now says nothing may be in distress, so that waiting is not for us to prolong.
        """
        if exempt or _is_lab(device) or not self.has_answered(device):
            return deadline_s
        if canary:
            return min(deadline_s, CANARY_PATIENCE_S)
        return min(deadline_s, DATAGRAM_PATIENCE_S if datagram else PATIENCE_S)

    def note_connected(self, device: Device, port: int, round_trip_s: float | None) -> None:
        """A SYN was answered; by the kernel's own clock, so that our own delays do not count."""
        if round_trip_s is None or _is_lab(device):
            return
        baseline = device.health.baseline_s.setdefault((0, "connect"), round_trip_s)
        if _is_slow(round_trip_s, baseline):
            what = f"port {port}: connected in {round_trip_s:.2f} s after {baseline:.2f} s"
            self._sign(device, what)

    def note_alive(self, device: Device, port: int) -> None:
        """Bytes came from this port."""
        device.health.answered_ports.add(port)
        device.health.silent_ports.clear()
        device.health.silent_since = None

    def note_answer(
        self, device: Device, port: int, question: str, latency_s: float, *, exempt: bool
    ) -> None:
        """
        A reply came. Slower than max(5 x baseline, baseline + 200 ms) is a sign of distress; the
        baseline is the first reply to that question. A first reply that is much later than the
        device's first one asks for a canary. Login exchanges are exempt.
        """
        self.note_alive(device, port)
        health = device.health
        health.answered_questions.add((port, question))
        if exempt or _is_lab(device):
            return
        if (port, question) not in health.baseline_s:
            if not self.note_new(device, port, question, latency_s):
                health.baseline_s[port, question] = latency_s
            return
        baseline = health.baseline_s[port, question]
        if _is_slow(latency_s, baseline):
            what = f"port {port}, {question}: answered in {latency_s:.2f} s after {baseline:.2f} s"
            self._sign(device, what)

    def note_flight(self, device: Device, port: int, question: str, latency_s: float) -> None:
        """
        A later step of a handshake was answered. There the first time may be slow, since a server
        proves its key: only against that first time is it judged.
        """
        if _is_lab(device):
            return
        baseline = device.health.baseline_s.setdefault((port, question), latency_s)
        if _is_slow(latency_s, baseline):
            what = f"port {port}, {question}: answered in {latency_s:.2f} s after {baseline:.2f} s"
            self._sign(device, what)

    def note_new(
        self,
        device: Device,
        port: int,
        question: str,
        latency_s: float,
        *,
        suspicious_s: float = SUSPICIOUS_S,
    ) -> bool:
        """
        The first reply to a question: whether it is suspiciously late, beside what the same port or
        else the device itself told first.
        """
        health = device.health
        if _is_lab(device):
            return False
        told = [known for (one, _), known in health.baseline_s.items() if one == port]
        limit_s = health.suspicious_s
        if told:
            limit_s = max(5 * min(told), min(told) + suspicious_s)
        late = latency_s > max(limit_s, health.granted_s)
        if health.suspicious_s == math.inf:
            health.suspicious_s = max(5 * latency_s, latency_s + SUSPICIOUS_S)
        if late:
            health.granted_s = 2 * latency_s
            self._ask_canary(device, f"port {port}, {question}: took {latency_s:.2f} s")
        return late

    def note_silence(
        self,
        device: Device,
        port: int,
        question: str,
        *,
        datagram: bool = False,
        deep: bool = False,
        since: float | None = None,
    ) -> None:
        """
        No answer. Nothing on an address that never answered, and nothing where a port that answers
        leaves a new question (another unit id, version or community) unanswered, unless a new port
        is silent next. A silence of a question answered before, or SILENT_PORTS in a row, the last
        of them new, asks for a canary; so does
        one in the read tier (`deep`) at a port that answered when it was identified. A fragile
        device is left alone at once; only a datagram that was never answered may mean nobody.
        `since` is when the question was put.
        """
        health = device.health
        if not health.answered_ports:
            return
        if (port, question) in health.answered_questions or (
            deep and port in health.answered_ports
        ):
            self._ask_canary(device, f"port {port}, {question}: fell silent")
            return
        health.silent_ports.add(port)
        if health.silent_since is None:
            health.silent_since = self.clock.monotonic() if since is None else since
        if port in health.answered_ports:
            return
        if len(health.silent_ports) >= SILENT_PORTS:
            self._ask_canary(device, f"{SILENT_PORTS} silent ports in a row")
        elif _is_fragile(device) and not datagram:
            self._ask_canary(device, f"port {port}, {question}: silent")

    def note_refused(self, device: Device, port: int) -> None:
        """A refused connect counts for nothing, unless that port has answered before."""
        if port in device.health.answered_ports:
            self._ask_canary(device, f"port {port}: refuses what it took before")

    def note_reset(self, device: Device, port: int, question: str) -> None:
        """The device reset a connection in mid-exchange."""
        self._sign(device, f"port {port}, {question}: reset in mid-exchange")

    def note_refusing_reset(self, device: Device, port: int, question: str) -> None:
        """
        Some servers refuse an old version (of TLS, of SMB) with a reset, others reset because they
        are not well: a canary finds out.
        """
        if self.has_answered(device):
            self._ask_canary(device, f"port {port}, {question}: reset")

    def note_reset_at_once(self, device: Device, port: int) -> None:
        """
        A connection was taken and reset before a word: a sign where it has worked before; at a new
        port it may be how this service refuses, and a canary finds out.
        """
        what = f"port {port}: reset a connection that it had just taken"
        if port in device.health.answered_ports:
            self._sign(device, what)
        elif self.has_answered(device):
            self._ask_canary(device, what)

    def note_dead(self, device: Device, port: int, question: str) -> None:
        """The device took our connection and then acknowledged nothing any more."""
        self._sign(device, f"port {port}, {question}: nothing is acknowledged any more", stop=True)

    def note_hung(self, device: Device, port: int, question: str) -> None:
        """
        An open connection was neither answered nor closed. A second one beside it would take a
        second seat, so there is no canary; on a device that never answered it counts for nothing.
        """
        if self.has_answered(device):
            self.leave(device, f"port {port}, {question}: neither answered nor closed")

    def leave(self, device: Device, what: str) -> None:
        """Nothing more is asked of this device; its zone goes on."""
        self._stop(device.health, f"left alone: {what}")

    def _stop(self, health: Health, words: str) -> None:
        health.needs_canary = None
        if health.stopped is None:
            health.stopped, health.stopped_at = words, self.clock.monotonic()

    def note_canary(self, device: Device, healthy: bool, note: str) -> None:
        health = device.health
        health.needs_canary = None
        health.paused = False
        health.silent_ports.clear()
        health.silent_since = None
        health.canaries.append(
            CanaryResult(address=device.address, at=self.clock.wall(), healthy=healthy, note=note)
        )
        if not healthy:
            self._sign(device, f"canary failed: {note}", stop=True)

    def _ask_canary(self, device: Device, what: str) -> None:
        """A fragile device is not asked again to find out: it is left alone."""
        if device.health.stopped:
            return
        if _is_fragile(device):
            self.leave(device, what)
        else:
            device.health.needs_canary = what
            device.health.paused = True

    def _sign(self, device: Device, what: str, *, stop: bool = False) -> None:
        """First sign: a canary decides. Second sign or failed canary: leave the device alone."""
        health = device.health
        health.signs.append(what)
        now = self.clock.monotonic()
        zone = self._zones[device.zone]
        if stop or len(health.signs) >= 2 or _is_fragile(device):
            self._stop(health, f"left alone after a sign of distress: {what}")
        else:
            health.needs_canary = what
        zone.signs.append((now, device.key))
        while zone.signs and zone.signs[0][0] < now - 60:
            zone.signs.popleft()
        if len({key for _, key in zone.signs}) >= 2 and not zone.stopped:
            zone.stopped = (
                f"zone {device.zone} stopped: two devices showed signs of distress within 60 s"
            )


def _is_slow(latency_s: float, baseline_s: float) -> bool:
    return latency_s > max(5 * baseline_s, baseline_s + 0.2)


def _is_fragile(device: Device) -> bool:
    return device.limits.name == "fragile"


def _is_lab(device: Device) -> bool:
    """Emulators on this machine: how fast they are says how busy it is."""
    return device.limits.name == "lab"
