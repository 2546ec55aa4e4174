"""
VNC (RFB). tshark reads a client's line only where it has seen the server's greeting, so what was
sent is read here alone.

Source: RFC 6143, sections 7.1.1 to 7.3.1 and 7.5 (what a client says).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu

_VERSION: Final = re.compile(rb"RFB \d\d\d\.\d\d\d\n")


def read(sent: bytes) -> Iterator[Pdu]:
    found = _VERSION.match(sent)
    if found is None:
        return
    words = found[0][4:11].decode()
    yield Pdu(0, 12, f"RFB version {words}", "session")
    if len(sent) > 12:  # a choice of security, and whatever is done with the desktop then
        yield Pdu(12, len(sent), f"RFB security type {sent[12]} and beyond", "control")


GRAMMAR: Final = Grammar(
    protocol="vnc",
    read=read,
    ports=(("tcp", 5900),),
    ics=False,
    client_speaks_first=False,
)
