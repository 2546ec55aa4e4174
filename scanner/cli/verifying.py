"""What `walkdown evidence verify` finds, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from scanner import __version__, signing
from scanner.cli import certifying
from scanner.cli.assessing import place_of
from scanner.errors import Damaged, UsageError
from scanner.evidence import GENESIS, EndRecord, VerifyResult
from scanner.model import Certificate
from scanner.store import RunStore

COVERED = (
    "Covered: the record, and the files signed with it. Not covered: report, tables and "
    "assessment.json, which anybody may have changed; walkdown assess makes them again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """
    `files_compared` is False for a run whose folder is not at hand, `state` "" for a record that
    cannot tell it. `passed` asks for a signed end only where a key was named.
    """

    result: VerifyResult
    state: str
    files_compared: bool
    head_compared: bool

    @property
    def passed(self) -> bool:
        result = self.result
        return result.whole and (result.end is not None or not result.key_compared)


def verify(run: str, *, public_key: str | None, head: str | None) -> Verified:
    """Raises UsageError and StoreError."""
    key = signing.public_key(public_key) if public_key is not None else None
    if head is not None and not signing.is_hex(head.lower(), 64):
        raise UsageError(f"--head {head}: not a head of a chain\n  hint: 64 hex digits")
    state = ""
    try:
        with RunStore.open(place_of(run), read_only=True) as store:
            result = store.verify(expected_head=head.lower() if head else None, public_key=key)
            if result.whole:
                state = store.status().state
    except Damaged as damage:
        result = _no_record(damage, key_compared=key is not None)
    folder = Path(run) if "://" not in run and Path(run).is_dir() else None
    if folder is not None and result.end is not None:
        problems = signing.file_problems(folder, result.end.files)
        result = replace(result, problems=(*result.problems, *problems))
    return Verified(
        result=result,
        state=state,
        files_compared=folder is not None,
        head_compared=head is not None,
    )


def _no_record(damage: Damaged, *, key_compared: bool = False) -> VerifyResult:
    """What is found where nothing can be followed."""
    return VerifyResult(events=0, head=GENESIS, problems=(str(damage),), key_compared=key_compared)


def words(found: Verified) -> Iterator[str]:
    """What a person has to know of a record that is whole."""
    result = found.result
    yield f"intact: {result.events} events, head {result.head}"
    yield from _unsigned(found) if result.end is None else _signed(found, result.end)
    yield COVERED


def _signed(found: Verified, end: EndRecord) -> Iterator[str]:
    result = found.result
    yield f"signed: {end.state} at {end.at}, version {end.version}, by key {end.public_key}"
    yield (
        "That is the key you named."
        if result.key_compared
        else "Signed by a key that was not compared with a known key: whoever forged the whole "
        "record could have signed it too. Name the key you know: --public-key."
    )
    if end.files:
        names = ", ".join(sorted(end.files))
        yield f"Signed with it: {names}" + ("" if found.files_compared else " (not compared)")
    if found.head_compared:
        yield "It ends in the head you named: nothing was cut off after it."
    elif result.sittings > 1:
        yield (
            f"This run had {result.sittings} signed sittings. Cut back to the end of an earlier "
            "one it would look whole as well: only the head written down elsewhere tells (--head)."
        )
    else:
        yield (
            "Nothing before the signed end can have been cut off or changed. A later sitting that "
            "was cut off whole shows only against the head written down elsewhere (--head)."
        )


def _unsigned(found: Verified) -> Iterator[str]:
    result, state = found.result, found.state
    since = f"unsigned since event {result.signed_events + 1}"
    if state == "running":
        yield f"not ended: {since}. The scan is under way, was killed, or its end was cut off."
    else:
        yield f"no end record: {since}, though the run says {state!r}. Its end was cut off, or the"
        yield "program stopped just before it signed."
    yield "What came after the last event here may be missing without a trace."


def as_json(found: Verified) -> dict[str, object]:
    result = found.result
    return {
        "outcome": result.outcome,
        "passed": found.passed,
        "problems": result.problems,
        "events": result.events,
        "head": result.head,
        "head_compared": found.head_compared,
        "state": found.state,
        "signed_events": result.signed_events,
        "sittings": result.sittings,
        "end": _end_as_json(result.end),
        "key_compared": result.key_compared,
        "files_compared": found.files_compared,
        "covers": COVERED,
    }


def _end_as_json(end: EndRecord | None) -> dict[str, object] | None:
    if end is None:
        return None
    return {
        "state": end.state,
        "at": end.at,
        "version": end.version,
        "probe_set": end.probe_set,
        "plan_sha256": end.plan_sha256,
        "files": dict(end.files),
        "public_key": end.public_key,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """
    A certificate made anew, and how it compares with the one that was signed. `made` is None where
    the record is broken: of that, none is made. `sound`: nothing here is other than what was
    signed, as far as it was signed.
    """

    made: Certificate | None
    words: str
    sound: bool
    problems: tuple[str, ...] = ()


def certificate(run: str) -> Compared:
    """
    The certificate of a run, made anew from its record and the capture beside it. The record is
    verified first. Raises UsageError and StoreError.
    """
    place = place_of(run)
    folder = place.parent if isinstance(place, Path) else None
    try:
        with RunStore.open(place, read_only=True) as store:
            result = store.verify()
            if not result.whole:
                return _of_a_broken_record(result)
            made = certifying.make(store, folder)
            signed = certifying.signed(store, folder)
    except Damaged as damage:
        return _of_a_broken_record(_no_record(damage))
    words, sound = _compared(made, signed, result.end, folder, named=Path(run) == folder)
    return Compared(made=made, words=words, sound=sound)


def _of_a_broken_record(result: VerifyResult) -> Compared:
    return Compared(
        made=None,
        words="The record of this run is BROKEN; no certificate is made of it.",
        sound=False,
        problems=result.problems,
    )


def _compared(
    made: Certificate,
    signed: Certificate | None,
    end: EndRecord | None,
    folder: Path | None,
    *,
    named: bool,
) -> tuple[str, bool]:
    """In words, and whether it is sound. `named`: the user named the folder, so files belong."""
    if end is None:
        if made.state == "running":
            return "The run has not ended: it goes on, or was killed. Nobody has signed this.", True
        return "The end of this run is not signed: there is nothing to compare this with.", True
    wanted = {} if folder is None else dict(end.files)
    if folder is not None and not named:  # a database alone: what is not beside it is not missed
        wanted = {name: digest for name, digest in wanted.items() if (folder / name).exists()}
    problems = signing.file_problems(folder, wanted) if folder is not None else ()
    if folder is not None and certifying.FILE in wanted and not (folder / certifying.FILE).exists():
        return f"There is NO {certifying.FILE} in this folder, though one was signed for.", False
    if any(one.startswith(f"{certifying.FILE}:") for one in problems):
        return (
            f"The {certifying.FILE} beside this run is NOT the one that was signed: it was changed "
            "since, and nothing was compared with it."
        ), False
    if problems:
        return (
            f"It is made from files that are NOT those that were signed ({'; '.join(problems)}), "
            f"so it may DIFFER from the signed {certifying.FILE}."
        ), False
    if certifying.FILE not in wanted:
        return f"There is no signed {certifying.FILE} beside this run to compare it with.", True
    if signed is None:
        return (
            f"The signed {certifying.FILE} is unchanged, and in the form of another version: it "
            "cannot be compared with this one."
        ), True
    if signed == made:
        return f"It is the same as the signed {certifying.FILE}.", True
    return (
        f"It DIFFERS from the signed {certifying.FILE}, though record and files are those that "
        f"were signed: the audit of this version ({__version__}) is another than that of version "
        f"{signed.version}, or one of the two is not Walkdown's."
    ), False


def verifier_source() -> str:
    """The stand-alone verifier as a script."""
    return (files("scanner") / "verifier.py").read_text(encoding="utf-8")
