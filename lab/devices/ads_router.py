"""
An AMS router that says who it is over UDP, with the tags of a recorded CX in their order.

Settings: `net_id` "5.13.117.96.1.1", `host_name`, `twincat` "2.11.2228", `os` {major, minor,
build, platform} (platform 2: Windows NT, 3: Windows CE). A route is not added: the answer to
service 6 says that access is denied, and the ledger has it. TCP 48898 is closed.
Source: Beckhoff, ADS library for C++ (services, tags); Microsoft, OSVERSIONINFO (tag 4).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from lab.bench import Bench, Server

COOKIE = 0x71146603
SERVER_INFO, ADD_ROUTE = 1, 6
ANSWER = 0x80000000
STATUS, VERSION, OS_VERSION, HOST_NAME = 1, 3, 4, 5
ACCESS_DENIED = 0x704
"""ADSERR_DEVICE_INVALIDACCESS."""
SYSTEM_SERVICE = 10000
SERVICE_PACK = 256


def _tag(number: int, value: bytes) -> bytes:
    return struct.pack("<HH", number, len(value)) + value


class Router:
    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._net_id = bytes(int(part) for part in str(settings["net_id"]).split("."))
        major, minor, build = (int(part) for part in str(settings["twincat"]).split("."))
        system = settings["os"]
        name = str(settings["host_name"]).encode("latin-1", "replace")
        version = [int(system[key]) for key in ("major", "minor", "build", "platform")]
        self._tags: tuple[bytes, ...] = (
            _tag(HOST_NAME, name + b"\0"),
            _tag(
                OS_VERSION,
                struct.pack("<5I", 20 + SERVICE_PACK, *version) + bytes(SERVICE_PACK),
            ),
            _tag(VERSION, struct.pack("<BBH", major, minor, build)),
        )

    def answer(self, datagram: bytes) -> bytes | None:
        """The reply to one datagram; None where it is not for a router."""
        if len(datagram) < 24:
            return None
        cookie, invoke, service = struct.unpack_from("<III", datagram)
        if cookie != COOKIE or service not in (SERVER_INFO, ADD_ROUTE):
            return None
        tags = self._tags
        if service == ADD_ROUTE:
            tags = (_tag(STATUS, struct.pack("<I", ACCESS_DENIED)),)
        head = struct.pack("<III", COOKIE, invoke, ANSWER | service) + self._net_id
        return head + struct.pack("<HI", SYSTEM_SERVICE, len(tags)) + b"".join(tags)


async def serve(bench: Bench) -> Server:
    router = Router(bench.settings)

    async def answer(datagram: bytes) -> bytes | None:
        return router.answer(datagram)

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"ads": serve}
