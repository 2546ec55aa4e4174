"""S7comm-plus: the recorded CPUs, made replies with values of every kind, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import probes.s7plus
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured
from tests.fuzz.session import Answer, Dialogue


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_s7plus as made

    def cpu(reply: bytes) -> Callable[[], Answer]:
        return lambda: made.cpu(reply)

    probe = probes.s7plus.READ_PROBE
    replies = {
        record["id"]: made.created(record) for record in captured(captures, "s7comm-plus__*.json")
    }
    replies["simulated"] = made.made(
        made.text("8169", b"03:1234") + b"\xa3\x05\x00\x05" + b"\xff" * 9
        + b"\xa3\x0a\x00\x17\x00\x00\x01\x3a\x01\x00\x04\x05\x00"
        + made.text("823f", b"1;6ES7 518-4AP00-0AB0;V2.9")
    )  # fmt: skip
    for title, reply in replies.items():
        yield Dialogue(name=title, probe=probe, answer=cpu(reply), known=made.KNOWN)
    yield Dialogue(
        name="no seat", probe=probe, answer=lambda: lambda request: made.REFUSE, known=made.KNOWN
    )
    yield Dialogue(name="another family", probe=probe, answer=cpu(b""))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The object damaged, the lengths of S7comm-plus and TPKT mended."""
    if data[5:6] != b"\xf0" or len(data) < 25:
        return mutate.blind(rng, data, others)
    body = data[11:20] + mutate.blind(rng, data[20:-4], mutate.bodies(others, 20))[:60_000]
    pdu = data[7:9] + len(body).to_bytes(2, "big") + body + data[-4:]
    return b"\x03\x00" + (7 + len(pdu)).to_bytes(2, "big") + b"\x02\xf0\x80" + pdu
