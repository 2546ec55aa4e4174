"""
What the owner vouches for: attestations.yaml, with the documents behind it.

    - zone: control                    # id of a zone or conduit, or a list of them
      requirement: SR 1.3              # or a list
      verdict: met                     # met, compensated, not_applicable
      document: evidence/accounts.pdf  # relative to this file
      sha256: 9f86d081…
      owner: Head of operations
      date: 2026-03-01
      expires: 2027-03-01              # the last day on which it counts
      evidence: document               # document (default), configuration, interview
      note: Reviewed every quarter.    # what was done, or what compensates and how

An attestation counts only while it has not expired and its document is there unchanged; the others
are kept with what is wrong with them, so that a report can say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from scanner import iec62443
from scanner.errors import SiteError
from scanner.model import AttestationInfo, EvidenceClass, RequirementVerdict

State = Literal["accepted", "expired", "document_missing", "document_changed", "unknown"]

MAX_FILE_BYTES = 2 * 1024 * 1024

REQUIRED = ("zone", "requirement", "verdict", "document", "sha256", "owner", "date")
KEYS = (*REQUIRED, "expires", "evidence", "note")

VERDICTS = (
    RequirementVerdict.MET,
    RequirementVerdict.COMPENSATED,
    RequirementVerdict.NOT_APPLICABLE,
)
EVIDENCE = (EvidenceClass.DOCUMENT, EvidenceClass.CONFIGURATION, EvidenceClass.INTERVIEW)


def load(
    path: Path, *, read_file: Callable[[Path], bytes], today: date
) -> tuple[AttestationInfo, ...]:
    """
    Read the file and look at each document.

    `read_file` returns a file's bytes and raises OSError when there is none. `today` is the day on
    which the attestations have to hold. Raises SiteError, with line and hint, for what is not a
    well-formed attestation.
    """
    try:
        raw = read_file(path)
    except OSError as error:
        raise SiteError(
            f"cannot be read: {error.strerror or type(error).__name__}",
            path=path,
            hint="name the file under `attestations:` in the site file, or drop that key",
        ) from None
    seen: dict[Path, str | None] = {}

    def digest(document: Path) -> str | None:
        if document not in seen:
            try:
                seen[document] = sha256(read_file(document)).hexdigest()
            except OSError:
                seen[document] = None
        return seen[document]

    found: list[AttestationInfo] = []
    for entry, line in _entries(raw, path):
        found += _read_entry(entry, line, path=path, today=today, digest=digest)
    return tuple(found)


def state_of(
    *, expires: date | None, expected: str, actual: str | None, today: date
) -> Literal["accepted", "expired", "document_missing", "document_changed"]:
    """What became of one attestation; `actual` is None when the document is not there."""
    if expires is not None and expires < today:
        return "expired"
    if actual is None:
        return "document_missing"
    if actual != expected:
        return "document_changed"
    return "accepted"


def _entries(raw: bytes, path: Path) -> list[tuple[CommentedMap, int]]:
    if len(raw) > MAX_FILE_BYTES:
        raise SiteError(
            f"is larger than {MAX_FILE_BYTES // 1024} KiB",
            path=path,
            hint="keep documents in files of their own and name them under `document:`",
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SiteError(
            "is not UTF-8 text",
            path=path,
            line=raw[: error.start].count(b"\n") + 1,
            hint="save it as UTF-8",
        ) from None
    try:
        data = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SiteError(
            f"is not valid YAML: {error.problem or error.context or 'unreadable'}",
            path=path,
            line=mark.line + 1 if mark else None,
            hint="check the indentation and that no key is given twice",
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise SiteError(
            f"is not valid YAML ({type(error).__name__})",
            path=path,
            hint="look for control characters and impossible dates",
        ) from None
    if isinstance(data, CommentedMap):
        for key in data:
            if key != "attestations":
                raise SiteError(
                    f"unknown key {key!r}",
                    path=path,
                    line=_line(data, key),
                    hint="the file is a list of attestations, or has the one key `attestations:`",
                )
        data = data.get("attestations")
    if data is None:
        return []
    if not isinstance(data, CommentedSeq):
        raise SiteError(
            "is not a list of attestations", path=path, line=1, hint="begin each one with `- zone:`"
        )
    entries: list[tuple[CommentedMap, int]] = []
    for index, entry in enumerate(data):
        line = data.lc.item(index)[0] + 1
        if not isinstance(entry, CommentedMap):
            raise SiteError(
                "an attestation has keys and values",
                path=path,
                line=line,
                hint=f"give it the keys {', '.join(REQUIRED)}",
            )
        entries.append((entry, line))
    return entries


def _read_entry(
    entry: CommentedMap,
    line: int,
    *,
    path: Path,
    today: date,
    digest: Callable[[Path], str | None],
) -> list[AttestationInfo]:
    def wrong(key: str, message: str, hint: str) -> SiteError:
        return SiteError(message, path=path, line=_line(entry, key) or line, hint=hint)

    def text(key: str) -> str:
        value = entry[key]
        if not isinstance(value, str) or not value.strip():
            raise wrong(
                key, f"`{key}` must be a text", "put it in quotes if it looks like a number"
            )
        return str(value).strip()

    def texts(key: str) -> list[str]:
        value = entry[key]
        values = list(value) if isinstance(value, CommentedSeq) else [value]
        if not values or not all(isinstance(item, str) and item.strip() for item in values):
            raise wrong(key, f"`{key}` must be a text or a list of texts", "leave no empty entries")
        return [str(item).strip() for item in values]

    def day(key: str) -> date:
        value = entry[key]
        if isinstance(value, datetime):
            return value.date()
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value).strip())
        except ValueError:
            raise wrong(
                key, f"`{key}` is not a date: {value!r}", "write it as 2026-03-31"
            ) from None

    def choice(key: str, allowed: tuple[Any, ...]) -> str:
        value = text(key)
        if value not in allowed:
            raise wrong(key, f"`{key}` cannot be {value!r}", _suggest(value, allowed))
        return value

    for key in entry:
        if key not in KEYS:
            raise wrong(str(key), f"unknown key {key!r}", _suggest(str(key), KEYS))
    for key in REQUIRED:
        if key not in entry:
            raise SiteError(
                f"the key `{key}` is missing", path=path, line=line, hint=_WHY.get(key, "add it")
            )

    verdict = RequirementVerdict(choice("verdict", VERDICTS))
    expected = text("sha256").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise wrong("sha256", "`sha256` is not a SHA-256 in hex (64 digits)", _WHY["sha256"])
    given = day("date")
    if given > today:
        raise wrong(
            "date", f"`date` {given} lies in the future", "an attestation counts from its date on"
        )
    expires = day("expires") if entry.get("expires") is not None else None
    if expires is not None and expires < given:
        raise wrong("expires", "`expires` lies before `date`", "swap them, or correct the year")
    requirements = [" ".join(item.upper().split()) for item in texts("requirement")]
    known = iec62443.load().by_id
    for requirement in requirements:
        if requirement not in known:
            raise wrong(
                "requirement",
                f"IEC 62443-3-3 has no requirement {requirement!r}",
                _suggest(requirement, tuple(known)),
            )
    document = text("document")
    state = state_of(
        expires=expires,
        expected=expected,
        # An expired one is not looked at: its document may rightly be gone.
        actual=None if expires and expires < today else digest(path.parent / document),
        today=today,
    )
    return [
        AttestationInfo(
            zone=zone,
            requirement=requirement,
            verdict=verdict,
            document=document,
            owner=text("owner"),
            date=given.isoformat(),
            expires=expires.isoformat() if expires else None,
            state=state,
            evidence_class=EvidenceClass(choice("evidence", EVIDENCE))
            if "evidence" in entry
            else EvidenceClass.DOCUMENT,
            note=text("note") if "note" in entry else "",
        )
        for zone in texts("zone")
        for requirement in requirements
    ]


_WHY = {
    "document": "what nobody can look up is no evidence: name a file",
    "sha256": "print it with `sha256sum FILE` (Windows: `certutil -hashfile FILE SHA256`)",
    "owner": "say who vouches for it",
    "date": "say when it was found to be so",
}


def _suggest(word: str, allowed: tuple[str, ...]) -> str:
    near = get_close_matches(word, [str(item) for item in allowed], n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(str(item) for item in allowed[:12])}"


def _line(entry: CommentedMap, key: str) -> int | None:
    try:
        return int(entry.lc.key(key)[0]) + 1
    except (KeyError, AttributeError, TypeError):
        return None
