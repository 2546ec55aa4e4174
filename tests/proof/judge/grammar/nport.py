"""
The Moxa search. tshark 4.0 has no dissector for it.

Source: M. Davidsaver, Moxa UDP protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_IDS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x01: ("search", "read"),
    0x10: ("device name", "read"),
    0x16: ("product details", "read"),
    0x21: ("IP address", "read"),
    0x22: ("netmask", "read"),
    0x23: ("default gateway", "read"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    """What is not known to read may set, restart or hand out secrets: it counts as control."""
    if len(sent) < 8 or sent[0] & 0x80 or int.from_bytes(sent[2:4], "big") != len(sent):
        return
    if len(sent) not in ((8,) if sent[0] == 0x01 else range(20, 1400)):
        return
    name, verdict = _IDS.get(sent[0], ("", "control"))
    yield Pdu(0, len(sent), f"Moxa search {sent[0]:#04x} {name}".rstrip(), verdict)


GRAMMAR: Final = Grammar(
    protocol="nport",
    read=read,
    ports=(("udp", 4800),),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
