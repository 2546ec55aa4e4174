"""IPMI: controllers of 2.0 and 1.5, a refusal, an answer with OEM data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.ipmi
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("told", "code")


def _answer(code: int, data: str) -> bytes:
    first, second = b"\x81\x1c", bytes([0x20, 0x54, 0x38, code]) + bytes.fromhex(data)
    return _sealed(first, second)


def _sealed(first: bytes, second: bytes) -> bytes:
    inside = first + bytes([-sum(first) & 0xFF]) + second + bytes([-sum(second) & 0xFF])
    return bytes.fromhex("0600ff07") + bytes(9) + bytes([len(inside)]) + inside


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for name, reply in (
        ("2.0", _answer(0, "0196040300000000")),
        ("1.5, anonymous", _answer(0, "0117070000000000")),
        ("OEM", _answer(0, "01b42403a20200ff")),
        ("refused", _answer(0xCC, "")),
    ):
        yield Dialogue(name=name, probe=probes.ipmi.PROBE, answer=script(reply))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the header damaged, its length and checksums made right again."""
    body = mutate.blind(rng, data[17:-1], mutate.bodies(others, 17))[:200]
    return _sealed(data[14:16], body)
