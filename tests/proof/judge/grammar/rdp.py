"""
RDP, as far as its negotiation.

Sources: [MS-RDPBCGR], sections 1.3.1.1 (the order of a connection) and 2.2.1.1; RFC 1006.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        size = int.from_bytes(sent[at + 2 : at + 4], "big")
        end = at + size
        if sent[at : at + 2] != b"\x03\x00" or size < 7 or end > len(sent):
            if at and sent[at] == 0x16:  # TLS behind a negotiation: on the way to a logon
                yield Pdu(at, len(sent), "TLS inside RDP", "control")
            return
        kind = sent[at + 5] >> 4
        code = f"cotp {kind:#x}"
        if kind != 0xE:
            yield Pdu(at, end, f"RDP behind the negotiation, TPDU {kind:#x}", "control", (code,))
        elif size == 19 and sent[at + 11 : at + 15] == b"\x01\x00\x08\x00":
            offered = int.from_bytes(sent[at + 15 : end], "little")
            both = (code, f"rdp {offered:#x}")
            yield Pdu(at, end, f"RDP connection request {offered:#x}", "session", both)
        else:
            return  # a connection request to another service of ISO transport, or with a name
        at = end


GRAMMAR: Final = Grammar(
    protocol="rdp",
    read=read,
    ports=(("tcp", 3389),),
    ics=False,
    client_speaks_first=True,
    dissector="tpkt",
    codes={"cotp.type": "cotp {:#x}", "rdp.negReq.requestedProtocols": "rdp {:#x}"},
    connections={"identify": 2},  # TLS alone, after CredSSP was chosen
)
