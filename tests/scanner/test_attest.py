"""Attestations count only while they are whole, known and their documents are unchanged."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.attest import load, state_of
from scanner.errors import SiteError
from scanner.model import AttestationInfo, EvidenceClass, RequirementVerdict

TODAY = date(2026, 11, 20)
HERE = Path("plant")
FILE = HERE / "attestations.yaml"
DOCUMENT = b"accounts reviewed"
HASH = sha256(DOCUMENT).hexdigest()

GOOD = f"""\
- zone: control
  requirement: SR 1.3
  verdict: met
  document: evidence/accounts.pdf
  sha256: {HASH}
  owner: Head of operations
  date: 2026-03-01
  expires: 2027-03-01
"""


def reader(text: str | bytes, documents: dict[str, bytes] | None = None) -> Callable[[Path], bytes]:
    raw = text.encode() if isinstance(text, str) else text
    files = {FILE: raw}
    wanted = {"evidence/accounts.pdf": DOCUMENT} if documents is None else documents
    files.update({HERE / name: content for name, content in wanted.items()})

    def read(path: Path) -> bytes:
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    return read


def read(text: str | bytes, documents: dict[str, bytes] | None = None) -> list[AttestationInfo]:
    return list(load(FILE, read_file=reader(text, documents), today=TODAY))


def problem(text: str | bytes) -> SiteError:
    with pytest.raises(SiteError) as caught:
        read(text)
    assert caught.value.hint
    assert caught.value.path == FILE
    return caught.value


def test_a_whole_attestation_is_accepted() -> None:
    (found,) = read(GOOD)
    assert found == AttestationInfo(
        zone="control",
        requirement="SR 1.3",
        verdict=RequirementVerdict.MET,
        document="evidence/accounts.pdf",
        owner="Head of operations",
        date="2026-03-01",
        expires="2027-03-01",
        state="accepted",
        evidence_class=EvidenceClass.DOCUMENT,
        note="",
    )


def test_it_holds_through_the_day_it_expires_and_not_longer() -> None:
    last_day = GOOD.replace("2027-03-01", "2026-11-20")
    assert read(last_day)[0].state == "accepted"
    assert read(GOOD.replace("2027-03-01", "2026-11-19"))[0].state == "expired"


def test_without_an_expiry_it_does_not_expire() -> None:
    (found,) = read(GOOD.replace("  expires: 2027-03-01\n", ""))
    assert (found.state, found.expires) == ("accepted", None)


def test_a_missing_document_makes_it_worthless() -> None:
    assert read(GOOD, {})[0].state == "document_missing"


def test_a_changed_document_makes_it_worthless() -> None:
    assert read(GOOD, {"evidence/accounts.pdf": b"edited"})[0].state == "document_changed"


def test_the_document_of_an_expired_one_is_not_missed() -> None:
    assert read(GOOD.replace("2027-03-01", "2026-04-01"), {})[0].state == "expired"


def test_several_zones_and_requirements_can_share_one_document() -> None:
    text = GOOD.replace("zone: control", "zone: [control, safety]").replace(
        "requirement: SR 1.3", "requirement: [SR 1.3, sr 1.3  re 1]"
    )
    assert [(one.zone, one.requirement) for one in read(text)] == [
        ("control", "SR 1.3"),
        ("control", "SR 1.3 RE 1"),
        ("safety", "SR 1.3"),
        ("safety", "SR 1.3 RE 1"),
    ]


def test_evidence_and_note_are_kept() -> None:
    (found,) = read(GOOD + "  evidence: interview\n  note: Locked cabinet, guard on site.\n")
    assert found.evidence_class is EvidenceClass.INTERVIEW
    assert found.note == "Locked cabinet, guard on site."


def test_the_list_may_stand_under_its_own_key() -> None:
    text = "attestations:\n" + "".join(f"  {line}\n" for line in GOOD.splitlines())
    assert read(text) == read(GOOD)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "attestations:\n", "[]\n"])
def test_an_empty_file_attests_nothing(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("  verdict: met", "  verdict: mett", 3, "did you mean 'met'"),
        ("  verdict: met", "  verdict: not_assessed", 3, "known: met"),
        ("  requirement: SR 1.3", "  requirement: SR 1.33", 2, "did you mean 'SR 1.3'"),
        ("  owner: Head", "  ownr: Head", 6, "did you mean 'owner'"),
        ("  owner: Head of operations\n", "", 1, "say who vouches"),
        ("  owner: Head of operations", "  owner: 7", 6, "quotes"),
        ("  date: 2026-03-01", "  date: spring", 7, "2026-03-31"),
        ("  date: 2026-03-01", "  date: 2026-11-21", 7, "from its date on"),
        ("  expires: 2027-03-01", "  expires: 2025-03-01", 8, "correct the year"),
        (HASH, "abc", 5, "sha256sum"),
        (f"  sha256: {HASH}\n", "", 1, "sha256sum"),
        ("  document: evidence/accounts.pdf\n", "", 1, "no evidence"),
        ("zone: control", "zone: []", 1, "empty"),
        ("  verdict: met\n", "  verdict: met\n  verdict: met\n", 4, "twice"),
        ("  verdict: met\n", "  verdict: {\n", None, "indentation"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(
    old: str, new: str, line: int | None, words: str
) -> None:
    assert old in GOOD
    error = problem(GOOD.replace(old, new))
    assert words in error.hint
    if line is not None:
        assert error.line == line


@pytest.mark.parametrize(
    "text",
    ["word\n", "- word\n", "zone: control\n", "attestations: 3\n", b"\xff\xfe- zone", "- \x07\n"],
)
def test_what_is_no_list_of_attestations_is_refused(text: str | bytes) -> None:
    problem(text)


def test_a_file_that_is_not_there_is_told_with_a_remedy() -> None:
    with pytest.raises(SiteError, match="cannot be read") as caught:
        load(HERE / "other.yaml", read_file=reader(GOOD), today=TODAY)
    assert "attestations:" in caught.value.hint


def test_an_oversized_file_is_refused() -> None:
    assert "larger" in problem(b"#" * (2 * 1024 * 1024 + 1)).message


@given(st.text(max_size=120) | st.binary(max_size=120))
def test_any_file_gives_attestations_or_one_clear_error(text: str | bytes) -> None:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    found: tuple[AttestationInfo, ...] = ()
    hint = "none needed"
    try:
        found = load(FILE, read_file=reader(raw), today=TODAY)
    except SiteError as error:
        hint = error.hint
    assert hint
    assert all(one.document for one in found)


@given(
    st.none() | st.dates(),
    st.none() | st.sampled_from(["aa", "bb"]),
    st.dates(),
)
def test_only_the_unexpired_with_the_very_document_is_accepted(
    expires: date | None, actual: str | None, today: date
) -> None:
    state = state_of(expires=expires, expected="aa", actual=actual, today=today)
    assert (state == "accepted") == (actual == "aa" and (expires is None or today <= expires))
