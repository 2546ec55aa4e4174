"""UMAS: the recorded Quantum, a made M340 that is reserved, and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import probes.umas
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured
from tests.fuzz.session import Answer, Dialogue

FOREIGN = ("dict[bytes, bytes]",)
OURS = {
    "probes.umas.facts_from": "its keys are requests of ours; what it is told goes to decoders here"
}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_umas as made

    probe = probes.umas.READ_PROBE
    for record in captured(captures, "umas__*.json"):

        def make(record: dict[str, Any] = record) -> Answer:
            return made.recorded(record)

        yield Dialogue(name=record["id"], probe=probe, answer=make)
    tables: dict[str, dict[bytes, bytes | None]] = {
        "reserved": made.MADE,
        "refuses": dict.fromkeys(made.MADE),
        "no function 90": {},
    }
    for title, table in tables.items():

        def device(table: dict[bytes, bytes | None] = table) -> Answer:
            return made.controller(table)

        yield Dialogue(name=title, probe=probe, answer=device)


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the header and the verdict damaged, the length mended."""
    at = 10 if rng.random() < 0.8 else 7
    body = data[7:at] + mutate.blind(rng, data[at:], mutate.bodies(others, at))[:1000]
    return data[:4] + (1 + len(body)).to_bytes(2, "big") + (data[6:7] or b"\0") + body
