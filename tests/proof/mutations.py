"""
Changes that somebody could make to a run's record, from one flipped bit to a forged tail.

A record is rows as scanner.verifier reads them: text as bytes, blobs as Blob. Each mutation returns
another record; the better ones are made by an attacker who knows the format: every link is
calculated anew and every table agrees with the events.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from scanner import evidence, signing, verifier
from scanner.verifier import COLUMNS, Blob, Rows

TABLES = tuple(COLUMNS)


@dataclass(frozen=True)
class Victims:
    """
    `run` is signed by `signer`; `other` is another run of the same site; `resumed` is `run` after a
    second sitting. `attacker` is a key that nobody knows.
    """

    run: Rows
    other: Rows
    resumed: Rows
    signer: str
    attacker: signing.Signer


@dataclass(frozen=True)
class Mutation:
    """
    `head` is the head of the record before the change; only where `needs_head` is it told to the
    verifiers, because nothing else can show the change.
    """

    kind: str
    rows: Rows
    head: str
    needs_head: bool = False


def mutate(victims: Victims, chance: Random) -> Mutation:
    """One change that is not none."""
    while True:
        (kind,) = chance.choices(list(KINDS), [WEIGHTS.get(kind, 1) for kind in KINDS])
        before = victims.resumed if chance.random() < 0.3 else victims.run
        after = KINDS[kind](before, victims, chance)
        if kind == "cut back to an earlier sitting":
            before = victims.resumed
        if after != before:
            needs = kind == "cut back to an earlier sitting"
            return Mutation(kind, after, head_of(before), needs)


def head_of(rows: Rows) -> str:
    return str(rows["events"][-1][3].decode())


# --- the two verifiers -------------------------------------------------------------------------


def outcome_of_product(rows: Rows, key: str | None, head: str | None) -> str:
    """What scanner.evidence says of these rows."""
    try:
        events = [evidence.Event(**row) for row in _plain(rows, "events")]  # type: ignore[arg-type]
        kept = evidence.Kept(
            run=_plain(rows, "run"), exchanges=_plain(rows, "exchanges"),
            questions=_plain(rows, "questions"), observations=_plain(rows, "observations"),
        )  # fmt: skip
    except UnicodeDecodeError:
        return "broken"  # the database's driver refuses text that is no UTF-8
    return evidence.verify_run(events, kept, expected_head=head, public_key=key).outcome


def outcome_of_verifier(rows: Rows, key: str | None, head: str | None) -> str:
    """What the stand-alone verifier says of them."""
    names = {verifier.SIGNED: "signed", verifier.UNSIGNED: "unsigned", verifier.BROKEN: "broken"}
    return names[verifier.check(rows, public_key=key, head=head).outcome]


def _plain(rows: Rows, table: str) -> list[dict[str, object]]:
    return [
        dict(zip(COLUMNS[table], (_as_read(value) for value in row), strict=True))
        for row in rows[table]
    ]


def _as_read(value: object) -> object:
    if type(value) is bytes:
        return value.decode("utf-8")
    return bytes(value) if isinstance(value, Blob) else value


def write(rows: Rows, original: Path, path: Path) -> bool:
    """Put a record into a database file; False when the database itself refuses such rows."""
    path.write_bytes(original.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        try:
            for table, columns in COLUMNS.items():
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
                for row in rows[table]:
                    marks = ", ".join(
                        "CAST(? AS TEXT)" if type(value) is bytes else "?" for value in row
                    )
                    names = ", ".join(f'"{column}"' for column in columns)
                    add = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
                    connection.execute(add, row)
        except sqlite3.IntegrityError:
            connection.rollback()
            return False
    connection.close()
    return True


JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""How a rollback journal begins (sqlite.org/fileformat2.html, section 3)."""
SECTOR = 512


