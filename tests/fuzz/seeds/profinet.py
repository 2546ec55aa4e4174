"""PROFINET's endpoint mapper: published annotations in both byte orders, none, and refusals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.profinet
from tests.fuzz import mutate
from tests.fuzz.session import Answer, Dialogue

OUR_PARAMETERS = ("activity",)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_profinet as made

    def fault(request: bytes | None) -> bytes:
        assert request is not None
        return made.reply_to(request, b"\x03\0\x01\x1c", kind=6)

    answers: dict[str, Answer] = {
        "S7-1200": made.device(made.S7_1200),
        "software controller": made.device(made.SOFTWARE, order="big"),
        "another form": made.device(b"something of its own\0"),
        "no entry": made.device(None),
        "rejected": fault,
    }
    for title, answer in answers.items():
        yield Dialogue(
            name=title,
            probe=probes.profinet.READ_PROBE,
            answer=lambda answer=answer: answer,  # type: ignore[misc]
        )


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The body damaged behind a good header, its length mended in the header's byte order."""
    body = mutate.blind(rng, data[80:], mutate.bodies(others, 80))[:1900]
    order = "little" if data[4:5] == b"\x10" else "big"
    size = len(body).to_bytes(2, order)  # type: ignore[arg-type]
    return data[:74] + size + data[76:80] + body
