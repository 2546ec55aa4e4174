"""
A directory up to its root DSE, by the messages of RFC 4511.

Settings: `vendor`, `vendor_version`, `naming_context` (texts), `ldap_versions` (["3"]), `login`
(true: it wants a bind before it tells anything). A bind is refused and noted, everything that
writes answered as carried out. A real server stands in tests/integration/test_databases.py.

Source: RFC 4511 sections 4.1.9, 4.5.2 and 4.6; RFC 4512 section 5.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter
from lab.frames.asn1 import ber, ber_length
from lab.frames.ldap import operation

SUCCESS, STRONGER_WANTED, INVALID = 0, 8, 49
ANSWERS = {"bind": 0x61, "modify": 0x67, "add": 0x69, "delete": 0x6B, "modify DN": 0x6D,
           "compare": 0x6F, "extended": 0x78, "search": 0x65}  # fmt: skip


def element(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag]) + ber_length(len(content)) + content


def _message(number: bytes, carried: bytes) -> bytes:
    return element(0x30, element(0x02, number), carried)


def _result(tag: int, code: int) -> bytes:
    return element(tag, element(0x0A, bytes([code])), b"\x04\0\x04\0")


def root_dse(settings: Mapping[str, Any]) -> bytes:
    """The entry with what the settings name."""
    said: list[tuple[str, Sequence[Any]]] = [
        ("vendorName", [settings["vendor"]] if settings.get("vendor") else []),
        ("vendorVersion", [settings["vendor_version"]] if settings.get("vendor_version") else []),
        ("supportedLDAPVersion", settings.get("ldap_versions", ["3"])),
        ("defaultNamingContext", [settings["naming_context"]] if settings.get("naming_context")
         else []),
    ]  # fmt: skip
    attributes = [
        element(
            0x30,
            element(0x04, name.encode()),
            element(0x31, *(element(0x04, str(v).encode("utf-8", "replace")) for v in values)),
        )
        for name, values in said
        if values
    ]
    return element(0x64, element(0x04), element(0x30, *attributes))


def answer(settings: Mapping[str, Any], request: bytes) -> bytes:
    name = operation(request)
    outer = ber(request, 0)
    number = None if outer is None else ber(request, outer[1])
    if name not in ANSWERS or number is None:
        return b""
    reference = request[number[1] : number[2]]
    if name == "bind":
        return _message(reference, _result(ANSWERS[name], INVALID))
    if name == "search" and settings.get("login"):
        return _message(reference, _result(ANSWERS[name], STRONGER_WANTED))
    found = _message(reference, root_dse(settings)) if name == "search" else b""
    return found + _message(reference, _result(ANSWERS[name], SUCCESS))


async def serve(bench: Bench) -> Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("ldap")
        try:
            while data := await reader.read(4096):
                for message in cut.feed(data):
                    if operation(message) == "bind":
                        bench.ledger.login("ldap", "unknown", accepted=False)
                    writer.write(answer(bench.settings, message))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"ldap": serve}
