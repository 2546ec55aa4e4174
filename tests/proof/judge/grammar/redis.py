"""
Redis. tshark's dissector of RESP knows the types of strings, not commands: read here alone.

Source: Redis documentation, "Redis serialization protocol specification", list of commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_HEAD: Final = re.compile(rb"\*(\d{1,3})\r\n")
_WORD: Final = re.compile(rb"\$(\d{1,5})\r\n")
_READS: Final = {b"PING": (), b"INFO": (b"server",)}


def read(sent: bytes) -> Iterator[Pdu]:
    start = 0
    while start < len(sent):
        head = _HEAD.match(sent, start)
        if head is None or head[1] == b"0":
            return
        at, words = head.end(), []
        for _ in range(int(head[1])):
            size = _WORD.match(sent, at)
            if size is None:
                return
            end = size.end() + int(size[1])
            if sent[end : end + 2] != b"\r\n":
                return
            words.append(sent[size.end() : end])
            at = end + 2
        name = words[0].upper()
        verdict: Verdict = "control"
        if name in _READS:
            verdict = "read" if tuple(words[1:]) == _READS[name] else "unknown"
        yield Pdu(start, at, f"Redis {name[:20].decode('ascii', 'replace')}", verdict)
        start = at


GRAMMAR: Final = Grammar(
    protocol="redis",
    read=read,
    ports=(("tcp", 6379),),
    ics=False,
    client_speaks_first=True,
    questions=1,
)
