"""
CODESYS 2.3 over TCP. tshark 4.0 has no dissector for it.

Outer frames: `BBBB length(4) content`, and `CCCC 0100 length(2) zeros(10) 01000000 content` for
commands; the question for big-endian runtimes has a length of no order and is known as a whole.

Sources: Digital Bond's Redpoint (codesys-v2-discover) and Basecamp (codesys-shell, -transfer).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_BIG: Final = bytes.fromhex("bbbb0100000101")


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        mark = sent[at : at + 2]
        if sent[at : at + 7] == _BIG:
            end, content = at + 7, b"\x01"
        elif mark == b"\xbb\xbb" and len(sent) >= at + 7:
            end = at + 6 + int.from_bytes(sent[at + 2 : at + 6], "little")
            content = sent[at + 6 : end]
        elif mark == b"\xcc\xcc" and len(sent) >= at + 20:
            end = at + 20 + int.from_bytes(sent[at + 4 : at + 6], "little")
            content = sent[at + 20 : end]
        else:
            return
        if end > len(sent) or not content:
            return
        asks_who = mark == b"\xbb\xbb" and content == b"\x01"
        name = "CODESYS 2.3 " + ("who are you" if asks_who else f"command {content[0]:#04x}")
        yield Pdu(at, end, name, "read" if asks_who else "control")
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="codesys2",
    read=read,
    ports=(("tcp", 1200), ("tcp", 2455)),
    ics=True,
    client_speaks_first=True,
    questions=2,
    connections={"identify": 2},
    asks=asks,
)
