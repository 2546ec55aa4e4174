"""pycomm3 in its worker process: what it reads, that it can be killed, and whom it may reach."""

from __future__ import annotations

import asyncio
import inspect
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pycomm3 import CIPDriver
from pycomm3.exceptions import PycommError

from probes.enip import READ_PROBE, run_read
from scanner.clients import cip, cip_worker
from scanner.errors import (
    BadReply,
    BreakerOpen,
    Closed,
    GuardRefused,
    Silent,
    ToolBug,
    WireError,
)

pytestmark = pytest.mark.integration
IDENTITY = struct.pack("<HHHBBHI", 1, 14, 54, 20, 11, 0x3060, 0x006C061A) + b"\x0513-L6"


def send_rr_data(request: bytes, cip_reply: bytes) -> bytes:
    cpf = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(cip_reply)) + cip_reply
    return struct.pack("<HHII", 0x6F, len(cpf), 0x2A, 0) + request[12:24] + cpf


def polite(request: bytes) -> bytes:
    if request[:2] == b"\x65\0":
        return request[:4] + b"\x2a\0\0\0" + request[8:]
    return send_rr_data(request, b"\x81\0\0\0" + IDENTITY)


@asynccontextmanager
async def device(
    behave: Callable[[bytes], bytes | None], *, close_after: int | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """`behave(request)` gives the reply; None closes. `close_after`: bytes of it that are sent."""
    seen: list[bytes] = []
    conversations: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        try:
            while request := await reader.read(4096):
                seen.append(request)
                reply = behave(request)
                if reply is None:
                    break
                writer.write(reply[:close_after])
                if close_after is not None:
                    break
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


def children() -> set[int]:
    """Process ids of our living or unburied children."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.add(int(entry.name))
    return found


async def test_the_identity_object_is_read_and_the_session_left_to_the_caller() -> None:
    async with device(polite) as (port, seen):
        answer = await cip.read_identity_object("127.0.0.1", port)

    assert answer == cip.IdentityAnswer(session=0x2A, attributes=IDENTITY)
    assert [request[:2] for request in seen] == [b"\x65\0", b"\x6f\0"]


async def test_a_refused_service_says_so_and_names_the_session() -> None:
    def behave(request: bytes) -> bytes:
        return polite(request) if request[:1] == b"\x65" else send_rr_data(request, b"\x81\0\x08\0")

    async with device(behave) as (port, _):
        answer = await cip.read_identity_object("127.0.0.1", port)

    assert answer.session == 0x2A
    assert answer.attributes == b""
    assert answer.refused


async def test_a_peer_that_closes_in_mid_frame_costs_a_worker_and_no_more() -> None:
    """pycomm3 spins for ever here, in a thread nobody could stop."""
    before = children()

    async with device(polite, close_after=26) as (port, _):
        with pytest.raises(Silent, match="killed"):
            await cip.read_identity_object("127.0.0.1", port, deadline_s=1.0)

    assert children() <= before


async def test_a_cancelled_call_leaves_no_worker_behind() -> None:
    before = children()

    async with device(lambda request: b"") as (port, seen):
        call = asyncio.ensure_future(cip.read_identity_object("127.0.0.1", port))
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    assert children() <= before


async def test_a_device_that_closes_is_closed() -> None:
    async with device(lambda request: None) as (port, seen):
        with pytest.raises(Closed):
            await cip.read_identity_object("127.0.0.1", port)

    assert len(seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 22000,
        struct.pack("<HHII", 0x65, 0, 0, 1) + bytes(12),
        struct.pack("<HHII", 0x6F, 2, 7, 0) + bytes(14),
    ],
)
async def test_nonsense_ends_in_a_wire_error_or_a_refusal(reply: bytes) -> None:
    async with device(lambda request: reply) as (port, _):
        try:
            answer = await cip.read_identity_object("127.0.0.1", port, deadline_s=5.0)
        except WireError:
            return

    assert answer.refused or answer.broken
    assert answer.attributes == b""


async def test_a_session_is_given_back_also_where_the_next_question_is_withheld(governed) -> None:
    sessions = []

    def behave(request: bytes) -> bytes | None:
        health = sessions[0].device.health
        health.needs_canary, health.paused = "a slow reply", True
        return polite(request) if request[:1] == b"\x65" else None

    async with device(behave) as (port, seen), governed(READ_PROBE, port) as session:
        sessions.append(session)
        with pytest.raises(BreakerOpen, match="paused"):
            await run_read(session)

    assert [request[:2] for request in seen] == [b"\x65\0", b"\x66\0"]
    assert seen[1][4:8] == b"\x2a\0\0\0"


@pytest.mark.parametrize(
    "change",
    [
        {"service": 0x10, "attribute": 7, "request_data": b"x"},
        {"service": 0x05},
        {"service": 0x01, "connected": True},
    ],
    ids=["Set_Attribute_Single", "Reset", "Forward_Open"],
)
async def test_a_change_through_the_door_is_refused_and_never_reaches_the_device(
    governed, change
) -> None:
    def attempt(host: str, port: int) -> None:
        driver = CIPDriver(f"{host}:{port}")
        arguments = {"class_code": 1, "instance": 1, "connected": False, "route_path": False}
        with suppress(PycommError):
            driver.open()
            driver.generic_message(**arguments | change)
        with suppress(PycommError):
            driver.close()

    async with device(polite) as (port, seen), governed(READ_PROBE, port) as session:
        with pytest.raises(GuardRefused):
            async with session.relay() as (host, near):
                await asyncio.to_thread(attempt, host, near)

    assert [request[:2] for request in seen] == [b"\x65\0"]


def test_a_worker_refuses_any_address_but_a_loopback_one() -> None:
    assert cip_worker.main(["192.0.2.1", "44818"])["error"] == "bug"


def test_an_answer_that_no_worker_gives_is_our_bug() -> None:
    for output in (b"", b"{}", b'{"error": "bug", "text": "x"}', b"null", b'{"session": "x"}'):
        with pytest.raises(ToolBug):
            cip._decode(output)
    with pytest.raises(BadReply):
        cip._decode(b'{"error": "garbled", "text": "x"}')


def test_vendor_names_come_from_the_table_and_are_not_made_up() -> None:
    assert cip.vendor_name(1) == "Rockwell Automation/Allen-Bradley"
    assert cip.vendor_name(64999) is None


def test_the_adapter_offers_no_verb_but_reading() -> None:
    offered = [
        name
        for name, value in vars(cip).items()
        if inspect.isfunction(value) and value.__module__ == cip.__name__ and name[0] != "_"
    ]

    assert offered == ["prepare", "vendor_name", "read_identity_object"]
