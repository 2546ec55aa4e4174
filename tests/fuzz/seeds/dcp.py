"""PROFINET DCP: recorded stations and one made here. Its frames have no conversation yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from probes import dcp
from tests.fuzz import mutate

HEADER = 12


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for path in sorted(captures.glob("profinet-dcp__*.json")):
        (exchange,) = json.loads(path.read_text(encoding="utf-8"))["exchanges"]
        frame = bytes.fromhex(exchange["response_hex"])
        xid = int.from_bytes(frame[4:8], "big")
        yield "dcp", lambda f=frame, x=xid: dcp.decode_identify(f, xid=x)  # type: ignore[misc]
        yield "dcp", lambda f=frame: dcp.frame_length(f)  # type: ignore[misc]


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Damaged blocks behind a good header, with a length that fits them."""
    blocks = mutate.blind(rng, data[HEADER:], mutate.bodies(others, HEADER))[:1400]
    return data[:10] + len(blocks).to_bytes(2, "big") + blocks


OUR_PARAMETERS = ("xid",)
