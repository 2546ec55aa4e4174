"""
ProConOS. tshark 4.0 has no dissector for it.

A frame: CC 01, function (2, big-endian), number (2), length of the data (2, little-endian), the
data, a checksum (2).

Source: the frames of a public tool for controllers of this runtime (T. Deneut, Howest).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_FUNCTIONS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x0001: ("stop", "control"),
    0x0004: ("start", "control"),
    0x0006: ("", "unknown"),
    0x000B: ("information", "read"),
    0x000D: ("", "unknown"),
    0x000F: ("state", "unknown"),
}
"""What is not in it is control: a monitor writes variables with the same requests."""


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        if sent[at : at + 2] != b"\xcc\x01" or len(sent) < at + 10:
            return
        length = sent[at + 6] + 256 * sent[at + 7]
        end = at + 10 + length
        if end > len(sent):
            return
        function = 256 * sent[at + 2] + sent[at + 3]
        name, verdict = _FUNCTIONS.get(function, ("", "control"))
        if length and verdict == "read":
            verdict = "control"
        yield Pdu(at, end, f"ProConOS {function:#06x} {name}".rstrip(), verdict)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="proconos",
    read=read,
    ports=(("tcp", 20547),),
    ics=True,
    client_speaks_first=True,
    questions=1,
    asks=asks,
)
