"""
DNP3 outstations on one TCP connection: the link layer, as recorded outstations answer it.

Settings: `addresses` (list of link addresses; several stand behind one terminal server), `master`
(the only source that is answered; left out: any). REQUEST LINK STATUS is answered by LINK STATUS,
RESET and TEST by ACK. A read of the application layer is answered with "object unknown" (IIN2.1),
every other function with "function not supported" (IIN2.0): that nobody got this far is in the
ledger. Source: IEEE 1815-2012 clauses 9.2 (link layer), 4.2 (fragments) and 4.5 (IIN).
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server
from lab.frames.dnp3 import crc

ACK, LINK_STATUS = 0x00, 0x0B
CONFIRMED, UNCONFIRMED = 3, 4
RESPONSE = 0x81
BLOCK = 16


def frame(control: int, to: bytes, source: bytes, user: bytes = b"") -> bytes:
    """One link frame with its CRCs."""
    head = b"\x05\x64" + bytes([5 + len(user), control]) + to + source
    blocks = [user[at : at + BLOCK] for at in range(0, len(user), BLOCK)]
    return head + crc(head) + b"".join(block + crc(block) for block in blocks)


class Line:
    """Which addresses stand on it, and whom they answer."""

    def __init__(self, addresses: list[int], master: int | None) -> None:
        self._addresses = {address.to_bytes(2, "little") for address in addresses}
        self._master = None if master is None else master.to_bytes(2, "little")

    def answer(self, request: bytes) -> bytes:
        """The reply to one whole frame, b"" where nobody is meant."""
        if crc(request[:8]) != request[8:10]:
            return b""
        control, to, source = request[3], request[4:6], request[6:8]
        if to not in self._addresses or (self._master is not None and source != self._master):
            return b""
        match control & 0x0F:
            case 9:
                return frame(LINK_STATUS, source, to)
            case 0 | 1 | 2:
                return frame(ACK, source, to)
            case function if function in (CONFIRMED, UNCONFIRMED):
                return self._application(request, function, to, source)
        return b""

    def _application(self, request: bytes, function: int, to: bytes, source: bytes) -> bytes:
        user = request[10:26]
        reply = frame(ACK, source, to) if function == CONFIRMED else b""
        if len(user) < 3:
            return reply
        problem = 0x02 if user[2] == 0x01 else 0x01
        answer = bytes([0xC0, user[1] & 0xCF, RESPONSE, 0, problem])
        return reply + frame(0x44, source, to, answer)


async def serve(bench: Bench) -> Server:
    master = bench.settings.get("master")
    line = Line(
        [int(one) for one in bench.settings.get("addresses", (1,))],
        None if master is None else int(master),
    )

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(10)
                if head[:2] != b"\x05\x64" or head[2] < 5:
                    break
                user = head[2] - 5
                blocks = await reader.readexactly(user + 2 * ((user + 15) // 16))
                if reply := line.answer(head + blocks):
                    writer.write(reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"dnp3": serve}
