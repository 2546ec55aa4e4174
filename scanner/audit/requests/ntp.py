"""
NTP: asking the time, and reading variables by a control message.

Sources: RFC 5905 sections 3 and 7.3 (modes); RFC 9327 section 2 (opcodes).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

CLIENT, CONTROL = 3, 6
READSTAT, READVAR = 1, 2


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    mode, version = request[0] & 7, request[0] >> 3 & 7
    if not 1 <= version <= 4:
        raise Foreign("no version of NTP")
    if mode == CONTROL and len(request) >= 12:
        opcode = request[1]
        yield Named(
            protocol="ntp", service=f"control {opcode}",
            verdict=either(opcode in (READSTAT, READVAR)),
        )  # fmt: skip
        return
    if mode == CLIENT and len(request) != 48:
        raise Foreign("a client's request is 48 bytes")
    yield Named(protocol="ntp", service=f"mode {mode}", verdict=either(mode == CLIENT))


READER = Reader(protocol="ntp", read=read)
