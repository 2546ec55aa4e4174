"""HART-IP: a recorded gateway over UDP and TCP, made I/O systems, refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import xor
from pathlib import Path
from random import Random

import probes.hartip
from tests.fuzz import mutate
from tests.fuzz.seeds.form import remembered
from tests.fuzz.session import Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_hartip as made

    _, recorded = made.recorded(captures)
    behind = {
        (13, b""): bytes.fromhex("5090f15090f15090f15090f15090f15090f1") + bytes(3),
        (20, b""): b"MUX".ljust(32, b"\0"),
        (74, b""): bytes([1, 8, 1, 0, 4, 2, 1, 3]),
    } | {(84, bytes([0, n])): made.sub_device(n, channel=n % 2) for n in (1, 2, 3)}
    devices = {
        "recorded": recorded,
        "I/O system": made.Gateway(behind),
        "no room": made.Gateway(status=15),
        "field device": made.Gateway(),
    }
    for name, device in devices.items():
        for probe in (probes.hartip.PROBE, probes.hartip.TCP_PROBE, probes.hartip.READ_PROBE):
            yield Dialogue(
                name=f"{name}, {probe.tier} {probe.transport}",
                probe=probe,
                answer=remembered(device),
            )


def recordings(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_hartip as made

    record, device = made.recorded(captures)
    for probe in (probes.hartip.PROBE, probes.hartip.TCP_PROBE, probes.hartip.READ_PROBE):
        yield Dialogue(name=record["id"], probe=probe, answer=remembered(device))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The content of a HART frame damaged; counts, check byte and lengths mended or not."""
    at = 8 + (6 if data[8:9] >= b"\x80" else 2)
    body = mutate.blind(rng, data[at + 2 : -1], mutate.bodies(others, at + 2))[:255]
    frame = data[8 : at + 1] + bytes([len(body)]) + body
    frame += bytes([reduce(xor, frame, 0) if rng.random() < 0.9 else 0])
    length = 8 + len(frame) if rng.random() < 0.9 else rng.choice(mutate.WIDE) & 0xFFFF
    return data[:6] + length.to_bytes(2, "big") + frame
