"""
Niagara Fox. tshark 4.0 has no dissector for it.

Source: a recorded conversation of a workbench with a JACE: `fox TYPE SEQUENCE REPLY CHANNEL
COMMAND`, then `{`, fields, `};;`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_FRAME: Final = re.compile(
    rb"fox ([a-z]) (-?\d+) (-?\d+) (\w+) (\w+)\n\{\n((?:[\w.]+=[^\n]*\n)*)\};;\n"
)
_HARMLESS: Final = re.compile(rb"fox\.version=s:[\d.]+\nid=i:\d+\n")


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while frame := _FRAME.match(sent, at):
        channel, command, fields = frame[4], frame[5], frame[6]
        verdict: Verdict = "control"
        if (channel, command) == (b"fox", b"hello") and _HARMLESS.fullmatch(fields):
            verdict = "read"
        name = f"Fox {channel.decode()} {command.decode()}"
        yield Pdu(at, frame.end(), name, verdict)
        at = frame.end()


GRAMMAR: Final = Grammar(
    protocol="fox",
    read=read,
    ports=(("tcp", 1911),),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
