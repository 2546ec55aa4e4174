"""EtherNet/IP: recorded identities over UDP and TCP, and attributes read by the library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.enip
import scanner.clients.cip
from scanner.errors import Silent
from scanner.facts import CipAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Answer, Dialogue, FuzzSession

OURS = {"scanner.clients.cip_worker.read_identity_object": "takes the relay's host and port"}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "enip__*.json"):
        for exchange in record["exchanges"]:
            if exchange["request_hex"].startswith("6300"):
                reply = bytes.fromhex(exchange["response_hex"])
                for probe in (probes.enip.PROBE, probes.enip.TCP_PROBE):
                    yield Dialogue(name=record["id"], probe=probe, answer=script(reply))
    attributes = bytes.fromhex("01000e0036001403600029b36300") + b"\x141756-L61/B LOGIX5561"
    yield from _beyond_the_identity(captures, attributes)
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


def _beyond_the_identity(captures: Path, attributes: bytes) -> Iterator[Dialogue]:
    """A chassis with recorded and made modules, and a MicroLogix, whose reply was recorded."""
    [rack] = captured(captures, "enip__ab_1756-l61*.json")
    recorded = bytes.fromhex(rack["exchanges"][2]["response_hex"])[40:]
    module = b"\x81\0\0\0" + attributes[:10] + b"\x01\x02\x03\x04\x0b1756-IF16/A"
    empty = b"\xd2\0\x01\x01\x12\x03\x01\0"
    slots = (recorded, empty, module, b"\x81\0\x08\0", *[empty] * 4)
    yield Dialogue(
        name="chassis",
        probe=probes.enip.READ_PROBE,
        answer=lambda: _session(slots),
        values={"attributes": attributes, "refused": ""},
    )
    [old] = captured(captures, "enip-pccc__ab_micrologix1400*.json")
    status = bytes.fromhex(old["exchanges"][0]["response_hex"])[40:]
    status = status[:5] + bytes(6) + status[11:13] + b"\x01\0" + status[15:]
    for refused, name in (("", b"\x0a1766-L32BX"), ("service not supported", b"")):
        yield Dialogue(
            name="micrologix",
            probe=probes.enip.READ_PROBE,
            answer=lambda: _session((status,)),
            known=(CipAccess(vendor_id=1, device_type=14),),
            values={"attributes": attributes[:14] + name, "refused": refused},
        )


def _session(messages: Sequence[bytes]) -> Answer:
    """One CIP reply after another, in the session and with the context of the request."""
    left = iter(messages)

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        cip = next(left, None)
        if cip is None:
            raise Silent("nothing more")
        body = bytes(6) + b"\x02\0" + bytes(4) + b"\xb2\0" + len(cip).to_bytes(2, "little") + cip
        head = b"\x6f\0" + len(body).to_bytes(2, "little") + request[4:8] + bytes(4)
        return head + request[12:24] + body

    return answer


async def _library(host: str, port: int) -> scanner.clients.cip.IdentityAnswer:
    session = FuzzSession.current
    refused = session.told("refused")
    return scanner.clients.cip.IdentityAnswer(
        session=7, attributes=session.told("attributes"), refused=refused[:200] or None
    )


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The identity item or the CIP message damaged, lengths of item and header mended or not."""
    if data[:1] == b"\x6f":
        cip = mutate.blind(rng, data[40:], mutate.bodies(others, 40))[:900]
        body = data[24:38] + len(cip).to_bytes(2, "little") + cip
        return data[:2] + len(body).to_bytes(2, "little") + data[4:24] + body
    item = mutate.blind(rng, data[30:], mutate.bodies(others, 30))[:1000]
    right = rng.random() < 0.8
    length = len(item) if right else rng.choice(mutate.WIDE) & 0xFFFF
    behind = data[24:28] + length.to_bytes(2, "little") + item
    return data[:2] + len(behind).to_bytes(2, "little") + data[4:24] + behind


LIBRARIES = ((scanner.clients.cip, "read_identity_object", _library),)
