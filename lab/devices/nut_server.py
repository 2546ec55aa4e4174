"""
An upsd with the supplies that it watches, by the examples of its documentation.

Settings: `version`, `supplies`: a list of `supply` (the name on the wire), `description`, `vendor`,
`model`, `serial`, `firmware`, and `silent` (true: its driver is not connected). What acts is
refused without a login, and noted. A real server stands in tests/integration/test_databases.py.

Source: RFC 9271, commands, responses and errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import Splitter

FIELDS = {
    "device.mfr": "vendor", "device.model": "model", "device.serial": "serial",
    "ups.firmware": "firmware",
}  # fmt: skip


def _quoted(text: object) -> str:
    """In quotes, with what would end them escaped; a text is one line."""
    plain = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\r", " ").replace("\n", " ") + '"'


def variables(supply: Mapping[str, Any]) -> list[str]:
    said = {"battery.charge": "100", "device.type": "ups"}
    said |= {field: supply[key] for field, key in FIELDS.items() if supply.get(key)}
    said |= {"ups.status": "OL"}
    return [f"VAR {supply['supply']} {field} {_quoted(said[field])}" for field in sorted(said)]


def answer(settings: Mapping[str, Any], line: str) -> list[str]:
    words = line.split()
    supplies = {str(each["supply"]): each for each in settings.get("supplies", [])}
    if words == ["VER"]:
        return [
            f"Network UPS Tools upsd {settings.get('version', '2.8.0')} - "
            "http://www.networkupstools.org/"
        ]
    if words == ["LOGOUT"]:
        return ["OK Goodbye"]
    if words == ["LIST", "UPS"]:
        listed = [
            f"UPS {name} {_quoted(each.get('description', 'Description unavailable'))}"
            for name, each in supplies.items()
        ]
        return ["BEGIN LIST UPS", *listed, "END LIST UPS"]
    if words[:2] == ["LIST", "VAR"] and len(words) == 3:
        if words[2] not in supplies:
            return ["ERR UNKNOWN-UPS"]
        if supplies[words[2]].get("silent"):
            return ["ERR DRIVER-NOT-CONNECTED"]
        inside = variables(supplies[words[2]])
        return [f"BEGIN LIST VAR {words[2]}", *inside, f"END LIST VAR {words[2]}"]
    if words[:1] == ["USERNAME"] or words[:1] == ["PASSWORD"]:
        return ["OK"]
    return ["ERR ACCESS-DENIED"]


async def serve(bench: Bench) -> Server:
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("nut")
        try:
            while data := await reader.read(4096):
                for raw in cut.feed(data):
                    line = raw.decode("utf-8", "replace").strip()
                    if line.startswith("PASSWORD"):
                        bench.ledger.login("nut", "unknown", accepted=False)
                    said = "\n".join(answer(bench.settings, line)) + "\n"
                    writer.write(said.encode("utf-8", "replace"))
                    await writer.drain()
                    if line == "LOGOUT":
                        return
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"nut": serve}
