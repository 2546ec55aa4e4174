"""MMS: the recorded control centre, and servers that are made here: nameplates, refusals, seats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import probes.mms
from scanner.facts import ServiceAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured
from tests.fuzz.session import Answer, Dialogue

KNOWN = (
    ServiceAccess(
        protocol="mms", answers_without_login=True, details=(("called TSAP", "0001"),)
    ),
)  # fmt: skip


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_mms as made

    probe = probes.mms.PROBE
    for record in captured(captures, "mms__*.json"):

        def make(record: dict[str, Any] = record) -> Answer:
            return made.recorded(record)  # type: ignore[no-any-return]

        yield Dialogue(name=record["id"], probe=probe, answer=make)
    servers: dict[str, dict[str, Any]] = {
        "made": {},
        "second seat": {"connect": [made.DISCONNECT, made.CONFIRM]},
        "no seat": {"connect": [made.DISCONNECT, made.DISCONNECT]},
        "wants a login": {"associate": made.associated(result=1, diagnostic=14)},
        "refuses": {"identify": made.mms_pdu(bytes.fromhex("a20a800101a205a003830103"))},
    }
    for name, answers in servers.items():
        yield Dialogue(
            name=name, probe=probe, answer=lambda a=answers: made.server(**_copied(a))  # type: ignore[misc]
        )  # fmt: skip
    lists: dict[str, Any] = {
        "names": [made.names(b"BAY1", b"BAY2", more=True), made.names(b"BAY3", invoke=2)],
        "read": [made.plate(*[None] * 6), made.plate(*made.PLATE, invoke=11)],
    }
    yield Dialogue(
        name="read",
        probe=probes.mms.READ_PROBE,
        answer=lambda: made.server(**_copied(lists)),
        known=KNOWN,
    )


def _copied(answers: dict[str, Any]) -> dict[str, Any]:
    """Each conversation takes its turns from the beginning."""
    return {key: list(one) if isinstance(one, list) else one for key, one in answers.items()}


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What is in the first TPKT damaged behind a good header; the end of the TSDU stays or not."""
    body = mutate.blind(rng, data[7:], mutate.bodies(others, 7))[:8000]
    head = b"\x02\xf0\x80" if rng.random() < 0.9 else data[4:7]
    return b"\x03\x00" + (len(body) + 4 + len(head)).to_bytes(2, "big") + head + body
