"""
A tank gauge's console behind its serial port, and what else answers on such a port.

No server for the protocol is to be had; the report is laid out as Veeder-Root's manuals print it
(577013-767 section 7.4.1). Settings: `speaks` ("console", "gaspot": an emulator of one, "serial":
a device server whose line echoes), station, software, version, created, time (texts).

A console knows function 902 alone here; commands that set something are counted and answered as
such, like all others that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter

NOT_UNDERSTOOD = b"9999FF1B"
END = b"\r\n"


def report(settings: Mapping[str, Any]) -> bytes:
    """The System Revision Level Report in its form for display."""
    lines = ["", "I90200", str(settings.get("time", "22-05-01 15:12"))]
    lines += [str(settings[key]) for key in ("station",) if settings.get(key)]
    if settings.get("version"):
        lines += ["SOFTWARE REVISION LEVEL", f"VERSION {settings['version']}"]
    lines += [f"SOFTWARE# {settings['software']}", f"CREATED - {settings['created']}"]
    lines += ["SYSTEM FEATURES:", "PERIODIC IN-TANK TESTS", "ANNUAL IN-TANK TESTS", ""]
    return b"\x01" + END.join(line.encode("latin-1", "replace") for line in lines) + b"\x03"


def answer(settings: Mapping[str, Any], line: bytes) -> bytes:
    speaks = settings.get("speaks", "console")
    if speaks == "serial":
        return line
    if speaks == "gaspot":
        return NOT_UNDERSTOOD + b"\n"
    if line[1:7] == b"I90200":
        return report(settings)
    return b"\x01" + NOT_UNDERSTOOD + b"\x03"


async def serve(bench: Bench) -> Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("atg")
        try:
            while data := await reader.read(4096):
                for line in cut.feed(data):
                    writer.write(answer(bench.settings, line))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"atg": serve}
