"""
The evidence chain: proof that a run's record was not altered after it was made.

Everything that happens in a run (what was asked, what came back, what was concluded, each change of
state) is one event. Events are numbered from 1 and linked: each carries the SHA-256 of the link
before it and its own canonical text. Bytes of requests and replies are kept beside the chain; an
event holds their digest, so the chain covers them, with secrets already masked.

What the chain proves alone: nobody flipped, dropped, inserted or swapped anything before the last
event that is still there. A record that was cut off at its end and left otherwise whole looks like
a shorter run. So each sitting ends in an end record, signed with the site's key, that names the
head and the number of events before it; a record without one at its end is told as unsigned. What
the signature proves and what not: docs/decisions/0011-signed-end-record.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from scanner.signing import Signer, is_hex, is_signed

GENESIS = bytes(32).hex()
"""The link before the first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One link. `payload` is the canonical JSON text of the event's content; `sha256` is
    SHA-256(previous link, 32 bytes ‖ canonical JSON of {"kind", "payload", "seq"} in ASCII).
    """

    seq: int
    kind: str
    payload: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """
    `problems` is empty when the record is whole. `head` is the link of the last event (GENESIS when
    there is none). `end` is the end record, when it is the last event; `signed_events` is how far
    the newest end record reaches, itself included (0: there is none), `sittings` how many there
    are. `tail_proven`: nothing can have been cut off at the end, as far as the given head or key
    can be trusted.
    """

    events: int
    head: str
    problems: tuple[str, ...]
    tail_proven: bool = False
    end: EndRecord | None = None
    signed_events: int = 0
    sittings: int = 0
    key_compared: bool = False

    @property
    def whole(self) -> bool:
        return not self.problems

    @property
    def outcome(self) -> Literal["signed", "unsigned", "broken"]:
        if self.problems:
            return "broken"
        return "unsigned" if self.end is None else "signed"


def canonical(content: Mapping[str, object]) -> str:
    """One text for one value: ASCII, sorted keys, no spaces. Floats are refused (TypeError)."""
    _refuse_floats(content)
    return json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def link(previous: str, seq: int, kind: str, payload: str) -> str:
    """The link (64 hex digits) of an event that follows `previous`."""
    text = json.dumps(
        {"kind": kind, "payload": payload, "seq": seq},
        ensure_ascii=True,
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(bytes.fromhex(previous) + text.encode("ascii")).hexdigest()


def append(previous: Event | None, kind: str, content: Mapping[str, object]) -> Event:
    """The event that follows `previous` (None: the first one)."""
    seq = previous.seq + 1 if previous else 1
    payload = canonical(content)
    before = previous.sha256 if previous else GENESIS
    return Event(seq=seq, kind=kind, payload=payload, sha256=link(before, seq, kind, payload))


def verify(events: Iterable[Event], *, expected_head: str | None = None) -> VerifyResult:
    """
    Check the chain alone: numbering without gaps from 1, and every link.

    After a broken link the check goes on from the link that is written there, so that one altered
    event is one problem and not thousands. `expected_head` is the head that was written down
    elsewhere when the run ended; without it a cut tail cannot be seen.
    """
    chain = _Chain()
    for event in events:
        chain.add(event)
    problems = chain.problems(expected_head)
    return VerifyResult(
        events=chain.events,
        head=chain.head,
        problems=tuple(problems),
        tail_proven=expected_head is not None and chain.head == expected_head,
    )


class _Chain:
    """The links, event by event."""

    def __init__(self) -> None:
        self.events = 0
        self.head = GENESIS
        self._problems: list[str] = []

    def add(self, event: Event) -> None:
        self.events += 1
        if event.seq != self.events and not self._problems:
            self._problems.append(
                f"event {self.events} is missing or out of place: found {event.seq}"
            )
        if not is_hex(event.sha256, 64):
            self._problems.append(f"event {event.seq}: its link is not a SHA-256")
            return
        if not self._fits(event):
            self._problems.append(f"event {event.seq} ({event.kind}) does not fit the chain")
        self.head = event.sha256

    def _fits(self, event: Event) -> bool:
        try:
            return link(self.head, event.seq, event.kind, event.payload) == event.sha256
        except TypeError:  # a database may hold bytes where text should be
            return False

    def problems(self, expected_head: str | None) -> list[str]:
        if expected_head is None or self.head == expected_head:
            return self._problems
        words = f"the chain ends in {self.head[:16]}…, expected {expected_head[:16]}…"
        return [*self._problems, words]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    The rows of a run beside its chain, as the database holds them: column to value.

    Values are str, bytes, int or None. Truth values are 0 and 1; times are text in UTC
    (STORED_TIME). What a database turned into something else is a change like any other.
    """

    run: Sequence[Mapping[str, object]]
    exchanges: Iterable[Mapping[str, object]]
    questions: Iterable[Mapping[str, object]]
    observations: Iterable[Mapping[str, object]]


