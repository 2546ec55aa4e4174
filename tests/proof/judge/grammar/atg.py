"""
Tank gauges: Veeder-Root's TLS protocol. tshark 4.0 has no dissector for it.

A command: 01, a letter (I inquires in a form for display, i in one for computers, S and s set),
three characters of function, two digits of device, data, a line feed.

Source: Veeder-Root, Serial Interface Manual, 576013-635 sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_IDENTIFIES: Final = b"90200"


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = sent.find(b"\n", at) + 1
        command = sent[at + 1 : end - 1] if end else b""
        if sent[at] != 0x01 or len(command) < 6 or not command.isascii():
            return
        letter, function = command[:1], command[1:]
        verdict: Verdict = "control"
        if letter in b"Ii" and function[:1].isdigit():
            verdict = "read" if letter == b"I" and function == _IDENTIFIES else "unknown"
        elif letter not in b"IiSs":
            return
        yield Pdu(at, end, f"tank gauge {command[:6].decode('ascii')}", verdict)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="atg",
    read=read,
    ports=(("tcp", 10001),),
    ics=True,
    client_speaks_first=True,
    questions=1,
    asks=asks,
)
