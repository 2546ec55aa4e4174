"""DNP3: recorded replies, and lines of outstations that are made here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.dnp3
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_dnp3 as made

    probe = probes.dnp3.PROBE
    for record in captured(captures, "dnp3__*.json"):
        reply = bytes.fromhex(record["exchanges"][0]["response_hex"])
        yield Dialogue(name=record["id"], probe=probe, answer=script(reply))
    yield Dialogue(name="field", probe=probe, answer=script(made.FIELD))
    unsolicited = made.frame(0x44, 0, 1, b"\xc0\xf0\x82\x90\x00" + bytes(40))
    yield Dialogue(
        name="unsolicited first", probe=probe, answer=lambda: made.line(1, before=unsolicited)
    )
    yield Dialogue(name="not supported", probe=probe, answer=lambda: made.line(1, control=0x0F))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Control and addresses damaged behind a good start, with a CRC that fits or not."""
    head = data[:3] + mutate.blind(rng, data[3:8], mutate.bodies(others, 3))[:5]
    good = rng.random() < 0.8
    return head + (probes.dnp3.crc(head) if good else data[8:10]) + data[10:]
