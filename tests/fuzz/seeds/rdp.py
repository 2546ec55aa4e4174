"""RDP: recorded confirmations and each other kind, first and second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.rdp
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

HEAD = bytes.fromhex("030000130ed00000123400")


def dialogues(captures: Path) -> Iterator[Dialogue]:
    recorded = [
        bytes.fromhex(exchange["response_hex"])
        for record in captured(captures, "rdp__*.json")
        for exchange in record["exchanges"]
    ]
    nla = HEAD + bytes.fromhex("021f080008000000")
    tls = HEAD + bytes.fromhex("021f080001000000")
    required = HEAD + bytes.fromhex("0300080005000000")
    bare = bytes.fromhex("0300000b06d00000123400")
    for said in (*((one,) for one in recorded), (nla, tls), (nla, required), (bare,)):
        yield Dialogue(name="confirm", probe=probes.rdp.PROBE, answer=script(*said))


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "rdp__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            yield Dialogue(name=record["id"], probe=probes.rdp.PROBE, answer=script(reply))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The negotiation damaged, the lengths of TPKT and X.224 mended or not."""
    body = mutate.blind(rng, data[11:], mutate.bodies(others, 11))[:240]
    size = 11 + len(body)
    if rng.random() < 0.2:
        size = rng.choice(mutate.WIDE) & 0xFFFF
    return b"\x03\x00" + size.to_bytes(2, "big") + bytes([(size - 5) & 0xFF]) + data[5:11] + body
