"""
S7 on ISO-on-TCP.

Sources: RFC 1006, section 6; RFC 905 and ISO 8073, section 13; the S7 layer as Wireshark's
dissector documents it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_S7_JOBS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x00: ("CPU services", "control"),
    0x04: ("read variable", "unknown"),
    0x05: ("write variable", "control"),
    0x1A: ("request download", "control"),
    0x1B: ("download block", "control"),
    0x1C: ("download ended", "control"),
    0x1D: ("start upload", "control"),
    0x1E: ("upload", "control"),
    0x1F: ("end upload", "control"),
    0x28: ("PLC control", "control"),
    0x29: ("PLC stop", "control"),
    0xF0: ("set up communication", "session"),
}
_S7_USERDATA: Final[Mapping[tuple[int, int], tuple[str, Verdict]]] = {
    (3, 1): ("list blocks", "unknown"),
    (3, 2): ("list blocks of a type", "unknown"),
    (3, 3): ("block info", "unknown"),
    (4, 1): ("read SZL", "read"),
    (7, 1): ("read clock", "unknown"),
}
"""What changes nothing but is no part of the probe (protocols.md) is unknown. Every other group and
function is control: programmer commands, forces, cyclic data, messages, passwords, setting of the
clock."""
_SZL: Final = frozenset({"0011", "001c", "0132", "0232", "0424"})
"""Module and component identification, protection level, operating state."""


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
        if sent[at : at + 2] != b"\x03\x00" or end - at < 7 or end > len(sent):
            return
        header, kind = sent[at + 4], sent[at + 5]
        body = sent[at + 5 + header : end]
        if at + 5 + header > end:
            return
        cotp = f"cotp {kind >> 4:#x}"
        if kind == 0xE0:
            tsap = _called_tsap(sent[at + 11 : end])
            taken = tsap is None or len(tsap) != 4 or tsap[:2] != "03"
            verdict: Verdict = "control" if taken else "session"
            name = f"COTP connection request to TSAP {tsap or 'none'}"
            yield Pdu(at, end, name, verdict, (cotp,), names=tsap or "")
        elif kind == 0x80:
            yield Pdu(at, end, "COTP disconnect request", "session", (cotp,), asks=False)
        elif kind == 0xF0 and header == 2 and body:
            yield _s7_pdu(at, end, body, cotp)
        else:
            yield Pdu(at, end, f"COTP type {kind:#04x}", "unknown", (cotp,))
        at = end


def _called_tsap(parameters: bytes) -> str | None:
    at = 0
    while at + 2 <= len(parameters):
        kind, size = parameters[at], parameters[at + 1]
        if kind == 0xC2:
            return parameters[at + 2 : at + 2 + size].hex()
        at += 2 + size
    return None


def _s7_pdu(at: int, end: int, body: bytes, cotp: str) -> Pdu:
    if body[0] != 0x32 or len(body) < 11:
        return Pdu(at, end, f"on COTP, not S7: {body[:4].hex(' ')}", "unknown", (cotp,))
    kind, parameters = body[1], int.from_bytes(body[6:8], "big")
    data = int.from_bytes(body[8:10], "big")
    if len(body) != 10 + parameters + data:
        return Pdu(at, end, "S7 with lengths that do not fit", "unknown", (cotp, f"s7 {kind}"))
    if kind == 1:
        function = body[10]
        name, verdict = _S7_JOBS.get(function, ("", "unknown"))
        code = (cotp, "s7 1", f"s7 job {function:#04x}")
        return Pdu(at, end, f"S7 job {function:#04x} {name}".rstrip(), verdict, code)
    if kind == 7 and parameters >= 8:
        sort, group, function = body[15] >> 4, body[15] & 15, body[16]
        code = (cotp, "s7 7", f"s7 group {group}", f"s7 function {function}")
        name, verdict = _S7_USERDATA.get((group, function), ("", "control"))
        if sort != 4 or body[10:13] != b"\x00\x01\x12":
            verdict = "unknown"
        continued = body[14] == 0x12
        if (group, function) == (4, 1) and not continued and data == 8:
            szl = body[-4:-2].hex()
            name += f" {szl} index {body[-2:].hex()}"
            verdict = verdict if szl in _SZL else "unknown"
        elif (group, function) == (4, 1):
            name += ", continued" if continued else ""
        return Pdu(
            at, end, f"S7 userdata {group}/{function} {name}".rstrip(), verdict, code,
            asks=not continued,
        )  # fmt: skip
    return Pdu(at, end, f"S7 message type {kind}", "unknown", (cotp, f"s7 {kind}"))


def asks(data: bytes) -> Iterator[bytes]:
    while len(data) >= 7:
        length = max(struct.unpack_from("!H", data, 2)[0], 4)
        frame, data = data[:length], data[length:]
        if frame[5] == 0xF0 and len(frame) > 17 and frame[7] == 0x32:
            setup = frame[8] == 1 and frame[17] == 0xF0
            if not setup:
                yield frame[7:11] + frame[13:]


GRAMMAR: Final = Grammar(
    protocol="s7",
    read=read,
    ports=(("tcp", 102),),
    ics=True,
    client_speaks_first=True,
    dissector="tpkt",
    codes={
        "cotp.type": "cotp {:#x}",
        "s7comm.header.rosctr": "s7 {}",
        "s7comm.param.func": "s7 job {:#04x}",
        "s7comm.param.userdata.funcgroup": "s7 group {}",
        "s7comm.param.userdata.subfunc": "s7 function {}",
    },
    questions=4,
    connections={"identify": 2},  # a second one after an explicit refusal
    asks=asks,
)
