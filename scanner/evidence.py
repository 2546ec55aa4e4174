"""
The evidence chain: proof that a run's record was not altered after it was made.

Everything that happens in a run (what was asked, what came back, what was concluded, each change of
state) is one event. Events are numbered from 1 and linked: each carries the SHA-256 of the link
before it and its own canonical text. Bytes of requests and replies are kept beside the chain; an
event holds their digest, so the chain covers them, with secrets already masked.

What the chain proves alone: nobody flipped, dropped, inserted or swapped anything before the last
event that is still there. A record that was cut off at its end and left otherwise whole looks like
a shorter run; only a head known from elsewhere (`VerifyResult.head` written down or signed at the
end of the run) tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scanner.model import Exchange, Observation

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
    `problems` is empty when the chain is whole. `head` is the link of the last event (GENESIS when
    there is none): compare it with the one written down when the run ended to notice a cut tail.
    `tail_proven` is True only when the caller gave such a head and it was met.
    """

    events: int
    head: str
    problems: tuple[str, ...]
    tail_proven: bool = False

    @property
    def whole(self) -> bool:
        return not self.problems


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
    problems: list[str] = []
    previous, count = GENESIS, 0
    for event in events:
        count += 1
        if event.seq != count and not problems:
            problems.append(f"event {count} is missing or out of place: found {event.seq}")
        if not _is_link(event.sha256):
            problems.append(f"event {event.seq}: its link is not a SHA-256")
            continue
        if link(previous, event.seq, event.kind, event.payload) != event.sha256:
            problems.append(f"event {event.seq} ({event.kind}) does not fit the chain")
        previous = event.sha256
    if expected_head is not None and previous != expected_head:
        problems.append(f"the chain ends in {previous[:16]}…, expected {expected_head[:16]}…")
    return VerifyResult(
        events=count,
        head=previous,
        problems=tuple(problems),
        tail_proven=expected_head is not None and previous == expected_head,
    )


def verify_contents(
    events: Iterable[Event],
    exchanges: Iterable[Exchange],
    observations: Iterable[tuple[Observation, str]],
) -> tuple[str, ...]:
    """
    Compare the kept bytes with the chain: problems, or () when every one fits.

    `observations` come with their stored JSON text. Every exchange and observation that the chain
    tells of must be there, and nothing else.
    """
    wanted: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    problems: list[str] = []
    for event in events:
        try:
            content = json.loads(event.payload)
            if event.kind == "intent":
                wanted[f"x{event.seq}"] = _intent_claim(content)
            elif event.kind == "ended":
                wanted[str(content["exchange"])].update(_end_claim(content))
            elif event.kind == "observation":
                texts[str(content["id"])] = str(content["sha256"])
        except (ValueError, KeyError, TypeError, AttributeError):
            problems.append(f"event {event.seq} ({event.kind}) cannot be read")
    problems += _compare_exchanges(wanted, exchanges)
    for observation, text in observations:
        if texts.pop(observation.id, None) != digest(text.encode()):
            problems.append(f"observation {observation.id} differs from the chain")
    problems += [f"observation {missing} is missing" for missing in texts]
    return tuple(problems)


def verify_record(
    events: Iterable[Event],
    *,
    meta: str,
    safety: str | None,
    state: tuple[str, str],
    shown: Mapping[str, str],
) -> tuple[str, ...]:
    """
    Compare the run's own record with the chain: problems, or () when it fits.

    `state` is the state with its reason; `shown` maps each question to the id of the observation
    that speaks for it, which must be the newest one.
    """
    known: dict[str, object] = {"safety": None, "state": ("running", "")}
    newest: dict[str, str] = {}
    for event in events:
        try:
            content = json.loads(event.payload)
            if event.kind == "run":
                known["meta"] = content["meta_sha256"]
            elif event.kind == "safety":
                known["safety"] = content["sha256"]
            elif event.kind == "state":
                known["state"] = (content["state"], content["reason"])
            elif event.kind == "observation":
                newest[str(content["question"])] = str(content["id"])
        except (ValueError, KeyError, TypeError):
            continue  # told by verify_contents or by the chain itself
    found = {
        "meta": digest(meta.encode()),
        "safety": None if safety is None else digest(safety.encode()),
        "state": state,
    }
    problems = [
        f"the run's {name} differs from the chain"
        for name, value in found.items()
        if known.get(name) != value
    ]
    if newest != dict(shown):
        problems.append("the observations shown are not the newest ones of the chain")
    return tuple(problems)


def _intent_claim(content: dict[str, object]) -> dict[str, str]:
    names = ("zone", "address", "port", "transport", "probe", "tier", "label", "sent_at")
    claim = {name: str(content[name]) for name in names}
    return claim | {"request": str(content["request_sha256"])}


def _end_claim(content: dict[str, object]) -> dict[str, str]:
    names = ("outcome", "reason", "finished_at", "wire_out", "wire_in")
    claim = {name: str(content[name]) for name in names}
    return claim | {"reply": str(content["reply_sha256"])}


def _compare_exchanges(
    wanted: dict[str, dict[str, str]], exchanges: Iterable[Exchange]
) -> list[str]:
    problems: list[str] = []
    for exchange in exchanges:
        claim = wanted.pop(exchange.id, None)
        if claim is None:
            problems.append(f"exchange {exchange.id} is not in the chain")
            continue
        row = _row_claim(exchange)
        for name, value in claim.items():
            if row[name] != value:
                problems.append(f"exchange {exchange.id}: {name} differs from the chain")
        if "reply" not in claim and (exchange.reply or exchange.finished_at):
            problems.append(f"exchange {exchange.id}: the chain knows no end of it")
    return problems + [f"exchange {missing} is missing" for missing in wanted]


def _row_claim(exchange: Exchange) -> dict[str, str]:
    finished = exchange.finished_at
    return {
        "zone": exchange.target.zone,
        "address": exchange.target.address,
        "port": str(exchange.target.port),
        "transport": str(exchange.target.transport),
        "probe": exchange.probe,
        "tier": str(exchange.tier),
        "label": exchange.label,
        "sent_at": exchange.sent_at.isoformat(),
        "request": digest(exchange.request),
        "outcome": str(exchange.outcome),
        "reason": exchange.reason,
        "finished_at": finished.isoformat() if finished else "",
        "reply": digest(exchange.reply),
        "wire_out": str(exchange.wire_bytes_out),
        "wire_in": str(exchange.wire_bytes_in),
    }


def _is_link(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)


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
