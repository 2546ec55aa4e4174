"""
PROFINET over UDP: DCE/RPC to the context manager and its endpoint mapper.

Sources: The Open Group C706 (DCE 1.1: RPC), chapter 12 and appendix O; operations of PROFINET:
IEC 61158-6-10. tshark finds DCE/RPC in datagrams by itself, and cannot be told that a port has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_MAPPER: Final = UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa")
_PROFINET: Final = "6c97-11d1-8271-00a02442df7d"
_MAPPER_OPERATIONS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0: ("Insert", "control"),
    1: ("Delete", "control"),
    2: ("Lookup", "read"),
    3: ("Map", "unknown"),
    4: ("LookupHandleFree", "unknown"),
    5: ("InquireObject", "unknown"),
    6: ("MgmtDelete", "control"),
}
_OPERATIONS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0: ("Connect", "control"),
    1: ("Release", "control"),
    2: ("Read", "unknown"),
    3: ("Write", "control"),
    4: ("Control", "control"),
    5: ("ReadImplicit", "unknown"),
}
"""What is unknown changes nothing and is no part of the probe; a Connect takes a device's only
relation."""


def read(sent: bytes) -> Iterator[Pdu]:
    if len(sent) < 80 or sent[0] != 4:
        return
    little = sent[4] >> 4 == 1
    raw, number = sent[24:40], sent[68:70]
    interface = UUID(bytes_le=raw) if little else UUID(bytes=raw)
    operation = int.from_bytes(number, "little" if little else "big")
    length = int.from_bytes(sent[74:76], "little" if little else "big")
    if len(sent) != 80 + length:
        return
    if sent[1] != 0:
        yield Pdu(0, len(sent), f"DCE/RPC PDU of type {sent[1]}", "unknown")
    elif interface == _MAPPER:
        name, verdict = _MAPPER_OPERATIONS.get(operation, ("", "control"))
        yield Pdu(0, len(sent), f"endpoint mapper {operation} {name}".rstrip(), verdict)
    elif str(interface).endswith(_PROFINET):
        name, verdict = _OPERATIONS.get(operation, ("", "control"))
        yield Pdu(0, len(sent), f"PROFINET {operation} {name}".rstrip(), verdict)
    else:
        yield Pdu(0, len(sent), f"DCE/RPC to {interface}", "unknown")


def asks(data: bytes) -> Iterator[bytes]:
    """Without the activity, which is each time another."""
    yield data[:40] + data[56:]


GRAMMAR: Final = Grammar(
    protocol="profinet",
    read=read,
    ports=(("udp", 34964),),
    ics=True,
    client_speaks_first=True,
    asks=asks,
)
