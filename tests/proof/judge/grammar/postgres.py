"""
PostgreSQL. tshark names messages in several words ("SSL request"), which cannot be compared one by
one with ours, so what was sent is read here alone.

Source: PostgreSQL documentation, "Message Formats".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_SSL: Final = (80877103).to_bytes(4, "big")
_OTHERS: Final = {80877102: "cancel", 80877104: "GSSAPI encryption", 196608: "start-up"}


def read(sent: bytes) -> Iterator[Pdu]:
    size = int.from_bytes(sent[:4], "big")
    if len(sent) < 8 or not 8 <= size <= 10_000:
        return
    if sent[:8] == b"\0\0\0\x08" + _SSL:
        yield Pdu(0, 8, "PostgreSQL SSL request", "session")
        if len(sent) > 8:
            yield Pdu(8, len(sent), "PostgreSQL behind the SSL request", "control")
        return
    code = int.from_bytes(sent[4:8], "big")
    if code not in _OTHERS or size > len(sent):
        return
    yield Pdu(0, len(sent), f"PostgreSQL {_OTHERS[code]} and what follows", "control")


GRAMMAR: Final = Grammar(
    protocol="postgres",
    read=read,
    ports=(("tcp", 5432),),
    ics=False,
    client_speaks_first=True,
    questions=1,
)
