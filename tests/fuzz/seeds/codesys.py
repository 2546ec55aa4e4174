"""CODESYS: identifications in both byte orders, runtimes that answer in either form, or hang up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import probes.codesys
from scanner.errors import Closed
from tests.fuzz import mutate
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Answer, Dialogue, FuzzSession
from tests.probes import codesys_replies

TEXTS = {("service_access", "protocol"): 16}
OUR_PARAMETERS = ("request_id", "length")


def _named(**changes: object) -> Callable[[], Answer]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return codesys_replies.answer(request[-4:], **changes)

    return lambda: answer


def _big_endian_runtime() -> Answer:
    def answer(request: bytes | None) -> bytes:
        if request == probes.codesys.WHO_LITTLE:
            raise Closed("made up")
        return codesys_replies.runtime(system="VxWorks", product="AC500 PM573-ETH")

    return answer


def dialogues(captures: Path) -> Iterator[Dialogue]:
    probe = probes.codesys.PROBE
    yield Dialogue(name="little-endian", probe=probe, answer=_named())
    yield Dialogue(name="big-endian", probe=probe, answer=_named(order="big"))
    yield Dialogue(name="parent", probe=probe, answer=_named(parent=b"\0\1\0\2", serial="0030DE"))
    runtime = codesys_replies.runtime()
    v2 = probes.codesys.V2_PROBE
    yield Dialogue(name="runtime", probe=v2, answer=script(runtime))
    yield Dialogue(name="big-endian runtime", probe=v2, answer=_big_endian_runtime)


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Behind a good header and request id: the identification damaged, names' lengths too."""
    head = data[:12]
    body = mutate.blind(rng, data[20:], mutate.bodies(others, 20))[:1000]
    tail = getattr(FuzzSession.current, "last_request", data[16:20])
    return head + data[12:16] + tail[-4:] + body
