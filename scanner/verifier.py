"""
Checks the evidence of a Walkdown run without Walkdown. Offline; changes nothing.

    python verify_evidence.py RUN [--public-key FILE_OR_HEX] [--head HEX] [--json]

Needs Python 3.11 or newer and `cryptography` (pip install cryptography). RUN is a run's
folder or its SQLite database, ended; a copy of it is read. (A run in PostgreSQL: walkdown evidence
verify.)

What it checks: every event is linked to the one before it with SHA-256; every stored request,
reply, observation and state is the one that the events tell of, and none is missing or added; each
end record carries an Ed25519 signature over the number of events and the link before it; the files
that were signed for are unchanged. It does not look at report, tables and assessment.json: they are
not signed, and are made again from the record (walkdown assess RUN).

Outcomes and exit codes:
    0  intact and signed to its end. Without --public-key the signer is not known: whoever forged
       the whole record could have signed it with a key of his own.
    1  intact, but not signed to its end: what came after the last event may have been cut off
       without a trace. A run that was killed looks like this too.
    2  broken: something was changed, dropped, swapped, inserted or signed by another key, or a
       rollback journal lies beside the database and makes another one of it when it is opened.
    3  nothing was checked: it cannot be read, the arguments are wrong, `cryptography` is missing.
A run of several sittings that is cut back to the signed end of an earlier one is only noticed with
--head, the last link as written down elsewhere (it is printed in the report).

Imports nothing of Walkdown and shares no code with it: this is a second opinion. Format 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has this script may have any Python
    sys.stderr.write("nothing was checked: Python 3.11 or newer is needed\n")
    raise SystemExit(3)
MISSING = ""
"""Why signatures cannot be checked here."""
try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )
except ImportError as error:
    MISSING = f"the package `cryptography` is needed (pip install cryptography): {error}"

SIGNED, UNSIGNED, BROKEN, UNREADABLE = 0, 1, 2, 3
OUTCOMES = ("intact and signed", "intact, not signed to its end", "broken", "cannot be read")

COLUMNS: dict[str, tuple[str, ...]] = {
    "run": ("id", "meta", "state", "reason", "state_at", "safety"),
    "events": ("seq", "kind", "payload", "sha256"),
    "exchanges": (
        "seq", "question", "zone", "address", "port", "transport", "probe", "tier", "label",
        "sent_at", "finished_at", "outcome", "reason", "request", "reply", "wire_out", "wire_in",
        "sha256",
    ),
    "questions": ("key", "protocol", "state", "started_at", "started_seq"),
    "observations": ("seq", "id", "question", "current", "body"),
}  # fmt: skip
OTHER_TABLES = {"run_version"}
COVERED = (
    "covered: the record and the files signed with it; report, tables and assessment.json are not "
    "(made again by: walkdown assess RUN)"
)

Rows = dict[str, list[tuple[Any, ...]]]
"""Table to its rows, columns as in COLUMNS; text as UTF-8 bytes, blobs as Blob."""


class Blob(bytes):
    """Bytes that the database keeps as bytes, to tell them from text."""


class Broken(Exception):
    """What does not fit, in words."""


@dataclass
class Verdict:
    problems: list[str] = field(default_factory=list)
    events: int = 0
    head: str = "0" * 64
    ends: list[dict[str, Any]] = field(default_factory=list)
    signed_to: int = 0

    @property
    def outcome(self) -> int:
        if self.problems:
            return BROKEN
        return SIGNED if self.events and self.signed_to == self.events else UNSIGNED


def check(rows: Rows, *, public_key: str | None = None, head: str | None = None) -> Verdict:
    """Check the rows of one run. Whatever stands in them, this returns a verdict."""
    verdict = Verdict()
    try:
        expected = _follow_events(rows["events"], verdict, public_key)
        _compare_rows(rows, expected, verdict)
    except Broken as broken:
        verdict.problems.append(str(broken))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        # Anything unforeseen in the rows is damage: the writer never makes such a record.
        verdict.problems.append(f"the record cannot be followed ({type(error).__name__}: {error})")
    if head is not None and verdict.head != head:
        verdict.problems.append(f"it ends in {verdict.head}, not in {head}")
    return verdict


# --- the events --------------------------------------------------------------------------------


def _follow_events(
    events: Sequence[tuple[Any, ...]], verdict: Verdict, public_key: str | None
) -> dict[str, dict[Any, tuple[Any, ...]]]:
    """Check the links; what the events say that the other tables hold, each row by its key."""
    run: dict[str, Any] = {}
    exchanges: dict[int, dict[str, Any]] = {}
    questions: dict[str, dict[str, Any]] = {}
    observations: dict[int, dict[str, Any]] = {}
    shown: dict[str, int] = {}
    link = bytes(32)
    for expected_seq, (seq, raw_kind, raw_payload, raw_sha256) in enumerate(events, 1):
        where = f"event {expected_seq}"
        if seq != expected_seq:
            raise Broken(f"{where}: its number is {seq}; one is missing or out of order")
        kind, payload, sha256 = _text(raw_kind), _text(raw_payload), _text(raw_sha256)
        covered = {"kind": kind, "payload": payload, "seq": seq}
        calculated = hashlib.sha256(link + _canonical(covered)).digest()
        if calculated.hex() != sha256:
            raise Broken(f"{where} ({kind}): its link does not follow from what is before it")
        told = json.loads(payload)
        if _canonical(told) != payload.encode():
            raise Broken(f"{where} ({kind}): not written in the one form")
        if (kind == "run") != (seq == 1):
            raise Broken(f"{where} ({kind}): a run begins once, with its first event")
        if kind == "run":
            run = {
                "id": told["id"], "meta": ("sha256", told["meta_sha256"]), "state": "running",
                "reason": "", "state_at": _time(told["at"]), "safety": None,
            }  # fmt: skip
        elif kind == "question":
            questions[told["question"]] = {
                "key": told["question"], "protocol": told["protocol"], "state": "started",
                "started_at": _time(told["at"]), "started_seq": seq,
            }  # fmt: skip
        elif kind == "intent":
            same = ("question", "zone", "address", "port", "transport", "probe", "tier")
            exchanges[seq] = {name: told[name] for name in (*same, "label")} | {
                "seq": seq, "sent_at": _time(told["sent_at"]), "finished_at": None,
                "outcome": None, "reason": "", "wire_out": 0, "wire_in": 0, "sha256": sha256,
                "request": ("sha256", told["request_sha256"], told["request_length"]),
                "reply": ("sha256", hashlib.sha256(b"").hexdigest(), 0),
            }  # fmt: skip
        elif kind == "ended":
            if told["exchange"][:1] != "x":
                raise Broken(f"{where}: ends something that is no exchange")
            exchanges[int(told["exchange"][1:])].update(
                outcome=told["outcome"], reason=told["reason"], sha256=sha256,
                finished_at=_time(told["finished_at"]), wire_out=told["wire_out"],
                wire_in=told["wire_in"],
                reply=("sha256", told["reply_sha256"], told["reply_length"]),
            )  # fmt: skip
        elif kind == "observation":
            key = told["question"]
            if key in shown:
                observations[shown[key]]["current"] = 0
            shown[key] = seq
            observations[seq] = {
                "seq": seq, "id": told["id"], "question": key, "current": 1,
                "body": ("sha256", told["sha256"]),
            }  # fmt: skip
            if key not in questions:
                questions[key] = {
                    "key": key, "protocol": told["protocol"], "started_seq": seq,
                    "started_at": _time(told["started_at"]),
                }  # fmt: skip
            over = "interrupted" if told["outcome"] == "interrupted" else "finished"
            questions[key]["state"] = over
        elif kind == "reopened":
            questions[told["question"]]["state"] = "open"
        elif kind == "state":
            run.update(state=told["state"], reason=told["reason"], state_at=_time(told["at"]))
        elif kind == "safety":
            run["safety"] = ("sha256", told["sha256"])
        elif kind in ("limits", "capture", "halt", "left"):
            if not isinstance(told, dict):
                raise Broken(f"{where} ({kind}): not readable")
        elif kind == "end":
            _check_end(told, seq=seq, run=run["id"], link=link, public_key=public_key)
            verdict.ends.append(told["statement"])
            verdict.signed_to = seq
        else:
            raise Broken(f"{where}: a kind that this verifier does not know: {kind!r}")
        link = calculated
        verdict.events, verdict.head = seq, sha256
    if not run:
        raise Broken("there is no event")
    return {
        "run": {run["id"]: _in_order("run", run)},
        "exchanges": {key: _in_order("exchanges", row) for key, row in exchanges.items()},
        "questions": {key: _in_order("questions", row) for key, row in questions.items()},
        "observations": {key: _in_order("observations", row) for key, row in observations.items()},
    }


def _check_end(
    told: Mapping[str, Any], *, seq: int, run: str, link: bytes, public_key: str | None
) -> None:
    where = f"event {seq} (end)"
    statement, signature = told["statement"], told["signature"]
    fields = {
        "run", "events", "head", "state", "at", "plan_sha256", "version", "probe_set", "files",
        "public_key",
    }  # fmt: skip
    if set(told) != {"statement", "signature"} or set(statement) != fields:
        raise Broken(f"{where}: an end record of an unknown form")
    key = statement["public_key"]
    if not (_is_hex(key, 64) and _is_hex(signature, 128)):
        raise Broken(f"{where}: key or signature is not hexadecimal")
    message = b"walkdown end record 1\n" + _canonical(statement)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signature), message
        )
    except (InvalidSignature, ValueError):
        raise Broken(f"{where}: the signature is not valid") from None
    if statement["run"] != run:
        raise Broken(f"{where}: signed for another run")
    if type(statement["events"]) is not int or statement["events"] != seq - 1:
        raise Broken(f"{where}: signed for another number of events")
    if statement["head"] != link.hex():
        raise Broken(f"{where}: signed for other events")
    for name in ("state", "at", "plan_sha256", "version", "probe_set"):
        if not isinstance(statement[name], str):
            raise Broken(f"{where}: {name} is not text")
    if not all(_is_hex(value, 64) for value in statement["files"].values()):
        raise Broken(f"{where}: a file without its digest")
    if public_key is not None and key != public_key:
        raise Broken(f"{where}: signed by key {key}, not by {public_key}")


# --- the other tables --------------------------------------------------------------------------


def _compare_rows(
    rows: Rows, expected: dict[str, dict[Any, tuple[Any, ...]]], verdict: Verdict
) -> None:
    for table, wanted in expected.items():
        columns, seen = COLUMNS[table], set()
        for row in rows[table]:
            key = _text(row[0]) if columns[0] in ("id", "key") else row[0]
            if key not in wanted or key in seen:
                verdict.problems.append(f"{table}: the events know no row {key!r}")
                continue
            seen.add(key)
            for column, value, claim in zip(columns, row, wanted[key], strict=True):
                if not _fits(value, claim):
                    verdict.problems.append(f"{table}, row {key!r}: {column} was changed")
        verdict.problems += [
            f"{table}: row {key!r} is missing" for key in wanted if key not in seen
        ]
    meta = json.loads(_text(rows["run"][0][1])) if not verdict.problems else {}
    for end in verdict.ends:
        if meta.get("signing_key") and end["public_key"] != meta["signing_key"]:
            verdict.problems.append("signed by another key than the run was begun with")


def _fits(value: Any, claim: Any) -> bool:
    if isinstance(claim, tuple):  # a digest, and for blobs the length
        blob = len(claim) == 3
        if type(value) is not (Blob if blob else bytes):
            return False
        return hashlib.sha256(value).hexdigest() == claim[1] and (
            not blob or len(value) == claim[2]
        )
    if isinstance(claim, str):
        return type(value) is bytes and value == claim.encode("utf-8", "surrogatepass")
    return type(value) is type(claim) and bool(value == claim)


def _in_order(table: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column] for column in COLUMNS[table])


def _text(value: Any) -> str:
    if type(value) is not bytes:
        raise Broken(f"text was expected, and {type(value).__name__} is there")
    return value.decode("utf-8")


def _time(text: str) -> str:
    """A time of the events as the tables keep it: UTC, with microseconds."""
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() != timedelta(0):
        raise Broken(f"a time that is not in UTC: {text}")
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _canonical(value: Any) -> bytes:
    def no_floats(item: Any) -> None:
        if isinstance(item, float):
            raise Broken("a number with a point stands in an event")
        for part in item.values() if isinstance(item, dict) else item:
            if isinstance(part, (dict, list, float)):
                no_floats(part)

    if isinstance(value, (dict, list, float)):
        no_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _is_hex(text: Any, digits: int) -> bool:
    return isinstance(text, str) and len(text) == digits and not set(text) - set("0123456789abcdef")


# --- files -------------------------------------------------------------------------------------


def read_rows(database: Path) -> Rows:
    """Every row of a run's database. Raises sqlite3.Error, Broken and OSError."""
    database = database.resolve()  # SQLite looks for the files beside it where it really lies
    journal = database.with_name(database.name + "-journal")
    if journal.exists() and journal.stat().st_size:
        raise Broken(
            f"{journal.name} lies beside the database: whoever opens it with SQLite reads another "
            "record than the one that stands here"
        )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "run.db"
        shutil.copyfile(database, copy)
        log = database.with_name(database.name + "-wal")
        if log.exists():  # left by a run that was killed
            shutil.copyfile(log, copy.with_name("run.db-wal"))
        connection = sqlite3.connect(copy)
        try:
            return read_connection(connection)
        finally:
            connection.close()


