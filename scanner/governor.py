"""
When, how often and whether at all: windows, budgets, slots, pacing, breakers, halt.

The governor never sees bytes. It counts what the device will count: SYN, FIN, segments with
payload, datagrams and retransmissions (pure ACKs apart). Before each step it
reserves the worst case, afterwards it gives back what the kernel did not use. Clock and sleep are
arguments, so that pacing is tested without waiting.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from scanner.errors import BreakerOpen, BudgetSpent, Halted, OutsideScope, OutsideWindow, TierTooLow
from scanner.model import CanaryResult, SafetyFigures, Tier
from scanner.profiles import Profile
from scanner.windows import Permission

WINDOW_S = 1.05
"""Packets are counted over a little more than the promised second, for jitter on the way."""

CLOSE_S = 2.0
"""An orderly close is bounded by this; no step starts that would not fit before the window ends."""


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
    is a charge that is later replaced by what really happened.
    """

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self._log: deque[list[float]] = deque()
        self.peak = 0

    def _inside(self, now: float) -> float:
        while self._log and self._log[0][0] <= now - WINDOW_S:
            self._log.popleft()
        return sum(entry[1] for entry in self._log)

    def wait(self, count: int, now: float) -> float:
        inside = self._inside(now)
        if self.cap is None:
            return 0.0
        count = min(count, self.cap)  # a step larger than the cap goes alone, after silence
        if inside + count <= self.cap:
            return 0.0
        excess = inside + count - self.cap
        for moment, packets in self._log:
            excess -= packets
            if excess <= 0:
                return max(moment + WINDOW_S - now, 0.001)
        return WINDOW_S

    def charge(self, count: int, now: float) -> list[float]:
        """Count packets; the returned entry can be passed to `settle`."""
        entry = [now, float(count)]
        self._log.append(entry)
        self.peak = max(self.peak, int(self._inside(now)))
        return entry

    def settle(self, entry: list[float], used: int, now: float) -> None:
        """Replace a reservation by what was used: the first packet then, the others until now."""
        entry[1] = float(min(used, 1))
        if used > 1:
            self._log.append([now, float(used - 1)])


@dataclass(slots=True)
class Health:
    """What is known of how a device fares; decides on distress."""

    silent_in_a_row: int = 0
    answered_ports: set[int] = field(default_factory=set)
    answered_questions: set[tuple[int, str]] = field(default_factory=set)
    baseline_s: dict[tuple[int, str], float] = field(default_factory=dict)
    signs: list[str] = field(default_factory=list)
    needs_canary: str | None = None
    paused_until: float = 0.0
    stopped: str | None = None
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

    def settle(self, used: int, now: float) -> None:
        self._device.rate.settle(self._entries[0], used, now)
        self._zone.rate.settle(self._entries[1], used, now)
        self._device.figures.packets += used


