"""
IPMI in RMCP. tshark 4.0 names the class of an RMCP frame; commands it leaves undissected.

Source: IPMI v2.0 revision 1.1, sections 13.1.3, 13.6, 13.8 and appendix G.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_PAYLOADS: Final = {0x00: "message", 0x10: "open session", 0x12: "RAKP 1", 0x14: "RAKP 3"}
_OUTSIDE: Final[Mapping[int, Verdict]] = {0x38: "read", 0x01: "unknown"}
"""Of the application function, outside a session."""


def read(sent: bytes) -> Iterator[Pdu]:
    if sent[:1] != b"\x06" or sent[3] != 0x07 or len(sent) < 16:
        return
    if sent[4] == 0x06:
        name = _PAYLOADS.get(sent[5] & 0x3F, f"payload {sent[5] & 0x3F:#x}")
        yield Pdu(0, len(sent), f"IPMI 2.0 {name}", "control", ("rmcp 7",))
        return
    at = 14 if sent[4] == 0 else 30  # an authentication code stands before the length
    if len(sent) < at + 7 or len(sent) != at + sent[at - 1]:
        return
    function, command = sent[at + 1] >> 2, sent[at + 5]
    if function & 1:
        return
    verdict: Verdict = "control"
    if sent[4:13] == bytes(9) and function == 6:
        verdict = _OUTSIDE.get(command, "control")
    yield Pdu(0, len(sent), f"IPMI {function:#x} {command:#x}", verdict, ("rmcp 7",))


GRAMMAR: Final = Grammar(
    protocol="ipmi",
    read=read,
    ports=(("udp", 623),),
    ics=False,
    client_speaks_first=True,
    dissector="rmcp",
    codes={"rmcp.class": "rmcp {}"},
    questions=1,
)
