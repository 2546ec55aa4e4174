"""KNXnet/IP. Source: ISO 22510, KNXnet/IP header and service type identifiers."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

SERVICES = {
    0x0201: "search",
    0x0203: "description",
    0x0205: "connect",
    0x0207: "connection state",
    0x0209: "disconnect",
    0x020B: "extended search",
    0x0310: "device configuration",
    0x0420: "tunnelling",
    0x0530: "routing",
    0x0951: "session",
}
READS = frozenset({0x0201, 0x0203, 0x0207, 0x020B})


def _datagram(data: bytes) -> Seen:
    if data[:2] != b"\x06\x10":
        return Seen(kind="foreign", function=guess(data))
    if len(data) < 6 or int.from_bytes(data[4:6], "big") != len(data):
        return Seen(kind="malformed", function=f"a length of {len(data)} bytes")
    service = int.from_bytes(data[2:4], "big")
    name = SERVICES.get(service, f"service {service:#06x}")
    return Seen(kind="request", function=name, write=service not in READS)


PROTOCOL = Protocol(
    name="knx",
    port=3671,
    transports=("udp",),
    datagram=_datagram,
    header=6,
    length_at=(4, 2, "big"),
    reference=lambda _: (2, 4),  # the service is all that ties an answer to its question
    latin_1=True,
    longest_text=29,
    syntax=frozenset({"individual_address", "serial", "multicast", "families", "secured"}),
)
