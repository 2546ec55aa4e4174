"""
A telecontrol station of IEC 60870-5-104, answering as the recorded units do.

    U   TESTFR, STARTDT and STOPDT act are confirmed; TESTFR at any time (section 5.2)
    I   before STARTDT: the connection is closed (section 5.3). A general interrogation (type 100,
        cause 6) is answered by the end of initialisation (type 70, cause 4), once after a start,
        and by its confirmation (cause 7); a command (45 to 64, 101 to 107) by its confirmation

Only one connection is started at a time: a second STARTDT ends the first connection, which is what
a control centre notices of a scanner that goes too far; the ledger then counts a lost master.
Settings: `common_address` (int). Source: IEC 60870-5-104 sections 5.1 to 5.3 and 10;
IEC 60870-5-101 sections 7.2 and 7.3 (types 70 and 100, causes of transmission).
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

CONFIRMED = {0x07: 0x0B, 0x13: 0x23, 0x43: 0x83}
"""Control octet of act → con."""
STARTDT, STOPDT = 0x07, 0x13
END_OF_INITIALISATION, INTERROGATION = 70, 100
COMMANDS = frozenset(range(45, 65)) | frozenset(range(101, 108))
INITIALISED, ACTIVATION, CONFIRMATION = 4, 6, 7


class Link:
    """One connection: whether it is started, and its sequence numbers."""

    def __init__(self, common_address: int) -> None:
        self._address = common_address.to_bytes(2, "little")
        self.started = False
        self._sent = 0
        self._received = 0
        self._announced = False

    def answer(self, frame: bytes) -> bytes | None:
        """The reply to one APDU; None ends the connection."""
        control = frame[2]
        if control & 3 == 3:
            if control not in CONFIRMED:
                return b""
            self.started = {STARTDT: True, STOPDT: False}.get(control, self.started)
            return bytes([0x68, 4, CONFIRMED[control], 0, 0, 0])
        if control & 1:
            return b""
        if not self.started:
            return None
        return self._information(frame[6:])

    def _information(self, asdu: bytes) -> bytes:
        self._received += 1
        kind, cause = asdu[0], asdu[2] & 0x3F
        if cause != ACTIVATION or kind not in COMMANDS | {INTERROGATION}:
            return b""
        told = b""
        if kind == INTERROGATION and not self._announced:
            self._announced = True
            ready = bytes([END_OF_INITIALISATION, 1, INITIALISED, 0]) + self._address
            told += self._frame(ready + b"\0\0\0\x01")
        return told + self._frame(asdu[:2] + bytes([CONFIRMATION]) + asdu[3:])

    def _frame(self, asdu: bytes) -> bytes:
        numbers = (self._sent << 1).to_bytes(2, "little")
        numbers += (self._received << 1).to_bytes(2, "little")
        self._sent += 1
        return bytes([0x68, 4 + len(asdu)]) + numbers + asdu


async def serve(bench: Bench) -> Server:
    common_address = int(bench.settings.get("common_address", 1))
    masters: list[asyncio.StreamWriter] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(common_address)
        try:
            while True:
                head = await reader.readexactly(2)
                if head[0] != 0x68 or head[1] < 4:
                    break
                reply = link.answer(head + await reader.readexactly(head[1]))
                if reply is None:
                    break
                if link.started and writer not in masters:
                    for other in masters:
                        bench.ledger.misbehaved("another connection was started: master lost")
                        other.close()
                    masters[:] = [writer]
                writer.write(reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if writer in masters:
                masters.remove(writer)
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"iec104": serve}
