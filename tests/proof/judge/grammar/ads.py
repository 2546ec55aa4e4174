"""
Beckhoff ADS, the UDP side of its router: one service asks who it is, all others are control.

tshark's dissector is of AMS on TCP and EtherCAT; of these datagrams it knows nothing.

Source: Beckhoff, ADS library for C++ (services and tags of UDP port 48899).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_COOKIE: Final = b"\x03\x66\x14\x71"
_ADD_ROUTE: Final = 6


def read(sent: bytes) -> Iterator[Pdu]:
    if sent[:4] != _COOKIE or len(sent) < 24:
        return
    service, tags = struct.unpack_from("<I", sent, 8)[0], struct.unpack_from("<I", sent, 20)[0]
    end = 24
    for _ in range(tags):
        if end + 4 > len(sent):
            return
        end += 4 + struct.unpack_from("<H", sent, end + 2)[0]
    if end > len(sent):
        return
    name = {1: "server information", _ADD_ROUTE: "add a route"}.get(service, "")
    verdict: Verdict = "read" if service == 1 and not tags else "control"
    yield Pdu(0, end, f"AMS router {service} {name}".rstrip(), verdict)


GRAMMAR: Final = Grammar(
    protocol="ads",
    read=read,
    ports=(("udp", 48899),),
    ics=True,
    client_speaks_first=True,
    questions=1,
)
