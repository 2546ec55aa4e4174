"""pymodbus behind its adapter: what it reads, and that nothing else is sent, ever."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from scanner.clients import modbus
from scanner.errors import BadReply, Closed, Silent

pytestmark = pytest.mark.integration


@asynccontextmanager
async def third_party_server(objects: dict[int, bytes]) -> AsyncIterator[int]:
    """pymodbus's own server."""

    def hook(sending: bool, pdu: object) -> object:
        if sending and isinstance(pdu, ReadDeviceInformationResponse):
            pdu.information = dict(objects)
        return pdu

    image = [SimData(0, count=10, values=7, datatype=DataType.REGISTERS, readonly=True)]
    server = ModbusTcpServer(SimDevice(1, image), address=("127.0.0.1", 0), trace_pdu=hook)
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


class Device:
    """A raw server: `behave(frame)` gives the reply's PDU, b"" is silence, None closes."""

    def __init__(self, behave: Callable[[bytes], bytes | None]) -> None:
        self.behave = behave
        self.connections = 0
        self.seen: list[bytes] = []
        self.port = 0
        self.conversations: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.conversations.append(asyncio.current_task())
        try:
            while frame := await reader.read(4096):
                self.seen.append(frame)
                pdu = self.behave(frame)
                if pdu is None:
                    break
                if pdu:
                    head = frame[:4] + (len(pdu) + 1).to_bytes(2, "big") + frame[6:7]
                    writer.write(head + pdu)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def device(behave: Callable[[bytes], bytes | None]) -> AsyncIterator[Device]:
    raw = Device(behave)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        if raw.conversations:
            await asyncio.wait(raw.conversations, timeout=5)
        server.close()
        await server.wait_closed()


def identification(number: int, value: bytes, *, more: int = 0, following: int = 0) -> bytes:
    return bytes([0x2B, 0x0E, 2, 0x82, more, following, 1, number, len(value)]) + value


async def test_the_objects_of_a_third_party_server_are_read() -> None:
    objects = {0: b"Acme", 1: b"AC-100", 4: b"Acme Controller", 6: b"Pump station 3"}

    async with third_party_server(objects) as port:
        reply = await modbus.read_device_identification("127.0.0.1", port, unit=1, code=2)

    assert reply == modbus.DeviceObjects(objects=objects)


async def test_a_refusal_comes_out_with_its_code() -> None:
    async with device(lambda frame: b"\xab\x01") as raw:
        reply = await modbus.read_device_identification("127.0.0.1", raw.port, unit=1, code=2)

    assert reply == modbus.DeviceObjects(objects={}, exception_code=1)
    assert len(raw.seen) == 1


async def test_more_follows_is_followed_but_never_in_circles() -> None:
    def behave(frame: bytes) -> bytes:
        wanted = frame[10]
        return identification(wanted, b"x%d" % wanted, more=0xFF, following=(wanted + 3) % 7)

    async with device(behave) as raw:
        reply = await modbus.read_device_identification("127.0.0.1", raw.port, unit=1, code=2)

    assert [frame[10] for frame in raw.seen] == [0, 3, 6]
    assert sorted(reply.objects) == [0, 3, 6]


async def test_a_silent_device_is_asked_once_on_one_connection() -> None:
    """By default pymodbus asks four times."""
    async with device(lambda frame: b"") as raw:
        with pytest.raises(Silent):
            await modbus.read_device_identification(
                "127.0.0.1", raw.port, unit=1, code=2, deadline_s=0.2
            )

    assert (raw.connections, len(raw.seen)) == (1, 1)


async def test_a_device_that_closes_is_not_connected_to_again() -> None:
    """By default pymodbus reconnects ten times a second, and goes on after its caller gave up."""
    async with device(lambda frame: None) as raw:
        with pytest.raises(Closed):
            await modbus.read_device_identification("127.0.0.1", raw.port, unit=1, code=2)
        for _ in range(3):
            await asyncio.sleep(0)

        assert raw.connections == 1


async def test_nobody_listening_is_closed_not_an_error_of_the_library() -> None:
    async with device(lambda frame: None) as raw:
        port = raw.port

    with pytest.raises(Closed):
        await modbus.read_device_identification("127.0.0.1", port, unit=1, code=2)


@pytest.mark.parametrize(
    "pdu",
    [
        b"\x2b\x0e",
        b"\x2b\x0e\x02\x82\x00\x00\x05\x00\xff",
        b"\x03\x02\x00\x07",
        b"\x7f",
        b"HTTP/1.1",
    ],
)
async def test_nonsense_ends_in_a_wire_error_or_in_what_could_be_read(pdu: bytes) -> None:
    async with device(lambda frame: pdu) as raw:
        with suppress(BadReply, Silent, Closed):
            reply = await modbus.read_device_identification(
                "127.0.0.1", raw.port, unit=1, code=2, deadline_s=0.2
            )
            assert all(pdu.endswith(value) for value in reply.objects.values())

    assert (raw.connections, len(raw.seen)) == (1, 1)


def test_the_adapter_offers_no_verb_but_reading() -> None:
    offered = [
        name
        for name, value in vars(modbus).items()
        if inspect.isfunction(value) and value.__module__ == modbus.__name__ and name[0] != "_"
    ]

    assert offered == ["read_device_identification"]
