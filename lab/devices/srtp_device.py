"""
A GE controller on SRTP: the initialisation as recorded, and an acknowledgement to every service.

Settings: `byte_8` (hex; the ninth byte of the reply to an initialisation, 0f in most devices). No
service returns data: this device tells nothing of itself, as most did that answered in public.

Source: ICS-pcap, GE-SRTP/Notes.txt (initialisation); gesrtp-py (D4 acknowledges without data).
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

MESSAGE = 56
ACKNOWLEDGED = 0xD4


async def serve(bench: Bench) -> Server:
    ninth = int(str(bench.settings.get("byte_8", "0f")), 16)
    initialised = b"\x01" + bytes(7) + bytes([ninth]) + bytes(47)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = False
        try:
            while True:
                message = await reader.readexactly(MESSAGE)
                await reader.readexactly(int.from_bytes(message[4:6], "little"))
                if message == bytes(MESSAGE):
                    begun = True
                    writer.write(initialised)
                elif begun and message[0] == 2:
                    head = b"\x03\0" + message[2:3] + bytes(27) + message[30:31]
                    writer.write(head + bytes([ACKNOWLEDGED]) + bytes(24))
                else:
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"srtp": serve}