def lay_journal(database: Path, other: Path) -> Path:
    """
    Put a hot rollback journal beside a database: whoever lets SQLite open it there has the pages
    of `other` instead, while a copy of the file alone is what it was.
    """
    ours, theirs = database.read_bytes(), other.read_bytes()
    size = int.from_bytes(ours[16:18], "big") or 1
    size = 65536 if size == 1 else size
    pages = range(len(theirs) // size)
    changed = [n for n in pages if ours[n * size :][:size] != theirs[n * size :][:size]]
    nonce = 12345
    head = [len(changed), nonce, len(pages), SECTOR, size]
    text = (JOURNAL + b"".join(number.to_bytes(4, "big") for number in head)).ljust(SECTOR, b"\0")
    for n in changed:
        page = theirs[n * size :][:size]
        check = (nonce + sum(page[size - 200 : 0 : -200])) & 0xFFFFFFFF
        text += (n + 1).to_bytes(4, "big") + page + check.to_bytes(4, "big")
    path = database.with_name(database.name + "-journal")
    path.write_bytes(text)
    return path


# --- changes without knowledge of the format ---------------------------------------------------


def flip(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """One bit of one value of any row."""
    table = chance.choice(TABLES)
    at = chance.randrange(len(rows[table]))
    column = chance.randrange(len(COLUMNS[table]))
    row = list(rows[table][at])
    row[column] = _flipped(row[column], chance)
    return _with_row(rows, table, at, tuple(row))


def _flipped(value: Any, chance: Random) -> Any:
    if value is None:
        return chance.choice([b"", b"x", 0])
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(31))
    if not value:
        return type(value)(bytes([chance.randrange(256)]))
    content = bytearray(value)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return type(value)(content)


def drop(rows: Rows, victims: Victims, chance: Random) -> Rows:
    table = chance.choice(TABLES)
    at = chance.randrange(len(rows[table]))
    return rows | {table: rows[table][:at] + rows[table][at + 1 :]}


def swap(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The contents of two rows of a table, or one column of them, change places."""
    table = chance.choice([table for table in TABLES if len(rows[table]) > 1])
    one, other = sorted(chance.sample(range(len(rows[table])), 2))
    first, second = list(rows[table][one]), list(rows[table][other])
    columns = range(1, len(first)) if chance.random() < 0.5 else [chance.randrange(len(first))]
    for column in columns:
        first[column], second[column] = second[column], first[column]
    return _with_row(_with_row(rows, table, one, tuple(first)), table, other, tuple(second))


def repeat(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """A row a second time, under a number of its own."""
    table = chance.choice([table for table in TABLES if table != "run"])
    row = list(chance.choice(rows[table]))
    row[0] = row[0] + b"x" if isinstance(row[0], bytes) else rows["events"][-1][0] + 1
    return rows | {table: [*rows[table], tuple(row)]}


# --- changes by who knows the format -----------------------------------------------------------


def truncate(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The last events cut off, and every table made to agree."""
    ends = [row[0] for row in rows["events"] if row[1] == b"end"]
    while True:
        length = chance.randrange(1, len(rows["events"]))
        if length not in ends:  # that would be a signed end: see cut_back
            return prefix(rows, length)


def drop_end(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The end record alone is gone; sometimes only its row, sometimes the state before it too."""
    return prefix(rows, len(rows["events"]) - chance.choice([1, 2]))


def cut_back(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The second sitting never was: what is left is whole and signed."""
    return victims.run


def replace_tail(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """One event tells something else, all links after it are new; the end record stays."""
    return relinked(*_forged_event(rows, chance))


def sign_anew(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """As replace_tail, signed with the attacker's key, which the run then began with."""
    forged, contents = _forged_event(rows, chance)
    row = list(forged["run"][0])
    meta = json.loads(row[1]) | {"signing_key": victims.attacker.public_key}
    row[1] = json.dumps(meta).encode()
    contents[0] = contents[0] | {"meta_sha256": hashlib.sha256(row[1]).hexdigest()}
    forged = _with_row(forged, "run", 0, tuple(row))
    return relinked(forged, contents, signer=victims.attacker)


def keep_meta_sign_anew(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """As sign_anew, but the run still names the site's key."""
    forged, contents = _forged_event(rows, chance)
    return relinked(forged, contents, signer=victims.attacker)


def restate(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The signed statement says something else, under the old signature."""
    contents = _contents(rows)
    statement = dict(contents[-1]["statement"])
    name = chance.choice(sorted(statement))
    value = statement[name]
    if isinstance(value, int):
        statement[name] = value + chance.choice([-1, 1, 7])
    elif isinstance(value, dict):
        digest = hashlib.sha256(chance.randbytes(4)).hexdigest()
        statement[name] = value | {chance.choice(["certificate.json", "x"]): digest}
    else:
        statement[name] = _flipped(value.encode(), chance).decode("latin-1")
    contents[-1] = contents[-1] | {"statement": statement}
    return relinked(rows, contents)


def resign(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """Another signature: of another run, of the other sitting, or with bits flipped."""
    contents = _contents(rows)
    others = [
        content["signature"]
        for record in (victims.other, victims.resumed, victims.run)
        for content in _contents(record)
        if "signature" in content and content["signature"] != contents[-1]["signature"]
    ]
    if chance.random() < 0.5:
        signature = chance.choice(others)
    else:
        signature = _flipped(bytes.fromhex(contents[-1]["signature"]), chance).hex()
    contents[-1] = contents[-1] | {"signature": signature}
    return relinked(rows, contents)


def splice(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """The whole end record of another run, or its events from some place on."""
    contents, others = _contents(rows), _contents(victims.other)
    if chance.random() < 0.5:
        return relinked(rows, [*contents[:-1], others[-1]])
    at = chance.randrange(1, min(len(contents), len(others)))
    spliced = rows | {
        table: victims.other[table] for table in ("exchanges", "questions", "observations")
    }
    kinds = [row[1] for row in (*rows["events"][:at], *victims.other["events"][at:])]
    events = [(number, kind, b"", b"") for number, kind in enumerate(kinds, 1)]
    return relinked(spliced | {"events": events}, [*contents[:at], *others[at:]])


def append(rows: Rows, victims: Victims, chance: Random) -> Rows:
    """One more request after the signed end, with its link and its row."""
    source = chance.choice(rows["exchanges"])
    content = next(
        content
        for row, content in zip(rows["events"], _contents(rows), strict=True)
        if row[0] == source[0]
    )
    seq = len(rows["events"]) + 1
    text = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    sha256 = link(head_of(rows), seq, "intent", text.decode()).encode()
    exchange = _unended(source, seq, sha256)
    return rows | {
        "events": [*rows["events"], (seq, b"intent", text, sha256)],
        "exchanges": [*rows["exchanges"], exchange],
    }


KINDS: Mapping[str, Callable[[Rows, Victims, Random], Rows]] = {
    "bit flipped": flip,
    "row dropped": drop,
    "rows swapped": swap,
    "row repeated": repeat,
    "tail cut": truncate,
    "end record dropped": drop_end,
    "cut back to an earlier sitting": cut_back,
    "tail replaced": replace_tail,
    "signed anew, all forged": sign_anew,
    "signed anew, key kept": keep_meta_sign_anew,
    "statement changed": restate,
    "signature of another": resign,
    "spliced": splice,
    "event appended": append,
}


WEIGHTS = {
    "bit flipped": 10, "rows swapped": 4, "tail replaced": 5, "signed anew, all forged": 5,
    "signed anew, key kept": 5, "statement changed": 3, "signature of another": 2,
    "end record dropped": 0.1, "cut back to an earlier sitting": 0.1,
}  # fmt: skip
"""How often each kind is drawn (others: 1): the kinds that have few variants are seldom."""


# --- how a record is built ---------------------------------------------------------------------


def link(previous: str, seq: int, kind: str, payload: str) -> str:
    covered = {"kind": kind, "payload": payload, "seq": seq}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(bytes.fromhex(previous) + text.encode()).hexdigest()


def relinked(
    rows: Rows, contents: list[dict[str, Any]], *, signer: signing.Signer | None = None
) -> Rows:
    """All links calculated anew, also those that exchanges repeat; end records signed anew."""
    head, events, links = "00" * 32, [], {}
    for row, content in zip(rows["events"], contents, strict=True):
        seq, kind = row[0], row[1].decode()
        if kind == "end" and signer is not None:
            key = {"head": head, "public_key": signer.public_key}
            statement = content["statement"] | key
            message = b"walkdown end record 1\n" + _canonical(statement)
            content = {"statement": statement, "signature": signer.sign(message)}
        text = _canonical(content)
        head = link(head, seq, kind, text.decode())
        events.append((seq, row[1], text, head.encode()))
        if kind == "intent":
            links[seq] = head.encode()
        elif kind == "ended":
            links[int(content["exchange"][1:])] = head.encode()
    exchanges = [(*row[:-1], links.get(row[0], row[-1])) for row in rows["exchanges"]]
    return rows | {"events": events, "exchanges": exchanges}


def prefix(rows: Rows, length: int) -> Rows:
    """The record as it was when only the first events had been written."""
    events = rows["events"][:length]
    contents = _contents(rows)[:length]
    kinds = [row[1].decode() for row in events]
    told = list(zip(kinds, contents, strict=True))
    ended = {int(content["exchange"][1:]) for kind, content in told if kind == "ended"}
    exchanges = [
        row if row[0] in ended else _unended(row, row[0], events[row[0] - 1][3])
        for row in rows["exchanges"]
        if row[0] <= length
    ]
    newest = {
        content["question"]: seq
        for seq, (kind, content) in enumerate(told, 1)
        if kind == "observation"
    }
    observations = [
        (*row[:3], int(newest[row[2].decode()] == row[0]), row[4])
        for row in rows["observations"]
        if row[0] <= length
    ]
    run = list(rows["run"][0])
    states = [content for kind, content in told if kind == "state"]
    now = states[-1] if states else {"state": "running", "reason": "", "at": contents[0]["at"]}
    run[2:5] = [now["state"].encode(), now["reason"].encode(), _stored(now["at"])]
    safety = [content["sha256"] for kind, content in told if kind == "safety"]
    known = run[5] is not None and safety[-1:] == [hashlib.sha256(run[5]).hexdigest()]
    run[5] = run[5] if known else None  # an earlier text is not there any more
    return rows | {
        "events": events, "exchanges": exchanges, "observations": observations,
        "questions": _questions(told), "run": [tuple(run)],
    }  # fmt: skip


def _questions(told: list[tuple[str, dict[str, Any]]]) -> list[tuple[Any, ...]]:
    found: dict[str, list[Any]] = {}
    for seq, (kind, content) in enumerate(told, 1):
        if kind not in ("question", "observation", "reopened"):
            continue
        key = content["question"]
        if kind == "question" or (kind == "observation" and key not in found):
            at = content["at"] if kind == "question" else content["started_at"]
            found[key] = [key.encode(), content["protocol"].encode(), b"started", _stored(at), seq]
        if kind == "observation":
            interrupted = content["outcome"] == "interrupted"
            found[key][2] = b"interrupted" if interrupted else b"finished"
        elif kind == "reopened":
            found[key][2] = b"open"
    return [tuple(row) for row in found.values()]


def _forged_event(rows: Rows, chance: Random) -> tuple[Rows, list[dict[str, Any]]]:
    """One event tells something else, and so does the row that it speaks of. Not linked yet."""
    contents = _contents(rows)
    kinds = [row[1] for row in rows["events"]]
    at = chance.choice([i for i, kind in enumerate(kinds) if kind in (b"intent", b"ended")])
    content = contents[at]
    seq = at + 1 if kinds[at] == b"intent" else int(content["exchange"][1:])
    place = next(i for i, row in enumerate(rows["exchanges"]) if row[0] == seq)
    row = dict(zip(COLUMNS["exchanges"], rows["exchanges"][place], strict=True))
    column = "request" if kinds[at] == b"intent" else "reply"
    if chance.random() < 0.5:
        row[column] = Blob(chance.randbytes(chance.randrange(1, 40)))
        digest = hashlib.sha256(row[column]).hexdigest()
        change = {f"{column}_sha256": digest, f"{column}_length": len(row[column])}
    elif column == "request":
        row["address"] = f"10.0.0.{chance.randrange(256)}".encode()
        change = {"address": row["address"].decode()}
    else:
        row["wire_in"] += 1 + chance.randrange(100)
        change = {"wire_in": row["wire_in"]}
    contents[at] = content | change
    return _with_row(rows, "exchanges", place, tuple(row.values())), contents


def _unended(exchange: tuple[Any, ...], seq: int, sha256: bytes) -> tuple[Any, ...]:
    row = dict(zip(COLUMNS["exchanges"], exchange, strict=True)) | {
        "seq": seq, "finished_at": None, "outcome": None, "reason": b"", "reply": Blob(),
        "wire_out": 0, "wire_in": 0, "sha256": sha256,
    }  # fmt: skip
    return tuple(row.values())


def _contents(rows: Rows) -> list[dict[str, Any]]:
    return [json.loads(row[2]) for row in rows["events"]]


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _stored(time: str) -> bytes:
    moment = datetime.fromisoformat(time).replace(tzinfo=None)
    return moment.isoformat(" ", "microseconds").encode()


def _with_row(rows: Rows, table: str, at: int, row: tuple[Any, ...]) -> Rows:
    return rows | {table: [*rows[table][:at], row, *rows[table][at + 1 :]]}
