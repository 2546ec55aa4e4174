"""The door, measured from the other side of the connection."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from scanner import tripwire
from scanner.errors import (
    BadReply,
    BreakerOpen,
    Closed,
    GuardRefused,
    Halted,
    OutsideScope,
    Refused,
    Reset,
    Silent,
    TierTooLow,
    ToolBug,
)
from scanner.governor import Clock, Governor
from scanner.model import Outcome, Tier, Transport
from scanner.profiles import DEFAULT, FRAGILE
from scanner.spec import Probe
from scanner.windows import Permission
from scanner.wire import SEGMENT_PACKETS, pieces

READ_IDENTITY = bytes.fromhex("0001 0000 0005 01 2b0e0100")
IDENTITY = bytes.fromhex("0001 0000 000f 01 2b0e01010000 01 00 05") + b"Vend0"
WRITE_REGISTER = bytes.fromhex("0001 0000 0006 01 06 0001 0003")


async def nothing(session: object) -> tuple[()]:
    return ()


MODBUS = Probe(
    name="modbus",
    protocol="modbus",
    transport=Transport.TCP,
    ports=(502,),
    tier=Tier.IDENTIFY,
    run=nothing,
    questions=(),
    deadline_s=6.0,
)
SNMP = Probe(
    name="snmp",
    protocol="snmp",
    transport=Transport.UDP,
    ports=(161,),
    tier=Tier.IDENTIFY,
    run=nothing,
    questions=(),
    deadline_s=6.0,
)
GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)


class Device:
    """A raw TCP server that writes down what it saw."""

    def __init__(self, behave: Callable[[Device, bytes], bytes | None]) -> None:
        self.behave = behave
        self.seen = b""
        self.connections = 0
        self.ends: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65536):
                self.seen += data
                reply = self.behave(self, data)
                if reply is None:
                    writer.close()
                    self.ends.append("we closed")
                    return
                writer.write(reply)
            self.ends.append("fin")
        except ConnectionResetError:
            self.ends.append("reset")
        finally:
            writer.close()


@asynccontextmanager
async def listening(behave: Callable[[Device, bytes], bytes | None]) -> AsyncIterator[Device]:
    device = Device(behave)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    device.port = server.sockets[0].getsockname()[1]
    try:
        yield device
    finally:
        server.close()
        await server.wait_closed()


def mbap(buffer: bytes) -> int | None:
    if len(buffer) < 6:
        return None
    length = 6 + int.from_bytes(buffer[4:6], "big")
    return length if len(buffer) >= length else None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_one_question_is_one_connection_that_ends_with_fin(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port) as session:
            reply = await session.exchange(READ_IDENTITY, mbap, label="identity")
        await until(lambda: bool(device.ends))

    assert reply == IDENTITY
    assert device.seen == READ_IDENTITY
    assert device.connections == 1
    assert device.ends == ["fin"]
    figures = session.device.figures
    assert (figures.connections, figures.peak_concurrent, figures.open_now) == (1, 1, 0)
    assert figures.packets == 3  # SYN, one segment, FIN


async def test_a_refused_frame_puts_no_byte_on_the_wire(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port) as session:
            with pytest.raises(GuardRefused):
                await session.exchange(WRITE_REGISTER, mbap, label="write")

    assert device.connections == 0
    assert not session.evidence_kept.intents
    assert session.device.figures.refusals["guard"] == 1


async def test_half_a_frame_is_refused(governed) -> None:
    async with governed(MODBUS, 1) as session:
        with pytest.raises(GuardRefused):
            await session.exchange(READ_IDENTITY[:-1], mbap, label="half")


async def test_an_address_outside_the_scope_is_never_reached_whatever_the_plan_says(
    governed,
) -> None:
    governor = Governor(
        Clock(monotonic=time.monotonic, wall=lambda: datetime.now(UTC), sleep=asyncio.sleep),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: False,
    )

    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port, governor=governor) as session:
            with pytest.raises(OutsideScope):
                await session.exchange(READ_IDENTITY, mbap, label="x")

    assert device.connections == 0
    assert session.device.figures.packets == 0
    assert session.device.figures.refusals["scope"] == 1
    assert session.evidence_kept.ends["x1"]["outcome"] is Outcome.WITHHELD


async def test_the_intent_is_stored_before_the_device_hears_anything(governed) -> None:
    kept_when_heard: list[int] = []

    def behave(device: Device, data: bytes) -> bytes:
        kept_when_heard.append(len(session.evidence_kept.intents))
        return IDENTITY

    async with listening(behave) as device, governed(MODBUS, device.port) as session:
        await session.exchange(READ_IDENTITY, mbap, label="identity")

    assert kept_when_heard == [1]
    assert session.evidence_kept.intents[0]["request"] == READ_IDENTITY
    assert session.evidence_kept.ends["x1"]["reply"] == IDENTITY
    assert session.evidence_kept.ends["x1"]["outcome"] is Outcome.ANSWERED


async def test_secret_spans_are_zeroed_before_anything_is_stored(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port) as session:
            await session.exchange(READ_IDENTITY, mbap, label="x", secrets=((7, 9),))

    kept = session.evidence_kept.intents[0]["request"]
    assert kept == READ_IDENTITY[:7] + b"\0\0" + READ_IDENTITY[9:]
    assert device.seen == READ_IDENTITY


async def test_a_secret_that_the_device_echoes_is_not_stored_either(governed) -> None:
    async with listening(lambda device, data: data) as device:
        async with governed(MODBUS, device.port) as session:
            reply = await session.exchange(READ_IDENTITY, mbap, label="x", secrets=((7, 11),))

    assert READ_IDENTITY[7:11] in reply
    assert READ_IDENTITY[7:11] not in session.evidence_kept.ends["x1"]["reply"]


async def test_a_refused_connection_is_told_as_refused(governed) -> None:
    async with governed(MODBUS, free_port()) as session:
        with pytest.raises(Refused):
            await session.exchange(READ_IDENTITY, mbap, label="identity")

    assert session.evidence_kept.ends["x1"]["outcome"] is Outcome.REFUSED
    assert session.device.figures.packets == 1
    assert not session.connected


async def test_silence_ends_at_the_deadline_and_still_with_fin(governed) -> None:
    async with listening(lambda device, data: b"") as device:
        async with governed(MODBUS, device.port) as session:
            with pytest.raises(Silent):
                await session.exchange(READ_IDENTITY, mbap, label="x", deadline_s=0.1)
        await until(lambda: bool(device.ends))

    assert device.ends == ["fin"]
    assert session.evidence_kept.ends["x1"]["outcome"] is Outcome.SILENT
    assert session.connected, "somebody took the connection"


async def test_a_close_before_the_whole_reply_is_told_and_the_beginning_kept(governed) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(IDENTITY[:9])
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server, governed(MODBUS, server.sockets[0].getsockname()[1]) as session:
        with pytest.raises(Closed):
            await session.exchange(READ_IDENTITY, mbap, label="x")

    assert session.evidence_kept.ends["x1"]["reply"] == IDENTITY[:9]


async def test_a_reset_in_mid_exchange_is_a_sign_of_distress(governed) -> None:
    def reset_after_one(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset_after_one, args=(listener,))
        thread.start()
        async with governed(MODBUS, listener.getsockname()[1]) as session:
            with pytest.raises(Reset):
                await session.exchange(READ_IDENTITY, mbap, label="x")
        thread.join()

    assert len(session.device.health.signs) == 1


@pytest.mark.parametrize(("says", "signs"), [(b"", 0), (b"half", 1)])
async def test_a_reset_that_refuses_is_no_sign_unless_a_reply_had_begun(
    governed, says: bytes, signs: int
) -> None:
    def answer_and_reset(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        if says:
            connection.sendall(says)
            time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_and_reset, args=(listener,))
        thread.start()
        async with governed(MODBUS, listener.getsockname()[1]) as session:
            session.governor.note_alive(session.device, 1)
            with pytest.raises(Reset):
                await session.exchange(READ_IDENTITY, mbap, label="x", may_reset=True)
        thread.join()

    assert len(session.device.health.signs) == signs
    assert session.device.health.needs_canary


async def test_an_endless_reply_is_cut_at_its_bound(governed) -> None:
    async with listening(lambda device, data: b"A" * 5000) as device:
        async with governed(MODBUS, device.port) as session:
            with pytest.raises(BadReply):
                await session.exchange(READ_IDENTITY, lambda b: None, label="x", max_reply=1000)

    assert len(session.evidence_kept.ends["x1"]["reply"]) <= 1000


async def test_a_banner_is_taken_as_far_as_it_came(governed) -> None:
    async def banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(banner, "127.0.0.1", 0)
    async with server, governed(MODBUS, server.sockets[0].getsockname()[1]) as session:
        text = await session.exchange(
            None, lambda b: None, label="banner", deadline_s=0.1, whatever_came=True
        )

    assert text == b"hello"


async def test_a_second_connection_must_be_declared(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port) as session:
            await session.exchange(READ_IDENTITY, mbap, label="x")
            await session.close()
            with pytest.raises(ToolBug):
                await session.exchange(READ_IDENTITY, mbap, label="x")

    assert device.connections == 1


async def test_the_tier_of_the_device_bounds_the_probe(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port, tier=Tier.PASSIVE) as session:
            with pytest.raises(TierTooLow):
                await session.exchange(READ_IDENTITY, mbap, label="x")

    assert device.connections == 0


async def test_a_halt_ends_a_waiting_exchange_with_an_orderly_close(governed) -> None:
    async with listening(lambda device, data: b"") as device:
        async with governed(MODBUS, device.port) as session:
            asking = asyncio.ensure_future(session.exchange(READ_IDENTITY, mbap, label="x"))
            await until(lambda: bool(device.seen))
            session.governor.halt("Ctrl-C", rule="stop")
            with pytest.raises(Halted):
                await asking
        await until(lambda: bool(device.ends))

    assert device.ends == ["fin"]
    assert session.evidence_kept.ends["x1"]["outcome"] is Outcome.INTERRUPTED


async def test_the_slot_is_held_until_the_close_is_done(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        async with governed(MODBUS, device.port) as session:
            await session.exchange(READ_IDENTITY, mbap, label="x")
            await session.close()
            assert session.device.slot.locked()
        assert not session.device.slot.locked()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[int, bytes], bytes | None]) -> None:
        self.answer = answer
        self.seen: list[bytes] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr) -> None:
        self.seen.append(data)
        if reply := self.answer(len(self.seen), data):
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def datagram_server(answer) -> AsyncIterator[tuple[Datagrams, int]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Datagrams(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def test_a_lost_datagram_is_repeated_once_and_no_more(governed) -> None:
    async with datagram_server(lambda n, data: None) as (server, port):
        async with governed(SNMP, port) as session:
            with pytest.raises(Silent):
                await session.exchange(GET, len, label="x", deadline_s=0.2)

    assert server.seen == [GET, GET]
    assert session.device.figures.packets == 2


async def test_an_answer_to_the_repeated_datagram_counts(governed) -> None:
    async with datagram_server(lambda n, data: b"reply" if n == 2 else None) as (_, port):
        async with governed(SNMP, port) as session:
            assert await session.exchange(GET, len, label="x", deadline_s=0.4) == b"reply"


async def test_a_vendor_library_behind_the_relay_reads(governed) -> None:
    def behave(device: Device, data: bytes) -> bytes:
        return data[:2] + IDENTITY[2:]

    async with listening(behave) as device, governed(MODBUS, device.port) as session:
        async with session.relay() as (host, port):
            client = AsyncModbusTcpClient(host, port=port, timeout=2, retries=0, reconnect_delay=0)
            assert await client.connect()
            reply = await client.read_device_information(read_code=1, object_id=0, device_id=1)
            client.close()

    assert reply.information == {0: b"Vend0"}
    assert device.connections == 1
    assert len(session.evidence_kept.ends) == 1


async def test_a_vendor_library_behind_the_relay_cannot_write(governed) -> None:
    async with listening(lambda device, data: b"") as device:
        async with governed(MODBUS, device.port) as session:
            with pytest.raises(GuardRefused):
                async with session.relay() as (host, port):
                    client = AsyncModbusTcpClient(
                        host, port=port, timeout=0.2, retries=0, reconnect_delay=0
                    )
                    assert await client.connect()
                    try:
                        await client.write_register(1, 3)
                    finally:
                        client.close()

    assert device.seen == b""
    assert device.connections == 0


async def test_each_relay_has_a_loopback_address_of_its_own(governed) -> None:
    async with governed(MODBUS, 1) as session:
        async with session.relay() as first:
            pass
        async with session.relay() as second:
            pass

    assert first[0] != second[0]
    assert all(host.startswith("127.") for host, _ in (first, second))


async def test_a_blocking_call_that_is_cancelled_keeps_the_slot_until_its_thread_ends(
    governed,
) -> None:
    release = threading.Event()
    entered = threading.Event()

    def call() -> None:
        entered.set()
        release.wait(5)

    async with governed(MODBUS, 1) as session:
        await session._take_slot()
        work = asyncio.ensure_future(session.blocking(call, deadline_s=30))
        await asyncio.to_thread(entered.wait, 5)
        work.cancel()
        await asyncio.sleep(0)
        assert not work.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert session.device.slot.locked()


async def test_the_tripwire_lets_the_session_through_and_nobody_else(governed) -> None:
    async with listening(lambda device, data: IDENTITY) as device:
        with tripwire.armed():
            async with governed(MODBUS, device.port) as session:
                await session.exchange(READ_IDENTITY, mbap, label="x")
            with socket.socket() as stray, pytest.raises(tripwire.TripwireHit):
                stray.connect(("127.0.0.1", device.port))

    assert device.connections == 1


@pytest.mark.parametrize(
    "look_up",
    [
        lambda: socket.gethostbyname("plc.example"),
        lambda: socket.gethostbyname_ex("plc.example"),
        lambda: socket.gethostbyaddr("192.0.2.1"),
        lambda: socket.getnameinfo(("192.0.2.1", 80), 0),
        lambda: socket.getfqdn("192.0.2.1"),
    ],
)
def test_no_way_of_asking_a_name_server_gets_through(look_up: Callable[[], object]) -> None:
    with tripwire.armed(), pytest.raises(tripwire.TripwireHit):
        look_up()


def test_a_spawned_worker_of_multiprocessing_is_refused_too() -> None:
    """It starts without an audit event of its own; the tripwire makes it heard."""
    process = multiprocessing.get_context("spawn").Process(target=print)

    with tripwire.armed(), pytest.raises(tripwire.TripwireHit):
        process.start()

    assert process.pid is None


def test_the_tripwire_refuses_names_datagrams_and_processes() -> None:
    with tripwire.armed(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(tripwire.TripwireHit):
            socket.getaddrinfo("plc.example", 502)
        with pytest.raises(tripwire.TripwireHit):
            sock.sendto(b"x", ("127.0.0.1", 9))
        with pytest.raises(tripwire.TripwireHit):
            subprocess.run(["true"], check=True)
        with tripwire.grant_process():
            subprocess.run(["true"], check=True)


async def test_a_datagram_library_behind_the_relay_reads_and_cannot_write(governed) -> None:
    from pysnmp.hlapi.v3arch import asyncio as api

    probe = Probe(
        name="snmp",
        protocol="snmp",
        transport=Transport.UDP,
        ports=(161,),
        tier=Tier.READ,
        run=nothing,
        questions=(),
        deadline_s=6.0,
    )

    def answer(count: int, data: bytes) -> bytes:
        # A GetResponse is the request with another tag and, here, the same empty value.
        return data.replace(b"\xa0", b"\xa2", 1)

    async def ask(host: str, port: int, verb, value) -> object:
        engine = api.SnmpEngine()
        try:
            target = await api.UdpTransportTarget.create((host, port), timeout=0.5, retries=0)
            name = api.ObjectIdentity("1.3.6.1.2.1.1.1.0")
            variable = api.ObjectType(name, value) if value else api.ObjectType(name)
            return await verb(
                engine,
                api.CommunityData("public", mpModel=1),
                target,
                api.ContextData(),
                variable,
                lookupMib=False,
            )
        finally:
            engine.close_dispatcher()

    async with datagram_server(answer) as (server, port):
        async with governed(probe, port) as session:
            async with session.relay() as endpoint:
                indication, *_ = await ask(*endpoint, api.get_cmd, None)
            assert indication is None
            assert len(server.seen) == 1

            with pytest.raises(GuardRefused):
                async with session.relay() as endpoint:
                    await ask(*endpoint, api.set_cmd, api.OctetString("x"))

    assert len(server.seen) == 1


SSH = Probe(
    name="ssh",
    protocol="ssh",
    transport=Transport.TCP,
    ports=(22,),
    tier=Tier.READ,
    run=nothing,
    questions=(),
    deadline_s=6.0,
)


async def test_a_refusal_in_a_duplex_is_told_even_when_the_library_complains_first(
    governed,
) -> None:
    async with listening(lambda device, data: b"") as device:
        async with governed(SSH, device.port) as session:
            with pytest.raises(GuardRefused):
                async with session.duplex() as sock:
                    sock.setblocking(False)
                    await asyncio.get_running_loop().sock_sendall(sock, b"GET / HTTP/1.1\r\n\r\n")
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 10), 5)
                    raise ConnectionError("the library's own words")

    assert device.seen == b""


@settings(max_examples=60)
@given(
    size=st.integers(1, 20_000), segment=st.integers(1, 2000), cap=st.none() | st.integers(4, 40)
)
def test_a_long_frame_is_cut_so_that_each_piece_fits_under_the_cap(
    size: int, segment: int, cap: int | None
) -> None:
    data = bytes(n % 251 for n in range(size))

    cut = list(pieces(data, segment, cap))

    assert b"".join(piece for piece, _ in cut) == data
    assert all(len(piece) <= count * segment for piece, count in cut)
    if cap is not None:
        assert all(count - 1 + SEGMENT_PACKETS <= cap for _, count in cut)
    if size <= segment:
        assert len(cut) == 1


async def test_a_long_frame_to_a_fragile_device_arrives_whole(governed) -> None:
    hello = b"SSH-2.0-Walkdown\r\n"
    async with listening(lambda device, data: b"x") as device:
        async with governed(SSH, device.port, profile=FRAGILE, budget=50) as session:
            async with session.duplex() as sock:
                sock.setblocking(False)
                await asyncio.get_running_loop().sock_sendall(sock, hello)
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 10), 5)

    assert device.seen == hello
    assert session.device.rate.peak <= 4


def packet(number: int) -> bytes:
    """A packet of SSH's transport (RFC 4253 section 6) with nothing in it."""
    return (12).to_bytes(4, "big") + bytes([4, number]) + bytes(10)


