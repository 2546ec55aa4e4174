"""
Network UPS Tools. tshark 4.0 has no dissector for it.

Source: RFC 9271, commands and responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_LINE: Final = re.compile(rb"([A-Z]+)((?: [^\n]{1,200})?)\n")
_ACTING: Final = frozenset(
    b"USERNAME PASSWORD LOGIN ATTACH PRIMARY MASTER FSD SET INSTCMD STARTTLS".split()
)
_READING: Final = frozenset(b"VER NETVER PROTVER HELP LIST GET".split())


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while line := _LINE.match(sent, at):
        word, at = line[1], line.end()
        if word in _ACTING:
            verdict: Verdict = "control"
        elif word == b"LOGOUT":
            verdict = "session"
        elif word in _READING:
            known = word == b"VER" or line[2].startswith((b" UPS", b" VAR "))
            verdict = "read" if known else "unknown"
        else:
            return
        name = f"UPS {word.decode('ascii')}"
        yield Pdu(line.start(), line.end(), name, verdict, asks=word != b"LOGOUT")


GRAMMAR: Final = Grammar(
    protocol="nut",
    read=read,
    ports=(("tcp", 3493),),
    ics=False,
    client_speaks_first=True,
    questions=1,
)
