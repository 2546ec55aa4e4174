"""python-snap7 behind its adapter: which lists it reads, and what it puts on the wire."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest
from snap7.async_client import AsyncClient
from snap7.error import S7Error
from snap7.server import Server

from probes.s7 import OPERATING_STATE, PROTECTION, READ_PROBE, access_from_lists
from scanner.clients import s7
from scanner.errors import BadReply, Closed, GuardRefused, Silent
from scanner.guards import open_guard
from scanner.model import Tier

pytestmark = pytest.mark.integration
WANTED = (PROTECTION, OPERATING_STATE)


def szl(size: int, *records: bytes) -> bytes:
    return struct.pack(">HH", size, len(records)) + b"".join(r.ljust(size, b"\0") for r in records)


LISTS = {
    (0x0232, 4): szl(40, struct.pack(">6H", 4, 1, 3, 2, 1, 0)),
    (0x0424, 0): szl(20, bytes([0x51, 0x44, 0xFF, 0x04])),
}


@contextmanager
def third_party_server(lists: dict[tuple[int, int], bytes] | None) -> Iterator[int]:
    """python-snap7's own server, with spec-shaped lists in place of its header-less ones."""
    logging.getLogger("snap7").setLevel(logging.CRITICAL)
    server = Server(log=False)
    if lists is not None:
        server._get_szl_data = lambda which, index: lists.get((which, index))
    server.start_to("127.0.0.1", _free_port())
    try:
        yield server.server_socket.getsockname()[1]
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@asynccontextmanager
async def in_between(port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A forwarder that writes down what the client sends."""
    sent: list[bytes] = []
    conversations: list[asyncio.Task[None]] = []

    async def pump(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: list[bytes]
    ) -> None:
        try:
            while data := await source.read(4096):
                kept.append(data)
                sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        upstream, downstream = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, downstream, sent), pump(upstream, writer, []))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        if conversations:
            await asyncio.wait(conversations, timeout=5)
        server.close()
        await server.wait_closed()


async def test_the_lists_of_a_third_party_server_come_out_with_their_header() -> None:
    with third_party_server(LISTS) as port:
        found = await s7.read_lists("127.0.0.1", port, rack=0, slot=2, wanted=WANTED)

    assert found == LISTS
    access = access_from_lists(found, tsap=0x0302)
    assert (access.protection_level, access.password_set, access.mode_switch) == (2, True, 1)
    assert access.operating_state == "stop"


async def test_a_refused_list_is_followed_by_its_alternative() -> None:
    only_0132 = {(0x0132, 4): LISTS[0x0232, 4]}

    with third_party_server(only_0132) as port:
        found = await s7.read_lists("127.0.0.1", port, rack=0, slot=2, wanted=WANTED)

    assert found == only_0132
    assert access_from_lists(found, tsap=0x0302).protection_level == 2


async def test_a_list_without_its_header_claims_no_protection_level() -> None:
    """The shape that the library's server has by itself, and that misleads get_protection()."""
    with third_party_server(None) as port:
        found = await s7.read_lists("127.0.0.1", port, rack=0, slot=2, wanted=WANTED)

    access = access_from_lists(found, tsap=0x0302)
    assert access.protection_level is None
    assert access.password_set is None
    assert access.operating_state is None


async def test_every_frame_of_the_library_is_on_the_guards_list() -> None:
    with third_party_server(LISTS) as port:
        async with in_between(port) as (near, sent):
            await s7.read_lists("127.0.0.1", near, rack=0, slot=1, wanted=WANTED)

    guard = open_guard("s7")
    frames, rest = guard.split(b"".join(sent))
    assert not rest
    assert [guard.judge(frame, Tier.READ) for frame in frames] == [None] * 4
    assert frames[0][17:19] == b"\x03\x01"


@asynccontextmanager
async def raw(behave: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """`behave(bytes)` gives the reply, b"" is silence, None closes."""
    seen: list[bytes] = []
    conversations: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        try:
            while data := await reader.read(4096):
                seen.append(data)
                reply = behave(data)
                if reply is None:
                    break
                writer.write(reply)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        if conversations:
            await asyncio.wait(conversations, timeout=5)
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (lambda data: b"", Silent),
        (lambda data: None, Closed),
        (lambda data: b"\x03\x00\x00\x0b\x06\x80\x00\x01\x00\x00\x01", (Closed, BadReply)),
        (lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n", (Closed, BadReply, Silent)),
        (lambda data: b"\x03\x00\x00\x04", (Closed, BadReply, Silent)),
    ],
)
async def test_trouble_becomes_an_error_of_ours_after_one_connection(behave, error) -> None:
    async with raw(behave) as (port, seen):
        with pytest.raises(error):
            await s7.read_lists("127.0.0.1", port, rack=0, slot=2, wanted=WANTED, deadline_s=0.3)

    assert len(seen) == 1


def played(frame: bytes) -> bytes:
    """Accepts the connection and the set-up; a job that ever arrived would be confirmed."""
    if frame[5] == 0xE0:
        return frame[:5] + b"\xd0" + frame[8:10] + b"\0\x01" + frame[10:]
    head = bytes.fromhex("0300001b02f08032030000") + frame[11:13]
    return head + bytes.fromhex("00080000 0000 f000 0001 0001 00f0")


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.plc_stop(),
        lambda client: client.db_write(1, 0, bytearray(b"\1\2")),
        lambda client: client.plc_cold_start(),
        lambda client: client.get_cpu_state(),
    ],
    ids=["plc_stop", "db_write", "plc_cold_start", "get_cpu_state"],
)
async def test_a_change_through_the_door_is_refused_and_never_reaches_the_device(
    governed, change
) -> None:
    async with raw(played) as (port, seen), governed(READ_PROBE, port) as session:
        with pytest.raises(GuardRefused):
            async with session.relay() as (host, near):
                client = AsyncClient()
                client.connection_type = 3
                await client.connect(host, 0, 2, tcp_port=near)
                with suppress(S7Error):
                    await change(client)
                await s7._close(client)

    assert [frame[5] for frame in seen] == [0xE0, 0xF0]


def test_the_adapter_offers_no_verb_but_reading() -> None:
    offered = [
        name
        for name, value in vars(s7).items()
        if inspect.isfunction(value) and value.__module__ == s7.__name__ and name[0] != "_"
    ]

    assert offered == ["read_lists"]
