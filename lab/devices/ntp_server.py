"""
An NTP server: the datagrams that ntpd sends, made from a few settings.

Settings: `stratum`, `reference` (a clock's name, or an address), `synchronised` (true); for READVAR
`version`, `processor`, `system`, or `control` false for a server that answers no control message.
Mode 7 and whatever would change something is noted by the front and not answered.

Source: RFC 5905 sections 7.3 and 8; RFC 9327 section 2.1 (values as the recorded ntpd writes them).
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address

from lab.bench import Bench, Server

EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""
UNKNOWN_VARIABLE = 4
VARIABLES = ("version", "processor", "system")


def _reference(text: str) -> bytes:
    try:
        return IPv4Address(text).packed
    except AddressValueError:
        return text.encode("ascii", "replace")[:4].ljust(4, b"\0")


def _stamp(seconds: float) -> bytes:
    return (int((seconds + EPOCH) * (1 << 32)) & ((1 << 64) - 1)).to_bytes(8, "big")


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    stratum = int(settings.get("stratum", 2))
    leap = 0 if settings.get("synchronised", True) else 3
    reference = _reference(str(settings.get("reference", "192.0.2.1")))
    known = {name: str(settings[name]) for name in VARIABLES if name in settings}

    def time(request: bytes) -> bytes:
        now = bench.clock()
        first = leap << 6 | (request[0] & 0x38) | 4
        head = bytes([first, stratum, request[2], 0xEC]) + b"\0\0\x01\x20" + b"\0\0\x02\x40"
        return head + reference + _stamp(now - 60) + request[40:48] + _stamp(now) * 2

    def variables(request: bytes) -> bytes:
        count = int.from_bytes(request[10:12], "big")
        asked = [name for name in request[12 : 12 + count].decode("ascii", "replace").split(",")]
        names = [name.strip("\0 ") for name in asked if name.strip("\0 ")] or list(known)
        if any(name not in known for name in names):
            head = bytes([0x16, 0xC0 | request[1]]) + request[2:4] + bytes([UNKNOWN_VARIABLE, 0])
            return head + request[6:8] + bytes(4)
        said = ", ".join(f'{name}="{known[name]}"' for name in names).encode("utf-8", "replace")
        body = (said + b"\r\n")[:468]
        head = bytes([0x16, 0x80 | request[1]]) + request[2:4] + b"\x06\x18" + request[6:8]
        return head + bytes(2) + len(body).to_bytes(2, "big") + body + bytes(-len(body) % 4)

    async def answer(request: bytes) -> bytes | None:
        if not request:
            return None
        mode = request[0] & 7
        if mode == 3 and len(request) >= 48:
            return time(request)
        if mode == 6 and len(request) >= 12 and request[1] == 2 and settings.get("control", True):
            return variables(request)
        return None

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"ntp": serve}
