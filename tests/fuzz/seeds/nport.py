"""The Moxa search: the recorded NPort 5110A, identified and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.nport
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "moxa-nport__*.json"):
        told = {e["request_hex"][:2]: bytes.fromhex(e["response_hex"]) for e in record["exchanges"]}
        search = told["01"]
        known = probes.nport.facts(probes.nport.decode_search(search))[:1]
        read = probes.nport.READ_PROBE
        yield Dialogue(name=record["id"], probe=probes.nport.PROBE, answer=script(search))
        yield Dialogue(name="read", probe=read, answer=script(search, told["16"], told["10"]))
        yield Dialogue(
            name="read on", probe=read, answer=script(told["16"], told["10"]), known=known
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "moxa-nport__*.json"):
        told = {e["request_hex"][:2]: bytes.fromhex(e["response_hex"]) for e in record["exchanges"]}
        for probe, said in (
            (probes.nport.PROBE, (told["01"],)),
            (probes.nport.READ_PROBE, (told["01"], told["16"], told["10"])),
        ):
            yield Dialogue(name=record["id"], probe=probe, answer=script(*said))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the device id damaged, the length mended or not."""
    body = mutate.blind(rng, data[20:], mutate.bodies(others, 20))[:300]
    length = 20 + len(body) if rng.random() < 0.8 else rng.choice(mutate.WIDE) & 0xFFFF
    return data[:2] + length.to_bytes(2, "big") + data[4:20] + body
