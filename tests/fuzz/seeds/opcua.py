"""OPC UA: servers made here, with endpoints of every kind, refusals and chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import probes.opcua
from tests.fuzz import mutate
from tests.fuzz.seeds.certificate import certificates
from tests.fuzz.session import Answer, Dialogue

FOREIGN = ("bytes | None",)
OUR_PARAMETERS = ("channel", "request_id")


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_opcua as made

    many = [
        made.endpoint(1, b"None", [made.token(0), made.token(1)], certificate=der)
        for der in certificates()
    ]
    secure = made.endpoint(3, b"Basic256Sha256", [made.token(1, b"None"), made.token(3)])
    body = made.endpoints(*many, secure)
    chunks = made.said(body[:100], chunk=b"C") + made.said(body[100:])
    deep = b"\x7f" + bytes(16) + made.text(b"more") + bytes(4) + b"\0"
    replies: dict[str, dict[bytes, bytes]] = {
        "endpoints": {},
        "in chunks": {b"MSG": chunks},
        "diagnostics": {
            b"MSG": made.said(made.head(431, diagnostics=deep) + made.several([secure]))
        },
        "no endpoints": {b"MSG": made.said(made.endpoints())},
        "a fault": {b"MSG": made.said(made.head(397, result=0x800B0000))},
        "aborted": {b"MSG": made.said(made.number(0x800B0000) + made.NULL, chunk=b"A")},
        "no hello": {b"HEL": made.error(0x807D0000, b"too busy")},
        "no channel": {b"OPN": made.error(0x80550000)},
        "a faulty channel": {b"OPN": made.opened(body=made.head(397, result=0x80540000))},
    }
    for title, other in replies.items():
        table = {b"HEL": made.ACK, b"OPN": made.opened(), b"MSG": made.said(body), **other}
        yield Dialogue(name=title, probe=probes.opcua.PROBE, answer=_server(table))


def _server(table: dict[bytes, bytes]) -> Callable[[], Answer]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return table[request[:3]]

    return lambda: answer


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What stands behind the headers of one message damaged, and its length mended."""
    at = 24 if data[:3] == b"MSG" else 8
    body = data[8:at] + mutate.blind(rng, data[at:], mutate.bodies(others, at))
    return data[:4] + (8 + len(body)).to_bytes(4, "little") + body
