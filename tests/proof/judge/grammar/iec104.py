"""
IEC 60870-5-104. One frame only reads; whatever starts, stops, confirms or carries data is control.

Sources: IEC 60870-5-104, section 5.1 (control field formats); IEC 60870-5-101, section 7.2.1.1
(type identifications), as Wireshark's dissector names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_UNNUMBERED: Final[Mapping[int, tuple[str, int]]] = {
    0x07: ("STARTDT act", 0x01),
    0x0B: ("STARTDT con", 0x02),
    0x13: ("STOPDT act", 0x04),
    0x23: ("STOPDT con", 0x08),
    0x43: ("TESTFR act", 0x10),
    0x83: ("TESTFR con", 0x20),
}
"""Control octet → name, and the number that tshark has for it."""


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 2 + sent[at + 1]
        control = sent[at + 2 : at + 6]
        if sent[at] != 0x68 or len(control) != 4 or end > len(sent) or end - at < 6:
            return
        if control[0] & 3 == 3:
            name, number = _UNNUMBERED.get(control[0], (f"U {control[0]:#04x}", 0))
            test = control == b"\x43\0\0\0" and end - at == 6
            verdict: Verdict = "read" if test else "control"
            code = ("iec104 format 0x3", f"iec104 U {number:#x}")
            yield Pdu(at, end, f"IEC 104 {name}", verdict, code)
        elif control[0] & 1:
            yield Pdu(at, end, "IEC 104 supervisory frame", "control", ("iec104 format 0x1",))
        else:
            kind = sent[at + 6]
            code = ("iec104 format 0x0", f"iec104 type {kind}")
            yield Pdu(at, end, f"IEC 104 type {kind}", "control", code)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="iec104",
    read=read,
    ports=(("tcp", 2404),),
    ics=True,
    client_speaks_first=True,
    dissector="iec60870_104",
    codes={
        "iec60870_104.type": "iec104 format {:#x}",
        "iec60870_104.utype": "iec104 U {:#x}",
        "iec60870_asdu.typeid": "iec104 type {}",
    },
    questions=1,
    asks=asks,
)
