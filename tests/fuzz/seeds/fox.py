"""Niagara Fox: a recorded station with its challenge, and made ones with other greetings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.fox
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_fox as made

    _, recorded = made.recorded(captures)
    replies = {
        "recorded": recorded,
        "no challenge": made.hello(),
        "basic": made.hello() + made.CHALLENGE,
        "kerberos": made.hello() + b"fox a 1 -1 fox kerberos\n{\nuseKerberos=z:f\n};;\n",
    }
    for name, reply in replies.items():
        yield Dialogue(name=name, probe=probes.fox.PROBE, answer=script(reply))


def recordings(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_fox as made

    record, reply = made.recorded(captures)
    yield Dialogue(name=record["id"], probe=probes.fox.PROBE, answer=script(reply))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The fields damaged, the frame around them whole."""
    head, _, rest = data.partition(b"{\n")
    body, end, behind = rest.partition(b"};;\n")
    damaged = mutate.blind(rng, body, [body, *mutate.bodies(others, 24)])[:4000]
    return head + b"{\n" + damaged + end + behind
