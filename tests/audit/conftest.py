"""Packets as a capture keeps them, made by hand: headers only, raw IP, nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest

GLOBAL = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101)
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}


def ip(
    source: str,
    target: str,
    body: bytes,
    *,
    protocol: int = 6,
    payload: int = 0,
    options: bytes = b"",
    fragment: int = 0x4000,
) -> tuple[bytes, int]:
    """(headers, length of the whole packet); `payload` bytes are left out behind `body`."""
    ends = ip_address(source).packed + ip_address(target).packed
    if ip_address(source).version == 6:
        length = len(body) + payload
        return struct.pack("!IHBB", 6 << 28, length, protocol, 64) + ends + body, length + 40
    size = 20 + len(options)
    length = size + len(body) + payload
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, length, 1, fragment, 64, protocol, 0)
    return head + ends + options + body, length


def tcp(
    source_port: int, target_port: int, flags: int, sequence: int, options: bytes = b""
) -> bytes:
    words = (20 + len(options)) // 4
    return (
        struct.pack(
            "!HHIIBBHHH", source_port, target_port, sequence, 0, words << 4, flags, 8192, 0, 0
        )
        + options
    )


def udp(source_port: int, target_port: int, payload: int) -> bytes:
    return struct.pack("!HHHH", source_port, target_port, payload + 8, 0)


def entry(at: float, headers: bytes, length: int) -> bytes:
    whole = round(at * 1e9)
    seconds, nanoseconds = whole // 10**9, whole % 10**9
    return struct.pack("<IIII", seconds, nanoseconds, len(headers), length) + headers


def whole_capture(*entries: bytes) -> bytes:
    return GLOBAL + b"".join(entries)


class Craft:
    """The functions above, for tests: `craft.ip(...)`."""

    ip = staticmethod(ip)
    tcp = staticmethod(tcp)
    udp = staticmethod(udp)
    entry = staticmethod(entry)
    capture: Callable[..., bytes] = staticmethod(whole_capture)


@pytest.fixture(scope="session")
def craft() -> type[Craft]:
    return Craft
