"""KNXnet/IP: recorded routers and interfaces, as descriptions and as answers to a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import probes.knx
from scanner.facts import ServiceAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_knx as made

    known = (ServiceAccess(protocol="knx", details=((probes.knx.CORE_VERSION, "2"),)),)
    for record in captured(captures, "knxnet-ip__*.json"):
        reply = made.reply_of(record)
        yield Dialogue(
            name=record["id"],
            probe=probes.knx.PROBE,
            answer=script(made.as_description(reply)),
        )
        extended = reply[:2] + b"\x02\x0c" + reply[4:]
        yield Dialogue(
            name=f"{record['id']}, read",
            probe=probes.knx.READ_PROBE,
            answer=script(extended),
            known=known,
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    for dialogue in dialogues(captures):
        yield replace(dialogue, name=dialogue.name.removesuffix(", read"))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The blocks damaged, the header's length mended or not."""
    body = mutate.blind(rng, data[6:], mutate.bodies(others, 6))[:600]
    length = 6 + len(body) if rng.random() < 0.9 else rng.choice(mutate.WIDE) & 0xFFFF
    return data[:4] + length.to_bytes(2, "big") + body
