"""The chain finds every change before its end; a cut tail needs a head kept elsewhere."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import evidence, signing
from scanner.evidence import Event

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    for number in range(length):
        last = events[-1] if events else None
        events.append(evidence.append(last, "intent", {"label": f"question {number}", "port": 502}))
    return events


def test_an_untouched_chain_is_whole_and_names_its_head() -> None:
    events = chain(5)

    result = evidence.verify(events)

    assert result.whole
    assert (result.events, result.head) == (5, events[-1].sha256)
    assert not result.tail_proven


def test_an_empty_chain_has_the_genesis_as_its_head() -> None:
    assert evidence.verify([]) == evidence.VerifyResult(
        events=0, head=evidence.GENESIS, problems=()
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_flip_drop_swap_insertion_and_repetition_is_found(data: st.DataObject) -> None:
    events = chain(data.draw(st.integers(3, 8)))
    at = data.draw(st.integers(0, len(events) - 2))
    match data.draw(st.sampled_from(["payload", "kind", "sha256", "seq", "drop", "swap", "twice"])):
        case "payload":
            place = data.draw(st.integers(0, len(events[at].payload) - 1))
            text = list(events[at].payload)
            text[place] = chr(ord(text[place]) ^ data.draw(st.sampled_from([1, 2, 4, 8, 16, 32])))
            events[at] = replace(events[at], payload="".join(text))
        case "kind":
            events[at] = replace(events[at], kind="ended")
        case "sha256":
            digit = "0" if events[at].sha256[7] != "0" else "1"
            altered = events[at].sha256[:7] + digit + events[at].sha256[8:]
            events[at] = replace(events[at], sha256=altered)
        case "seq":
            events[at] = replace(events[at], seq=events[at].seq + 1)
        case "drop":
            del events[at]
        case "swap":
            events[at], events[at + 1] = events[at + 1], events[at]
        case "twice":
            events.insert(at, events[at])

    assert not evidence.verify(events).whole


@pytest.mark.parametrize("link", ["", "zz" * 32, "AB" * 32, "00" * 31])
def test_a_link_that_is_no_digest_is_a_problem_and_no_crash(link: str) -> None:
    events = chain(3)
    events[1] = replace(events[1], sha256=link)

    assert not evidence.verify(events).whole


def test_one_altered_event_is_told_as_one_place_and_not_as_everything_after_it() -> None:
    events = chain(200)
    events[50] = replace(events[50], payload="{}")

    assert evidence.verify(events).problems == ("event 51 (intent) does not fit the chain",)


def test_a_cut_tail_is_found_only_with_the_head_that_was_written_down() -> None:
    events = chain(6)
    head = events[-1].sha256

    assert evidence.verify(events[:4]).whole
    assert not evidence.verify(events[:4], expected_head=head).whole
    assert evidence.verify(events, expected_head=head).tail_proven


def test_a_chain_forged_from_its_beginning_does_not_meet_the_written_head() -> None:
    head = chain(4)[-1].sha256
    forged: list[Event] = []
    for number in range(4):
        last = forged[-1] if forged else None
        forged.append(evidence.append(last, "intent", {"label": f"other {number}"}))

    assert evidence.verify(forged).whole
    assert not evidence.verify(forged, expected_head=head).whole


def test_one_value_has_one_canonical_text() -> None:
    assert evidence.canonical({"b": [1, None], "a": "ü\x00"}) == (
        '{"a":"\\u00fc\\u0000","b":[1,null]}'
    )


@pytest.mark.parametrize("content", [{"a": 0.1}, {"a": [1, {"b": 2.0}]}, {1: "a"}])
def test_what_has_no_single_text_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        evidence.canonical(content)


# --- the rows beside the chain -----------------------------------------------------------------

STORED = "2026-11-20 12:00:00.000000"
META = json.dumps({"plan_digest": "00" * 32, "version": "0.1", "probe_set": "11" * 32})
SIGNER = signing.Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)), "")
SIGNER = replace(SIGNER, public_key=SIGNER._key.public_key().public_bytes_raw().hex())


def recorded() -> list[Event]:
    """A run with one question, one exchange and one observation that has ended."""
    noon = NOON.isoformat()
    contents: list[tuple[str, dict[str, object]]] = [
        ("run", {"id": "r", "meta_sha256": evidence.digest(META.encode()), "at": noon}),
        ("question", {"question": "q", "protocol": "modbus", "at": noon}),
        (
            "intent",
            {
                "question": "q", "zone": "z", "address": "127.0.0.1", "port": 502,
                "transport": "tcp", "probe": "modbus", "tier": "identify", "label": "identity",
                "sent_at": noon, "request_sha256": evidence.digest(b"ask"), "request_length": 3,
            },
        ),
        (
            "ended",
            {
                "exchange": "x3", "outcome": "answered", "reason": "", "finished_at": noon,
                "wire_out": 3, "wire_in": 6, "reply_sha256": evidence.digest(b"answer"),
                "reply_length": 6,
            },
        ),
        (
            "observation",
            {
                "id": "o5", "question": "q", "protocol": "modbus", "started_at": noon,
                "outcome": "answered", "sha256": evidence.digest(b"body"),
            },
        ),
        ("state", {"state": "finished", "reason": "", "at": noon}),
        ("safety", {"sha256": evidence.digest(b"{}")}),
    ]  # fmt: skip
    events: list[Event] = []
    for kind, content in contents:
        events.append(evidence.append(events[-1] if events else None, kind, content))
    return events


def kept(events: list[Event]) -> dict[str, list[dict[str, object]]]:
    return {
        "run": [
            {
                "id": "r", "meta": META, "state": "finished", "reason": "", "state_at": STORED,
                "safety": "{}",
            }
        ],
        "exchanges": [
            {
                "seq": 3, "question": "q", "zone": "z", "address": "127.0.0.1", "port": 502,
                "transport": "tcp", "probe": "modbus", "tier": "identify", "label": "identity",
                "sent_at": STORED, "finished_at": STORED, "outcome": "answered", "reason": "",
                "request": b"ask", "reply": b"answer", "wire_out": 3, "wire_in": 6,
                "sha256": events[3].sha256,
            }
        ],
        "questions": [
            {
                "key": "q", "protocol": "modbus", "state": "finished", "started_at": STORED,
                "started_seq": 2,
            }
        ],
        "observations": [{"seq": 5, "id": "o5", "question": "q", "current": 1, "body": "body"}],
    }  # fmt: skip


def sealed(events: list[Event], signer: signing.Signer = SIGNER) -> list[Event]:
    content = evidence.end_event(
        events[-1],
        run="r",
        meta=META,
        state="finished",
        signer=signer,
        files={},
        at=NOON.isoformat(),
    )
    return [*events, evidence.append(events[-1], "end", content)]


def check(
    events: list[Event], rows: dict[str, list[dict[str, object]]], **known: str
) -> evidence.VerifyResult:
    return evidence.verify_run(events, evidence.Kept(**rows), **known)


def test_rows_that_fit_the_chain_have_no_problem_and_a_signed_end_is_told() -> None:
    events = recorded()
    unsigned = check(events, kept(events))
    signed = check(sealed(events), kept(events), public_key=SIGNER.public_key)

    assert (unsigned.outcome, unsigned.signed_events, unsigned.tail_proven) == (
        "unsigned", 0, False,
    )  # fmt: skip
    assert (signed.outcome, signed.signed_events, signed.tail_proven) == ("signed", 8, True)
    assert signed.end is not None
    assert (signed.end.covers, signed.end.public_key) == (7, SIGNER.public_key)


def other(value: object) -> object:
    match value:
        case bytes():
            return value + b"x"
        case int():
            return value + 1
        case None:
            return ""
        case _:
            return f"{value}x"


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table, rows in kept(recorded()).items() for column in rows[0]],
)
def test_any_column_that_differs_from_the_chain_is_told(table: str, column: str) -> None:
    events = recorded()
    for change in (other, lambda value: None, lambda value: str(value).encode(), lambda value: 0.5):
        rows = kept(events)
        rows[table][0][column] = change(rows[table][0][column])

        assert check(events, rows).problems


@pytest.mark.parametrize("table", list(kept(recorded())))
def test_a_row_that_is_missing_doubled_or_added_is_told(table: str) -> None:
    events = recorded()
    for change in ([], kept(events)[table] * 2):
        assert check(events, kept(events) | {table: change}).problems


def test_a_reopened_question_and_its_second_answer_are_followed() -> None:
    events = recorded()[:5]
    events.append(evidence.append(events[-1], "reopened", {"question": "q"}))
    rows = kept(events)
    rows["run"][0] |= {"state": "running", "safety": None}
    rows["questions"][0]["state"] = "open"
    assert check(events, rows).whole

    told = {
        "id": "o7", "question": "q", "protocol": "modbus", "started_at": NOON.isoformat(),
        "outcome": "interrupted", "sha256": evidence.digest(b"again"),
    }  # fmt: skip
    events.append(evidence.append(events[-1], "observation", told))
    rows["observations"][0]["current"] = 0
    rows["observations"].append(
        {"seq": 7, "id": "o7", "question": "q", "current": 1, "body": "again"}
    )
    rows["questions"][0]["state"] = "interrupted"
    assert check(events, rows).whole


def test_a_note_has_no_row_and_a_kind_that_nobody_knows_is_told() -> None:
    events = recorded()
    noted = [*events, evidence.append(events[-1], "capture", {"whole": True})]
    odd = [*events, evidence.append(events[-1], "other", {"whole": True})]

    assert check(noted, kept(events)).whole
    (problem,) = check(odd, kept(events)).problems
    assert "not known" in problem


# --- the signed end ----------------------------------------------------------------------------


def other_signer() -> signing.Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
    return signing.Signer(key, key.public_key().public_bytes_raw().hex())


def test_a_signature_by_another_key_fails_only_against_a_known_key() -> None:
    events = recorded()
    forged = sealed(events, other_signer())

    assert check(forged, kept(events)).outcome == "signed"
    assert check(forged, kept(events), public_key=SIGNER.public_key).outcome == "broken"


def test_a_key_that_the_run_did_not_begin_with_is_told() -> None:
    meta = json.dumps(json.loads(META) | {"signing_key": SIGNER.public_key})
    begun = {"id": "r", "meta_sha256": evidence.digest(meta.encode()), "at": NOON.isoformat()}
    events = [evidence.append(None, "run", begun)]
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in kept(recorded())}
    rows["run"] = [
        {
            "id": "r", "meta": meta, "state": "running", "reason": "", "state_at": STORED,
            "safety": None,
        }
    ]  # fmt: skip

    assert check(sealed(events), rows).whole
    (problem,) = check(sealed(events, other_signer()), rows).problems
    assert "another key than the run began with" in problem


def test_a_cut_tail_is_unsigned_and_a_later_event_too() -> None:
    events = recorded()
    whole = sealed(events)
    rows = kept(events)

    assert check(whole[:-1], rows).outcome == "unsigned"
    later = [*whole, evidence.append(whole[-1], "state", json.loads(whole[5].payload))]
    result = check(later, rows)
    assert (result.outcome, result.signed_events, result.events) == ("unsigned", 8, 9)


def test_a_later_sitting_that_is_cut_off_shows_only_against_the_written_head() -> None:
    first = sealed(recorded())
    both = sealed(first)

    assert check(first, kept(first)).outcome == "signed"
    assert check(both, kept(first)).sittings == 2
    assert check(first, kept(first), expected_head=both[-1].sha256).outcome == "broken"


def relinked(events: list[Event], at: int, content: dict[str, object]) -> list[Event]:
    """The chain with one event's content replaced and every later link calculated anew."""
    made = events[:at]
    for number, event in enumerate(events[at:], at):
        given = content if number == at else json.loads(event.payload)
        made.append(evidence.append(made[-1] if made else None, event.kind, given))
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"run": "s"}, {"events": 6}, {"head": "00" * 32}, {"state": "halted"}, {"version": "9"},
        {"at": "2026-11-21T12:00:00+00:00"}, {"plan_sha256": "22" * 32}, {"probe_set": "22" * 32},
        {"files": {"certificate.json": "22" * 32}}, {"public_key": "22" * 32}, {"more": 1},
    ],
)  # fmt: skip
def test_a_changed_statement_is_not_signed(change: dict[str, object]) -> None:
    whole = sealed(recorded())
    content = json.loads(whole[-1].payload)
    content["statement"] |= change

    result = check(relinked(whole, len(whole) - 1, content), kept(whole))

    assert len(result.problems) == 1
    assert "event 8 (end)" in result.problems[0]


