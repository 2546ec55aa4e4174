"""
HART-IP.

Sources: FieldComm Group TS20085 (message header and ids), TS20081 (frame), TS20127 and TS20151
(command summaries).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_READS: Final[Mapping[int, str]] = {
    0: "Read Unique Identifier",
    13: "Read Tag, Descriptor, Date",
    20: "Read Long Tag",
    48: "Read Additional Device Status",
    74: "Read I/O System Capabilities",
    84: "Read Sub-Device Identity Summary",
}
_SESSION: Final[Mapping[int, str]] = {0: "Session Initiate", 1: "Session Close", 2: "Keep Alive"}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 6 : at + 8], "big")
        if (
            len(sent) - at < 8
            or end < at + 8
            or end > len(sent)
            or sent[at : at + 2] != b"\x01\x00"
        ):
            return
        message = sent[at + 2]
        code = f"hartip message {message}"
        if message in _SESSION:
            good = end - at == (13 if message == 0 else 8)
            verdict: Verdict = "session" if good else "unknown"
            yield Pdu(at, end, f"HART-IP {_SESSION[message]}", verdict, (code,), asks=False)
        elif message == 3:
            yield _frame(sent, at, end, code)
        else:
            yield Pdu(at, end, f"HART-IP message {message}", "control", (code,))
        at = end


def _frame(sent: bytes, at: int, end: int, code: str) -> Pdu:
    start = at + 8
    place = start + (6 if sent[start] & 0x80 else 2)
    if sent[start] & 0x7F != 0x02 or place + 3 > end or place + 3 + sent[place + 1] != end:
        return Pdu(at, end, "HART frame of another form", "unknown", (code,))
    command = sent[place]
    name = _READS.get(command, "not a read of ours")
    verdict: Verdict = "read" if command in _READS else "control"
    return Pdu(
        at, end, f"HART command {command} {name}", verdict, (code, f"hart command {command}")
    )


def asks(data: bytes) -> Iterator[bytes]:
    """The frames alone: sequence numbers count, sessions begin and end."""
    while len(data) >= 8:
        length = int.from_bytes(data[6:8], "big")
        if length < 8:
            return
        if data[2] == 3:
            yield data[8:length]
        data = data[length:]


GRAMMAR: Final = Grammar(
    protocol="hartip",
    read=read,
    ports=(("tcp", 5094), ("udp", 5094)),
    ics=True,
    client_speaks_first=True,
    dissector="hart_ip",
    codes={"hart_ip.message_id": "hartip message {}", "hart_ip.pt.command": "hart command {}"},
    questions=2,
    asks=asks,
)