@pytest.mark.parametrize(
    ("lateness", "cut_at", "in_doubt"),
    [
        ((0, 0, 0, 0), None, False),
        ((0, 1.5, 0, 0), None, True),  # its lists; the rest comes before the time is over
        ((0, 1.5, 1.5, 0), 2, True),
        ((0, 3.0, 0, 0), 1, True),
        ((0, 0, 3.0, 0), None, False),  # its keys: arithmetic
        ((0, 0, 1.5, 1.5), 3, True),  # and what comes after them is not
        ((0, 0, 0, 1.1), None, False),
    ],
)
async def test_a_device_that_becomes_slow_in_a_duplex_is_left_soon_after_the_first_late_answer(
    governed, lateness: tuple[float, ...], cut_at: int | None, in_doubt: bool
) -> None:
    answers = [b"SSH-2.0-old\r\n", packet(20), packet(31) + packet(21), bytes(16)]
    ours = [b"SSH-2.0-Walkdown\r\n", packet(20), packet(30), packet(21) + bytes(32)]
    ahead = 0.0
    answered = 0

    def behave(device: Device, data: bytes) -> bytes:
        nonlocal ahead, answered
        ahead += lateness[answered]
        answered += 1
        return answers[answered - 1]

    governor = Governor(
        Clock(
            monotonic=lambda: time.monotonic() + ahead,
            wall=lambda: datetime.now(UTC),
            sleep=asyncio.sleep,
        ),
        lambda zone, now: Permission(allowed=True, until=None, reason=""),
        lambda zone, address: True,
    )
    loop = asyncio.get_running_loop()
    heard = 0
    async with listening(behave) as device:
        async with governed(SSH, device.port, governor=governor, profile=DEFAULT) as session:
            governor.note_answer(session.device, device.port, "identification", 0.01, exempt=False)
            with nullcontext() if cut_at is None else pytest.raises(BreakerOpen):
                async with session.duplex() as sock:
                    sock.setblocking(False)
                    for data in ours:
                        await loop.sock_sendall(sock, data)
                        if not await asyncio.wait_for(loop.sock_recv(sock, 100), 5):
                            break
                        heard += 1

    assert heard == (len(ours) if cut_at is None else cut_at)
    assert bool(session.device.health.needs_canary) is in_doubt
