"""
A management controller that answers what is asked before a login.

Settings: `authentication` (of none, MD2, MD5, password, OEM), `anonymous` and `null_users` (true or
false), `kg` (true: set), `ipmi` ("2.0" or "1.5"). Commands outside a session but for Get Channel
Authentication Capabilities get D4 (insufficient privilege); what would open one gets no answer.

Source: IPMI v2.0 revision 1.1, sections 22.13 and 5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.bench import Bench, Server
from lab.frames.ipmi import command, response

BITS = {"none": 0x01, "MD2": 0x02, "MD5": 0x04, "password": 0x10, "OEM": 0x20}
INSUFFICIENT_PRIVILEGE = 0xD4
CHANNEL = 1


def capabilities(settings: Mapping[str, Any], *, with_2_0: bool) -> bytes:
    """Channel, types, status, extended capabilities, OEM id (3), OEM data."""
    newer = with_2_0 and str(settings.get("ipmi", "2.0")) == "2.0"
    types = sum(BITS[str(each)] for each in settings.get("authentication", ["MD5"]))
    status = 0x04 | bool(settings.get("anonymous")) | bool(settings.get("null_users")) << 1
    if newer:
        status |= bool(settings.get("kg")) << 5
    return bytes([CHANNEL, types | newer << 7, status, 0x03 if newer else 0]) + bytes(4)


async def serve(bench: Bench) -> Server:
    async def answer(datagram: bytes) -> bytes | None:
        found = command(datagram)
        if found is None:
            return None
        if found == (6, 0x38):
            asked = bool(datagram[20] & 0x80)
            return response(datagram, 0, capabilities(bench.settings, with_2_0=asked))
        return response(datagram, INSUFFICIENT_PRIVILEGE)

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"ipmi": serve}
