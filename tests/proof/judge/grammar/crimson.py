"""
Red Lion Crimson 3. tshark 4.0 has no dissector for it.

A frame: the length of what follows (2, big-endian), a register (2), a code (2), the data.

Source: cr3.lua in ITI/ICS-pcap; cr3-fingerprint for nmap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_TEXTS: Final[Mapping[bytes, str]] = {
    bytes.fromhex("012b1b00"): "manufacturer",
    bytes.fromhex("012a1a00"): "model",
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        size = int.from_bytes(sent[at : at + 2], "big")
        end = at + 2 + size
        if not 4 <= size <= 2048 or end > len(sent):
            return
        text = _TEXTS.get(sent[at + 2 : end])
        register = sent[at + 2 : at + 4].hex()
        name = f"Crimson register {register} {text or ''}".rstrip()
        yield Pdu(at, end, name, "read" if text else "control")
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="crimson",
    read=read,
    ports=(("tcp", 789),),
    ics=True,
    client_speaks_first=True,
    questions=2,
    asks=asks,
)
