"""
TDS. tshark names the type of each packet.

Source: MS-TDS sections 2.2.3.1.1 (types) and 2.2.6.5 (PRELOGIN).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_TYPES: Final[Mapping[int, tuple[str, Verdict]]] = {
    1: ("SQL batch", "control"),
    3: ("remote procedure call", "control"),
    6: ("attention", "control"),
    7: ("bulk load", "control"),
    14: ("transaction manager", "control"),
    16: ("LOGIN7", "control"),
    17: ("SSPI", "control"),
    18: ("PRELOGIN", "session"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while len(sent) - at >= 8:
        end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
        if sent[at] not in _TYPES or end < at + 9 or end > len(sent):
            return
        name, verdict = _TYPES[sent[at]]
        if verdict == "session" and sent[at + 8] != 0:
            verdict = "unknown"  # TLS, or options that do not begin with a version
        yield Pdu(at, end, f"TDS {name}", verdict, (f"tds {sent[at]}",))
        at = end


GRAMMAR: Final = Grammar(
    protocol="mssql",
    read=read,
    ports=(("tcp", 1433),),
    ics=False,
    client_speaks_first=True,
    dissector="tds",
    codes={"tds.type": "tds {}"},
    questions=1,
)
