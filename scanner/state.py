"""
What a site remembers between runs: the attempt ledger, the scan lock, last contacts, schedules.

One database beside the site file is one site (or one PostgreSQL schema). Rows carry zone and
address and no site name, so that renaming the site does not empty the attempt ledger. Several
processes may have it open; each write is one short transaction, committed on return. Every method
blocks shortly and raises StoreError when the database cannot be used.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
    text,
    update,
)

from scanner import database
from scanner.database import STATE, Database, UtcTime, put_in_place, translated
from scanner.errors import StoreError, ToolBug

KEY_BYTES = 32
LOCK_SILENCE = timedelta(minutes=5)
"""A lock whose holder cannot be looked at (another machine) is given up after this silence."""

metadata = MetaData()
attempts_table = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("zone", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("sign", Text),
    Index("attempts_by_device", "zone", "address"),
)
contacts_table = Table(
    "contacts",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("at", UtcTime, nullable=False),
)
lock_table = Table(
    "scan_lock",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False),
    CheckConstraint("one = 1", name="one_lock"),
)
chassis_table = Table(
    "chassis",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("chassis", Text, nullable=False),
)
baselines_table = Table(
    "baselines",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Float, nullable=False),
    Column("at", UtcTime, nullable=False),
)
schedules_table = Table(
    "schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("seen_until", UtcTime, nullable=False),
)
jobs_table = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("schedule", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("notify", Text, nullable=False),
    Column("token", Text),
    Column("lease_until", UtcTime),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("note", Text, nullable=False),
    Column("outcome", Text),
    Column("told", Boolean, nullable=False),
    UniqueConstraint("schedule", "due_at", name="one_job_per_occurrence"),
)
for _name, _column, _state in (
    ("one_running_job_per_zone", "zone", "running"),
    ("one_waiting_job_per_schedule", "schedule", "waiting"),
):
    Index(
        _name,
        jobs_table.c[_column],
        unique=True,
        sqlite_where=text(f"state = '{_state}'"),
        postgresql_where=text(f"state = '{_state}'"),
    )


class AttemptOutcome(StrEnum):
    """
    How a sign-in ended. `pending`: stored before it was made, and no end was stored. `locked`: a
    lockout sign was seen, a dropped connection among them.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sign-in that was made, or may have been. `sign` tells what looked like a lockout."""

    zone: str
    address: str
    service: str
    account: str
    at: datetime
    outcome: AttemptOutcome
    sign: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """
    A process that cannot be mistaken for a later one with the same number.

    `host` names the machine and the pid namespace. `boot_id` and `started` (start time in clock
    ticks since boot) are "" where the system does not tell them.
    """

    host: str
    boot_id: str
    pid: int
    started: str


class SiteState:
    """The open state of one site. Use `open`, then `close` or `with`."""

    def __init__(self, base: Database) -> None:
        self.base = base

    @classmethod
    def open(cls, place: str | Path, *, busy_timeout_s: float = 5.0) -> SiteState:
        """Open the site's state, or make it when there is none. Raises StoreError."""
        return cls(database.open_or_create(place, STATE, busy_timeout_s=busy_timeout_s))

    @property
    def place(self) -> str:
        return self.base.place

    def close(self) -> None:
        self.base.close()

    def __enter__(self) -> SiteState:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- attempts -------------------------------------------------------------------------------

    def attempts_since(
        self,
        since: datetime | None,
        *,
        zone: str | None = None,
        addresses: Iterable[str] | None = None,
    ) -> tuple[Attempt, ...]:
        """Attempts at or after `since` (None: all ever), oldest first, also of earlier runs."""
        with self.base.reading() as connection:
            return _attempts(connection, since, zone, addresses)

    def begin_attempt(
        self,
        *,
        zone: str,
        address: str,
        addresses: Iterable[str],
        service: str,
        account: str,
        now: datetime,
        decide: Callable[[tuple[Attempt, ...]], float | str],
        everywhere: bool = False,
    ) -> int | float | str:
        """
        Ask `decide` about all attempts on these addresses and, when it returns 0, store one more,
        in one transaction: two processes cannot both take the last attempt. Returns the id of the
        stored attempt as int, or what `decide` said (seconds to wait as float, or a reason).

        Attempts count whatever the zone was called when they were made. `everywhere`: those of
        this account on other devices are told to `decide`, too.
        """
        with self.base.writing() as connection:
            verdict = decide(
                _attempts(
                    connection, None, None, {address, *addresses}, account if everywhere else None
                )
            )
            if isinstance(verdict, str) or verdict > 0:
                return verdict if isinstance(verdict, str) else float(verdict)
            row = {"zone": zone, "address": address, "service": service, "account": account}
            stored = connection.execute(
                insert(attempts_table)
                .values(row | {"at": now, "outcome": AttemptOutcome.PENDING.value})
                .returning(attempts_table.c.id)
            )
            return int(stored.scalar_one())

    def end_attempt(
        self, attempt: int, outcome: AttemptOutcome, sign: str | None, at: datetime
    ) -> None:
        """From its end on, `at`, its spacing to the next one counts."""
        a = attempts_table.c
        with self.base.writing() as connection:
            connection.execute(
                update(attempts_table)
                .where(a.id == attempt)
                .values(outcome=outcome.value, sign=sign, at=at)
            )

    def date_attempt(self, attempt: int, at: datetime) -> None:
        """Its secret leaves now, or in a moment."""
        a = attempts_table.c
        with self.base.writing() as connection:
            connection.execute(update(attempts_table).where(a.id == attempt).values(at=at))

    def withdraw_attempt(self, attempt: int) -> None:
        """Forget an attempt that was stored and then not made."""
        a = attempts_table.c
        with self.base.writing() as connection:
            connection.execute(
                delete(attempts_table).where(
                    a.id == attempt, a.outcome == AttemptOutcome.PENDING.value
                )
            )

    # --- contacts, chassis, baselines -----------------------------------------------------------

    def touch(self, contacts: Mapping[tuple[str, str], datetime]) -> None:
        """Remember when each (zone, address) was last sent something."""
        with self.base.writing() as connection:
            for (zone, address), at in contacts.items():
                key = {"zone": zone, "address": address}
                _put(connection, contacts_table, key, {"at": at})

    def last_contacts(self) -> dict[tuple[str, str], datetime]:
        with self.base.reading() as connection:
            rows = connection.execute(select(contacts_table)).all()
        return {(row.zone, row.address): row.at for row in rows}

    def remember_chassis(self, zone: str, addresses: Iterable[str]) -> None:
        """These addresses are one device; joined with what was known about any of them."""
        group = set(addresses)
        c = chassis_table.c
        with self.base.writing() as connection:
            joined = select(c.chassis).where(c.zone == zone, c.address.in_(group))
            names = set(connection.execute(joined).scalars())
            members = select(c.address).where(c.zone == zone, c.chassis.in_(names))
            group |= set(connection.execute(members).scalars())
            for address in group:
                key = {"zone": zone, "address": address}
                _put(connection, chassis_table, key, {"chassis": min(group)})

    def chassis(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """(zone, addresses of one device) for every device known to have several."""
        with self.base.reading() as connection:
            rows = connection.execute(select(chassis_table)).all()
        found: dict[tuple[str, str], set[str]] = {}
        for row in rows:
            found.setdefault((row.zone, row.chassis), set()).add(row.address)
        return tuple((zone, frozenset(group)) for (zone, _), group in sorted(found.items()))

    def set_baseline(self, zone: str, address: str, name: str, value: float, at: datetime) -> None:
        """Keep one measured figure of a device ("connect_s", …)."""
        key = {"zone": zone, "address": address, "name": name}
        with self.base.writing() as connection:
            _put(connection, baselines_table, key, {"value": value, "at": at})

    def baselines(self, zone: str, address: str) -> dict[str, tuple[float, datetime]]:
        b = baselines_table.c
        with self.base.reading() as connection:
            rows = connection.execute(
                select(baselines_table).where(b.zone == zone, b.address == address)
            ).all()
        return {row.name: (row.value, row.at) for row in rows}

    # --- the scan lock --------------------------------------------------------------------------

    def take_scan_lock(
        self,
        *,
        purpose: str,
        now: datetime,
        me: ProcessId,
        is_running: Callable[[ProcessId], bool],
    ) -> ScanLock:
        """
        Become the only scan of this site. A lock left behind by a dead process is taken over.

        Raises StoreError while another scan lives. `is_running` is asked about processes of this
        machine only.
        """
        token = secrets.token_hex(16)
        with self.base.writing() as connection:
            row = connection.execute(select(lock_table)).one_or_none()
            if row is not None:
                holder = ProcessId(
                    host=row.host, boot_id=row.boot_id, pid=row.pid, started=row.started
                )
                if not lock_is_stale(holder, row.beat_at, me, now, is_running):
                    raise StoreError(
                        f"{self.place}: another scan of this site is running"
                        f" ({row.purpose}, process {row.pid} on {row.host.partition('/')[0]},"
                        f" since {row.taken_at.isoformat(timespec='seconds')});"
                        " one scan per site at a time"
                    )
                connection.execute(delete(lock_table))
            values: dict[str, object] = {
                "one": 1,
                "token": token,
                "purpose": purpose,
                "host": me.host,
                "boot_id": me.boot_id,
                "pid": me.pid,
                "started": me.started,
                "taken_at": now,
                "beat_at": now,
            }
            connection.execute(insert(lock_table), values)
        return ScanLock(self, token)

    def beat(self, token: str, now: datetime) -> bool:
        """Renew the lock; False when it is not ours any more."""
        held = update(lock_table).where(lock_table.c.token == token).values(beat_at=now)
        with self.base.writing() as connection:
            return connection.execute(held).rowcount == 1

    def release(self, token: str) -> None:
        with self.base.writing() as connection:
            connection.execute(delete(lock_table).where(lock_table.c.token == token))


@dataclass(frozen=True, slots=True)
class ScanLock:
    """The right to scan a site. Call `beat` every minute; False means: stop, it was lost."""

    state: SiteState
    token: str

    def beat(self, now: datetime) -> bool:
        return self.state.beat(self.token, now)

    def release(self) -> None:
        self.state.release(self.token)

    def __enter__(self) -> ScanLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_is_stale(
    holder: ProcessId,
    beat_at: datetime,
    me: ProcessId,
    now: datetime,
    is_running: Callable[[ProcessId], bool],
) -> bool:
    """
    Whether a lock's holder is surely gone.

    On the same machine the process itself is looked at, however long it was silent: one that is
    frozen may wake up and go on. Elsewhere silence has to do.
    """
    if holder.host == me.host and holder.boot_id and me.boot_id:
        return holder.boot_id != me.boot_id or not is_running(holder)
    return now - beat_at > LOCK_SILENCE


def this_process() -> ProcessId:
    """Who we are, for the scan lock."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return ProcessId(
        host=f"{socket.gethostname()}/{namespace}",
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
        pid=os.getpid(),
        started=_start_time(os.getpid()),
    )


def is_running(process: ProcessId) -> bool:
    """Whether this very process still lives on this machine (Linux: /proc)."""
    return bool(process.started) and _start_time(process.pid) == process.started


def _start_time(pid: int) -> str:
    """
    Start time in clock ticks since boot; "" when there is no such process, or it is a zombie.

    Source: proc(5), /proc/pid/stat, fields 3 and 22. The name in field 2 may hold anything.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in ("Z", "X") else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


# --- the attempt ledger that a probe sees ------------------------------------------------------


class AttemptLedger:
    """
    spec.Attempts for one device: every attempt is stored before it is made, and counts for ever.

    `policy(rows, now, service, account)` is pure: 0 to go ahead, seconds to wait, or a reason to
    refuse. `rows` are all attempts on this device, through any of its addresses, and those of
    `shared_accounts` on every other one. `sudden(usual_s, took_s)` says whether a refusal took so
    long that the device may hold back; the usual time is that of this service's first refusal.
    """

    MOST_WAITS = 10

    def __init__(
        self,
        state: SiteState,
        *,
        zone: str,
        address: str,
        policy: Callable[[tuple[Attempt, ...], datetime, str, str], float | str],
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        addresses: Sequence[str] = (),
        shared_accounts: Iterable[str] = (),
        sudden: Callable[[float, float], bool] = lambda usual_s, took_s: False,
    ) -> None:
        self._state = state
        self._zone = zone
        self._address = address
        self._addresses = tuple(addresses)
        self._policy = policy
        self._now = now
        self._sleep = sleep
        self._shared = frozenset(account.casefold() for account in shared_accounts)
        self._sudden = sudden
        self._open: dict[tuple[str, str], tuple[int, datetime]] = {}

    async def begin(self, service: str, account: str) -> str | None:
        if (service, account) in self._open:
            raise ToolBug(f"an attempt on {service} began before the last one ended")
        for _ in range(self.MOST_WAITS):
            answer = await asyncio.to_thread(self._try, service, account, self._now())
            if isinstance(answer, str):
                return answer
            if isinstance(answer, int):
                self._open[service, account] = answer, self._now()
                return None
            await self._sleep(answer)
        return "ledger"

    async def ended(
        self,
        service: str,
        account: str,
        *,
        accepted: bool,
        lockout_sign: str | None = None,
        took_s: float | None = None,
    ) -> None:
        attempt, began = self._pop(service, account)
        now = self._now()
        if took_s is None:
            took_s = (now - began).total_seconds()
        await asyncio.to_thread(
            self._end, attempt, service, accepted, lockout_sign, took_s, max(now, began)
        )

    async def leaves(self, service: str, account: str) -> None:
        attempt, began = self._pop(service, account)
        now = max(self._now(), began)
        self._open[service, account] = attempt, now
        await asyncio.to_thread(self._state.date_attempt, attempt, now)

    async def not_made(self, service: str, account: str) -> None:
        attempt, _ = self._pop(service, account)
        await asyncio.to_thread(self._state.withdraw_attempt, attempt)

    def _pop(self, service: str, account: str) -> tuple[int, datetime]:
        try:
            return self._open.pop((service, account))
        except KeyError:
            raise ToolBug(f"an attempt on {service} ended that never began") from None

    def _end(
        self,
        attempt: int,
        service: str,
        accepted: bool,
        sign: str | None,
        took_s: float,
        ended: datetime,
    ) -> None:
        outcome = AttemptOutcome.ACCEPTED if accepted else AttemptOutcome.REJECTED
        if not accepted and not sign:
            name = f"refusal {service.partition('#')[0]}"
            usual = self._state.baselines(self._zone, self._address).get(name)
            if usual is None:
                usual_s = max(took_s, 0.0)
                self._state.set_baseline(self._zone, self._address, name, usual_s, ended)
            elif self._sudden(usual[0], took_s):
                sign = f"a refusal after {took_s:.1f} s instead of {usual[0]:.1f} s"
        if sign:
            outcome = AttemptOutcome.LOCKED
        self._state.end_attempt(attempt, outcome, sign, ended)

    def _try(self, service: str, account: str, now: datetime) -> int | float | str:
        return self._state.begin_attempt(
            zone=self._zone,
            address=self._address,
            addresses=self._addresses,
            service=service,
            account=account,
            now=now,
            decide=lambda rows: self._policy(rows, now, service, account),
            everywhere=account.casefold() in self._shared,
        )


# --- the per-site key --------------------------------------------------------------------------


def fingerprint_key(path: Path) -> bytes:
    """
    The key under which secrets are fingerprinted at this site; made on first use, mode 0600.

    It is a file of its own, so that a copied database does not let anyone test guesses against
    the fingerprints in it. Raises StoreError.
    """
    with translated(str(path), STATE):
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
    if len(key) != KEY_BYTES:
        raise StoreError(
            f"{path}: not a Walkdown site key ({len(key)} bytes instead of {KEY_BYTES});"
            " restore it from a backup: without it, secrets seen before cannot be recognised again"
        )
    return key


def _make_key(path: Path) -> None:
    """Write beside, then link into place: a crash leaves no half key, two starters agree on one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        put_in_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)


# --- small things ------------------------------------------------------------------------------


def _attempts(
    connection: Connection,
    since: datetime | None,
    zone: str | None,
    addresses: Iterable[str] | None,
    account: str | None = None,
) -> tuple[Attempt, ...]:
    """With `account`, also its attempts on any other address."""
    a = attempts_table.c
    wanted = select(attempts_table).order_by(a.at, a.id)
    if since is not None:
        wanted = wanted.where(a.at >= since)
    if zone is not None:
        wanted = wanted.where(a.zone == zone)
    own = None if addresses is None else frozenset(addresses)
    if own is not None and account is None:
        wanted = wanted.where(a.address.in_(sorted(own)))
    same = None if account is None else account.casefold()
    return tuple(
        Attempt(
            zone=row.zone,
            address=row.address,
            service=row.service,
            account=row.account,
            at=row.at,
            outcome=AttemptOutcome(row.outcome),
            sign=row.sign,
        )
        for row in connection.execute(wanted)
        # Compared here: a database knows small letters of ASCII only, or by its locale.
        if own is None or row.address in own or row.account.casefold() == same
    )


def _put(
    connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]
) -> None:
    """Update the row with this key, or insert it. Inside `writing()` nobody comes between."""
    same = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*same).values(dict(values))).rowcount == 0:
        connection.execute(insert(table).values({**key, **values}))
