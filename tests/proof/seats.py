"""
Controllers with four seats, and the panel that polls them:

    python -m tests.proof.seats plc LOG ADDRESS…    python -m tests.proof.seats hmi LOG ADDRESS…

A controller serves Modbus/TCP to four connections; a fifth makes it close the oldest (what the
manual of a Modicon M218 says). Each eviction is a line of its LOG. The panel keeps three
connections to every controller and polls each every 100 ms with function 3; its LOG has one line
for each poll: the moment it was due (s since 1970), and the reply's latency in ms, or "missed" when
none came within a second or the connection was gone. Modbus Application Protocol V1.1b3, section
6.3 and 6.21. Nothing here is the scanner's or the lab's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TextIO

SEATS = 4
HELD = 3
EVERY_S = 0.1
MISSED_S = 1.0
NAMES = (b"Nobody", b"Seats 4", b"1.0")
READ = bytes.fromhex("000100000006ff0300000008")
_OBJECTS = b"".join(bytes([n, len(text)]) + text for n, text in enumerate(NAMES))

Say = Callable[[str], None]


class Controller:
    def __init__(self, address: str, say: Say) -> None:
        self._address = address
        self._say = say
        self._seated: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._seated.append(writer)
        if len(self._seated) > SEATS:
            self._say(f"evicted {self._address}")
            self._seated.pop(0).close()
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                reply = _answer(pdu)
                length = (len(reply) + 1).to_bytes(2, "big")
                writer.write(head[:4] + length + head[6:7] + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            if writer in self._seated:
                self._seated.remove(writer)
            writer.close()


def _answer(pdu: bytes) -> bytes:
    if pdu[0] == 3:
        size = 2 * int.from_bytes(pdu[3:5], "big")
        return bytes([3, size]) + bytes(size)
    if pdu[:2] == b"\x2b\x0e":
        return b"\x2b\x0e" + pdu[2:3] + b"\x01\x00\x00" + bytes([len(NAMES)]) + _OBJECTS
    return bytes([pdu[0] | 0x80, 1])


async def plc(addresses: Sequence[str], say: Say) -> None:
    for address in addresses:
        await asyncio.start_server(Controller(address, say).serve, address, 502, backlog=16)
    say("ready")
    await asyncio.Event().wait()


async def hmi(addresses: Sequence[str], say: Say) -> None:
    polls = [_poll(address, n, say) for address in addresses for n in range(HELD)]
    say("ready")
    await asyncio.gather(*polls)


async def _poll(address: str, number: int, say: Say) -> None:
    """One connection; it is made again when it is lost, as a panel would."""
    await asyncio.sleep((37 * sum(address.encode()) + 33 * number) % 100 / 1000)
    due = time.monotonic()
    reader = writer = None
    while True:
        began = time.monotonic()
        at = time.time()
        try:
            if writer is None:
                opened = asyncio.open_connection(address, 502)
                reader, writer = await asyncio.wait_for(opened, MISSED_S)
                began = time.monotonic()
            assert reader is not None
            writer.write(READ)
            await asyncio.wait_for(_reply(reader), MISSED_S)
            say(f"{at:.3f} {1000 * (time.monotonic() - began):.3f}")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            say(f"{at:.3f} missed")
            if writer is not None:
                writer.close()
            reader = writer = None
        due = max(due + EVERY_S, time.monotonic() - EVERY_S)
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _reply(reader: asyncio.StreamReader) -> None:
    head = await reader.readexactly(7)
    await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)


def _said(log: TextIO) -> Say:
    def say(words: str) -> None:
        log.write(words + "\n")
        log.flush()

    return say


def main() -> None:
    parts: dict[str, Callable[[Sequence[str], Say], Awaitable[None]]] = {"plc": plc, "hmi": hmi}
    with Path(sys.argv[2]).open("a", encoding="utf-8", buffering=1 << 16) as log:
        asyncio.run(parts[sys.argv[1]](sys.argv[3:], _said(log)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
