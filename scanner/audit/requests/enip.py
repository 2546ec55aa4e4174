"""
EtherNet/IP and the CIP in it: identities and attributes are read, connections are sessions.

What a request carries on to another module, or to a PCCC processor, is what it is named by; a route
that leaves the chassis is no request that can be named.

Sources: CIP volume 1 section 3-5.5 and appendices A and C; volume 2 sections 2-3 to 2-6; Rockwell
publication 1770-6.5.16, chapter 7 (PCCC).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict, either
from scanner.model import Tier

CIP_READS = {0x01, 0x03, 0x0E, 0x55}
CIP_SESSIONS = {0x54: "Forward_Open", 0x5B: "Large_Forward_Open", 0x4E: "Forward_Close"}
"""To the connection manager only: the same numbers write tags of a controller."""
CONNECTION_MANAGER = b"\x20\x06\x24\x01"
PCCC_OBJECT = b"\x20\x67\x24\x01"
PCCC_READS = {(0x06, 0x03): "diagnostic status"}
"""By command and function. Of those that read, no other is asked of anybody."""
READS = {0x0004, 0x0063, 0x0064}
SESSIONS = {0x0065, 0x0066}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        command, length = struct.unpack_from("<HH", request)
        body, whole = request[24 : 24 + length], len(request) >= 24 + length
        request = request[24 + length :]
        if not whole:
            raise Foreign("cut off")
        if command in (0x6F, 0x70):
            yield _cip(_cip_request(body, connected=command == 0x70))
        else:
            verdict: Verdict = "session" if command in SESSIONS else "write"
            if command in READS:
                verdict = "read"
            yield Named(protocol="enip", service=f"command {command:#x}", verdict=verdict)


def _cip_request(body: bytes, *, connected: bool) -> bytes:
    """The CIP request in the data item of a common packet format (volume 2, section 2-6)."""
    items, place = struct.unpack_from("<H", body, 6)[0], 8
    found = b""
    for _ in range(items):
        kind, length = struct.unpack_from("<HH", body, place)
        data = body[place + 4 : place + 4 + length]
        if len(data) != length:
            raise Foreign("cut off")
        if found:
            raise Foreign("two requests in one frame")
        if kind == 0xB2:
            found = data
        if kind == 0xB1 and connected:
            found = data[2:]
        place += 4 + length
    return found


def _cip(request: bytes, *, sent_on: bool = False) -> Named:
    service, words = request[0], request[1]
    path, data = request[2 : 2 + words * 2], request[2 + words * 2 :]
    managed = path == CONNECTION_MANAGER
    if service == 0x52 and managed:  # unconnected send: what counts is the message inside
        length = struct.unpack_from("<2xH", data)[0]
        if sent_on:
            raise Foreign("sent on twice")
        if length > len(data) - 4:
            raise Foreign("cut off")
        inside = _cip(data[4 : 4 + length], sent_on=True)
        if inside.verdict != "write":
            _one_slot_away(data[4 + length + length % 2 :])
        return replace(inside, service=f"{inside.service} sent on to a slot")
    if service == 0x4B and path == PCCC_OBJECT and not sent_on:
        return _pccc(data)
    if service in CIP_SESSIONS and managed:
        return Named(protocol="cip", service=CIP_SESSIONS[service], verdict="session")
    verdict = either(service in CIP_READS)
    return Named(protocol="cip", service=f"service {service:#x}", verdict=verdict)


def _one_slot_away(route: bytes) -> None:
    """`words 00 | 01 slot`: the backplane is port 1, and a slot's address has one byte."""
    if route[:3] != b"\x01\x00\x01" or len(route) != 4:
        raise Foreign("sent on beyond the slots of its chassis")


def _pccc(data: bytes) -> Named:
    """`size requester… | command status transaction(2) function …`"""
    command, function = data[data[0]], data[data[0] + 4]
    known = PCCC_READS.get((command, function)) if len(data) == data[0] + 5 else None
    return Named(
        protocol="cip",
        service=f"PCCC {command:#04x} {known or hex(function)}",
        verdict=either(known is not None),
    )


READER = Reader(protocol="enip", read=read, is_control=True)
