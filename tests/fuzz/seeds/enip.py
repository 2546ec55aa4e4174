"""EtherNet/IP: recorded identities over UDP and TCP, and attributes read by the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.enip
import scanner.clients.cip
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue, FuzzSession

OURS = {"scanner.clients.cip_worker.read_identity_object": "takes the relay's host and port"}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "enip__*.json"):
        for exchange in record["exchanges"]:
            if exchange["request_hex"].startswith("6300"):
                reply = bytes.fromhex(exchange["response_hex"])
                for probe in (probes.enip.PROBE, probes.enip.TCP_PROBE):
                    yield Dialogue(name=record["id"], probe=probe, answer=script(reply))
    attributes = bytes.fromhex("01000e0036001403600029b36300") + b"\x141756-L61/B LOGIX5561"
    for refused in ("", "service not supported"):
        yield Dialogue(
            name="read",
            probe=probes.enip.READ_PROBE,
            answer=script(),
            values={"attributes": attributes, "refused": refused},
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    """Besides ListIdentity the attributes that a recorded request read: those of the library."""
    yield from dialogues(captures)
    for record in captured(captures, "enip__*.json"):
        for exchange in record["exchanges"]:
            request, reply = (bytes.fromhex(exchange[f"{e}_hex"]) for e in ("request", "response"))
            # The whole identity object (class 1), behind the answer's four bytes of head.
            if b"\x01\x02\x20\x01\x24\x01" in request and (at := reply.find(b"\x81\0\0\0")) > 0:
                yield Dialogue(
                    name=record["id"],
                    probe=probes.enip.READ_PROBE,
                    answer=script(),
                    values={"attributes": reply[at + 4 :], "refused": ""},
                )


async def _library(host: str, port: int) -> scanner.clients.cip.IdentityAnswer:
    session = FuzzSession.current
    refused = session.told("refused")
    return scanner.clients.cip.IdentityAnswer(
        session=7, attributes=session.told("attributes"), refused=refused[:200] or None
    )


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The identity item damaged, lengths of item and header mended or not."""
    item = mutate.blind(rng, data[30:], mutate.bodies(others, 30))[:1000]
    right = rng.random() < 0.8
    length = len(item) if right else rng.choice(mutate.WIDE) & 0xFFFF
    behind = data[24:28] + length.to_bytes(2, "little") + item
    return data[:2] + len(behind).to_bytes(2, "little") + data[4:24] + behind


LIBRARIES = ((scanner.clients.cip, "read_identity_object", _library),)
