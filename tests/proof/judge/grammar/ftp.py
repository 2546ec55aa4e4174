"""
FTP.

Sources: RFC 959, section 4.1; RFC 2389; RFC 1635 (who signs in as anonymous).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_COMMANDS: Final[Mapping[str, Verdict]] = {"QUIT": "session", "FEAT": "read", "SYST": "read"}
_LONGEST: Final = 512


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = sent.find(b"\r\n", at, at + _LONGEST)
        if end < 0:
            return
        command, _, argument = sent[at:end].partition(b" ")
        word = command.decode("ascii", "replace")
        if not word.isalpha() or len(word) > 4:
            return
        word = word.upper()
        verdict: Verdict = _COMMANDS.get(word, "control") if not argument else "control"
        if (word, argument.lower()) == ("USER", b"anonymous") or (word == "PASS" and at):
            verdict = "login"
        yield Pdu(at, end + 2, f"FTP {word}", verdict, (f"ftp {word}",), asks=word != "QUIT")
        at = end + 2


GRAMMAR: Final = Grammar(
    protocol="ftp",
    read=read,
    ports=(("tcp", 21),),
    ics=False,
    client_speaks_first=False,
    dissector="ftp",
    codes={"ftp.request.command": "ftp {}"},
)
