"""
Carries out a plan: what to ask whom, in what order; resume; canaries; progress.

One task per device, all in one event loop; the governor paces them. The engine knows no queue, no
clock of its own and no file: it takes a plan, a store, a governor and what the composition root
lends to devices. The one broad `except` of the project is here: one broken probe costs one
observation.
"""

from __future__ import annotations

import asyncio
import gc
import re
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from scanner import fragile
from scanner.errors import BreakerOpen, Halted, OutsideWindow, Unreachable, WalkdownError, Withheld
from scanner.facts import DeviceIdentity, Fact, LinkAddress, ModbusAccess
from scanner.governor import Device, Governor
from scanner.guards import specs
from scanner.link import Helper
from scanner.model import CONTROLLERS, NOBODY_THERE, Observation, Outcome, Target, Tier, Transport
from scanner.plan import DevicePlan, Plan, PlannedQuestion
from scanner.session import CanaryAnswered, Evidence, GovernedSession, Grant, outcome_of

WORKERS = 256
"""
Devices under way at once. In a zone no more than its cap of packets in a second: more would wait
for each other with their connections open, and could not all be closed within a moment.
"""
DEVICE_S = 600.0
DEEP_DEVICE_S = 1200.0
"""What one device may take, from the read tier up; waiting for our own pacing is not counted."""
LONG_PAUSE_S = 0.025
"""A full garbage collection of this process that took longer is not made of the same again."""
CANARY_PAUSE_S = 0.2
"""
Between the sign and the canary, beside what the profile asks for between two connections: the last
packet to a device that has died leaves within 5 s.
"""


class Journal(Evidence, Protocol):
    """Where questions and observations are written; scanner.store.RunStore is the real one."""

    async def question_started(self, key: str, *, protocol: str, at: datetime) -> None: ...

    async def question_finished(self, observation: Observation) -> Observation: ...


Lender = Callable[[DevicePlan, PlannedQuestion, tuple[Fact, ...]], Grant]
"""What a session of this question is lent, given what is already known of the device."""


@dataclass(slots=True)
class Progress:
    """Counters that a display may read at any time; `last` is the newest event in words."""

    devices_total: int = 0
    devices_done: int = 0
    questions_total: int = 0
    questions_done: int = 0
    found: set[str] = field(default_factory=set)
    phase: str = "starting"
    last: str = ""