def read_connection(connection: sqlite3.Connection) -> Rows:
    """As read_rows, from a connection."""
    damage = [words for (words,) in connection.execute("PRAGMA integrity_check(5)")]
    if damage != ["ok"]:
        raise Broken(f"the database file is damaged: {'; '.join(map(str, damage))}")
    listed = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
    tables = {name for kind, name, _ in listed if kind == "table"}
    if unknown := tables - set(COLUMNS) - OTHER_TABLES:
        raise Broken(f"tables that do not belong to a run: {', '.join(sorted(unknown))}")
    if odd := [name for kind, name, _ in listed if kind not in ("table", "index")]:
        raise Broken(f"views or triggers, which a run does not have: {', '.join(sorted(odd))}")
    rows: Rows = {}
    for table, columns in COLUMNS.items():
        found = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({table})")]
        if sorted(found) != sorted(columns):
            raise Broken(f"table {table} has other columns than a run's")
        names = ", ".join(
            # CAST keeps text that is no UTF-8 from being refused; typeof tells text from blobs.
            f'typeof("{column}"), CASE typeof("{column}") WHEN \'text\' THEN'
            f' CAST("{column}" AS BLOB) ELSE "{column}" END'
            for column in columns
        )
        order = ' ORDER BY "seq"' if "seq" in columns else ""
        # Names of tables and columns are those of COLUMNS above.
        rows[table] = [
            tuple(
                Blob(value) if kind == "blob" else value
                for kind, value in zip(row[::2], row[1::2], strict=True)
            )
            for row in connection.execute(f'SELECT {names} FROM "{table}"{order}')  # noqa: S608
        ]
    return rows


