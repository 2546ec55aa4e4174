"""
EtherNet/IP and CIP.

Sources: ODVA CIP Networks Library, volume 1 appendix A and volume 2 chapter 2; Rockwell
publication 1756-PM020 (tag services).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_ENCAPSULATION: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x04: ("ListServices", "read"),
    0x63: ("ListIdentity", "read"),
    0x64: ("ListInterfaces", "read"),
    0x65: ("RegisterSession", "session"),
    0x66: ("UnRegisterSession", "session"),
    0x72: ("IndicateStatus", "control"),
    0x73: ("Cancel", "control"),
}
_CIP: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x01: ("Get_Attributes_All", "read"),
    0x02: ("Set_Attributes_All", "control"),
    0x03: ("Get_Attribute_List", "read"),
    0x04: ("Set_Attribute_List", "control"),
    0x05: ("Reset", "control"),
    0x06: ("Start", "control"),
    0x07: ("Stop", "control"),
    0x08: ("Create", "control"),
    0x09: ("Delete", "control"),
    0x0D: ("Apply_Attributes", "control"),
    0x0E: ("Get_Attribute_Single", "read"),
    0x10: ("Set_Attribute_Single", "control"),
    0x11: ("Find_Next_Object_Instance", "read"),
    0x15: ("Restore", "control"),
    0x16: ("Save", "control"),
    0x4B: ("Execute_PCCC", "control"),
    0x4D: ("Write_Tag", "control"),
    0x53: ("Write_Tag_Fragmented", "control"),
    0x54: ("Forward_Open", "control"),
    0x5B: ("Large_Forward_Open", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 24 + int.from_bytes(sent[at + 2 : at + 4], "little")
        if len(sent) - at < 24 or end > len(sent):
            return
        command = int.from_bytes(sent[at : at + 2], "little")
        code = f"enip {command:#06x}"
        if command in (0x6F, 0x70):
            service = _cip_service(sent[at + 24 : end])
            if service is None:
                yield Pdu(at, end, f"EtherNet/IP {command:#04x} without CIP", "unknown", (code,))
            else:
                name, verdict = _CIP.get(service, ("", "unknown"))
                if command == 0x70:
                    verdict = "control"  # goes over a connection, which nobody may have opened
                both = (code, f"cip {service:#04x}")
                yield Pdu(at, end, f"CIP {service:#04x} {name}".rstrip(), verdict, both)
        else:
            name, verdict = _ENCAPSULATION.get(command, ("", "unknown"))
            asks = command != 0x66
            yield Pdu(
                at, end, f"EtherNet/IP {command:#04x} {name}".rstrip(), verdict, (code,), asks=asks
            )
        at = end


def _cip_service(items: bytes) -> int | None:
    """Of SendRRData or SendUnitData: interface handle (4), timeout (2), item count (2), items."""
    count, at = int.from_bytes(items[6:8], "little"), 8
    for _ in range(min(count, 4)):
        kind = int.from_bytes(items[at : at + 2], "little")
        size = int.from_bytes(items[at + 2 : at + 4], "little")
        start = at + 4 + (2 if kind == 0xB1 else 0)
        if kind in (0xB1, 0xB2) and start < at + 4 + size <= len(items):
            return items[start]
        at += 4 + size
    return None


def asks(data: bytes) -> Iterator[bytes]:
    while len(data) >= 24:
        command, length = struct.unpack_from("<HH", data)
        body, data = data[24 : 24 + length], data[24 + length :]
        if command not in (0x65, 0x66):  # a session begins and ends
            yield struct.pack("<H", command) + body


GRAMMAR: Final = Grammar(
    protocol="enip",
    read=read,
    ports=(("tcp", 44818), ("udp", 44818)),
    ics=True,
    client_speaks_first=True,
    dissector="enip",
    codes={"enip.command": "enip {:#06x}", "cip.service": "cip {:#04x}"},
    questions=2,
    asks=asks,
)
