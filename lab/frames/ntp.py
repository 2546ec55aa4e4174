"""NTP datagrams. Sources: RFC 5905 section 7.3; RFC 9327 section 2."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

CONTROL_READS = {1: "READSTAT", 2: "READVAR"}


def _datagram(data: bytes) -> Seen:
    if not data or not 1 <= data[0] >> 3 & 7 <= 4:
        return Seen(kind="foreign", function=guess(data))
    mode = data[0] & 7
    if mode == 6:
        if len(data) < 12:
            return Seen(kind="malformed", function="a control message cut short")
        name = CONTROL_READS.get(data[1])
        return Seen(kind="request", function=name or f"control {data[1]}", write=name is None)
    if mode == 3:
        if len(data) < 48:
            return Seen(kind="malformed", function="a request cut short")
        return Seen(kind="request", function="client")
    return Seen(kind="request", function=f"mode {mode}", write=True)


def _reference(reply: bytes) -> tuple[int, int]:
    """The originate timestamp; of a control message its sequence number."""
    return (2, 4) if reply and reply[0] & 7 == 6 else (24, 32)


PROTOCOL = Protocol(
    name="ntp",
    port=123,
    transports=("udp",),
    datagram=_datagram,
    header=12,
    reference=_reference,
    longest_text=400,
    syntax=frozenset({"reference"}),
)
