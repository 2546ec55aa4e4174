"""
KNXnet/IP.

Sources: ISO 22510, KNXnet/IP core, device management, tunnelling, routing, remote diagnosis:
service type identifiers; KNX AN159.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SERVICES: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x0201: ("Search", "read"),
    0x0203: ("Description", "read"),
    0x0205: ("Connect", "control"),
    0x0207: ("Connection State", "control"),
    0x0209: ("Disconnect", "control"),
    0x020B: ("Extended Search", "read"),
    0x0310: ("Device Configuration", "control"),
    0x0311: ("Device Configuration Ack", "control"),
    0x0420: ("Tunnelling", "control"),
    0x0421: ("Tunnelling Ack", "control"),
    0x0424: ("Tunnelling Feature Set", "control"),
    0x0530: ("Routing Indication", "control"),
    0x0533: ("Routing System Broadcast", "control"),
    0x0740: ("Remote Diagnosis", "control"),
    0x0742: ("Remote Configuration", "control"),
    0x0743: ("Remote Reset", "control"),
    0x0950: ("Secure Wrapper", "control"),
    0x0951: ("Session", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    if sent[:2] != b"\x06\x10" or int.from_bytes(sent[4:6], "big") != len(sent) or len(sent) < 6:
        return
    service = int.from_bytes(sent[2:4], "big")
    name, verdict = _SERVICES.get(service, ("", "unknown"))
    if verdict == "read" and sent[6:8] != b"\x08\x01":
        verdict = "unknown"
    words = f"KNXnet/IP {service:#06x} {name}".rstrip()
    yield Pdu(0, len(sent), words, verdict, (f"knx {service}",))


GRAMMAR: Final = Grammar(
    protocol="knx",
    read=read,
    ports=(("udp", 3671),),
    ics=True,
    client_speaks_first=True,
    dissector="kip",
    codes={"knxip.service": "knx {}"},
    questions=2,
)
