"""SLMP: type names of a CPU and of another maker's device, a refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.slmp
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

ROUTE = bytes.fromhex("d00000ffff0300")


def _response(body: bytes) -> bytes:
    return ROUTE + len(body).to_bytes(2, "little") + body


def dialogues(captures: Path) -> Iterator[Dialogue]:
    replies = {
        "FX5U": b"\0\0" + b"FX5U-32MT/DS".ljust(16) + b"\x49\x4a",
        "Q": b"\0\0" + b"Q03UDECPU".ljust(16) + b"\x68\x02",
        "another": b"\0\0" + b"REMOTE I/O".ljust(16) + b"\x00\x10",
        "nameless": b"\0\0" + bytes(18),
        "refused": b"\x59\xc0" + ROUTE[2:] + b"\x01\x01\0\0",
    }
    for name, body in replies.items():
        yield Dialogue(name=name, probe=probes.slmp.PROBE, answer=script(_response(body)))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the length damaged, the length mended or not."""
    body = mutate.blind(rng, data[9:], mutate.bodies(others, 9))[:300]
    if rng.random() < 0.4:
        body = body[:20].ljust(20, b" ")
    length = len(body) if rng.random() < 0.8 else rng.choice(mutate.WIDE) & 0xFFFF
    return data[:7] + length.to_bytes(2, "little") + body
