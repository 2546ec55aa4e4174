"""The chain finds every change before its end; a cut tail needs a head kept elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner import evidence
from scanner.evidence import Event
from scanner.model import Exchange, Observation, Outcome, Target, Tier, Transport

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


EXCHANGE = Exchange(
    id="x1",
    target=Target(zone="z", address="127.0.0.1", port=502, transport=Transport.TCP),
    probe="modbus",
    tier=Tier.IDENTIFY,
    label="identity",
    sent_at=NOON,
    finished_at=NOON,
    outcome=Outcome.ANSWERED,
    reason="",
    request=b"ask",
    reply=b"answer",
    wire_bytes_out=3,
    wire_bytes_in=6,
    sha256="",
)
OBSERVATION = Observation(
    id="o3",
    zone="z",
    address="127.0.0.1",
    port=502,
    transport=Transport.TCP,
    protocol="modbus",
    probe="modbus",
    tier=Tier.IDENTIFY,
    outcome=Outcome.ANSWERED,
    reason="",
    started_at=NOON,
    finished_at=NOON,
    facts=(),
    exchanges=("x1",),
)


def recorded() -> list[Event]:
    intent = evidence.append(
        None,
        "intent",
        {
            "question": "q",
            "zone": "z",
            "address": "127.0.0.1",
            "port": 502,
            "transport": "tcp",
            "probe": "modbus",
            "tier": "identify",
            "label": "identity",
            "sent_at": NOON.isoformat(),
            "request_sha256": evidence.digest(b"ask"),
        },
    )
    end = evidence.append(
        intent,
        "ended",
        {
            "exchange": "x1",
            "outcome": "answered",
            "reason": "",
            "finished_at": NOON.isoformat(),
            "wire_out": 3,
            "wire_in": 6,
            "reply_sha256": evidence.digest(b"answer"),
        },
    )
    told = {"id": "o3", "sha256": evidence.digest(b"body")}
    return [intent, end, evidence.append(end, "observation", told)]


def test_contents_that_fit_the_chain_have_no_problem() -> None:
    assert evidence.verify_contents(recorded(), [EXCHANGE], [(OBSERVATION, "body")]) == ()


@pytest.mark.parametrize(
    "altered",
    [
        replace(EXCHANGE, request=b"asK"),
        replace(EXCHANGE, reply=b"answeR"),
        replace(EXCHANGE, label="other"),
        replace(EXCHANGE, probe="s7"),
        replace(EXCHANGE, outcome=Outcome.SILENT),
        replace(EXCHANGE, finished_at=None),
        replace(EXCHANGE, target=replace(EXCHANGE.target, address="127.0.0.2")),
        replace(EXCHANGE, id="x9"),
    ],
)
def test_an_exchange_that_differs_from_the_chain_is_told(altered: Exchange) -> None:
    assert evidence.verify_contents(recorded(), [altered], [(OBSERVATION, "body")])


def test_what_is_missing_or_too_much_is_told() -> None:
    events = recorded()

    assert evidence.verify_contents(events, [], [(OBSERVATION, "body")])
    assert evidence.verify_contents(events, [EXCHANGE], [])
    assert evidence.verify_contents(events, [EXCHANGE], [(OBSERVATION, "bodY")])
    assert evidence.verify_contents(events[:1], [EXCHANGE], [])
    assert evidence.verify_contents([], [], [(OBSERVATION, "body")])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["intent", "ended", "observation"]), st.text(max_size=40))
def test_an_event_with_any_payload_is_told_and_never_a_crash(kind: str, payload: str) -> None:
    event = Event(seq=1, kind=kind, payload=payload, sha256="")

    assert evidence.verify_contents([event], [], [])