def verify_run(
    events: Iterable[Event],
    kept: Kept,
    *,
    expected_head: str | None = None,
    public_key: str | None = None,
) -> VerifyResult:
    """
    Check everything: the chain, every column of every row against it, and who signed its end.

    `public_key` (64 hex digits) is the key that has to have signed; `expected_head` the head that
    was written down elsewhere.
    """
    chain, told = _Chain(), _Told()
    for event in events:
        told.add(event, before=chain.head, number=chain.events)
        chain.add(event)
    problems = [*chain.problems(expected_head), *told.problems]
    problems += _compare("run", kept.run, {told.run_id: told.run} if told.run else {}, "id")
    problems += _compare("exchange", kept.exchanges, told.exchanges, "seq")
    problems += _compare("question", kept.questions, told.questions, "key")
    problems += _compare("observation", kept.observations, told.observations, "seq")
    promised = _promised_key(kept.run)
    for end in told.ends:
        if promised and end.public_key != promised:
            problems.append(f"event {end.seq} is signed by another key than the run began with")
        if public_key is not None and end.public_key != public_key:
            problems.append(
                f"event {end.seq} is signed by key {end.public_key[:16]}…, "
                f"not by {public_key[:16]}…"
            )
    last = told.ends[-1] if told.ends and told.ends[-1].seq == chain.events else None
    return VerifyResult(
        events=chain.events,
        head=chain.head,
        problems=tuple(problems),
        tail_proven=not problems
        and (expected_head is not None or (last is not None and public_key is not None)),
        end=last,
        signed_events=told.ends[-1].seq if told.ends else 0,
        sittings=len(told.ends),
        key_compared=public_key is not None,
    )


# --- the end record ----------------------------------------------------------------------------