@pytest.mark.parametrize("signature", ["", "00" * 64, "zz" * 64, None, 5])
def test_a_signature_that_is_none_is_told_and_no_crash(signature: object) -> None:
    whole = sealed(recorded())
    content = json.loads(whole[-1].payload) | {"signature": signature}

    assert check(relinked(whole, len(whole) - 1, content), kept(whole)).problems


def test_a_forged_tail_with_the_old_end_record_is_told() -> None:
    whole = sealed(recorded())
    state = {"state": "halted", "reason": "forged", "at": NOON.isoformat()}
    rows = kept(whole)
    rows["run"][0] |= {"state": "halted", "reason": "forged"}

    (problem,) = check(relinked(whole, 5, state), rows).problems

    assert "signed for other events" in problem


def test_the_end_record_of_another_run_is_told() -> None:
    events = recorded()
    content = json.loads(sealed(events)[-1].payload)
    statement = content["statement"] | {"run": "other"}
    content = {
        "statement": statement,
        "signature": SIGNER.sign(evidence.statement_bytes(statement)),
    }

    result = check([*events, evidence.append(events[-1], "end", content)], kept(events))

    assert any("signed for other events" in problem for problem in result.problems)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["run", "question", "intent", "ended", "observation", "state", "end", "x"]),
    st.text(max_size=40) | st.sampled_from(["[]", "null", '{"a":1.5}', '{"question":[]}']),
)
def test_an_event_with_any_payload_is_told_and_never_a_crash(kind: str, payload: str) -> None:
    sha256 = evidence.link(evidence.GENESIS, 1, kind, payload)
    event = Event(seq=1, kind=kind, payload=payload, sha256=sha256)

    assert check(
        [event], {"run": [], "exchanges": [], "questions": [], "observations": []}
    ).problems
