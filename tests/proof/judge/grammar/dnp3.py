"""
DNP3. Of the link layer one request only reads; the application layer is never spoken.

Sources: IEEE 1815-2012, clause 9.2 (link frame and function codes) and clause 4.4 (application
function codes); the CRC by its definition as a division of polynomials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_LINK: Final[Mapping[int, str]] = {
    0: "RESET LINK STATES", 1: "RESET USER PROCESS", 2: "TEST LINK STATES",
    3: "CONFIRMED USER DATA", 4: "UNCONFIRMED USER DATA", 9: "REQUEST LINK STATUS",
}  # fmt: skip
_APPLICATION: Final[Mapping[int, str]] = {
    0x00: "confirm", 0x01: "read", 0x02: "write", 0x03: "select", 0x04: "operate",
    0x05: "direct operate", 0x06: "direct operate without answer", 0x0D: "cold restart",
    0x0E: "warm restart", 0x12: "stop application", 0x14: "enable unsolicited",
    0x15: "disable unsolicited", 0x18: "record time", 0x1F: "activate configuration",
}  # fmt: skip
_GENERATOR: Final = 0x13D65
"""x16 + x13 + x12 + x11 + x10 + x8 + x6 + x5 + x2 + 1."""


def remainder(data: bytes) -> int:
    """
    What CRC-16/DNP makes of the data: they are divided as one polynomial, the least bit of the
    first byte in front; the remainder is turned round and inverted.
    """
    bits = "".join(f"{byte:08b}"[::-1] for byte in data)
    value = int(bits, 2) << 16
    for place in range(len(bits) - 1, -1, -1):
        if value >> (place + 16) & 1:
            value ^= _GENERATOR << place
    return int(f"{value:016b}"[::-1], 2) ^ 0xFFFF


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        size, control = sent[at + 2], sent[at + 3]
        blocks = (size - 5 + 15) // 16
        end = at + 10 + size - 5 + 2 * blocks
        if sent[at : at + 2] != b"\x05\x64" or size < 5 or end > len(sent):
            return
        head = sent[at : at + 8]
        if remainder(head) != int.from_bytes(sent[at + 8 : at + 10], "little"):
            return
        function = control & 0x0F
        destination = int.from_bytes(head[4:6], "little")
        name = _LINK.get(function, f"function {function}")
        code = [f"dnp3 control {control:#04x}"]
        verdict: Verdict = "control"
        if control == 0xC9 and not blocks and destination < 0xFFF0:
            verdict = "read"
        if blocks and function in (3, 4) and size >= 5 + 3:
            applied = sent[at + 12]
            name += f": {_APPLICATION.get(applied, f'{applied:#04x}')}"
            code.append(f"dnp3 application {applied:#04x}")
        yield Pdu(at, end, f"DNP3 {name} to {destination}", verdict, tuple(code))
        at = end


def asks(data: bytes) -> Iterator[bytes]:
    for pdu in read(data):
        yield data[pdu.start : pdu.end]


GRAMMAR: Final = Grammar(
    protocol="dnp3",
    read=read,
    ports=(("tcp", 20000),),
    ics=True,
    client_speaks_first=True,
    dissector="dnp3",
    codes={
        "dnp3.ctl": "dnp3 control {:#04x}",
        "dnp3.al.func": "dnp3 application {:#04x}",
    },
    questions=3,
    asks=asks,
)
