"""Puts a scan together: site, plan, state, store, governor, engine; and takes it apart again."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic import TypeAdapter

from credentials import attempts as attempt_policy
from credentials import secrets as secret_references
from credentials import sets as default_sets
from scanner import (
    __version__,
    capture,
    discovery,
    fragile,
    installation,
    signing,
    site,
    tripwire,
    windows,
)
from scanner.cli import certifying
from scanner.engine import Engine
from scanner.errors import UsageError
from scanner.facts import DeviceIdentity, DeviceSettings, Fact
from scanner.governor import Clock, Governor
from scanner.model import Identity, Outcome, Safety, SafetyFigures, Tier
from scanner.plan import DevicePlan, Plan, PlannedQuestion, build, service_of
from scanner.redact import DiscreetJournal, Redactor
from scanner.session import Grant
from scanner.spec import DefaultCredential, Login, Secret
from scanner.state import (
    AttemptLedger,
    SiteState,
    fingerprint_key,
    is_running,
    this_process,
)
from scanner.store import RunMeta, RunStore, key_of
from scanner.windows import Permission
from scanner.wire import has_route

State = Literal["finished", "interrupted", "halted"]
SAFETY = TypeAdapter(Safety)
ENCRYPTED = frozenset({"ssh", "https"})
"""Services over which a login may be tried without `consent: [cleartext]`."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def load_site(path: Path, *, now: datetime | None = None) -> site.Site:
    """A site file, checked against the probes that exist. Raises SiteErrors."""
    known = discovery.probes()
    return site.load(
        path,
        known_probes=frozenset(probe.name for probe in known),
        known_services=frozenset(service_of(probe) for probe in known),
        now=now,
    )


