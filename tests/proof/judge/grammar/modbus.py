"""
Modbus/TCP.

Sources: MODBUS Application Protocol V1.1b3, section 6; Modbus Messaging on TCP/IP 1.0b, section
3.1.3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_MODBUS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x01: ("read coils", "read"),
    0x02: ("read discrete inputs", "read"),
    0x03: ("read holding registers", "read"),
    0x04: ("read input registers", "read"),
    0x05: ("write single coil", "control"),
    0x06: ("write single register", "control"),
    0x07: ("read exception status", "read"),
    0x08: ("diagnostics", "control"),
    0x0B: ("get comm event counter", "read"),
    0x0C: ("get comm event log", "read"),
    0x0F: ("write multiple coils", "control"),
    0x10: ("write multiple registers", "control"),
    0x11: ("report server id", "read"),
    0x14: ("read file record", "read"),
    0x15: ("write file record", "control"),
    0x16: ("mask write register", "control"),
    0x17: ("read/write multiple registers", "control"),
    0x18: ("read FIFO queue", "read"),
    0x5A: ("UMAS", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        length = int.from_bytes(sent[at + 4 : at + 6], "big")
        end = at + 6 + length
        if sent[at + 2 : at + 4] != b"\0\0" or not 2 <= length <= 254 or end > len(sent):
            return
        unit, function = sent[at + 6], sent[at + 7]
        code = (f"modbus {function}",)
        if function == 0x2B:
            mei = sent[at + 8] if length > 2 else -1
            verdict: Verdict = "read" if mei == 0x0E and length == 5 else "control"
            code = (*code, f"mei {mei}")
            name = {0x0E: "read device identification", -1: "cut off"}.get(mei, f"MEI {mei}")
        else:
            name, verdict = _MODBUS.get(function, ("", "unknown"))
            if function == 0x11 and length != 2:
                verdict = "unknown"
        yield Pdu(at, end, f"modbus {function:#04x} {name}".rstrip(), verdict, code, unit)
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    while len(data) >= 8:
        length = struct.unpack_from("!H", data, 4)[0]
        yield data[6 : 6 + length]
        data = data[6 + length :]


GRAMMAR: Final = Grammar(
    protocol="modbus",
    read=read,
    ports=(("tcp", 502),),
    ics=True,
    client_speaks_first=True,
    dissector="mbtcp",
    codes={"modbus.func_code": "modbus {}", "modbus.mei": "mei {}"},
    questions=2,
    asks=asks,
)