class Engine:
    def __init__(
        self,
        *,
        plan: Plan,
        governor: Governor,
        journal: Journal,
        lend: Lender,
        executor: Executor,
        finished: Iterable[str] = (),
        earlier: Iterable[Observation] = (),
        on_progress: Callable[[Progress], None] = lambda progress: None,
        link_address: Callable[[str], str | None] = lambda address: None,
        link: Helper | None = None,
    ) -> None:
        """
        `finished` are keys not to ask again; `earlier` the observations that go with them.
        `link_address` tells the MAC address that is known of a neighbour; `link` sends what goes
        on layer 2.
        """
        self._link = link
        self._plan = plan
        self._governor = governor
        self._journal = journal
        self._lend = lend
        self._executor = executor
        self._finished = set(finished)
        self._earlier: dict[tuple[str, str], list[Observation]] = {}
        for observation in earlier:
            place = (observation.zone, observation.address)
            self._earlier.setdefault(place, []).append(observation)
        self._on_progress = on_progress
        self._link_address = link_address
        self.progress = Progress(devices_total=len(plan.devices), questions_total=plan.questions)
        self.closed_zones: dict[str, str] = {}
        """Zones whose window closed while questions were left, with the reason."""
        self.known_fragile: dict[tuple[str, str], tuple[fragile.Entry, ...]] = {}
        """Entries of the fragile list that were obeyed, by zone and first address of a device."""

    async def run(self) -> None:
        """Ask everything that is not finished. Returns when all is done or nothing more may be."""
        loop = asyncio.get_running_loop()
        # The first guard that is asked for loads all of them: here no device waits for it.
        await loop.run_in_executor(self._executor, specs)
        for prepare in {probe.prepare for probe in self._plan.probes()}:
            await loop.run_in_executor(self._executor, prepare)
        self._tell("asking")
        seats = asyncio.Semaphore(WORKERS)

        async def worker(waiting: Iterator[DevicePlan]) -> None:
            for device in waiting:
                async with seats:
                    await self._device(device)

        try:
            async with self._short_pauses(), asyncio.TaskGroup() as group:
                for devices in self._by_zone():
                    waiting = iter(devices)
                    at_once = min(WORKERS, devices[0].zone_cap or WORKERS)
                    for _ in range(min(at_once, len(devices))):
                        group.create_task(worker(waiting))
        except BaseExceptionGroup as several:
            # A store that cannot write ends everything: nothing leaves unrecorded.
            raise several.exceptions[0] from several
        self._tell("done" if not self._governor.halted else "stopped")

    @asynccontextmanager
    async def _short_pauses(self) -> AsyncIterator[None]:
        """
        While devices wait, a full garbage collection goes through what the scan has made lately,
        and not through all modules and all that it keeps each time: that took a quarter of a
        second, in the middle of everything.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, gc.collect)
        began = 0.0

        def watch(phase: str, info: dict[str, int]) -> None:
            nonlocal began
            if phase == "start":
                began = time.perf_counter()
            elif info["generation"] == 2 and time.perf_counter() - began > LONG_PAUSE_S:
                loop.call_soon_threadsafe(gc.freeze)  # what outlived it is kept to the end

        try:
            gc.freeze()
            gc.callbacks.append(watch)
            yield
        finally:
            gc.callbacks.remove(watch)
            gc.unfreeze()

    def _by_zone(self) -> tuple[tuple[DevicePlan, ...], ...]:
        zones: dict[str, list[DevicePlan]] = {}
        for device in self._plan.devices:
            zones.setdefault(device.zone, []).append(device)
        return tuple(tuple(devices) for devices in zones.values())

    # --- one device -----------------------------------------------------------------------------

    async def _device(self, plan: DevicePlan) -> None:
        device = self._governor.device(
            zone=plan.zone,
            zone_cap=plan.zone_cap,
            key=plan.key,
            address=plan.addresses[0],
            limits=plan.profile,
            tier=plan.policy.tier,
            budget=plan.budget,
        )
        visit = _Visit(plan, device)
        for address in plan.addresses:
            for observation in self._earlier.get((plan.zone, address), ()):
                visit.note(observation)
        # A sitting that went deep asked its own canary; a device that is done is left alone.
        visit.went_deep = False
        self._obey(visit)
        for question in plan.questions:
            if self._governor.halted or plan.zone in self.closed_zones:
                break
            await self._question(visit, question)
        else:
            if visit.went_deep and not self._governor.halted:
                await self._canary(visit, "after the read and login sessions", pause=False)
        self.progress.devices_done += 1
        self._tell()

    def _obey(self, visit: _Visit) -> None:
        """Whatever was told by now may make rules stricter, and never looser (promise 14)."""
        place = (visit.plan.zone, visit.plan.addresses[0])
        if visit.device.figures.exchanges:  # else the kernel had no reason to learn its address
            visit.links.update(filter(None, map(self._link_address, visit.plan.addresses)))
        if not visit.look_up():
            return
        self.known_fragile[place] = visit.fragile
        device = visit.device
        device.limits = visit.rule.paced(device.limits)
        if device.limits.packets_per_s is not None:
            device.rate.cap = device.limits.packets_per_s
        if device.figures.connections:
            now = self._governor.clock.monotonic()
            soonest = now + device.limits.connection_interval_s
            device.next_connection_at = max(device.next_connection_at, soonest)

    async def _question(self, visit: _Visit, question: PlannedQuestion) -> None:
        self.progress.questions_done += 1
        if question.key in self._finished or not visit.is_due(question):
            return
        grant = self._lend(visit.plan, question, tuple(visit.known))
        if "default_credential" in question.probe.needs and not grant.default_credentials:
            return
        await self._journal.question_started(
            question.key, protocol=question.service, at=self._governor.clock.wall()
        )
        if reason := visit.reason_to_withhold(question):
            await self._keep(visit, question, Outcome.WITHHELD, reason, (), ())
            return
        await self._ask(visit, question, grant)
        await self._canary_if_needed(visit)

    async def _ask(self, visit: _Visit, question: PlannedQuestion, grant: Grant) -> None:
        started = self._governor.clock.wall()
        session = self._session(visit, question, question.key, grant)
        began = self._busy(visit.device)
        facts: tuple[Fact, ...] = ()
        outcome, reason = Outcome.ANSWERED, ""
        try:
            facts = await session.in_time(question.probe.run(session))
        except OutsideWindow as closed:
            self.closed_zones.setdefault(visit.plan.zone, str(closed))
            outcome, reason = Outcome.WITHHELD, str(closed)
        except Unreachable as gone:
            visit.unreachable.add(question.target.address)
            outcome, reason = Outcome.SILENT, str(gone)
        except WalkdownError as error:
            outcome, reason = outcome_of(error), str(error)
        except Exception as error:  # one broken probe costs one observation
            place = traceback.extract_tb(error.__traceback__)[-1]
            outcome = Outcome.BUG
            reason = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        finally:
            await session.finish()
            visit.busy_s += self._busy(visit.device) - began
        unasked = outcome in (Outcome.INTERRUPTED, Outcome.WITHHELD) and (
            self._governor.halted or visit.plan.zone in self.closed_zones
        )
        if unasked and not session.exchange_ids:
            return  # nothing left the machine: resume will ask it
        if unasked:
            outcome = Outcome.INTERRUPTED
        await self._keep(
            visit,
            question,
            outcome,
            reason,
            facts,
            tuple(session.exchange_ids),
            started,
            connected=session.connected,
        )

    def _busy(self, device: Device) -> float:
        """A clock that stands still while our own pacing keeps this device waiting."""
        return self._governor.clock.monotonic() - device.waited_s

    def _session(
        self,
        visit: _Visit,
        question: PlannedQuestion,
        key: str,
        grant: Grant,
        *,
        canary: bool = False,
    ) -> GovernedSession:
        return GovernedSession(
            probe=question.probe,
            target=question.target,
            device=visit.device,
            governor=self._governor,
            evidence=self._journal,
            grant=grant,
            question=key,
            executor=self._executor,
            canary=canary,
            at_most_s=visit.granted_s - visit.busy_s,
            ask_canary=None if canary else partial(self._canary_if_needed, visit),
            link=self._link,
        )

    async def _keep(
        self,
        visit: _Visit,
        question: PlannedQuestion,
        outcome: Outcome,
        reason: str,
        facts: tuple[Fact, ...],
        exchanges: tuple[str, ...],
        started: datetime | None = None,
        *,
        connected: bool = False,
    ) -> None:
        now = self._governor.clock.wall()
        target = question.target
        if outcome is Outcome.ANSWERED and (link := self._link_address(target.address)):
            own = LinkAddress(mac=link)
            facts = facts if own in visit.known else (*facts, own)
        observation = await self._journal.question_finished(
            Observation(
                id="",
                zone=target.zone,
                address=target.address,
                port=target.port,
                transport=target.transport,
                protocol=question.service,
                probe=question.probe.name,
                tier=question.probe.tier,
                outcome=outcome,
                reason=reason,
                started_at=started or now,
                finished_at=now,
                facts=facts,
                exchanges=exchanges,
                connected=connected,
            )
        )
        visit.note(observation)
        self._obey(visit)
        if outcome is Outcome.ANSWERED:
            self.progress.found.add(visit.plan.key)
        self._tell(last=f"{target.address} {question.service}: {outcome}")

    async def _canary_if_needed(self, visit: _Visit) -> None:
        why = visit.device.health.needs_canary
        if why and not self._governor.halted:
            await self._canary(visit, why, pause=True)

    async def _canary(self, visit: _Visit, why: str, *, pause: bool) -> None:
        """
        Ask the first answered question once more: does the device still answer it, and as fast as
        before? Where that cannot be found out, the device is left alone.
        """
        health, device = visit.device.health, visit.device
        first = visit.first_answered
        if health.stopped:
            return
        if first is None or len(health.canaries) >= visit.plan.canaries:
            if pause:
                cause = "no question was answered" if first is None else "no canary is left"
                self._governor.leave(device, f"{why}; {cause} to find out more")
            return
        if forbidden := visit.forbidden(first):
            if pause:  # it cannot be asked how it fares: the doubt counts against asking more
                self._governor.leave(device, f"{why}; no canary may be sent: {forbidden}")
            return
        grant = visit.for_canary(self._lend(visit.plan, first, tuple(visit.known)))
        session = self._session(visit, first, "", grant, canary=True)
        signs = len(health.signs)
        healthy, note = False, why
        began = self._busy(device)
        try:
            if pause:
                await self._governor.sleep(CANARY_PAUSE_S)
            await session.in_time(first.probe.run(session))
            healthy = True
        except CanaryAnswered:
            healthy = True
        except (Halted, OutsideWindow, BreakerOpen):
            return
        except Withheld as refusal:
            self._governor.leave(device, f"{why}; canary not sent: {refusal}")
            self._tell(last=f"{device.address} canary not sent: {refusal}")
            return
        except WalkdownError as error:
            note = f"{why}; then {error}"
        except Exception as error:  # as in _ask: what cannot be read is no healthy answer
            note = f"{why}; then an answer that our decoder broke on ({type(error).__name__})"
        finally:
            await session.finish()
            visit.busy_s += self._busy(device) - began
        if healthy and len(health.signs) > signs:
            healthy, note = False, f"{why}; then {health.signs[-1]}"
        self._governor.note_canary(device, healthy, note)

    def _tell(self, phase: str | None = None, *, last: str | None = None) -> None:
        self.progress.phase = phase or self.progress.phase
        self.progress.last = last if last is not None else self.progress.last
        self._on_progress(self.progress)


class _Visit:
    """What this run has learned about one device so far."""

    def __init__(self, plan: DevicePlan, device: Device) -> None:
        self.plan = plan
        self.device = device
        self.known: list[Fact] = []
        self.unreachable: set[str] = set()
        self.first_answered: PlannedQuestion | None = None
        self.went_deep = False
        self.busy_s = 0.0
        self.links: set[str] = set()
        self.rule_seen = False
        self.looked_at: tuple[list[DeviceIdentity], set[str]] | None = None
        self.fragile = plan.fragile
        self.rule = fragile.strictest(plan.fragile)
        self._outcomes: dict[tuple[Target, str, Tier], Outcome] = {}
        self._told: set[tuple[Target, str]] = set()
        """Services that said more than that nothing would be said (a refusal in words)."""

    def note(self, observation: Observation) -> None:
        target = Target(
            zone=observation.zone,
            address=observation.address,
            port=observation.port,
            transport=observation.transport,
        )
        self._outcomes[(target, observation.protocol, observation.tier)] = observation.outcome
        self.known.extend(observation.facts)
        if any(_tells(fact) for fact in observation.facts):
            self._told.add((target, observation.protocol))
        if observation.outcome is not Outcome.ANSWERED:
            return
        if observation.tier is not Tier.IDENTIFY:
            self.went_deep = True
        elif self.first_answered is None:
            self.first_answered = next(
                (
                    q
                    for q in self.plan.questions
                    if q.target == target
                    and q.target.transport is not Transport.LINK  # a station has one frame
                    and q.probe.tier is Tier.IDENTIFY
                    and q.service == observation.protocol
                ),
                None,
            )

    def look_up(self) -> bool:
        """Whether an entry of the fragile list fits that did not fit before, or any at first."""
        told = [fact for fact in self.known if isinstance(fact, DeviceIdentity)]
        if self.looked_at == (told, self.links):
            return False
        self.looked_at = told, set(self.links)
        found = {entry.id: entry for entry in self.fragile}
        found |= {entry.id: entry for entry in fragile.matching(told, self.links)}
        if len(found) == len(self.fragile) and self.rule_seen:
            return False
        self.rule_seen = True
        self.fragile = tuple(found.values())
        self.rule = fragile.strictest(self.fragile)
        return bool(self.fragile)

    def forbidden(self, question: PlannedQuestion) -> str:
        """Why the fragile list does not let a question be put, or ""."""
        probe = question.probe
        reason = self.rule.forbids(
            question.service,
            probe.tier,
            connections=fragile.connections_of(probe.transport, probe.connections),
            made=self.device.figures.connections,
            identified=any(
                isinstance(fact, DeviceIdentity) and (fact.model or fact.order_number)
                for fact in self.known
            ),
        )
        names = ", ".join(entry.id for entry in self.fragile)
        return f"known as fragile ({names}): {reason}" if reason else ""

    def is_due(self, question: PlannedQuestion) -> bool:
        """False when what the question needs is not there: then there is nothing to tell."""
        needs, target = question.probe.needs, question.target
        follows, unless = question.probe.follows, question.probe.unless
        if "answered" in needs and not self._answered(target, question.service):
            return False
        if "answered_here" in needs and not self._answered_here(target, question.service):
            return False
        if follows and not self._answered(target, follows):
            return False
        if unless and self._answered(target, unless) and (target, unless) in self._told:
            return False
        return "udp_silent" not in needs or self._udp_was_silent(question)

    def _answered(self, target: Target, service: str) -> bool:
        """By port, whatever the transport: EtherNet/IP identifies over UDP and reads over TCP."""
        return any(
            outcome is Outcome.ANSWERED
            and (told.address, told.port, name) == (target.address, target.port, service)
            for (told, name, tier), outcome in self._outcomes.items()
            if tier is Tier.IDENTIFY
        )

    def _answered_here(self, target: Target, service: str) -> bool:
        """By port and transport: FINS over TCP says nothing of FINS datagrams."""
        told = self._outcomes.get((target, service, Tier.IDENTIFY))
        return told is Outcome.ANSWERED

    def _udp_was_silent(self, question: PlannedQuestion) -> bool:
        """Asked over UDP, settled, and not answered; one that was cut off may not be repeated."""
        told = [
            outcome
            for (target, service, _), outcome in self._outcomes.items()
            if service == question.service and target.address == question.target.address
        ]
        closed = (Outcome.SILENT, Outcome.REFUSED)
        return Outcome.ANSWERED not in told and any(outcome in closed for outcome in told)

    def for_canary(self, grant: Grant) -> Grant:
        """Behind a Modbus gateway it is the unit that answered which is asked again."""
        unit = next((f.unit_id for f in self.known if isinstance(f, ModbusAccess)), None)
        if unit is None:
            return grant
        return replace(grant, options={**grant.options, "unit_ids": (unit,)})

    @property
    def granted_s(self) -> float:
        return DEEP_DEVICE_S if self.plan.policy.tier.allows(Tier.READ) else DEVICE_S

    def reason_to_withhold(self, question: PlannedQuestion) -> str:
        if question.target.address in self.unreachable:
            return NOBODY_THERE
        if self.device.health.stopped:
            return self.device.health.stopped
        if reason := self.forbidden(question):
            return reason
        policy = self.plan.policy
        if self.busy_s >= self.granted_s:
            return f"this device has had its {self.granted_s / 60:.0f} minutes"
        listed = policy.asset is not None and policy.asset.probes is not None
        if (
            not question.probe.for_controllers
            and not listed
            and not policy.tier.allows(Tier.READ)
            and self._is_controller()
        ):
            return "stop rule: recognised as a controller, so generic IT questions are not asked"
        named = policy.probes is not None and question.probe.name in policy.probes
        if not named and (vendor := self._of_another_vendor(question.probe.spoken_by)):
            return f"stop rule: the device told that it is of {vendor}, who does not speak this"
        return ""

    def _of_another_vendor(self, spoken_by: str) -> str:
        """A vendor that the device told by a field made for it, where none fits; else ""."""
        told = [
            fact.vendor
            for fact in self.known
            if isinstance(fact, DeviceIdentity)
            and fact.vendor
            and fact.sub_address is None
            and fact.basis in ("protocol", "table")
        ]
        if not spoken_by or any(re.search(spoken_by, one, re.IGNORECASE) for one in told):
            return ""
        return told[0] if told else ""

    def _is_controller(self) -> bool:
        """Known by its class, or suspected because it speaks a controller's protocol."""
        native = {q.service for q in self.plan.questions if q.probe.for_controllers}
        return any(
            outcome is Outcome.ANSWERED and service in native
            for (_, service, _), outcome in self._outcomes.items()
        ) or any(
            isinstance(fact, DeviceIdentity) and fact.device_class in CONTROLLERS
            for fact in self.known
        )


def _tells(fact: Fact) -> bool:
    """Whether anything was learned beside that somebody is there."""
    values = (getattr(fact, one.name) for one in fields(fact) if one.name != "kind")
    return any(value not in (None, ()) for value in values)