def check_files(folder: Path, verdict: Verdict) -> None:
    """Compare the files that the newest end record was signed with."""
    for name, digest in sorted(verdict.ends[-1]["files"].items() if verdict.ends else ()):
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            verdict.problems.append(f"{name!r} is signed for, and lies outside the run's folder")
        elif not path.is_file():
            verdict.problems.append(f"{name}: signed for, and not here")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            verdict.problems.append(f"{name}: not the file that was signed for")


def known_key(given: str) -> str:
    """64 hex digits, or a file that holds them or a PEM public key. Raises ValueError, OSError."""
    if _is_hex(given.lower(), 64):
        return given.lower()
    content = Path(given).read_bytes()
    text = content.decode("ascii", "replace").strip().lower()
    if _is_hex(text, 64):
        return text
    key = load_pem_public_key(content)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def verify_place(place: Path, *, public_key: str | None = None, head: str | None = None) -> Verdict:
    """Verify a run's folder, or its database alone. Raises OSError and sqlite3.Error."""
    database = place / "walkdown.db" if place.is_dir() else place
    try:
        verdict = check(read_rows(database), public_key=public_key, head=head)
    except Broken as broken:
        return Verdict(problems=[str(broken)])
    except sqlite3.DatabaseError as error:
        return Verdict(problems=[f"the database cannot be read to its end: {error}"])
    if place.is_dir():
        check_files(place, verdict)
    return verdict


class Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Its own code for wrong arguments is 2, which here says broken."""
        self.print_usage(sys.stderr)
        self.exit(UNREADABLE, f"nothing was checked: {message}\n")


def main(arguments: Sequence[str], write: Callable[[str], object]) -> int:
    parser = Arguments(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--public-key", help="key that must have signed: a file or 64 hex digits")
    parser.add_argument("--head", help="last link as written down elsewhere")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if MISSING:
        write(f"nothing was checked: {MISSING}\n")
        return UNREADABLE
    try:
        key = known_key(given.public_key) if given.public_key else None
        head = given.head.lower() if given.head else None
        verdict = verify_place(given.run, public_key=key, head=head)
    except (OSError, ValueError, sqlite3.Error) as error:
        write(ascii(f"cannot be read: {error}")[1:-1] + "\n")
        return UNREADABLE
    end = verdict.ends[-1] if verdict.ends else None
    if given.json:
        told = {
            "outcome": OUTCOMES[verdict.outcome], "problems": verdict.problems,
            "events": verdict.events, "head": verdict.head, "signed_to": verdict.signed_to,
            "end": end, "key_compared": key is not None, "covers": COVERED,
        }  # fmt: skip
        write(json.dumps(told, indent=2) + "\n")
        return verdict.outcome
    write(f"{OUTCOMES[verdict.outcome]}: {verdict.events} events, head {verdict.head}\n")
    for problem in verdict.problems:
        write(f"  {ascii(problem)[1:-1]}\n")  # text of devices stays inert in a terminal
    if end is not None:
        known = "the key you named" if key else "NOT compared with a known key"
        write(ascii(f"  signed at {end['at']} by key {end['public_key']}")[1:-1] + f" ({known})\n")
    if verdict.outcome == UNSIGNED:
        write(f"  unsigned since event {verdict.signed_to + 1}: more may have been cut off\n")
    elif verdict.outcome == SIGNED and head is None:
        write("  a later sitting, cut off whole, would only show with --head\n")
    if verdict.outcome != BROKEN:
        write(f"  {COVERED}\n")
    return verdict.outcome


def script() -> int:
    """Whatever goes wrong, the code is none of those that are a verdict (Python's own is 1)."""
    try:
        code = main(sys.argv[1:], sys.stdout.write)
        sys.stdout.flush()
    except Exception as error:  # Python's own code for it, 1, would say "intact, not signed"
        sys.stderr.write(f"nothing was checked: {type(error).__name__}\n")
        return UNREADABLE
    return code


if __name__ == "__main__":
    raise SystemExit(script())
