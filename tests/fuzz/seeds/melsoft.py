"""MELSOFT: CPU names of a Q CPU over both transports, and the recorded answer of an FX5U."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.melsoft
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

Q_CPU = bytes.fromhex(
    "d700c80000111107000000e40300ffff03000038009c000c080000000010040000000001010100000051303355"
    "44454350552020202020202068020008baba081020210316002002000101e802"
)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    replies = [Q_CPU, Q_CPU[:41] + bytes(16) + Q_CPU[57:]]
    for record in captured(captures, "melsoft__*.json"):
        replies += [bytes.fromhex(e["response_hex"]) for e in record["exchanges"]]
    for reply in dict.fromkeys(replies):
        for probe in (probes.melsoft.PROBE, probes.melsoft.TCP_PROBE):
            yield Dialogue(name="CPU name", probe=probe, answer=script(reply))


def recordings(captures: Path) -> Iterator[Dialogue]:
    """Of the search's answers the one with the layout of ours; the others are no CPU's name."""
    for record in captured(captures, "melsoft__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            yield Dialogue(name=record["id"], probe=probes.melsoft.PROBE, answer=script(reply))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the second header damaged, the length mended or not."""
    body = data[21:35] + mutate.blind(rng, data[35:], mutate.bodies(others, 35))[:500]
    length = len(body) if rng.random() < 0.8 else rng.choice(mutate.WIDE) & 0xFFFF
    return data[:19] + length.to_bytes(2, "little") + body
