"""S7: recorded CPUs, and one that is made here with lists, seats taken and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import probes.s7
import scanner.clients.s7
from scanner.facts import S7Access
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Answer, Dialogue, FuzzSession

FOREIGN = ("Mapping[tuple[int, int], bytes]",)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_s7

    probe = probes.s7.PROBE
    for record in captured(captures, "s7comm__*.json"):

        def make(record: dict[str, Any] = record) -> Answer:
            return test_s7.recorded(record)  # type: ignore[no-any-return]

        yield Dialogue(name=record["id"], probe=probe, answer=make)
    order = b"\x00\x01" + b"6ES7 315-2EH14-0AB0 " + b"\x00\xc0\x00\x05\x00\x01"
    firmware = b"\x00\x07" + b" " * 20 + b"\x00\xc0V\x03\x02\x08"
    names = [n.to_bytes(2, "big") + b"Line %d" % n for n in (1, 2, 3, 4, 5, 7, 8, 11)]
    lists = {
        0x11: test_s7.szl_list(0x11, 28, order, firmware),
        0x1C: test_s7.szl_list(0x1C, 34, *names, b"\x00\x09\x00\x2a\x00\x01"),
    }

    def made(lists: dict[int, bytes], refuse: tuple[int, ...] = ()) -> Callable[[], Answer]:
        cpu = test_s7.cpu(lists, refuse=refuse)

        def answer(request: bytes | None) -> bytes:
            assert request is not None
            if test_s7.kind_of(request)[0] == "continue":
                return test_s7.szl_reply(request, bytes(28))  # type: ignore[no-any-return]
            return cpu(request)  # type: ignore[no-any-return]

        return lambda: answer

    yield Dialogue(name="made", probe=probe, answer=made(lists))
    yield Dialogue(name="second seat", probe=probe, answer=made(lists, (0x0301,)))
    yield Dialogue(name="no seat", probe=probe, answer=made(lists, probes.s7.TSAPS))
    yield Dialogue(name="refuses", probe=probe, answer=made({}))
    protection = b"\x00\x28\x00\x01\x00\x04\x00\x01\x00\x01\x00\x02\x00\x03" + bytes(30)
    state = b"\x00\x14\x00\x01\x51\x44\xff\x08" + bytes(16)
    for known in ((), (S7Access(tsap=0x0302),)):
        yield Dialogue(
            name="read",
            probe=probes.s7.READ_PROBE,
            answer=script(),
            known=known,
            values={"lists": {(0x0232, 4): protection, (0x0424, 0): state}},
        )


async def _library(host: str, port: int, **_: Any) -> dict[tuple[int, int], bytes]:
    return FuzzSession.current.told("lists")  # type: ignore[no-any-return]


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """S7 parameters and data damaged, lengths of S7, COTP and TPKT mended; or several TPKTs."""
    if len(data) < 17 or data[5:6] != b"\xf0":
        tail = mutate.blind(rng, data[5:], mutate.bodies(others, 5))
        return _tpkt(bytes((len(tail) & 0xFF,)) + tail)
    pdu = data[7:]
    start = 12 if pdu[1] in (2, 3) else 10
    middle = start + int.from_bytes(pdu[6:8], "big")
    parameters, body = pdu[start:middle], pdu[middle:]
    if rng.random() < 0.3:
        parameters = mutate.blind(rng, parameters, ())[:512]
    if rng.random() < 0.8:
        if rng.random() < 0.5 and len(body) > 4:
            payload = mutate.blind(rng, body[4:], mutate.bodies(others, 33))[:60000]
            body = body[:2] + len(payload).to_bytes(2, "big") + payload
        else:
            body = mutate.blind(rng, body, mutate.bodies(others, 29))[:60000]
    head = pdu[:6] + len(parameters).to_bytes(2, "big") + len(body).to_bytes(2, "big")
    whole = head + pdu[10:start] + parameters + body
    if rng.random() < 0.2:
        at = rng.randint(0, len(whole))
        return _tpkt(b"\x02\xf0\x00" + whole[:at]) + _tpkt(b"\x02\xf0\x80" + whole[at:])
    return _tpkt(b"\x02\xf0\x80" + whole[:65000])


def _tpkt(tpdu: bytes) -> bytes:
    return b"\x03\x00" + (len(tpdu[:65000]) + 4).to_bytes(2, "big") + tpdu[:65000]


LIBRARIES = ((scanner.clients.s7, "read_lists", _library),)
