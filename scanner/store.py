"""
One run's database: what was asked, what came back, what was concluded. Crash-safe.

A request is written here, and its commit is done, before the first byte of it leaves. All writes
go through one thread with a queue; what waits there at the same moment shares one commit. Each
write is also an event in the evidence chain (scanner.evidence), in the same transaction. After a
crash the database holds a prefix of what happened: nothing that was confirmed is missing.

Reading needs no lock and may go on while a scan writes; only one process writes.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType

from scanner import database, evidence
from scanner.database import RUN, Database, UtcTime
from scanner.errors import Damaged, StoreError, ToolBug
from scanner.evidence import Event
from scanner.model import Exchange, Observation, Outcome, Target, Tier, Transport
from scanner.signing import Signer, is_file_name, is_hex

T = TypeVar("T")
RunState = Literal["running", "finished", "interrupted", "halted"]

metadata = MetaData()
runs = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("meta", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state_at", UtcTime, nullable=False),
    Column("safety", Text),
)
events_table = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("sha256", Text, nullable=False),
)
exchanges_table = Table(
    "exchanges",
    metadata,
    Column("seq", Integer, ForeignKey("events.seq"), primary_key=True),
    Column("question", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("port", Integer, nullable=False),
    Column("transport", Text, nullable=False),
    Column("probe", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("sent_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("outcome", Text),
    Column("reason", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("wire_out", BigInteger, nullable=False),
    Column("wire_in", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("exchanges_by_device", "address", "sent_at"),
    Index("exchanges_by_question", "question"),
)
questions_table = Table(
    "questions",
    metadata,
    Column("key", Text, primary_key=True),
    Column("protocol", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("started_seq", Integer, ForeignKey("events.seq"), nullable=False),
)
observations_table = Table(
    "observations",
    metadata,
    Column("seq", Integer, ForeignKey("events.seq"), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("question", Text, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Index("observations_by_question", "question"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMeta:
    """
    What is known of a run when it begins. `plan_digest` is the SHA-256 of the plan in hex;
    `authorisation` its reference and `authorised_by` its owner ("" on loopback without one);
    `limits` are the limits in force, in words. The site file holds references to secrets, never
    secrets.
    """

    id: str
    site: str
    site_file_text: str
    plan_digest: str
    started_at: datetime
    version: str
    authorisation: str
    authorised_by: str
    tiers: tuple[str, ...]
    limits: dict[str, str] = field(default_factory=dict)
    signing_key: str = ""
    """The public key (hex) that the end of the run will be signed with; "" for none."""
    probe_set: str = ""
    """SHA-256 (hex) over probes, guards, checks and credential sets; see scanner.installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    state: RunState
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedQuestion:
    """A question that was under way when the run broke off. `exchanges` were already written."""

    key: str
    protocol: str
    started_at: datetime
    exchanges: tuple[str, ...]


_META = TypeAdapter(RunMeta)
_OBSERVATION = TypeAdapter(Observation)

QUESTION_BYTES = 8 * 1024 * 1024
"""More than the replies of one question come to, each of them bounded."""

_PART = 500
"""How many rows are read at once."""

# States of a question. Open: it may be (re)started. Interrupted: known, told, not asked again.
_STARTED, _FINISHED, _INTERRUPTED, _OPEN = "started", "finished", "interrupted", "open"


def question_key(target: Target, probe: str, tier: Tier) -> str:
    """The name of a question in a run: zone|address|transport|port|probe|tier."""
    return "|".join((target.zone, target.address, target.transport, str(target.port), probe, tier))


def split_key(key: str) -> tuple[Target, str, Tier]:
    """The inverse of `question_key`. Raises ToolBug."""
    try:
        zone, address, transport, port, probe, tier = key.rsplit("|", 5)
        target = Target(zone=zone, address=address, port=int(port), transport=Transport(transport))
        return target, probe, Tier(tier)
    except ValueError:
        raise ToolBug(f"not a question key: {key!r}") from None


def key_of(observation: Observation) -> str:
    target = Target(
        zone=observation.zone,
        address=observation.address,
        port=observation.port,
        transport=observation.transport,
    )
    return question_key(target, observation.probe, observation.tier)


