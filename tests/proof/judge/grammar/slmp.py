"""
SLMP in binary 3E frames. tshark 4.0 has no dissector for it.

Source: Mitsubishi SH(NA)-080956ENG sections 4.1 and 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_COMMANDS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x0101: ("Read Type Name", "read"),
    0x0401: ("Device Read", "read"),
    0x0403: ("Device Read Random", "read"),
    0x0406: ("Device Read Block", "read"),
    0x0613: ("Memory Read", "read"),
    0x0619: ("Self Test", "read"),
    0x0E30: ("Node Search", "read"),
    0x0E31: ("IP Address Set", "control"),
    0x1001: ("Remote Run", "control"),
    0x1002: ("Remote Stop", "control"),
    0x1003: ("Remote Pause", "control"),
    0x1005: ("Remote Latch Clear", "control"),
    0x1006: ("Remote Reset", "control"),
    0x1401: ("Device Write", "control"),
    0x1402: ("Device Write Random", "control"),
    0x1406: ("Device Write Block", "control"),
    0x1613: ("Memory Write", "control"),
    0x1617: ("Clear Error", "control"),
    0x1630: ("Remote Password Unlock", "login"),
    0x1631: ("Remote Password Lock", "control"),
    0x1820: ("New File", "control"),
    0x1822: ("Delete File", "control"),
    0x1829: ("Write File", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 9 + int.from_bytes(sent[at + 7 : at + 9], "little")
        if sent[at : at + 2] != b"\x50\x00" or end - at < 15 or end > len(sent):
            return
        command = int.from_bytes(sent[at + 11 : at + 13], "little")
        name, verdict = _COMMANDS.get(command, ("", "unknown"))
        yield Pdu(at, end, f"SLMP {command:04x} {name}".rstrip(), verdict)
        at = end


GRAMMAR: Final = Grammar(
    protocol="slmp",
    read=read,
    ports=(("tcp", 5000),),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
