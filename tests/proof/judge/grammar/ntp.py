"""
NTP.

Sources: RFC 5905, sections 3 and 7.3; RFC 9327, section 2; the reference implementation's list of
private requests (mode 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict


def read(sent: bytes) -> Iterator[Pdu]:
    mode, version, end = sent[0] & 7, (sent[0] >> 3) & 7, len(sent)
    if not 1 <= version <= 4:
        return
    code = f"ntp {mode}"
    if mode == 3 and end == 48:
        yield Pdu(0, end, "NTP client", "read", (code,))
    elif mode == 6 and end >= 12:
        opcode = sent[1] & 0x1F
        if int.from_bytes(sent[10:12], "big") > end - 12:
            return
        verdict: Verdict = "read" if sent[1] in (1, 2) else "control"
        yield Pdu(0, end, f"NTP control {opcode}", verdict, (code, f"ntp control {opcode}"))
    elif mode == 7 and end >= 8:
        both = (code, f"ntp private {sent[3]}")
        yield Pdu(0, end, f"NTP private {sent[3]}", "control", both)
    elif mode in (1, 2, 5) and end >= 48:
        yield Pdu(0, end, f"NTP mode {mode}", "control", (code,))


GRAMMAR: Final = Grammar(
    protocol="ntp",
    read=read,
    ports=(("udp", 123),),
    ics=False,
    client_speaks_first=True,
    dissector="ntp",
    codes={
        "ntp.flags.mode": "ntp {}",
        "ntp.ctrl.flags2.opcode": "ntp control {}",
        "ntp.priv.reqcode": "ntp private {}",
    },
)
