"""
TFTP. A read is a request for the one name that says it is no file's; any other name is unknown.

Source: RFC 1350 sections 4 (transfer identifiers) and 5 (packets).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_FILE: Final = re.compile(rb"\0([\1\2])([^\0]+)\0([A-Za-z]+)\0((?:[^\0]+\0[^\0]*\0)*)", re.DOTALL)
_NAMES: Final = {3: "data", 4: "acknowledgement", 5: "error"}


def read(sent: bytes) -> Iterator[Pdu]:
    end = len(sent)
    if asks := _FILE.fullmatch(sent):
        kind, name, mode, options = asks.groups()
        if kind == b"\2":
            yield Pdu(0, end, "TFTP write", "control", ("tftp 2",))
        elif name == b"walkdown-no-such-file" and mode.lower() == b"octet" and not options:
            yield Pdu(0, end, "TFTP read of no file", "read", ("tftp 1",))
        else:
            yield Pdu(0, end, "TFTP read of a file", "unknown", ("tftp 1",))
    elif end >= 4 and sent[0] == 0 and sent[1] in _NAMES:
        yield Pdu(0, end, f"TFTP {_NAMES[sent[1]]}", "control", (f"tftp {sent[1]}",))


GRAMMAR: Final = Grammar(
    protocol="tftp",
    read=read,
    ports=(("udp", 69),),
    ics=False,
    client_speaks_first=True,
    dissector="tftp",
    codes={"tftp.opcode": "tftp {}"},
    questions=1,
    answers_elsewhere=True,
)
