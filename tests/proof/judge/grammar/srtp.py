"""
GE-SRTP. tshark 4.0 has no dissector for it.

Source: G. Denton et al., DFRWS 2017, tables 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SERVICES: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x00: ("short status", "read"),
    0x03: ("control program names", "read"),
    0x04: ("read system memory", "read"),
    0x07: ("write system memory", "control"),
    0x08: ("write task memory", "control"),
    0x09: ("write program block memory", "control"),
    0x20: ("programmer logon", "control"),
    0x21: ("change privilege level", "control"),
    0x22: ("set control id", "control"),
    0x23: ("set run or stop", "control"),
    0x24: ("set time", "control"),
    0x25: ("return time", "read"),
    0x38: ("return fault table", "read"),
    0x39: ("clear fault table", "control"),
    0x3F: ("program store", "control"),
    0x40: ("program load", "control"),
    0x43: ("controller type and id", "read"),
    0x44: ("toggle force", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 56 + int.from_bytes(sent[at + 4 : at + 6], "little")
        if len(sent) - at < 56 or end > len(sent):
            return
        if sent[at:end] == bytes(56):
            yield Pdu(at, end, "SRTP initialisation", "session")
        elif sent[at] == 2:
            code = sent[at + 42]
            name, verdict = _SERVICES.get(code, ("", "unknown"))
            yield Pdu(at, end, f"SRTP {code:#04x} {name}".rstrip(), verdict)
        else:
            return
        at = end


GRAMMAR: Final = Grammar(
    protocol="srtp",
    read=read,
    ports=(("tcp", 18245),),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