def make_plan(which: site.Site, *, only: tuple[str, ...] = (), zone: str | None = None) -> Plan:
    return build(which, discovery.probes(), only=only, zone=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOrder:
    site_file: Path
    out: Path
    resume: bool = False
    repeat_interrupted: bool = False
    only: tuple[str, ...] = ()
    zone: str | None = None
    store: str | None = None
    """A postgresql URL instead of `out`/walkdown.db."""
    capture: bool = True
    """Keep the headers of our own packets beside the run, where this process may see them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanEnd:
    """How a scan ended. `store` is where its run is kept."""

    state: State
    reason: str
    rule: str | None
    store: str | Path


Watcher = Callable[[Governor, Engine, Plan], Coroutine[None, None, None]]
"""Shows progress until it is cancelled."""


async def scan(
    order: ScanOrder,
    *,
    environment: Mapping[str, str],
    watch: Watcher | None = None,
    lease_held: Callable[[], bool] = lambda: True,
    handle_signals: bool = True,
    helper: capture.Helper | None = None,
) -> ScanEnd:
    """
    Carry out one scan. `lease_held` is asked before every frame. `helper` watches our packets, if
    there is one (rights.give_up).

    Raises UsageError (site file, authorisation, nothing to do) and StoreError before anything is
    sent.
    """
    since = (utc_now(), time.monotonic())
    installation.refuse_changed_files()
    which = load_site(order.site_file, now=utc_now())
    if problem := windows.authorisation_problem(which, utc_now()):
        raise UsageError(
            f"{which.path}: {problem}\n"
            "  hint: `authorisation` holds what the plant's owner has signed: reference, owner, "
            "contact, valid_from and valid_until"
        )
    plan = make_plan(which, only=order.only, zone=order.zone)
    _refuse_what_cannot_work(which, plan, environment)
    signer = signing.load_or_create(signing_key_file(which))
    place: str | Path = order.store or order.out / "walkdown.db"
    _refuse_a_taken_place(order, place)
    with SiteState.open(which.state) as state:
        lock = state.take_scan_lock(
            purpose=f"scan of {which.name}",
            now=utc_now(),
            me=this_process(),
            is_running=is_running,
        )
        with lock, _open_run(order, place, which, plan, signer) as store:
            captured, ours = certifying.begin_capture(helper, plan, order.out, wanted=order.capture)
            certifying.note_limits(store, plan, _ends(which, plan), captured=captured, ours=ours)
            end = await _run(
                order, which, plan, state, store, place, environment, watch, lease_held,
                handle_signals, lock.beat, since,
            )  # fmt: skip
            if helper is not None and captured == certifying.BEGUN:
                certifying.end_capture(store, helper)
            made = certifying.make(store, order.out)
            write_atomically(order.out / certifying.FILE, certifying.text_of(made))
            digests = certifying.digests(order.out)
            store.seal(signer=signer, extra_digests=digests, now=utc_now())
            return end


def _ends(which: site.Site, plan: Plan) -> dict[str, datetime]:
    """When each zone's window ends, as far as one is open now."""
    now = utc_now()
    zones = {device.zone for device in plan.devices}
    until = {zone: windows.permission(which, zone, now).until for zone in zones}
    return {zone: at for zone, at in until.items() if at is not None}


def _refuse_a_taken_place(order: ScanOrder, place: str | Path) -> None:
    """An earlier run is never mixed with a new one."""
    if not order.resume and isinstance(place, Path) and place.exists():
        raise UsageError(
            f"{place} already holds a run\n"
            "  hint: go on with it (--resume), or choose another folder (--out)"
        )


def _refuse_what_cannot_work(which: site.Site, plan: Plan, environment: Mapping[str, str]) -> None:
    if not plan.questions:
        why = "\n  ".join(plan.skipped) or "no zone has an address to ask"
        raise UsageError(f"there is nothing to ask:\n  {why}")
    for zone in which.zones:
        first = next((d.addresses[0] for d in plan.devices if d.zone == zone.id), None)
        if first is not None and not has_route(first):
            raise UsageError(
                f"zone {zone.id}: this machine has no route to {first}\n"
                "  hint: connect the laptop to that network, or scan with --only from where you are"
            )
    # A secret that cannot be had is told now and not in the middle of the night.
    for device in plan.devices:
        for question in device.questions:
            login_for(which, device, question, environment)


def _open_run(
    order: ScanOrder, place: str | Path, which: site.Site, plan: Plan, signer: signing.Signer
) -> RunStore:
    """A new run, or the one to go on with."""
    exists = isinstance(place, Path) and place.exists()
    if not order.resume:
        try:
            order.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{order.out}: no folder for a run can be made there ({error.strerror})\n"
                "  hint: choose another --out"
            ) from error
        return RunStore.create(place, run=_meta(which, plan, signer), now=utc_now())
    if isinstance(place, Path) and not exists:
        raise UsageError(f"{place}: there is no run to resume\n  hint: leave --resume out")
    store = RunStore.open(place)
    try:
        begun = store.meta()
        if begun.site != which.name:
            raise UsageError(f"{place} is a run of {begun.site!r}, not of {which.name!r}")
        if begun.tiers == ("passive",):
            raise UsageError(
                f"{place} was made of files (walkdown import), and a scan is a run of its own\n"
                "  hint: another --out; then `walkdown assess` puts both together"
            )
        if begun.signing_key not in ("", signer.public_key):
            raise UsageError(
                f"{place} was begun with signing key {begun.signing_key[:16]}…, and here is "
                f"{signer.public_key[:16]}…\n"
                f"  hint: bring {signing_key_file(which).name} from the machine that began it, "
                "or start a new run"
            )
        store.mark_interrupted(utc_now())
        if order.repeat_interrupted:
            interrupted = (o for o in store.observations() if o.outcome is Outcome.INTERRUPTED)
            store.reopen(key_of(observation) for observation in interrupted)
        store.set_state("running", "resumed", utc_now())
    except BaseException:
        store.close()
        raise
    return store


def _meta(which: site.Site, plan: Plan, signer: signing.Signer) -> RunMeta:
    now = utc_now()
    authorisation = which.authorisation
    limits = {
        f"zone {zone.id}": (
            f"profile {zone.profile.name}, tier {zone.tier}, "
            f"packet budget {sum(d.budget for d in plan.devices if d.zone == zone.id)}"
        )
        for zone in which.zones
    }
    return RunMeta(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        site=which.name,
        site_file_text=which.path.read_text(encoding="utf-8"),
        plan_digest=plan.digest,
        started_at=now,
        version=__version__,
        authorisation=authorisation.reference if authorisation else "",
        authorised_by=authorisation.owner if authorisation else "",
        tiers=tuple(sorted({str(q.probe.tier) for d in plan.devices for q in d.questions})),
        limits=limits | {"site file": str(which.path)},
        signing_key=signer.public_key,
        probe_set=installation.probe_set_digest(),
    )


