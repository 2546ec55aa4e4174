"""What `walkdown evidence verify` finds, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from scanner import signing
from scanner.cli import certifying
from scanner.cli.assessing import place_of
from scanner.errors import UsageError
from scanner.evidence import EndRecord, VerifyResult
from scanner.model import Certificate
from scanner.store import RunStatus, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """
    `files_compared` is False for a run whose folder is not at hand. `passed` asks for a signed end
    only where a key was named.
    """

    result: VerifyResult
    status: RunStatus
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
    with RunStore.open(place_of(run), read_only=True) as store:
        result = store.verify(expected_head=head.lower() if head else None, public_key=key)
        status = store.status()
    folder = Path(run) if "://" not in run and Path(run).is_dir() else None
    if folder is not None and result.end is not None:
        problems = signing.file_problems(folder, result.end.files)
        result = replace(result, problems=(*result.problems, *problems))
    return Verified(
        result=result,
        status=status,
        files_compared=folder is not None,
        head_compared=head is not None,
    )


def words(found: Verified) -> Iterator[str]:
    """What a person has to know of a record that is whole."""
    result = found.result
    yield f"intact: {result.events} events, head {result.head}"
    if result.end is None:
        yield from _unsigned(found)
        return
    end = result.end
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
    result, state = found.result, found.status.state
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
        "state": found.status.state,
        "signed_events": result.signed_events,
        "sittings": result.sittings,
        "end": _end_as_json(result.end),
        "key_compared": result.key_compared,
        "files_compared": found.files_compared,
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


def certificate(run: str) -> tuple[Certificate, str]:
    """
    The certificate of a run, made anew from its record and the capture beside it, and how it
    compares with the one that was signed. Raises UsageError and StoreError.
    """
    place = place_of(run)
    folder = place.parent if isinstance(place, Path) else None
    with RunStore.open(place, read_only=True) as store:
        made = certifying.make(store, folder)
        signed = certifying.signed(store, folder)
    if signed == made:
        return made, f"It is the same as the signed {certifying.FILE}."
    if signed is not None:
        return made, (
            f"It DIFFERS from the signed {certifying.FILE}: record, capture or the audit of this "
            f"version have changed since. Next: walkdown evidence verify {run}"
        )
    if made.state == "running":
        return made, "The run has not ended: it goes on, or was killed. Nobody has signed this."
    return made, f"There is no signed {certifying.FILE} beside this run to compare it with."


def verifier_source() -> str:
    """The stand-alone verifier as a script."""
    return (files("scanner") / "verifier.py").read_text(encoding="utf-8")
