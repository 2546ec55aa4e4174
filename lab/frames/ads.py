"""
Beckhoff ADS: the datagrams of an AMS router. Source: Beckhoff, ADS library for C++ (UDP services).
"""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

COOKIE = b"\x03\x66\x14\x71"
SERVICES = {1: "server information", 6: "add route"}


def _datagram(data: bytes) -> Seen:
    if data[:4] != COOKIE:
        return Seen(kind="foreign", function=guess(data))
    if len(data) < 24:
        return Seen(kind="malformed", function=f"{len(data)} bytes")
    service = int.from_bytes(data[8:12], "little")
    name = SERVICES.get(service, f"service {service}")
    return Seen(kind="request", function=name, write=service != 1)


PROTOCOL = Protocol(
    name="ads",
    port=48899,
    transports=("udp",),
    datagram=_datagram,
    header=24,
    reference=lambda _: (4, 8),  # invoke id
    latin_1=True,
    longest_text=200,
    syntax=frozenset({"net_id", "twincat"}),
)