async def _run(
    order: ScanOrder,
    which: site.Site,
    plan: Plan,
    state: SiteState,
    store: RunStore,
    place: str | Path,
    environment: Mapping[str, str],
    watch: Watcher | None,
    lease_held: Callable[[], bool],
    handle_signals: bool,
    beat: Callable[[datetime], bool],
    since: tuple[datetime, float],
) -> ScanEnd:
    def permission(zone: str, now: datetime) -> Permission:
        if not lease_held():
            return Permission(allowed=False, until=None, reason="the lease of this job is gone")
        return windows.permission(which, zone, now)

    clock = Clock(monotonic=time.monotonic, wall=utc_now, sleep=asyncio.sleep)
    governor = Governor(clock, permission, which.in_scope, since=since, resumed=order.resume)
    with ThreadPoolExecutor(16, thread_name_prefix="library") as executor:
        engine = Engine(
            plan=plan,
            governor=governor,
            journal=DiscreetJournal(store, Redactor(_secrets(which, plan, environment))),
            lend=_Lender(which, state, environment, clock, plan),
            executor=executor,
            finished=store.finished_questions(),
            earlier=store.observations(),
            link_address=fragile.Neighbours().link_address,
        )
        halt = _HaltKept(governor, store, since)
        beside = [
            asyncio.create_task(_beat(beat)),
            asyncio.create_task(halt.when_it_comes()),
        ]
        if watch is not None:
            beside.append(asyncio.create_task(watch(governor, engine, plan)))
        try:
            with _stopping_on_signals(governor, handle_signals), tripwire.armed():
                await engine.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
    halt.at_the_end()
    _note_left_alone(governor, store, since)
    end = _how_it_ended(governor, engine, place)
    _keep_safety(which, governor, _obeyed(plan, engine), end, store)
    state.touch({(d.zone, d.address): utc_now() for d in governor.devices() if d.figures.exchanges})
    store.set_state(end.state, end.reason, utc_now())
    return end


class _HaltKept:
    """
    Keeps the moment of a stop in the chain, once: from there on nothing more may be asked. By a
    clock that nobody can set, as the capture's.
    """

    def __init__(self, governor: Governor, store: RunStore, since: tuple[datetime, float]) -> None:
        self._governor = governor
        self._store = store
        self._since = since
        self._at: datetime | None = None
        self._is_kept = False
        self._writing = threading.Lock()

    async def when_it_comes(self) -> None:
        await self._governor.until_halted()
        self._at = self._now()
        await asyncio.to_thread(self._keep)

    def at_the_end(self) -> None:
        """
        A stop in the last moment is not lost, nor one that could not be written when it came: that
        is tried again, with the moment at which it came. Raises StoreError.
        """
        if self._governor.halted:
            self._keep()

    def _keep(self) -> None:
        """Also from a thread that goes on when its task was cancelled: whoever is second waits."""
        with self._writing:
            if not self._is_kept:
                at, reason = self._at or self._now(), self._governor.halt_reason or "halted"
                self._store.note("halt", {"at": at.isoformat(), "reason": reason})
                self._is_kept = True

    def _now(self) -> datetime:
        begun, then = self._since
        return begun + timedelta(seconds=time.monotonic() - then)


def _note_left_alone(governor: Governor, store: RunStore, since: tuple[datetime, float]) -> None:
    """Keep the moments at which devices were left alone, by the clock of the capture."""
    begun, then = since
    for device in governor.devices():
        if (stopped := device.health.stopped_at) is not None:
            at = begun + timedelta(seconds=stopped - then)
            place = {"zone": device.zone, "address": device.address, "at": at.isoformat()}
            store.note("left", place | {"reason": device.health.stopped})


async def _beat(beat: Callable[[datetime], bool]) -> None:
    while True:
        await asyncio.sleep(10)
        await asyncio.to_thread(beat, utc_now())


def _how_it_ended(governor: Governor, engine: Engine, place: str | Path) -> ScanEnd:
    if governor.halt_rule == "stop":
        return ScanEnd(
            state="interrupted", reason=governor.halt_reason or "", rule="stop", store=place
        )
    if governor.halt_reason:
        return ScanEnd(
            state="halted", reason=governor.halt_reason, rule=governor.halt_rule, store=place
        )
    if engine.closed_zones:
        reason = "; ".join(f"zone {z}: {why}" for z, why in sorted(engine.closed_zones.items()))
        return ScanEnd(state="halted", reason=reason, rule="window", store=place)
    stopped = governor.stopped_zones()
    if stopped:
        return ScanEnd(state="halted", reason="; ".join(stopped), rule="breaker", store=place)
    return ScanEnd(state="finished", reason="", rule=None, store=place)