class RunStore:
    """
    An open run. Async methods return when their commit is done; the others block shortly.

    Use `create` or `open`, then `close` (or `with` / `async with`). Every method raises StoreError
    when the database cannot be used; after a failed write every later write fails with the same
    error, so that nothing leaves unrecorded.
    """

    def __init__(self, base: Database, *, read_only: bool) -> None:
        self._base = base
        self._writer = None if read_only else _Writer(base)

    @classmethod
    def create(
        cls, place: str | Path, *, run: RunMeta, now: datetime, busy_timeout_s: float = 5.0
    ) -> RunStore:
        """A new run in state running. Raises StoreError, also when there is a run already."""
        base = database.create(
            place,
            RUN,
            exclusive=True,
            fill=lambda connection: _begin_run(_Log(connection, None, _Known()), run, now),
            busy_timeout_s=busy_timeout_s,
        )
        try:
            return cls(base, read_only=False)
        except BaseException:
            base.close()
            raise

    @classmethod
    def open(
        cls, place: str | Path, *, read_only: bool = False, busy_timeout_s: float = 5.0
    ) -> RunStore:
        """
        An existing run. `read_only` works beside a running scan. It refuses a file with a rollback
        journal (Damaged): SQLite would write that back into it, and a record is not changed by
        whoever reads it.
        """
        if read_only:
            _refuse_journal(place)
        base = database.open_existing(
            place,
            RUN,
            exclusive=not read_only,
            read_only=read_only,
            busy_timeout_s=busy_timeout_s,
        )
        try:
            store = cls(base, read_only=read_only)
            store.meta()
        except BaseException:
            base.close()
            raise
        return store

    # --- writing while the scan goes on ---------------------------------------------------------

    async def question_started(self, key: str, *, protocol: str, at: datetime) -> None:
        """
        A question's turn has come; nothing is sent yet. Raises ToolBug when it is finished, and
        StoreError where the disk has no room for its whole conversation: a connection whose
        request cannot be written down would have to be left without one.
        """
        split_key(key)
        self._base.has_room(QUESTION_BYTES)
        await self._submit(lambda log: _start_question(log, key, protocol, at))

    async def intent(
        self,
        *,
        target: Target,
        probe: str,
        tier: Tier,
        label: str,
        request: bytes,
        question: str,
        sent_at: datetime,
    ) -> str:
        """
        Write down a request, secrets masked, before it leaves. Returns the exchange's id, and
        means: it is on disk. `question` is a started question's key, or "" for a canary.
        """
        row = {
            "question": question,
            "zone": target.zone,
            "address": target.address,
            "port": target.port,
            "transport": str(target.transport),
            "probe": probe,
            "tier": str(tier),
            "label": _plain(label),
        }
        return await self._submit(lambda log: _write_intent(log, row, request, sent_at))

    async def ended(
        self,
        exchange_id: str,
        *,
        outcome: Outcome,
        reason: str,
        reply: bytes,
        finished_at: datetime,
        wire_out: int,
        wire_in: int,
    ) -> None:
        """Write down how an exchange ended; written even when the caller is cancelled meanwhile."""
        row: dict[str, str | int] = {
            "outcome": str(outcome),
            "reason": _plain(reason),
            "wire_out": wire_out,
            "wire_in": wire_in,
        }
        await asyncio.shield(
            self._submit(lambda log: _write_end(log, exchange_id, row, reply, finished_at))
        )

    async def question_finished(self, observation: Observation) -> Observation:
        """
        Keep what became of a question; it is never asked again. An empty `id` is replaced by "o"
        and the number in the chain. Returns the observation as kept.
        """
        return await asyncio.shield(self._submit(lambda log: _finish_question(log, observation)))

    # --- writing at the beginning and at the end ------------------------------------------------

    def mark_interrupted(self, now: datetime) -> tuple[Observation, ...]:
        """
        After a crash: give every question that was in flight an observation with the outcome
        interrupted, so that it is shown and not asked again. Returns these observations.
        """
        found = tuple(_interrupted(question, now) for question in self.interrupted_questions())
        return self._write(lambda log: tuple(_finish_question(log, each) for each in found))

    def reopen(self, keys: Iterable[str]) -> None:
        """Allow interrupted questions to be asked again (--repeat-interrupted)."""
        wanted = tuple(keys)
        self._write(lambda log: _reopen(log, wanted))

    def set_state(self, state: RunState, reason: str, at: datetime) -> None:
        self._write(lambda log: _set_state(log, state, _plain(reason), at))

    def note(self, kind: str, content: Mapping[str, object]) -> None:
        """Add an event that has no row of its own to the chain (evidence.NOTES)."""
        self._write(lambda log: log.append(kind, content))

    def save_safety(self, text: str) -> None:
        """Keep the safety figures, as JSON text."""
        self._write(lambda log: _save_safety(log, text))

    def seal(self, *, signer: Signer, extra_digests: Mapping[str, str], now: datetime) -> None:
        """
        Write the signed end record of this sitting; the last step of all. `extra_digests` are files
        in the run's folder, by relative name, with their SHA-256 in hex. Raises ToolBug while the
        run is running.
        """
        self._write(lambda log: _seal(log, signer, dict(extra_digests), now))

    # --- reading --------------------------------------------------------------------------------

    def meta(self) -> RunMeta:
        text = self._scalar(select(runs.c.meta))
        try:
            return _META.validate_json(text or "")
        except ValidationError as error:
            raise Damaged(f"{self.place}: damaged: the run's own record is missing") from error

    def status(self) -> RunStatus:
        with self._base.reading() as connection:
            row = connection.execute(select(runs.c.state, runs.c.reason, runs.c.state_at)).one()
        return RunStatus(state=row.state, reason=row.reason, at=row.state_at)

    def safety(self) -> str | None:
        """The safety figures as saved, or None."""
        return self._scalar(select(runs.c.safety))

    def finished_questions(self) -> frozenset[str]:
        """Keys of the questions that must not be asked (again)."""
        wanted = select(questions_table.c.key).where(
            questions_table.c.state.in_((_FINISHED, _INTERRUPTED))
        )
        with self._base.reading() as connection:
            return frozenset(connection.execute(wanted).scalars())

    def interrupted_questions(self) -> tuple[StartedQuestion, ...]:
        """
        Questions that were started, had a request written down, and have no end: in flight when
        the run broke off. Those without a request were never asked and are simply not done.
        """
        q, x = questions_table.c, exchanges_table.c
        asked = (
            select(q.key, q.protocol, q.started_at, x.seq)
            .join(exchanges_table, x.question == q.key)
            .where(q.state == _STARTED, x.seq > q.started_seq)
            .order_by(x.seq)
        )
        with self._base.reading() as connection:
            rows = connection.execute(asked).all()
        found: dict[str, StartedQuestion] = {}
        for row in rows:
            known = found.get(row.key) or StartedQuestion(
                key=row.key, protocol=row.protocol, started_at=row.started_at, exchanges=()
            )
            found[row.key] = replace(known, exchanges=(*known.exchanges, f"x{row.seq}"))
        return tuple(found.values())

    def interrupted_keys(self) -> frozenset[str]:
        """Keys of the questions that ended as interrupted: what `reopen` may take."""
        wanted = select(questions_table.c.key).where(questions_table.c.state == _INTERRUPTED)
        with self._base.reading() as connection:
            return frozenset(connection.execute(wanted).scalars())

    def observations(self) -> tuple[Observation, ...]:
        """The newest observation of every question, in the order they were made."""
        return tuple(self._current_observations())

    def exchanges(
        self,
        ids: Iterable[str] | None = None,
        *,
        zone: str | None = None,
        address: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Exchange]:
        """
        Exchanges in the order they were sent; `since` is included, `until` is not.

        One without an end has the outcome interrupted and no `finished_at`.
        """
        x = exchanges_table.c
        wanted = select(exchanges_table)
        if zone is not None:
            wanted = wanted.where(x.zone == zone)
        if address is not None:
            wanted = wanted.where(x.address == address)
        if since is not None:
            wanted = wanted.where(x.sent_at >= since)
        if until is not None:
            wanted = wanted.where(x.sent_at < until)
        if ids is None:
            yield from self._exchange_rows(wanted)
            return
        numbers = sorted({_number(exchange_id) for exchange_id in ids})
        for first in range(0, len(numbers), _PART):
            part = x.seq.in_(numbers[first : first + _PART])
            yield from self._exchange_rows(wanted.where(part))

    def knows(self, *, zone: str | None, address: str) -> bool:
        """Whether this run had that device in its plan, be it that it was never asked."""
        if next(self.exchanges(zone=zone, address=address), None) is not None:
            return True
        if any(
            one.address == address and zone in (None, one.zone)
            for one in self._current_observations()
        ):
            return True
        try:
            return any(
                address in device["addresses"] and zone in (None, device["zone"])
                for event in self.events()
                if event.kind == "limits"
                for device in json.loads(event.payload)["devices"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(
                f"{self.place}: damaged: the limits of the run are not readable"
            ) from error

    def events(self) -> Iterator[Event]:
        """The evidence chain, for evidence.verify."""
        return self._events(None)

    def _events(self, within: Connection | None) -> Iterator[Event]:
        for row in self._rows(select(events_table), events_table.c.seq, within):
            yield Event(seq=row.seq, kind=row.kind, payload=row.payload, sha256=row.sha256)

    def chain_head(self) -> str:
        with self._base.reading() as connection:
            last = _last_event(connection)
        return last.sha256 if last else evidence.GENESIS

    def verify(
        self, *, expected_head: str | None = None, public_key: str | None = None
    ) -> evidence.VerifyResult:
        """
        Check the chain, everything that is kept against it, and the signature of its end. The
        database itself is checked too: a damaged index hides rows. What is compared is of one
        moment (in PostgreSQL only where nobody writes), also beside a scan that goes on.
        """
        with self._base.reading() as connection:
            run = [_raw(runs, row) for row in connection.execute(_as_kept(runs)).all()]
            questions = [
                _raw(questions_table, row)
                for row in connection.execute(_as_kept(questions_table)).all()
            ]
            kept = evidence.Kept(
                run=run,
                exchanges=self._raw_rows(exchanges_table, connection),
                questions=questions,
                observations=self._raw_rows(observations_table, connection),
            )
            result = evidence.verify_run(
                self._events(connection), kept, expected_head=expected_head, public_key=public_key
            )
        damage = tuple(f"the database is damaged: {words}" for words in self._base.damage())
        return replace(result, problems=result.problems + damage)

    @property
    def place(self) -> str:
        return self._base.place

    @property
    def commits(self) -> int:
        """How many commits this process made."""
        return self._writer.commits if self._writer else 0

    # --- ending ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what waits, then let go of the database. May be called twice."""
        try:
            if self._writer is not None:
                self._writer.stop()
        finally:
            self._base.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> RunStore:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    # --- inside ---------------------------------------------------------------------------------

    def _enqueue(self, job: Callable[[_Log], T]) -> Future[T]:
        if self._writer is None:
            raise ToolBug("this run was opened for reading only")
        return self._writer.enqueue(job)

    def _submit(self, job: Callable[[_Log], T]) -> asyncio.Future[T]:
        waiting = asyncio.wrap_future(self._enqueue(job))
        # Whoever waits hears of an error; a scan that already ends of one is not told of each more.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        return waiting

    def _write(self, job: Callable[[_Log], T]) -> T:
        return self._enqueue(job).result()

    def _scalar(self, query: Select[Any]) -> str | None:
        with self._base.reading() as connection:
            found: str | None = connection.execute(query).scalar_one_or_none()
            return found

    def _rows(
        self, query: Select[Any], seq: Column[int], within: Connection | None = None
    ) -> Iterator[Row[Any]]:
        """
        Rows in the order of `seq`, in parts: a long run need not fit into memory, and no
        transaction stays open while the caller works, except one that is given.
        """
        last = 0
        while True:
            with nullcontext(within) if within is not None else self._base.reading() as connection:
                part = query.where(seq > last).order_by(seq).limit(_PART)
                rows = connection.execute(part).all()
            yield from rows
            if len(rows) < _PART:
                return
            last = rows[-1].seq

    def _current_observations(self) -> Iterator[Observation]:
        wanted = select(observations_table).where(observations_table.c.current)
        for row in self._rows(wanted, observations_table.c.seq):
            try:
                yield _OBSERVATION.validate_json(row.body)
            except ValidationError as error:
                words = "damaged: an observation is not readable"
                raise Damaged(f"{self.place}: {words}") from error

    def _raw_rows(self, table: Table, within: Connection) -> Iterator[dict[str, object]]:
        return (_raw(table, row) for row in self._rows(_as_kept(table), table.c.seq, within))

    def _exchange_rows(self, query: Select[Any]) -> Iterator[Exchange]:
        return map(_exchange, self._rows(query, exchanges_table.c.seq))


@dataclass(slots=True)
class _Log:
    """What a job in the writer thread works with: a transaction, and the end of the chain."""

    connection: Connection
    last: Event | None
    known: _Known

    def append(self, kind: str, content: Mapping[str, object]) -> Event:
        event = evidence.append(self.last, kind, content)
        self.connection.execute(
            _ADD_EVENT,
            {"seq": event.seq, "kind": kind, "payload": event.payload, "sha256": event.sha256},
        )
        self.last = event
        return event


@dataclass(slots=True)
class _Known:
    """
    What the one writer has written itself and need not read again: states of questions, and the
    exchanges that have not ended. A transaction that fails ends the writer, and this with it.
    """

    states: dict[str, str] = field(default_factory=dict)
    under_way: set[int] = field(default_factory=set)


class _Writer:
    """
    The one thread that writes. Jobs that wait together run in one transaction and learn of its
    commit together. A job that raises ToolBug did so before it wrote anything and fails alone; any
    other error ends the writer, and everything after it fails with the same words.
    """

    MOST_AT_ONCE = 256

    def __init__(self, base: Database) -> None:
        self.commits = 0
        self._base = base
        self._queue: queue.SimpleQueue[tuple[Callable[[_Log], object], Future[object]] | None] = (
            queue.SimpleQueue()
        )
        self._failure: str | None = None
        self._stopped = False
        self._known = _Known()
        self._gate = threading.Lock()
        with base.reading() as connection:
            self._last = _last_event(connection)
        self._thread = threading.Thread(target=self._run, name="walkdown-store", daemon=True)
        self._thread.start()

    def enqueue(self, job: Callable[[_Log], T]) -> Future[T]:
        waiting: Future[T] = Future()
        with self._gate:
            if self._failure is not None:
                raise StoreError(self._failure)
            if self._stopped:
                raise ToolBug("the store is closed")
            self._queue.put((job, waiting))  # type: ignore[arg-type]  # a Future is invariant
        return waiting

    def stop(self) -> None:
        with self._gate:
            if not self._stopped:
                self._stopped = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        batch: list[tuple[Callable[[_Log], object], Future[object]]] = []
        try:
            while self._take(batch):
                self._commit(batch)
                batch.clear()
        except BaseException as error:  # the thread's last words; they are raised at the next call
            words = (
                str(error)
                if isinstance(error, StoreError)
                else f"{self._base.place}: the writer stopped: {type(error).__name__}: {error}"
            )
            self._fail(words, batch)

    def _take(self, batch: list[tuple[Callable[[_Log], object], Future[object]]]) -> bool:
        """Wait for work, then take all that waits. False when there will be no more."""
        item = self._queue.get()
        while item is not None:
            if item[1].set_running_or_notify_cancel():
                batch.append(item)
            if len(batch) >= self.MOST_AT_ONCE or self._queue.empty():
                return True
            item = self._queue.get()
        if batch:
            self._queue.put(None)
        return bool(batch)

    def _commit(self, batch: list[tuple[Callable[[_Log], object], Future[object]]]) -> None:
        done: list[tuple[Future[object], object]] = []
        with self._base.writing() as connection:
            log = _Log(connection, self._last, self._known)
            for job, waiting in batch:
                try:
                    done.append((waiting, job(log)))
                except ToolBug as error:
                    waiting.set_exception(error)
        self._last = log.last
        self.commits += 1
        for waiting, value in done:
            waiting.set_result(value)

    def _fail(
        self, words: str, batch: list[tuple[Callable[[_Log], object], Future[object]]]
    ) -> None:
        with self._gate:
            self._failure = words
        while not self._queue.empty():
            item = self._queue.get()
            if item is not None and item[1].set_running_or_notify_cancel():
                batch.append(item)
        for _, waiting in batch:
            if not waiting.done():
                waiting.set_exception(StoreError(words))


# --- jobs of the writer ------------------------------------------------------------------------

# Made once: SQLAlchemy takes longer to build such a statement than SQLite to carry it out.
_WHICH: Final[BindParameter[Any]] = bindparam("which")
_ADD_EVENT: Final = insert(events_table)
_ADD_EXCHANGE: Final = insert(exchanges_table)
_ADD_QUESTION: Final = insert(questions_table)
_ADD_OBSERVATION: Final = insert(observations_table)
_CHANGE_EXCHANGE: Final = update(exchanges_table).where(exchanges_table.c.seq == _WHICH)
_CHANGE_QUESTION: Final = update(questions_table).where(questions_table.c.key == _WHICH)
_END_OF_EXCHANGE: Final = select(exchanges_table.c.finished_at).where(
    exchanges_table.c.seq == _WHICH
)
_STATE_OF_QUESTION: Final = select(questions_table.c.state).where(questions_table.c.key == _WHICH)
_OBSERVATION_OF_ID: Final = select(observations_table.c.seq).where(
    observations_table.c.id == _WHICH
)
_OUTDATE_OBSERVATIONS: Final = (
    update(observations_table).where(observations_table.c.question == _WHICH).values(current=False)
)


def _begin_run(log: _Log, run: RunMeta, now: datetime) -> None:
    text = _META.dump_json(run).decode()
    digest = evidence.digest(text.encode())
    log.append("run", {"id": run.id, "meta_sha256": digest, "at": _time(now)})
    row = {"id": run.id, "meta": text, "state": "running", "reason": "", "state_at": now}
    log.connection.execute(insert(runs), row)


def _start_question(log: _Log, key: str, protocol: str, at: datetime) -> None:
    state = _question_state(log, key)
    if state in (_FINISHED, _INTERRUPTED):
        raise ToolBug(f"question {key!r} is {state} and may not be asked again")
    if state == _STARTED and _was_asked(log, key):
        raise ToolBug(f"question {key!r} was in flight; mark_interrupted comes first")
    event = log.append("question", {"question": key, "protocol": protocol, "at": _time(at)})
    row = {"protocol": protocol, "state": _STARTED, "started_at": at, "started_seq": event.seq}
    _put_question(log, key, row, known=state is not None)


def _write_intent(log: _Log, row: dict[str, object], request: bytes, sent_at: datetime) -> str:
    question = str(row["question"])
    if question and _question_state(log, question) != _STARTED:
        raise ToolBug(f"a request for question {question!r}, which was not started")
    content = row | {
        "sent_at": _time(sent_at),
        "request_sha256": evidence.digest(request),
        "request_length": len(request),
    }
    event = log.append("intent", content)
    log.connection.execute(
        _ADD_EXCHANGE,
        row
        | {
            "seq": event.seq,
            "sent_at": sent_at,
            "request": request,
            "reply": b"",
            "reason": "",
            "wire_out": 0,
            "wire_in": 0,
            "sha256": event.sha256,
        },
    )
    log.known.under_way.add(event.seq)
    return f"x{event.seq}"


def _write_end(
    log: _Log,
    exchange_id: str,
    row: dict[str, str | int],
    reply: bytes,
    finished_at: datetime,
) -> None:
    number = _number(exchange_id)
    if number not in log.known.under_way:
        found = log.connection.execute(_END_OF_EXCHANGE, {"which": number}).one_or_none()
        if found is None or found.finished_at is not None:
            raise ToolBug(f"exchange {exchange_id} is unknown or has ended already")
    content = row | {
        "exchange": exchange_id,
        "finished_at": _time(finished_at),
        "reply_sha256": evidence.digest(reply),
        "reply_length": len(reply),
    }
    event = log.append("ended", content)
    values = {"finished_at": finished_at, "reply": reply, "sha256": event.sha256}
    log.connection.execute(_CHANGE_EXCHANGE, row | values | {"which": number})
    log.known.under_way.discard(number)


def _finish_question(log: _Log, observation: Observation) -> Observation:
    key = key_of(observation)
    state = _INTERRUPTED if observation.outcome is Outcome.INTERRUPTED else _FINISHED
    before = _question_state(log, key)
    if before in (_FINISHED, _INTERRUPTED):
        raise ToolBug(f"question {key!r} is {before} already")
    seq = (log.last.seq if log.last else 0) + 1
    kept = observation if observation.id else replace(observation, id=f"o{seq}")
    if log.connection.execute(_OBSERVATION_OF_ID, {"which": kept.id}).first():
        raise ToolBug(f"observation id {kept.id!r} is taken")
    kept, body = _as_json(kept)
    log.append(
        "observation",
        {
            "id": kept.id,
            "question": key,
            "protocol": kept.protocol,
            "started_at": _time(kept.started_at),
            "outcome": str(kept.outcome),
            "sha256": evidence.digest(body.encode()),
        },
    )
    log.connection.execute(_OUTDATE_OBSERVATIONS, {"which": key})
    log.connection.execute(
        _ADD_OBSERVATION,
        {"seq": seq, "id": kept.id, "question": key, "current": True, "body": body},
    )
    row: dict[str, object] = {"state": state}
    if before is None:  # withheld before it was started
        row |= {
            "protocol": kept.protocol,
            "started_at": kept.started_at,
            "started_seq": seq,
        }
    _put_question(log, key, row, known=before is not None)
    return kept


def _reopen(log: _Log, keys: tuple[str, ...]) -> None:
    for key in keys:
        if _question_state(log, key) != _INTERRUPTED:
            raise ToolBug(f"question {key!r} is not interrupted")
    for key in keys:
        log.append("reopened", {"question": key})
        _put_question(log, key, {"state": _OPEN}, known=True)


def _set_state(log: _Log, state: RunState, reason: str, at: datetime) -> None:
    log.append("state", {"state": state, "reason": reason, "at": _time(at)})
    log.connection.execute(update(runs).values(state=state, reason=reason, state_at=at))


def _save_safety(log: _Log, text: str) -> None:
    log.append("safety", {"sha256": evidence.digest(text.encode())})
    log.connection.execute(update(runs).values(safety=text))


def _seal(log: _Log, signer: Signer, files: dict[str, str], now: datetime) -> None:
    run = log.connection.execute(select(runs)).one()
    if run.state == "running" or log.last is None:
        raise ToolBug("a run is sealed when it has ended")
    if not all(is_file_name(name) and is_hex(digest, 64) for name, digest in files.items()):
        raise ToolBug("a run is sealed with names of files in its folder and their SHA-256")
    content = evidence.end_event(
        log.last, run=run.id, meta=run.meta, state=run.state, signer=signer, files=files,
        at=_time(now),
    )  # fmt: skip
    log.append("end", content)


# --- small things ------------------------------------------------------------------------------


def _refuse_journal(place: str | Path) -> None:
    """A run that ended has none: a scan writes a log (-wal), which only adds."""
    path = database.parse_place(place)[1]
    if path is None:
        return
    path = path.resolve()  # SQLite looks for it where the file really lies
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and journal.stat().st_size:
        raise Damaged(
            f"{journal}: a rollback journal lies beside this run, and would be written into it by "
            "opening it; nothing was opened or changed. If a scan is just ending, try again. Else "
            "the machine stopped while it ended, or somebody laid it there: keep the folder as it "
            "is, and use a copy from before"
        )


def _question_state(log: _Log, key: str) -> str | None:
    if (known := log.known.states.get(key)) is not None:
        return known
    found: str | None = log.connection.execute(
        _STATE_OF_QUESTION, {"which": key}
    ).scalar_one_or_none()
    if found is not None:
        log.known.states[key] = found
    return found


def _was_asked(log: _Log, key: str) -> bool:
    """Whether a request was written down since the question was last started."""
    q, x = questions_table.c, exchanges_table.c
    asked = select(x.seq).join(questions_table, x.question == q.key)
    found = log.connection.execute(asked.where(q.key == key, x.seq > q.started_seq).limit(1))
    return found.first() is not None


def _put_question(log: _Log, key: str, row: dict[str, object], *, known: bool) -> None:
    if known:
        log.connection.execute(_CHANGE_QUESTION, row | {"which": key})
    else:
        log.connection.execute(_ADD_QUESTION, row | {"key": key})
    log.known.states[key] = str(row["state"])


def _interrupted(question: StartedQuestion, now: datetime) -> Observation:
    target, probe, tier = split_key(question.key)
    return Observation(
        id="",
        zone=target.zone,
        address=target.address,
        port=target.port,
        transport=target.transport,
        protocol=question.protocol,
        probe=probe,
        tier=tier,
        outcome=Outcome.INTERRUPTED,
        reason="the scan broke off while this question was in flight",
        started_at=question.started_at,
        finished_at=now,
        facts=(),
        exchanges=question.exchanges,
    )


def _exchange(row: Row[tuple[object, ...]]) -> Exchange:
    ended = row.outcome is not None
    return Exchange(
        id=f"x{row.seq}",
        target=Target(
            zone=row.zone,
            address=row.address,
            port=row.port,
            transport=Transport(row.transport),
        ),
        probe=row.probe,
        tier=Tier(row.tier),
        label=row.label,
        sent_at=row.sent_at,
        finished_at=row.finished_at,
        outcome=Outcome(row.outcome) if ended else Outcome.INTERRUPTED,
        reason=row.reason if ended else "no end was recorded",
        request=row.request,
        reply=row.reply,
        wire_bytes_out=row.wire_out,
        wire_bytes_in=row.wire_in,
        sha256=row.sha256,
    )


def _last_event(connection: Connection) -> Event | None:
    row = connection.execute(
        select(events_table).order_by(events_table.c.seq.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Event(seq=row.seq, kind=row.kind, payload=row.payload, sha256=row.sha256)


def _as_kept(table: Table) -> Select[Any]:
    """Every column as the driver gives it: what a type would mend on reading is seen."""
    columns = (type_coerce(column, NullType()).label(column.name) for column in table.c)
    kept: Select[Any] = select(*columns)  # type: ignore[assignment]  # as many as the table has
    return kept


def _raw(table: Table, row: Row[Any]) -> dict[str, object]:
    """One row for evidence.Kept. PostgreSQL has types of its own for times and truth values."""
    found: dict[str, object] = {}
    for column, value in zip(table.c, row, strict=True):
        if isinstance(value, datetime):
            value = value.astimezone(UTC).strftime(evidence.STORED_TIME)
        elif isinstance(value, bool):
            value = int(value)
        found[column.name] = value
    return found


def _number(exchange_id: str) -> int:
    if not (exchange_id.startswith("x") and exchange_id[1:].isdecimal()):
        raise ToolBug(f"not an exchange id: {exchange_id!r}")
    return int(exchange_id[1:])


def _time(at: datetime) -> str:
    if at.tzinfo is None:
        raise ToolBug("a time without a time zone cannot be stored")
    return at.astimezone(UTC).isoformat()


def _as_json(observation: Observation) -> tuple[Observation, str]:
    """Its text, and the observation as that text will be read again."""
    try:
        return observation, _OBSERVATION.dump_json(observation).decode()
    except ValueError:  # text with lone surrogates has no UTF-8; a device may have sent it
        plain = _plain_all(_OBSERVATION.dump_python(observation, mode="json"))
        kept = _OBSERVATION.validate_python(plain)
        return kept, _OBSERVATION.dump_json(kept).decode()


def _plain_all(value: object) -> object:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, Mapping):
        return {name: _plain_all(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_all(item) for item in value]
    return value


def _plain(text: str) -> str:
    """Text that every database takes: no NUL, no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