class Governor:
    """
    One per scan. `permission(zone_id, now)` is asked at every frame; its first `until` also becomes
    a monotonic deadline, so that a wall clock set back cannot lengthen a window.
    `in_scope(zone_id, address)` is asked before every connection.
    """

    def __init__(
        self,
        clock: Clock,
        permission: Callable[[str, datetime], Permission],
        in_scope: Callable[[str, str], bool],
    ) -> None:
        self.clock = clock
        self._permission = permission
        self._in_scope = in_scope
        self._deadlines: dict[str, float] = {}
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
        return self._devices[key]

    def devices(self) -> tuple[Device, ...]:
        return tuple(self._devices.values())

    def stopped_zones(self) -> tuple[str, ...]:
        """Why zones were stopped, in words; empty when none was."""
        return tuple(zone.stopped for zone in self._zones.values() if zone.stopped)

    # --- the gates, in their order --------------------------------------------------------------

    def check(
        self, device: Device, tier: Tier, worst_case_s: float, *, zone: str | None = None
    ) -> None:
        """
        Raise Halted, TierTooLow, OutsideWindow or BreakerOpen unless a step may start now. `zone`
        is the endpoint's own, where a chassis has a foot in another one than its first address.
        """
        zone = zone or device.zone
        try:
            if self.halt_reason is not None:
                raise Halted(self.halt_reason)
            if not device.tier.allows(tier):
                raise TierTooLow(f"tier {tier} is not granted here (highest: {device.tier})")
            self._check_window(zone, worst_case_s)
            self._check_breaker(device, zone)
        except (Halted, TierTooLow, OutsideWindow, BreakerOpen) as refusal:
            device.figures.refusals[refusal.rule] += 1
            raise

    def _check_window(self, zone: str, worst_case_s: float) -> None:
        wall, mono = self.clock.wall(), self.clock.monotonic()
        permission = self._permission(zone, wall)
        if not permission.allowed:
            raise OutsideWindow(permission.reason)
        if permission.until is None:
            return
        deadline = mono + (permission.until - wall).total_seconds()
        deadline = min(self._deadlines.setdefault(zone, deadline), deadline)
        if mono + worst_case_s + CLOSE_S > deadline:
            ends = permission.until.isoformat(timespec="minutes")
            raise OutsideWindow(f"the window ends at {ends}; this step might not end before it")

    def _check_breaker(self, device: Device, zone: str) -> None:
        if stopped := self._zones[zone].stopped or self._zones[device.zone].stopped:
            raise BreakerOpen(stopped)
        if device.health.stopped:
            raise BreakerOpen(device.health.stopped)

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
        self.note_connect(device)

    def note_connect(self, device: Device) -> None:
        """A connection is made now: from here the interval to the next one counts."""
        device.next_connection_at = self.clock.monotonic() + device.limits.connection_interval_s

    async def reserve(
        self, device: Device, packets: int, *, closing: bool = False, zone: str | None = None
    ) -> Reservation:
        """
        Wait until `packets` more fit under the caps of device and zone, and set them aside. `zone`
        as in `check`. A close is never refused: silence must be reachable from everywhere.
        """
        if not closing and device.figures.packets + packets > device.budget:
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

    def note_answer(
        self, device: Device, port: int, question: str, latency_s: float, *, exempt: bool
    ) -> None:
        """
        A reply came. Slower than max(5 x baseline, baseline + 200 ms) is a sign of distress; the
        baseline is the first reply to that question. Login exchanges are exempt.
        """
        health = device.health
        health.answered_ports.add(port)
        health.silent_in_a_row = 0
        health.answered_questions.add((port, question))
        if exempt:
            return
        baseline = health.baseline_s.setdefault((port, question), latency_s)
        if latency_s > max(5 * baseline, baseline + 0.2):
            what = f"port {port}, {question}: answered in {latency_s:.2f} s after {baseline:.2f} s"
            self._sign(device, what)

    def note_silence(self, device: Device, port: int, question: str) -> None:
        """
        No answer. Nothing on an address that never answered, and nothing where a port that answers
        leaves a new question (another unit id, version or community) unanswered. A silence of a
        question answered before, or the third silent new port in a row, asks for a canary.
        """
        health = device.health
        if not health.answered_ports:
            return
        if (port, question) in health.answered_questions:
            health.needs_canary = f"port {port}, {question}: fell silent"
            return
        if port in health.answered_ports:
            return
        health.silent_in_a_row += 1
        if health.silent_in_a_row >= 3:
            health.silent_in_a_row = 0
            health.needs_canary = "three silent ports in a row"

    def note_reset(self, device: Device, port: int, question: str) -> None:
        """The device reset a connection in mid-exchange."""
        self._sign(device, f"port {port}, {question}: reset in mid-exchange")

    def note_canary(self, device: Device, healthy: bool, note: str) -> None:
        health = device.health
        health.needs_canary = None
        health.canaries.append(
            CanaryResult(address=device.address, at=self.clock.wall(), healthy=healthy, note=note)
        )
        if not healthy:
            self._sign(device, f"canary failed: {note}", stop=True)

    def _sign(self, device: Device, what: str, *, stop: bool = False) -> None:
        """First sign: a canary decides. Second sign or failed canary: leave the device alone."""
        health = device.health
        health.signs.append(what)
        now = self.clock.monotonic()
        zone = self._zones[device.zone]
        if stop or len(health.signs) >= 2:
            health.stopped = f"left alone after a sign of distress: {what}"
            health.needs_canary = None
        else:
            health.needs_canary = what
        zone.signs.append((now, device.key))
        while zone.signs and zone.signs[0][0] < now - 60:
            zone.signs.popleft()
        if len({key for _, key in zone.signs}) >= 2 and not zone.stopped:
            zone.stopped = (
                f"zone {device.zone} stopped: two devices showed signs of distress within 60 s"
            )
