"""Crimson 3: panels that name themselves, and one that leaves both registers empty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.crimson
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("register",)


def _told(register: str, text: bytes) -> bytes:
    return (5 + len(text)).to_bytes(2, "big") + bytes.fromhex(register) + b"\x03\x00" + text + b"\0"


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for name, maker, model in (
        ("G306a", b"Red Lion Controls", b"G306a"),
        ("G303", b"Red Lion Controls", b"G303"),
        ("empty", b"", b""),
    ):
        answers = script(_told("012b", maker), _told("012a", model))
        yield Dialogue(name=name, probe=probes.crimson.PROBE, answer=answers)


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Code and text damaged behind a good register, with their right length."""
    body = mutate.blind(rng, data[4:], mutate.bodies(others, 4))[:500]
    return (2 + len(body)).to_bytes(2, "big") + data[2:4] + body
