"""ADS: the recorded router, and one with newer tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.ads
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_ads as made

    probe = probes.ads.PROBE
    for record in captured(captures, "ads__*.json"):
        reply = bytes.fromhex(record["exchanges"][0]["response_hex"])
        yield Dialogue(name=record["id"], probe=probe, answer=script(reply))
    yield Dialogue(name="newer", probe=probe, answer=script(made.GOOD))
    yield Dialogue(name="bare", probe=probe, answer=script(made.reply()))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The tags damaged behind a good header, and their number with them."""
    tags = mutate.blind(rng, data[24:], mutate.bodies(others, 24))[:1400]
    count = data[20:24] if rng.random() < 0.7 else rng.randint(0, 40).to_bytes(4, "little")
    return data[:20] + count + tags
