"""
The process of an IEC 61850 server (lab.devices.mms_ied): one line of JSON in, the port out, and it
serves until its input ends. The library is loaded here alone: it is compiled code, and one that
falls takes nothing else with it.
"""

from __future__ import annotations

import asyncio
import json
import sys

from iec61850 import IedServer

LOOPBACK = "127.0.0.1"
PLACES = 64
"""Clients at once; how few a real device has is what the faults of the lab are for."""


async def main() -> None:
    order = json.loads(sys.stdin.readline())
    server = IedServer.from_scl_str(order["scl"], ied_name=order["ied"])
    server.bind(f"{LOOPBACK}:0")
    server.max_connections = PLACES
    server.vendor = order.get("vendor")
    server.model_name = order.get("model")
    server.revision = order.get("revision")
    await server.start()
    sys.stdout.write(server.bound_addr.rsplit(":", 1)[1] + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main())
