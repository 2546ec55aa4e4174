"""
CODESYS controllers: the name service of a V3 runtime, and a runtime of version 2.3.

No server for either is to be had; what they answer is laid out here from the published layouts.
Settings of `codesys`: node_name, device_name, vendor, serial (text), target_type, target_id,
target_version "5.15.4.0", flags, channels. Settings of `codesys2`: system, system_version, product;
`big_endian` (hangs up on the little-endian question). Both tell the ledger what else they are
asked, and do nothing of it: a channel stays unanswered, a command ends the connection.

Sources: A. Galauner's codesys3 library for nmap (layout of an identification); Digital Bond's
Redpoint, codesys-v2-discover (places of the names).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter
from lab.frames.codesys import content_of
from lab.frames.codesys2 import BIG, LITTLE

PLC = 0x1000
NAME_AT = {"system": 64, "system_version": 96, "product": 128}
NAME_BYTES = 32
REPLY_BYTES = 164


def _wide(text: str) -> tuple[int, bytes]:
    """Characters of UTF-16 without the zero that ends them, and the bytes with it."""
    raw = text.encode("utf-16-le", "replace")
    return len(raw) // 2, raw + b"\0\0"


def identification(settings: Mapping[str, Any], request_id: bytes) -> bytes:
    """The content of a name service answer."""
    node, device, vendor = (
        _wide(str(settings.get(key, ""))) for key in ("node_name", "device_name", "vendor")
    )
    serial = str(settings.get("serial", "")).encode("latin-1", "replace")[:255]
    version = bytes(int(part) for part in str(settings["target_version"]).split("."))
    return b"".join(
        (
            struct.pack("<HH", 0xC280, 0x0400) + request_id,
            struct.pack("<HBBH", int(settings.get("channels", 8)), 1, 0, 0),
            struct.pack("<HHH", node[0], device[0], vendor[0]),
            struct.pack("<II", int(settings.get("target_type", PLC)), int(settings["target_id"])),
            version[::-1] + struct.pack("<I", int(settings.get("flags", 0))),
            struct.pack("<BBB", len(serial), 0, 0) + bytes(9),
            node[1] + device[1] + vendor[1] + serial + b"\0",
        )
    )


def answer_of(settings: Mapping[str, Any], datagram: bytes) -> bytes | None:
    """To a request of the name service; the sender's address becomes the receiver's."""
    start = content_of(datagram)
    if start is None or datagram[3] != 3 or datagram[start : start + 4] != b"\x02\xc2\x00\x04":
        return None
    words = datagram[5] >> 4
    receiver = datagram[8 : 8 + 2 * words]
    header = b"\xc5\x73\x40\x04\0" + bytes([1 << 4 | words]) + receiver + b"\0\x01"
    header += bytes(-len(header) % 4)
    return header + identification(settings, datagram[start + 4 : start + 8])


async def serve(bench: Bench) -> Server:
    async def answer(datagram: bytes) -> bytes | None:
        return answer_of(bench.settings, datagram)

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


def runtime_reply(settings: Mapping[str, Any]) -> bytes:
    reply = bytearray(REPLY_BYTES)
    reply[:6] = b"\xbb\xbb" + (REPLY_BYTES - 6).to_bytes(4, "little")
    for key, at in NAME_AT.items():
        name = str(settings.get(key, "")).encode("latin-1", "replace")[: NAME_BYTES - 1]
        reply[at : at + len(name)] = name
    return bytes(reply)


async def serve_v2(bench: Bench) -> Server:
    reply = runtime_reply(bench.settings)
    known = BIG if bench.settings.get("big_endian") else LITTLE

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("codesys2")
        try:
            while data := await reader.read(4096):
                for frame in cut.feed(data):
                    if frame != known:
                        return
                    writer.write(reply)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"codesys": serve, "codesys2": serve_v2}
