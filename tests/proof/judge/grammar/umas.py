"""
UMAS, which rides on Modbus/TCP as function 90.

Sources: names of the functions as in the public dissectors of UMAS; a recording of Unity Pro.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_FUNCTIONS: Final[Mapping[int, tuple[str, Verdict, bytes]]] = {
    0x01: ("INIT_COMM", "session", b"\x00"),
    0x02: ("READ_ID", "read", b""),
    0x03: ("READ_PROJECT_INFO", "read", b"\x00"),
    0x04: ("READ_PLC_INFO", "read", b""),
    0x06: ("READ_CARD_INFO", "read", b"\x06"),
    0x0A: ("REPEAT", "unknown", b""),
    0x20: ("READ_MEMORY_BLOCK", "unknown", b""),
    0x22: ("READ_VARIABLES", "unknown", b""),
    0x24: ("READ_COILS_REGISTERS", "unknown", b""),
    0x58: ("CHECK_PLC", "unknown", b""),
    0x70: ("READ_IO_OBJECT", "unknown", b""),
    0x73: ("GET_STATUS_MODULE", "unknown", b""),
}
"""Name, verdict, and the arguments with which it holds. Every other function is control; what is
unknown reads, and is no part of the probe."""


def _frames(sent: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(sent):
        length = int.from_bytes(sent[at + 4 : at + 6], "big")
        end = at + 6 + length
        if sent[at + 2 : at + 4] != b"\0\0" or not 2 <= length <= 1024 or end > len(sent):
            return
        yield at, end
        at = end


def claims(sent: bytes) -> bool:
    """Every whole frame is of function 90, and there is one."""
    functions = {sent[at + 7] for at, _ in _frames(sent)}
    return functions == {0x5A}


def read(sent: bytes) -> Iterator[Pdu]:
    for at, end in _frames(sent):
        if sent[at + 7] != 0x5A or end - at < 10:
            return
        unit, pairing, function = sent[at + 6], sent[at + 8], sent[at + 9]
        name, verdict, arguments = _FUNCTIONS.get(function, ("", "control", b""))
        if pairing and verdict != "control":
            verdict = "control"  # only who holds the reservation has a key
        elif verdict in ("read", "session") and (unit or sent[at + 10 : end] != arguments):
            verdict = "unknown"
        words = f"UMAS {function:#04x} {name}".rstrip()
        yield Pdu(at, end, words, verdict, ("modbus 90",), unit)


def asks(data: bytes) -> Iterator[bytes]:
    for at, end in _frames(data):
        yield data[at + 6 : end]


GRAMMAR: Final = Grammar(
    protocol="umas",
    read=read,
    rides_on="modbus",
    claims=claims,
    ics=True,
    client_speaks_first=True,
    codes={"modbus.func_code": "modbus {}"},
    asks=asks,
)
