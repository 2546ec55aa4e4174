"""
CODESYS V3 over UDP: the name service. tshark 4.0 has no dissector for it.

Source: Kaspersky ICS CERT, Security research: CODESYS Runtime, part 2 (datagram layer).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SERVICES: Final[Mapping[int, str]] = {
    0x01: "address request", 0x02: "address answer", 0x03: "name service", 0x04: "name answer",
    0x40: "channel",
}  # fmt: skip
_PACKETS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0xC201: ("resolve name", "unknown"),
    0xC202: ("resolve address", "read"),
    0xC203: ("resolve gateway", "unknown"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    """One datagram: its whole length is one PDU."""
    if len(sent) < 8 or sent[0] != 0xC5:
        return
    service, size = sent[3], len(sent)
    name = f"CODESYS {service:#04x} {_SERVICES.get(service, '')}".rstrip()
    if service != 0x03:
        yield Pdu(0, size, name, "control")
        return
    addresses = (sent[5] >> 4) + (sent[5] & 0x0F)
    content = 2 * ((sent[1] & 7) + addresses)
    content += content % 4
    kind = int.from_bytes(sent[content : content + 2], "little")
    what, verdict = _PACKETS.get(kind, ("", "unknown"))
    version = sent[content + 2 : content + 4]
    if size != content + 8 or sent[5] & 0x0F or version != b"\0\4":
        return
    yield Pdu(0, size, f"{name} {kind:#06x} {what}".rstrip(), verdict)


def asks(data: bytes) -> Iterator[bytes]:
    """Without the datagram's number, the sender's address and the request's number."""
    yield data[:6] + data[-8:-4]


GRAMMAR: Final = Grammar(
    protocol="codesys",
    read=read,
    ports=(("udp", 1740),),
    ics=True,
    client_speaks_first=True,
    questions=1,
    asks=asks,
)