def _obeyed(plan: Plan, engine: Engine) -> tuple[str, ...]:
    """What the fragile list took away from the scan of a device, before contact and after."""
    left = (words for words in plan.skipped if fragile.LEFT_ALONE in words)
    return (
        *left,
        *(
            f"{address} ({zone}): {entry.words}"
            for (zone, address), entries in engine.known_fragile.items()
            for entry in entries
        ),
    )


def _keep_safety(
    which: site.Site,
    governor: Governor,
    known_fragile: tuple[str, ...],
    end: ScanEnd,
    store: RunStore,
) -> None:
    """Figures of this sitting, added to those of the run's earlier sittings."""
    figures = tuple(device.safety() for device in governor.devices() if device.figures.exchanges)
    earlier = store.safety()
    if earlier is not None:
        before = SAFETY.validate_json(earlier)
        figures = add_figures((*before.devices, *figures))
        known_fragile = tuple(dict.fromkeys((*before.fragile, *known_fragile)))
    withheld: dict[str, int] = {}
    for one in figures:
        for rule, count in one.refusals.items():
            withheld[rule] = withheld.get(rule, 0) + count
    safety = Safety(
        total=total_figures(figures),
        devices=figures,
        loosenings=which.loosenings(),
        halted=end.reason or None,
        withheld=withheld,
        fragile=known_fragile,
    )
    store.save_safety(SAFETY.dump_json(safety).decode())


def add_figures(figures: tuple[SafetyFigures, ...]) -> tuple[SafetyFigures, ...]:
    """One entry per device; counts add up, peaks are the greatest, gaps the smallest."""
    merged: dict[tuple[str | None, str | None], SafetyFigures] = {}
    for one in figures:
        place = (one.zone, one.address)
        merged[place] = _sum(merged[place], one) if place in merged else one
    return tuple(merged.values())


def _sum(one: SafetyFigures, other: SafetyFigures) -> SafetyFigures:
    gaps = [g for g in (one.smallest_gap_s, other.smallest_gap_s) if g is not None]
    return replace(
        other,
        connections=one.connections + other.connections,
        peak_concurrent=max(one.peak_concurrent, other.peak_concurrent),
        exchanges=one.exchanges + other.exchanges,
        bytes_out=one.bytes_out + other.bytes_out,
        bytes_in=one.bytes_in + other.bytes_in,
        packets_counted=one.packets_counted + other.packets_counted,
        packets_budget=max(one.packets_budget, other.packets_budget),
        smallest_gap_s=min(gaps) if gaps else None,
        peak_packets_1s=max(one.peak_packets_1s, other.peak_packets_1s),
        resets_sent=one.resets_sent + other.resets_sent,
        refusals={
            rule: one.refusals.get(rule, 0) + other.refusals.get(rule, 0)
            for rule in sorted({*one.refusals, *other.refusals})
        },
        canary=(*one.canary, *other.canary),
    )


def total_figures(devices: tuple[SafetyFigures, ...]) -> SafetyFigures:
    """All devices together; budgets add up, and the peak of connections is that of one device."""
    total = SafetyFigures(
        zone=None, address=None, profile="", connections=0, peak_concurrent=0, exchanges=0,
        bytes_out=0, bytes_in=0, packets_counted=0, packets_budget=0, smallest_gap_s=None,
        peak_packets_1s=0, resets_sent=0, refusals={}, canary=(),
    )  # fmt: skip
    for one in devices:
        total = replace(_sum(total, one), zone=None, address=None, profile="")
    return replace(total, packets_budget=sum(one.packets_budget for one in devices))


@contextmanager
def _stopping_on_signals(governor: Governor, wanted: bool) -> Iterator[None]:
    """
    Ctrl-C, SIGTERM and a closed terminal drain: what is open is closed in order, what is known is
    kept.
    """
    if not wanted:
        yield
        return
    loop = asyncio.get_running_loop()

    def stop(name: str) -> None:
        governor.halt(f"stopped by {name}", rule="stop")

    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
    hangup = getattr(signal, "SIGHUP", None)  # a lost connection to the laptop; Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # nohup
        names[hangup] = "the end of its terminal"
    previous = {number: signal.getsignal(number) for number in names}
    for number, name in names.items():
        try:
            loop.add_signal_handler(number, stop, name)
        except NotImplementedError:  # Windows: no loop handlers
            signal.signal(number, lambda *_, name=name: loop.call_soon_threadsafe(stop, name))
    try:
        yield
    finally:
        for number, before in previous.items():
            with suppress(NotImplementedError):  # Windows, as above
                loop.remove_signal_handler(number)
            signal.signal(number, before)  # the loop would leave the system's own there


