"""
A MELSEC controller on SLMP: aslmp's simulated CPU behind a connection of our own.

Its frames, its memory and what it makes of a command are aslmp's, who measured them on an FX5U;
only the name that it tells is this device's. Settings: `model` (16 characters at most) and `code`
(hex) for Read Type Name. A remote stop stops it, a device write is there afterwards.

aslmp's server itself is not used: it keeps every byte it ever heard, and asks for ASCII names.
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

READ_TYPE_NAME = 0x0101


async def serve(bench: Bench) -> Server:
    # takes a second to import, which plants without such a device do not wait for
    from aslmp.profile import Encoding
    from aslmp.testing.dispatch import Dispatcher, Silence
    from aslmp.testing.targets import FX5U_32MT_DS
    from aslmp.wire.codec import BINARY
    from aslmp.wire.frames import THREE_E, response_body
    from aslmp.wire.raw import ErrorInfo

    name = bench.text("model").encode("latin-1", "replace")[:16].ljust(16)
    told = name + int(bench.text("code"), 16).to_bytes(2, "little")
    target = FX5U_32MT_DS
    cpu = Dispatcher(target=target, memory=target.memory(), pathology=target.pathology)

    def answer(frame: bytes) -> bytes | None:
        request = THREE_E.parse_request(frame, BINARY)
        if request.command == READ_TYPE_NAME and not request.payload:
            body = response_body(BINARY, end_code=0, payload=told)
            return bytes(THREE_E.build_response(route=request.route, body=body, codec=BINARY))
        outcome = cpu.handle(request, codec=BINARY, encoding=Encoding.BINARY)
        if isinstance(outcome, Silence):
            return None
        refused = None
        if outcome.end_code:
            refused = ErrorInfo(
                responding=request.route, command=request.command, subcommand=request.subcommand
            )
        body = response_body(
            BINARY, end_code=outcome.end_code, payload=outcome.payload, error_info=refused
        )
        return bytes(THREE_E.build_response(route=request.route, body=body, codec=BINARY))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(9)
                body = await reader.readexactly(int.from_bytes(head[7:9], "little"))
                if (reply := answer(head + body)) is not None:
                    writer.write(reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"slmp": serve}