_SIGNED_FOR = b"walkdown end record 1\n"
"""Put before what is signed, so that a signature made for this is worth nothing elsewhere."""
_STATEMENT = {
    "run": str, "events": int, "head": str, "state": str, "at": str, "plan_sha256": str,
    "version": str, "probe_set": str, "files": dict, "public_key": str,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRecord:
    """
    A signed end of a sitting. `covers` is the number of events before it; `files` are names of
    files beside the run with their SHA-256.
    """

    seq: int
    covers: int
    state: str
    at: str
    version: str
    probe_set: str
    plan_sha256: str
    files: Mapping[str, str]
    public_key: str


def statement_bytes(statement: Mapping[str, object]) -> bytes:
    """What is signed."""
    return _SIGNED_FOR + canonical(statement).encode("ascii")


def end_event(
    last: Event,
    *,
    run: str,
    meta: str,
    state: str,
    signer: Signer,
    files: Mapping[str, str],
    at: str,
) -> dict[str, object]:
    """The content of an end record after `last`. `meta` is the run's own record as JSON text."""
    begun = json.loads(meta)
    statement: dict[str, object] = {
        "run": run,
        "events": last.seq,
        "head": last.sha256,
        "state": state,
        "at": at,
        "plan_sha256": begun["plan_digest"],
        "version": begun["version"],
        "probe_set": begun["probe_set"],
        "files": dict(files),
        "public_key": signer.public_key,
    }
    return {"statement": statement, "signature": signer.sign(statement_bytes(statement))}


def _end_record(content: dict[str, Any], *, seq: int, run: str, before: str) -> EndRecord:
    """Read and check one end record. Raises ValueError with the problem in words."""
    statement = content["statement"]
    if set(content) != {"statement", "signature"} or set(statement) != set(_STATEMENT):
        raise ValueError("is not an end record of a form that is known")
    for name, kind in _STATEMENT.items():
        if type(statement[name]) is not kind:
            raise ValueError(f"has no readable {name}")
    if not all(is_hex(digest, 64) for digest in statement["files"].values()):
        raise ValueError("names a file without its digest")
    if not is_signed(statement["public_key"], content["signature"], statement_bytes(statement)):
        raise ValueError("has no valid signature")
    if (statement["run"], statement["events"], statement["head"]) != (run, seq - 1, before):
        raise ValueError("was signed for other events than those before it")
    return EndRecord(
        seq=seq,
        covers=statement["events"],
        state=statement["state"],
        at=statement["at"],
        version=statement["version"],
        probe_set=statement["probe_set"],
        plan_sha256=statement["plan_sha256"],
        files=dict(statement["files"]),
        public_key=statement["public_key"],
    )


def _promised_key(rows: Sequence[Mapping[str, object]]) -> str:
    """The key that the run was begun with; "" when it tells none."""
    try:
        return str(json.loads(str(rows[0]["meta"])).get("signing_key", ""))
    except (ValueError, AttributeError, IndexError, KeyError):
        return ""


# --- what the chain says the rows must be ------------------------------------------------------

STORED_TIME = "%Y-%m-%d %H:%M:%S.%f"
"""How a database keeps a time, in UTC."""
_CONTENT = {"request", "reply", "body", "meta", "safety"}
"""Columns of which the chain holds the digest."""
_INTENT = ("question", "zone", "address", "port", "transport", "probe", "tier", "label")
_END = ("outcome", "reason", "wire_out", "wire_in")


class _Told:
    """The rows as the chain tells them, built event by event."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.run_id = ""
        self.run: dict[str, object] = {}
        self.exchanges: dict[object, dict[str, object]] = {}
        self.questions: dict[object, dict[str, object]] = {}
        self.observations: dict[object, dict[str, object]] = {}
        self.ends: list[EndRecord] = []
        self._newest: dict[str, int] = {}

    def add(self, event: Event, *, before: str, number: int) -> None:
        """`before` is the link that stands before this event, `number` how many events do."""
        name = f"event {event.seq} ({event.kind})"
        tell = getattr(self, f"_{event.kind}", None) if event.kind in _KINDS else None
        if tell is None and event.kind not in {"end", *NOTES}:
            self.problems.append(f"{name} is of a kind that is not known")
            return
        try:
            content = json.loads(event.payload)
            if canonical(content) != event.payload:
                raise ValueError("is not in its one form")
            if not isinstance(content, dict):
                raise TypeError("an event's content has names")
            if event.kind == "end":
                end = _end_record(content, seq=event.seq, run=self.run_id, before=before)
                if event.seq != number + 1:
                    raise ValueError("was signed for other events than those before it")
                self.ends.append(end)
            elif tell is not None:
                tell(event, content)
        except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError):
            self.problems.append(f"{name} cannot be read")
        except ValueError as problem:
            self.problems.append(f"{name} {problem}")

    def _run(self, event: Event, content: dict[str, Any]) -> None:
        if event.seq != 1:
            raise ValueError("is not at the beginning")
        self.run_id = content["id"]
        self.run = {
            "id": content["id"], "meta": content["meta_sha256"], "state": "running", "reason": "",
            "state_at": _stored(content["at"]), "safety": None,
        }  # fmt: skip

    def _question(self, event: Event, content: dict[str, Any]) -> None:
        self.questions[content["question"]] = {
            "key": content["question"], "protocol": content["protocol"], "state": "started",
            "started_at": _stored(content["at"]), "started_seq": event.seq,
        }  # fmt: skip

    def _intent(self, event: Event, content: dict[str, Any]) -> None:
        self.exchanges[event.seq] = {name: content[name] for name in _INTENT} | {
            "seq": event.seq, "sent_at": _stored(content["sent_at"]),
            "request": content["request_sha256"], "reply": digest(b""), "finished_at": None,
            "outcome": None, "reason": "", "wire_out": 0, "wire_in": 0, "sha256": event.sha256,
        }  # fmt: skip

    def _ended(self, event: Event, content: dict[str, Any]) -> None:
        exchange = self.exchanges[int(content["exchange"].removeprefix("x"))]
        exchange |= {name: content[name] for name in _END} | {
            "finished_at": _stored(content["finished_at"]), "reply": content["reply_sha256"],
            "sha256": event.sha256,
        }  # fmt: skip

    def _observation(self, event: Event, content: dict[str, Any]) -> None:
        key = content["question"]
        if key in self._newest:
            self.observations[self._newest[key]]["current"] = 0
        self._newest[key] = event.seq
        self.observations[event.seq] = {
            "seq": event.seq, "id": content["id"], "question": key, "current": 1,
            "body": content["sha256"],
        }  # fmt: skip
        if key not in self.questions:  # withheld before it was started
            self.questions[key] = {
                "key": key, "protocol": content["protocol"],
                "started_at": _stored(content["started_at"]), "started_seq": event.seq,
            }  # fmt: skip
        interrupted = content["outcome"] == "interrupted"
        self.questions[key]["state"] = "interrupted" if interrupted else "finished"

    def _reopened(self, event: Event, content: dict[str, Any]) -> None:
        self.questions[content["question"]]["state"] = "open"

    def _state(self, event: Event, content: dict[str, Any]) -> None:
        self.run |= {
            "state": content["state"], "reason": content["reason"],
            "state_at": _stored(content["at"]),
        }  # fmt: skip

    def _safety(self, event: Event, content: dict[str, Any]) -> None:
        self.run |= {"safety": content["sha256"]}


NOTES = frozenset({"limits", "capture", "halt", "left"})
"""Kinds of events that have no row of their own: the chain alone holds them."""
_KINDS = frozenset(
    {"run", "question", "intent", "ended", "observation", "reopened", "state", "safety"}
)
"""Kinds that are told row by row, each by the method of its name; `end` needs the link before."""


def _compare(
    what: str,
    rows: Iterable[Mapping[str, object]],
    told: Mapping[object, Mapping[str, object]],
    key: str,
) -> list[str]:
    """Every told row is there once with every column as told, and no other row is."""
    problems: list[str] = []
    left = dict(told)
    for row in rows:
        name = f"{what} {row[key]!s}"
        wanted = left.pop(row[key], None) if type(row[key]) in (int, str) else None
        if wanted is None:
            problems.append(f"{name} is not in the chain")
            continue
        found = {column: _claim(column, value) for column, value in row.items()}
        for column in sorted({*found, *wanted}):
            one, other = found.get(column), wanted.get(column)
            if type(one) is not type(other) or one != other:
                problems.append(f"{name}: its {column} differs from the chain")
    return problems + [f"{what} {missing} is missing" for missing in left]


def _claim(column: str, value: object) -> object:
    """What the chain tells of a value: the digest of a content, else the value."""
    if column not in _CONTENT or value is None:
        return value
    if column in ("request", "reply"):
        return digest(value) if isinstance(value, bytes) else value
    return digest(value.encode("utf-8", "replace")) if isinstance(value, str) else value


def _stored(time: str) -> str:
    """A time of the chain (ISO 8601 with offset) as a database keeps it."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError("has a time without a time zone")
    return moment.astimezone(UTC).strftime(STORED_TIME)


def _refuse_floats(value: object) -> None:
    """Floats have more than one text; times and counts do not need them."""
    if isinstance(value, float):
        raise TypeError("a float has no canonical text")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("keys are text")
            _refuse_floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_floats(item)
