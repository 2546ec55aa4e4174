"""PC Worx: the recorded conversation with an ILC 151 ETH, and one with another session number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.pcworx
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue
from tests.probes import pcworx_replies as replies

OUR_PARAMETERS = ("service", "number")


def dialogues(captures: Path) -> Iterator[Dialogue]:
    recorded = script(replies.GREETED, replies.ASKED, replies.TOLD)
    yield Dialogue(name="recorded", probe=probes.pcworx.PROBE, answer=recorded)
    other = replies.GREETED[:16] + b"\xff\xfe" + replies.GREETED[18:]
    told = replies.told(at30=b"ILC 330 ETH", at152=b"2737193")
    yield Dialogue(
        name="another session", probe=probes.pcworx.PROBE, answer=script(other, replies.ASKED, told)
    )


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The body damaged behind a good service and number, with its right length."""
    body = mutate.blind(rng, data[6:], mutate.bodies(others, 6))[:1000]
    return data[:2] + (6 + len(body)).to_bytes(2, "big") + data[4:6] + body
