"""
PC Worx. tshark 4.0 has no dissector for it.

A frame: 01 (request), service, its length over all (2, big-endian), a number (2), then the body.

Source: recorded frames of an ILC 151 ETH and an ILC 191 ETH, as told of in public.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_KNOWN_QUESTION: Final = b"\x02\x95"


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        length = int.from_bytes(sent[at + 2 : at + 4], "big")
        end = at + length
        if sent[at] != 0x01 or not 8 <= length <= 4096 or end > len(sent):
            return
        service, verdict, asks = sent[at + 1], "control", True
        name = f"PC Worx {service:#04x}"
        if service == 0x01 and length == 26:
            name, verdict, asks = f"{name} greeting", "session", False
        elif service == 0x05:
            question = sent[at + 18 : at + 20] if length >= 22 else b""
            name = f"{name} question {question.hex()}"
            verdict = "read" if question == _KNOWN_QUESTION and length == 22 else "control"
        elif service == 0x06 and length == 14:
            name, verdict = f"{name} fetch", "read"
        elif service == 0x02:
            name, verdict = f"{name} end of a session", "unknown"
        kind: Verdict = verdict  # type: ignore[assignment]
        yield Pdu(at, end, name, kind, asks=asks)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    """Without the session number; the greeting is no question."""
    for pdu in read(data):
        if pdu.asks:
            frame = data[pdu.start : pdu.end]
            yield frame[:10] + frame[12:]


GRAMMAR: Final = Grammar(
    protocol="pcworx",
    read=read,
    ports=(("tcp", 1962),),
    ics=True,
    client_speaks_first=True,
    questions=2,
    asks=asks,
)
