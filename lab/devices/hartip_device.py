"""
A HART-IP gateway, I/O system or field device: a table of answers in the layout of a recorded one.

No free library serves HART-IP, so the answers are put together here from the plant file's words;
the recorded gateway's own settings give its recorded bytes (tests/lab). Settings: `manufacturer`,
`expanded_type`, `device_id` (6 hex digits), `device_revision`, `software_revision`,
`hardware_revision`, `profile`, `universal_revision` (7), `long_tag`, `tag`, `descriptor`,
`sessions` (how many at once; 2) and `behind`: a list of devices with `card`, `channel`,
`manufacturer`, `expanded_type`, `device_id` and `long_tag`. Commands that write are refused
(7, in write protect mode), unknown ones not implemented (64). A TCP session that ends without a
close counts as leaked.

Source: FieldComm Group TS20085 section 10.3, TS20127 (0, 13, 20, 48), TS20151 (74, 84), TS20099
(packed ASCII).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.bench import LOOPBACK, Bench, Server
from lab.frames.hartip import answered, command_at

STATUS = 0xD0
"""Device status of the recorded gateway: malfunction, configuration changed, more status."""
TIMER_MS = 60_000
ALL_IN_USE = 15
NOT_IMPLEMENTED = 64
WRITE_PROTECTED = 7
INVALID_SELECTION = 2
WRITES = frozenset({6, 17, 18, 19, 22, 34, 35, 37, 38, 40, 41, 42, 43, 44, 45, 46, 71, 72, 79})


def packed(text: str, size: int) -> bytes:
    """Packed ASCII in `size` bytes: four characters of six bits in three."""
    codes = [ord(each) & 0x3F for each in text.upper().ljust(size // 3 * 4)[: size // 3 * 4]]
    word = 0
    for code in codes:
        word = word << 6 | code
    return word.to_bytes(size, "big")


def tagged(text: str) -> bytes:
    return text.encode("latin-1", "replace")[:32].ljust(32, b"\x00")


class Device:
    """The answers of one device to commands, without response code and status."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._behind = list(settings.get("behind", ()))

    def _number(self, key: str, default: int = 0) -> int:
        return int(self._settings.get(key, default))

    def answer(self, command: int, data: bytes) -> tuple[int, bytes]:
        """Response code and data."""
        match command:
            case 0:
                return 0, self._identifier()
            case 13:
                tag = packed(str(self._settings.get("tag", "")), 6)
                return 0, tag + packed(str(self._settings.get("descriptor", "")), 12) + bytes(3)
            case 20:
                return 0, tagged(str(self._settings.get("long_tag", "")))
            case 48:
                return 0, bytes.fromhex("10040700000002000000000000")
            case 74 if self._behind:
                return 0, bytes([1, 8, 1, 0, 1 + len(self._behind), 2, 1, 3])
            case 84 if self._behind:
                return self._sub_device(int.from_bytes(data[:2], "big"))
        if command in WRITES:
            return WRITE_PROTECTED, b""
        return NOT_IMPLEMENTED, b""

    def _identifier(self) -> bytes:
        manufacturer = self._number("manufacturer").to_bytes(2, "big")
        return (
            b"\xfe"
            + self._number("expanded_type").to_bytes(2, "big")
            + bytes([5, self._number("universal_revision", 7), self._number("device_revision", 1)])
            + bytes([self._number("software_revision", 1)])
            + bytes([self._number("hardware_revision", 1) << 3 | 0x06, 0x0C])
            + bytes.fromhex(str(self._settings["device_id"]))
            + bytes([5, self._number("variables", 2), 0, 2, STATUS])
            + manufacturer * 2
            + bytes([self._number("profile", 1)])
        )

    def _sub_device(self, index: int) -> tuple[int, bytes]:
        if not 1 <= index <= len(self._behind):
            return INVALID_SELECTION, b""
        one = self._behind[index - 1]
        manufacturer = int(one["manufacturer"]).to_bytes(2, "big")
        return 0, (
            index.to_bytes(2, "big")
            + bytes([int(one["card"]), int(one["channel"])])
            + manufacturer
            + int(one["expanded_type"]).to_bytes(2, "big")
            + bytes.fromhex(str(one["device_id"]))
            + b"\x07"
            + tagged(str(one.get("long_tag", "")))
            + b"\x01\x01"
            + manufacturer
        )


class Conversation:
    """One client's session; `admit` says whether there is room for it."""

    def __init__(self, device: Device, *, has_room: bool) -> None:
        self._device = device
        self._has_room = has_room
        self.is_open = False

    def answer(self, message: bytes) -> bytes | None:
        """The answer to one whole message; None where none is owed."""
        head = message[:1] + b"\x01" + message[2:3]
        number = message[2]
        if number == 0:
            status = b"\x00" if self._has_room else bytes([ALL_IN_USE])
            self.is_open = self._has_room
            body = b"\x01" + TIMER_MS.to_bytes(4, "big")
            return head + status + message[4:6] + b"\x00\x0d" + body
        if not self.is_open:
            return None
        if number in (1, 2):
            self.is_open = number == 2
            return head + b"\x00" + message[4:6] + b"\x00\x08"
        at = command_at(message)
        if number != 3 or at is None:
            return None
        code, data = self._device.answer(message[at], message[at + 2 : -1])
        return answered(message, bytes([code, STATUS]) + data)


async def serve(bench: Bench) -> Server:
    device = Device(bench.settings)
    most = int(bench.settings.get("sessions", 2))
    streams: set[Conversation] = set()
    by_datagram = Conversation(device, has_room=most > 0)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(device, has_room=len(streams) < most)
        streams.add(conversation)
        try:
            while True:
                head = await reader.readexactly(8)
                rest = await reader.readexactly(max(0, int.from_bytes(head[6:8], "big") - 8))
                if (reply := conversation.answer(head + rest)) is not None:
                    writer.write(reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            streams.discard(conversation)
            if conversation.is_open:
                bench.ledger.leaked()
            writer.close()

    async def answer(datagram: bytes) -> bytes | None:
        return by_datagram.answer(datagram)

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()
        if by_datagram.is_open:
            bench.ledger.leaked()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), answer=answer, stop=stop)


SERVES = {"hartip": serve}
