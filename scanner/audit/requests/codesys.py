"""
CODESYS: of version 3 the name service, of version 2.3 the question who is there.

In version 3 a channel (service 0x40) carries login, files and control, and only the packet type
C202 of the name service (resolve address) reads. In version 2.3 a frame begins BB BB or CC CC;
of all of them only the two questions of seven bytes read.

Sources: Kaspersky ICS CERT, CODESYS Runtime, part 2; Digital Bond's Redpoint and Basecamp tools.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

NAME_SERVICE = 3
RESOLVE_ADDRESS = 0xC202
WHO = {bytes.fromhex("bbbb0100000001"), bytes.fromhex("bbbb0100000101")}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if request[:1] == b"\xc5":
        yield _datagram(request)
    elif request[:2] in (b"\xbb\xbb", b"\xcc\xcc"):
        reads = request in WHO
        service = "who are you" if reads else f"command {request[6:12].hex()}"
        yield Named(protocol="codesys", service=service, verdict=either(reads))
    else:
        raise Foreign("not CODESYS")


def _datagram(request: bytes) -> Named:
    """Header (its words: byte 1), addresses (their words: byte 5), padding to 4, content."""
    service, words = request[3], (request[1] & 7) + (request[5] & 15) + (request[5] >> 4)
    start = -(-2 * words // 4) * 4
    if service != NAME_SERVICE:
        return Named(protocol="codesys", service=f"service {service:#x}", verdict="write")
    if len(request) != start + 8:
        raise Foreign("cut off" if len(request) < start + 8 else "more than one request")
    kind = struct.unpack_from("<H", request, start)[0]
    verdict = either(kind == RESOLVE_ADDRESS)
    return Named(protocol="codesys", service=f"name service {kind:#x}", verdict=verdict)


READER = Reader(protocol="codesys", read=read, is_control=True)