class _Lender:
    """What sessions are lent: options, the operator's login, matched defaults, the ledger."""

    def __init__(
        self,
        which: site.Site,
        state: SiteState,
        environment: Mapping[str, str],
        clock: Clock,
        plan: Plan,
    ) -> None:
        if any(probe.tier is Tier.LOGIN for probe in plan.probes()):
            default_sets.load()  # before a device waits for it
        self._site = which
        self._state = state
        self._environment = environment
        self._clock = clock
        self._key = fingerprint_key(_key_file(which))

    def __call__(
        self, device: DevicePlan, question: PlannedQuestion, known: tuple[Fact, ...]
    ) -> Grant:
        policy = device.policy
        identity = _identity(known)
        options = {
            "unit_ids": policy.unit_ids,
            "dnp3_addresses": policy.dnp3_addresses,
            "dnp3_master": policy.dnp3_master,
            "snmp_public": policy.snmp_public,
            "consent": policy.consent,
        }
        return Grant(
            options=options,
            known=known,
            login=login_for(self._site, device, question, self._environment),
            default_credentials=self._defaults(question, device, identity),
            attempts=self._ledger(device, known),
            fingerprint_key=self._key,
        )

    def _defaults(
        self, question: PlannedQuestion, device: DevicePlan, identity: Identity
    ) -> tuple[DefaultCredential, ...]:
        if question.probe.tier is not Tier.LOGIN:
            return ()
        if question.service not in ENCRYPTED and "cleartext" not in device.policy.consent:
            return ()
        return default_sets.match(identity, question.probe.name)

    def _ledger(self, device: DevicePlan, known: tuple[Fact, ...]) -> AttemptLedger:
        told: list[Identity | DeviceIdentity] = [f for f in known if isinstance(f, DeviceIdentity)]
        if device.policy.asset is not None:
            told.append(device.policy.asset.identity)
            told.append(Identity(name=device.policy.asset.name))
        thresholds = [
            fact.lockout_after
            for fact in known
            if isinstance(fact, DeviceSettings) and fact.lockout_after is not None
        ]
        login = device.policy.login
        return AttemptLedger(
            self._state,
            zone=device.zone,
            address=device.addresses[0],
            addresses=device.addresses,
            policy=attempt_policy.policy(
                profile=device.profile.name,
                safety_controller=attempt_policy.is_safety_controller(*told),
                lockout_after=min(thresholds, default=None),
                addresses=frozenset(device.addresses),
            ),
            shared_accounts=() if login is None else (login.user,),
            sudden=lambda usual_s, took_s: attempt_policy.sudden_delay(
                usual_s, took_s, device.profile
            ),
            now=self._clock.wall,
            sleep=self._clock.sleep,
        )


def login_for(
    which: site.Site, device: DevicePlan, question: PlannedQuestion, environment: Mapping[str, str]
) -> Login | None:
    """The operator's own login, where a question needs it. Raises UsageError."""
    reference = device.policy.login
    if reference is None or "login" not in question.probe.needs:
        return None
    secret = secret_references.resolve(
        reference.secret,
        environment=environment,
        folder=which.folder,
        check_mode=os.name == "posix",
    )
    return Login(
        platform=reference.platform,
        user=reference.user,
        secret=secret,
        host_key=reference.host_key,
    )


def signing_key_file(which: site.Site) -> Path:
    return which.path.with_suffix(".signing-key")


def _secrets(which: site.Site, plan: Plan, environment: Mapping[str, str]) -> tuple[Secret, ...]:
    """All secrets of the operator that this scan may use, so that none of them is written down."""
    found = (
        login_for(which, device, question, environment)
        for device in plan.devices
        for question in device.questions
    )
    return tuple(login.secret for login in found if login is not None)


def _key_file(which: site.Site) -> Path:
    return which.path.with_suffix(".key")


def _identity(known: tuple[Fact, ...]) -> Identity:
    """The first value told for each field; enough to match a product."""
    told = [fact for fact in known if isinstance(fact, DeviceIdentity) and not fact.sub_address]

    def first(name: str) -> str | None:
        return next((value for fact in told if (value := getattr(fact, name))), None)

    return Identity(
        vendor=first("vendor"),
        model=first("model"),
        order_number=first("order_number"),
        hardware=first("hardware"),
        firmware=first("firmware"),
        serial=first("serial"),
        name=first("name"),
    )


def write_atomically(path: Path, content: bytes) -> None:
    """
    Whole or not at all, also when the machine stops meanwhile. An OSError names `path`, not the
    file that is written first.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        error.filename = str(path)
        raise
