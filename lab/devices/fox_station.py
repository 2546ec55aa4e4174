"""
A Niagara station's Fox service: the hello of a recorded JACE, with the plant file's words in it.

No library serves Fox, so the text is put together here; with the recorded station's settings it is
the recorded hello, byte for byte (tests/lab). Settings: `station`, `version`, `host_id`, `brand`,
`host_name`, `os_name`, `os_version`, `vm_name`, `vm_version`, `vm_uuid`, `time_zone`, `method` (of
the challenge; null: none is pushed, as Niagara 4 does). Whoever goes on is rejected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames.fox import END

LONGEST = 8192
FIELDS = (
    ("hostName", "host_name", "192.168.2.15"),
    ("hostAddress", "host_address", "192.168.2.15"),
    ("app.name", "app_name", "Station"),
    ("app.version", "version", "3.5.41.1"),
    ("vm.name", "vm_name", "J9"),
    ("vm.version", "vm_version", "2.3"),
    ("os.name", "os_name", "QNX"),
    ("os.version", "os_version", "6.3.2"),
    ("station.name", "station", "Station"),
    ("lang", "lang", "en"),
    ("timeZone", "time_zone", "Australia/Perth;28800000;0;null;null"),
    ("hostId", "host_id", "Win-0000-0000-0000-0000"),
    ("vmUuid", "vm_uuid", "11e4d864-cd0e-664a-0000-00000000b83b"),
    ("brandId", "brand", "vykon"),
)
"""Name on the wire, name in a plant file, value where the plant file has none."""
SYS_INFO = 'o:bog 61[<bog version="1.0">\n<p m="b=baja" t="b:Facets" v=""/>\n</bog>\n]'


def hello(settings: Mapping[str, Any]) -> bytes:
    lines = ["fox a 0 -1 fox hello", "{", "fox.version=s:1.0", "id=i:2"]
    lines += [f"{name}=s:{settings.get(key, default)}" for name, key, default in FIELDS]
    lines += [f"sysInfo={SYS_INFO}", "};;", ""]
    return "\n".join(lines).encode("utf-8", "replace")


def challenge(method: str) -> bytes:
    return f"fox a 1 -1 fox challenge\n{{\nmethod=s:{method}\nnonce=b:8[00112233]\n}};;\n".encode()


async def serve(bench: Bench) -> Server:
    method = bench.settings.get("method", "digest-md5")
    greeting = hello(bench.settings) + (b"" if method is None else challenge(str(method)))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            frame = await reader.readuntil(END)
            if b" fox hello\n" in frame:
                writer.write(greeting)
                await writer.drain()
                await reader.readuntil(END)
            writer.write(b"fox a 2 -1 fox rejected\n{\nreason=s:Invalid login\n};;\n")
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0, limit=LONGEST)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"fox": serve}
