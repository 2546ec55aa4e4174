"""
MELSOFT frames. tshark 4.0 has no dissector for them.

Sources: recorded sessions (ITI ICS-Security-Tools, melsoft_UDP_clean_2.pcap); functions as the
commands of SLMP, SH(NA)-080956ENG section 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_FUNCTIONS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x0101: ("CPU name", "read"),
    0x0121: ("CPU name of an iQ-F", "read"),
    0x0401: ("device read", "read"),
    0x0403: ("device read random", "read"),
    0x1001: ("remote run", "control"),
    0x1002: ("remote stop", "control"),
    0x1003: ("remote pause", "control"),
    0x1005: ("remote latch clear", "control"),
    0x1006: ("remote reset", "control"),
    0x1401: ("device write", "control"),
    0x1402: ("device write random", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        length = int.from_bytes(sent[at + 19 : at + 21], "little")
        end = at + 21 + length
        signed = sent[at] == 0x57 and sent[at + 5 : at + 7] == b"\x11\x11"
        if not signed or end > len(sent) or length < 3 or length < sent[at + 23] + 10:
            return
        place = at + 23 + sent[at + 23]
        function = int.from_bytes(sent[place : place + 2], "big")
        name, verdict = _FUNCTIONS.get(function, ("", "unknown"))
        yield Pdu(at, end, f"MELSOFT {function:04x} {name}".rstrip(), verdict)
        at = end


GRAMMAR: Final = Grammar(
    protocol="melsoft",
    read=read,
    ports=(("udp", 5006), ("tcp", 5007)),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
