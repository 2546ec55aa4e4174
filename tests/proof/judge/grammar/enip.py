"""
EtherNet/IP and CIP.

A message that carries another one is judged by what it carries: Unconnected_Send by the request for
the other module and by its route, Execute_PCCC by its command and function.

Sources: ODVA CIP Networks Library, volume 1 section 3-5.5, appendices A and C, and volume 2 chapter
2; Rockwell publications 1756-PM020 (tag services) and 1770-6.5.16 (PCCC commands).
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


_TO_MANAGER: Final = (0x20, 0x06, 0x24, 0x01)
_TO_PCCC: Final = (0x20, 0x67, 0x24, 0x01)
_BACKPLANE: Final = 1


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 24 + int.from_bytes(sent[at + 2 : at + 4], "little")
        if len(sent) - at < 24 or end > len(sent):
            return
        command = int.from_bytes(sent[at : at + 2], "little")
        code = f"enip {command:#06x}"
        if command in (0x6F, 0x70):
            message = _cip_message(sent[at + 24 : end])
            if message is None:
                yield Pdu(at, end, f"EtherNet/IP {command:#04x} without CIP", "unknown", (code,))
            else:
                words, verdict, codes = _judged(message)
                if command == 0x70:
                    verdict = "control"  # goes over a connection, which nobody may have opened
                yield Pdu(at, end, f"CIP {words}", verdict, (code, *codes))
        else:
            name, verdict = _ENCAPSULATION.get(command, ("", "unknown"))
            asks = command != 0x66
            yield Pdu(
                at, end, f"EtherNet/IP {command:#04x} {name}".rstrip(), verdict, (code,), asks=asks
            )
        at = end


def _judged(message: bytes, *, carried: bool = False) -> tuple[str, Verdict, tuple[str, ...]]:
    """In words, the verdict, and the codes of all that is one inside the other."""
    service = message[0]
    name, verdict = _CIP.get(service, ("", "unknown"))
    words, codes = f"{service:#04x} {name}".rstrip(), (f"cip {service:#04x}",)
    path = tuple(message[2 : 2 + 2 * message[1]]) if len(message) > 1 else ()
    data = message[2 + len(path) :]
    if service == 0x52 and path == _TO_MANAGER:
        size = int.from_bytes(data[2:4], "little")
        inner, route = data[4 : 4 + size], data[4 + size + size % 2 :]
        if size < 2 or len(inner) < size:
            return f"{words} Unconnected_Send, cut off", "unknown", codes
        inner_words, verdict, more = _judged(inner, carried=True)
        words = f"{words} Unconnected_Send of {inner_words}"
        # A hop: a port segment below 15 with a one-byte address. One, and on the backplane.
        if carried or len(route) != 4 or tuple(route[:3]) != (1, 0, _BACKPLANE):
            words, verdict = f"{words}, out of the chassis", "control"
        return words, verdict, codes + more
    if service == 0x4B and path == _TO_PCCC and data and len(data) > data[0]:
        command, function = data[data[0]], data[data[0] + 4 :]
        words = f"{words} {command:#04x} {function[:1].hex()}".rstrip()
        codes += (f"pccc {command:#04x}",)
        if command == 0x06 and function:
            codes += (f"pccc 06 {function[0]:#04x}",)
            if function == b"\x03" and not carried:  # diagnostic status, and nothing behind it
                verdict = "read"
    return words, verdict, codes


def _cip_message(items: bytes) -> bytes | None:
    """Of SendRRData or SendUnitData: interface handle (4), timeout (2), item count (2), items."""
    count, at = int.from_bytes(items[6:8], "little"), 8
    for _ in range(min(count, 4)):
        kind = int.from_bytes(items[at : at + 2], "little")
        size = int.from_bytes(items[at + 2 : at + 4], "little")
        start = at + 4 + (2 if kind == 0xB1 else 0)
        if kind in (0xB1, 0xB2) and start < at + 4 + size <= len(items):
            return items[start : at + 4 + size]
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
    codes={
        "enip.command": "enip {:#06x}",
        "cip.service": "cip {:#04x}",
        "cip.pccc.cmd.code": "pccc {:#04x}",
        "cip.pccc.fnc.code_06": "pccc 06 {:#04x}",
    },
    questions=2,
    asks=asks,
)
