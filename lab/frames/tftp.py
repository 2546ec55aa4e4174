"""TFTP packets. Source: RFC 1350 sections 4 (transfer identifiers) and 5 (packets)."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

REQUESTS = {1: "RRQ", 2: "WRQ"}
OTHERS = {3: "DATA", 4: "ACK", 5: "ERROR"}


def _datagram(data: bytes) -> Seen:
    opcode = int.from_bytes(data[:2], "big")
    if len(data) < 2 or opcode not in {**REQUESTS, **OTHERS}:
        return Seen(kind="foreign", function=guess(data))
    if opcode in OTHERS:
        if len(data) < 4:
            return Seen(kind="malformed", function="a packet cut short")
        return Seen(kind="request", function=OTHERS[opcode], write=True, answered=False)
    if not data.endswith(b"\0") or data[2:].count(b"\0") < 2:
        return Seen(kind="malformed", function="a request cut short")
    return Seen(kind="request", function=REQUESTS[opcode], write=opcode == 2)


PROTOCOL = Protocol(
    name="tftp",
    port=69,
    transports=("udp",),
    datagram=_datagram,
    header=4,
    answers_from_new_port=True,
    longest_text=500,
    syntax=frozenset({"files"}),
)
