"""FINS: the recorded CP1L by datagram and on a connection, controller status, refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.fins
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

NODES = bytes.fromhex("46494e53000000100000000100000000000000fb000000c8")


def _response(command: str, body: str) -> bytes:
    return bytes.fromhex("c00002007e0000c800ef" + command + body)


def _framed(response: bytes) -> bytes:
    head = b"FINS" + (8 + len(response)).to_bytes(4, "big")
    return head + bytes.fromhex("0000000200000000") + response


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "fins__*.json"):
        for exchange in record["exchanges"]:
            reply = bytes.fromhex(exchange["response_hex"])
            if exchange["request_hex"].startswith("8000"):
                yield Dialogue(name=record["id"], probe=probes.fins.PROBE, answer=script(reply))
                tcp = script(NODES, _framed(reply))
                yield Dialogue(name=record["id"], probe=probes.fins.TCP_PROBE, answer=tcp)
    status = _response("0601", "0000" + "0104" + "0000" * 4 + "20" * 16)
    stopped = _response("0601", "0040" + "0004" + "8000" + "0000" * 3 + "20" * 16)
    refused = _response("0601", "0401")
    for name, reply in (("status", status), ("stopped", stopped), ("refused", refused)):
        yield Dialogue(name=name, probe=probes.fins.READ_PROBE, answer=script(reply))
        tcp = script(NODES, _framed(reply))
        yield Dialogue(name=name, probe=probes.fins.TCP_READ_PROBE, answer=tcp)


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the header damaged; the length of a FINS/TCP frame mended or not."""
    if data[:4] != b"FINS":
        return data[:14] + mutate.blind(rng, data[14:], mutate.bodies(others, 14))[:1000]
    body = mutate.blind(rng, data[16:], mutate.bodies(others, 16))[:1000]
    length = 8 + len(body) if rng.random() < 0.8 else rng.choice(mutate.WIDE) & 0xFFFFFFFF
    return b"FINS" + length.to_bytes(4, "big") + data[8:16] + body
