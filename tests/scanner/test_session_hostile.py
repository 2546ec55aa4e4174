"""The door against devices that never stop talking, and against our own waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from scanner.errors import BadReply, Halted, OutsideWindow, Silent, WireError
from scanner.governor import Clock, Governor
from scanner.model import Tier, Transport
from scanner.profiles import DEFAULT
from scanner.spec import Probe
from scanner.windows import Permission
from scanner.wire import HALTED_USER_TIMEOUT_MS, Wire

READ_IDENTITY = bytes.fromhex("0001 0000 0005 01 2b0e0100")
GET_SYSTEM = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)


def real_clock() -> Clock:
    return Clock(monotonic=time.monotonic, wall=lambda: datetime.now(UTC), sleep=asyncio.sleep)


def always(zone: str, now: datetime) -> Permission:
    return Permission(allowed=True, until=None, reason="")


async def nothing(session: object) -> tuple[()]:
    return ()


def probe(protocol: str, transport: Transport = Transport.TCP, **changes: object) -> Probe:
    return Probe(
        name=protocol, protocol=protocol, transport=transport, ports=(1,), tier=Tier.IDENTIFY,
        run=nothing, questions=(), **changes,
    )  # fmt: skip


@contextmanager
def device(serve: Callable[[socket.socket], None], kind: int) -> Iterator[int]:
    """`serve` talks in a thread of its own until its socket is closed; yields the port."""
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            listener.listen()

        def work() -> None:
            with suppress(OSError):
                serve(listener)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(5)


def flood(listener: socket.socket) -> None:
    """Datagrams that answer no question, faster than anybody reads them."""
    _, peer = listener.recvfrom(65536)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        listener.sendto(b"\x30\x03\x02\x01\x63", peer)


def hail(chunk: bytes, *, pause_s: float) -> Callable[[socket.socket], None]:
    """A stream that always has something more to say."""

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                peer.sendall(chunk)
                time.sleep(pause_s)

    return serve


async def test_datagrams_without_end_do_not_keep_an_exchange_beyond_its_deadline(governed) -> None:
    with device(flood, socket.SOCK_DGRAM) as port:
        async with governed(probe("snmp", Transport.UDP), port) as session:
            started = time.monotonic()
            with pytest.raises(WireError):
                await session.exchange(
                    GET_SYSTEM, lambda data: None, label="system group", deadline_s=0.4
                )
            assert time.monotonic() - started < 1.5


async def test_a_datagram_that_is_no_answer_does_not_hide_how_late_the_answer_is(governed) -> None:
    """The device says its last answer again at once, and the true one after its patience."""
    asked = threading.Event()

    def serve(listener: socket.socket) -> None:
        _, peer = listener.recvfrom(65536)
        listener.sendto(b"first", peer)
        _, peer = listener.recvfrom(65536)
        listener.sendto(b"first", peer)
        asked.wait(5)  # until it was given up
        listener.sendto(b"second", peer)

    with device(serve, socket.SOCK_DGRAM) as port:
        async with governed(probe("snmp", Transport.UDP), port, profile=DEFAULT) as session:
            await session.exchange(GET_SYSTEM, len, label="system group")
            started = time.monotonic()
            with pytest.raises(Silent):
                await session.exchange(
                    GET_SYSTEM,
                    lambda data: len(data) if data == b"second" else None,
                    label="system group",
                    deadline_s=5.0,
                )
            asked.set()

    assert time.monotonic() - started < 4.0
    assert session.device.health.needs_canary


async def test_a_stream_without_end_does_not_keep_an_exchange_beyond_its_deadline(
    governed,
) -> None:
    with device(hail(b"x", pause_s=0.0002), socket.SOCK_STREAM) as port:
        async with governed(probe("modbus"), port) as session:
            started = time.monotonic()
            with pytest.raises(WireError):
                await session.exchange(
                    READ_IDENTITY, lambda data: None, label="identity", deadline_s=0.4
                )
            assert time.monotonic() - started < 1.5


async def test_handshake_records_without_end_do_not_keep_a_handshake_beyond_its_deadline(
    governed,
) -> None:
    # an empty handshake record each: TLS takes them as the beginning of one that comes later
    record = bytes.fromhex("16 0303 0001 02")
    with device(hail(record[:1], pause_s=0.0002), socket.SOCK_STREAM) as port:
        async with governed(probe("http", deadline_s=0.5), port) as session:
            started = time.monotonic()
            with pytest.raises((WireError, BadReply)):
                await session.start_tls()
            assert time.monotonic() - started < 2.5


async def test_a_late_second_answer_finds_a_socket_and_draws_no_icmp(governed) -> None:
    complaints: list[OSError] = []
    done = threading.Event()

    def twice(listener: socket.socket) -> None:
        _, peer = listener.recvfrom(65536)
        listener.connect(peer)
        again = listener.recv(65536)  # the one retry
        listener.send(again)
        time.sleep(0.3)
        try:
            listener.send(again)
            time.sleep(0.1)
            listener.send(again)  # an ICMP that came meanwhile is told here
        except OSError as error:
            complaints.append(error)
        done.set()

    with device(twice, socket.SOCK_DGRAM) as port:
        async with governed(probe("snmp", Transport.UDP), port) as session:
            await session.exchange(GET_SYSTEM, len, label="system group", deadline_s=0.6)
        assert await asyncio.to_thread(done.wait, 5)

    assert complaints == []


async def test_every_datagram_is_counted_also_those_without_an_answer(governed) -> None:
    heard: list[bytes] = []

    def quiet(listener: socket.socket) -> None:
        while data := listener.recv(65536):
            heard.append(data)

    with device(quiet, socket.SOCK_DGRAM) as port:
        async with governed(probe("snmp", Transport.UDP), port) as session:
            for _ in range(3):
                with pytest.raises(Silent):
                    await session.exchange(GET_SYSTEM, len, label="system group", deadline_s=0.1)

    assert len(heard) == 6
    assert session.device.figures.packets == 6


async def test_a_turn_that_comes_after_the_window_sends_no_connection_request(governed) -> None:
    """Waiting for the pace took the rest of the window: not even a SYN may leave."""
    open_until = [time.monotonic() + 60]

    def permission(zone: str, now: datetime) -> Permission:
        allowed = time.monotonic() < open_until[0]
        return Permission(allowed=allowed, until=None, reason="" if allowed else "closed")

    governor = Governor(real_clock(), permission, lambda zone, address: True)
    accepted = threading.Event()

    def serve(listener: socket.socket) -> None:
        listener.accept()
        accepted.set()

    with device(serve, socket.SOCK_STREAM) as port:
        async with governed(probe("modbus"), port, governor=governor) as session:
            session.device.next_connection_at = time.monotonic() + 0.4
            open_until[0] = time.monotonic() + 0.2
            with pytest.raises(OutsideWindow):
                await session.exchange(READ_IDENTITY, len, label="identity", deadline_s=1)

        assert not accepted.wait(0.2)
    assert session.device.figures.packets == 0


async def test_a_turn_that_comes_after_a_halt_sends_no_retry(governed) -> None:
    governor = Governor(real_clock(), always, lambda zone, address: True)
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        while data := listener.recv(65536):
            heard.append(data)

    with device(serve, socket.SOCK_DGRAM) as port:
        async with governed(probe("snmp", Transport.UDP), port, governor=governor) as session:
            asyncio.get_running_loop().call_later(0.1, partial(governor.halt, "stop", rule="stop"))
            with pytest.raises(Halted):
                await session.exchange(GET_SYSTEM, len, label="system group", deadline_s=0.4)
        await asyncio.sleep(0.3)

    assert heard == [GET_SYSTEM]


async def test_waiting_for_our_own_pace_does_not_make_a_device_silent(governed) -> None:
    def answer(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            while data := peer.recv(1024):
                peer.sendall(data)

    with device(answer, socket.SOCK_STREAM) as port:
        async with governed(probe("modbus", deadline_s=0.5), port) as session:
            await session.exchange(READ_IDENTITY, len, label="identity")
            # a crowded zone: the next packet has to wait longer than the whole conversation may
            session.device.rate.cap = 4
            moment = time.monotonic() - 0.2
            session.device.rate.settle(session.device.rate.charge(4, moment), 4, moment)
            reply = await session.exchange(READ_IDENTITY, len, label="identity")
            await session.exchange(READ_IDENTITY, len, label="identity")

    assert reply == READ_IDENTITY


async def test_the_end_of_a_permission_ends_a_session_in_which_nothing_is_sent(governed) -> None:
    begun = time.monotonic()

    def permission(zone: str, now: datetime) -> Permission:
        allowed = time.monotonic() < begun + 0.2
        return Permission(allowed=allowed, until=None, reason="" if allowed else "lease is gone")

    governor = Governor(real_clock(), permission, lambda zone, address: True)
    finished: list[float] = []

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            while peer.recv(1024):
                pass
            finished.append(time.monotonic())

    ssh = replace(probe("ssh", deadline_s=20.0), tier=Tier.READ)
    with device(serve, socket.SOCK_STREAM) as port:
        async with governed(ssh, port, governor=governor) as session:
            with pytest.raises(OutsideWindow):
                async with session.duplex() as stream:
                    await asyncio.to_thread(stream.recv, 10)
        await asyncio.sleep(0.1)

    assert finished
    assert finished[0] - begun < 2.0


async def test_a_session_that_cannot_end_before_its_window_is_not_begun(governed) -> None:
    origin = datetime.now(UTC)
    governor = Governor(
        real_clock(),
        lambda zone, now: Permission(allowed=True, until=origin + timedelta(seconds=30), reason=""),
        lambda zone, address: True,
    )
    ssh = replace(probe("ssh", deadline_s=60.0), tier=Tier.READ)
    with device(lambda listener: None, socket.SOCK_STREAM) as port:
        async with governed(ssh, port, governor=governor) as session:
            with pytest.raises(OutsideWindow):
                async with session.duplex():
                    raise AssertionError("begun")
    assert session.device.figures.packets == 0


async def test_a_reply_longer_than_we_read_ends_with_fin(governed) -> None:
    ended: list[str] = []

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            try:
                peer.recv(1024)
                for _ in range(128):
                    peer.sendall(bytes(65536))
                ended.append("fin" if peer.recv(1) == b"" else "more")
            except OSError as error:
                ended.append(type(error).__name__)

    with device(serve, socket.SOCK_STREAM) as port:
        async with governed(probe("modbus"), port) as session:
            with pytest.raises(BadReply):
                await session.exchange(
                    READ_IDENTITY, lambda data: None, label="identity", max_reply=1000
                )
        await asyncio.sleep(0.1)

    assert ended == ["fin"]
    assert session.device.figures.resets_sent == 0


async def test_a_reset_that_we_could_not_avoid_is_counted(governed) -> None:
    with device(hail(b"x" * 4096, pause_s=0.0), socket.SOCK_STREAM) as port:
        async with governed(probe("modbus"), port) as session:
            with pytest.raises(BadReply):
                await session.exchange(
                    READ_IDENTITY, lambda data: None, label="identity", max_reply=1000
                )

    assert session.device.figures.resets_sent == 1


async def test_a_halt_closes_many_connections_of_a_crowded_zone_within_two_seconds(
    governed,
) -> None:
    governor = Governor(real_clock(), always, lambda zone, address: True)
    ends: list[float] = []

    def serve(listener: socket.socket) -> None:
        peers = [listener.accept()[0] for _ in range(40)]
        for peer in peers:
            while peer.recv(1024):
                pass
            ends.append(time.monotonic())
            peer.close()

    with device(serve, socket.SOCK_STREAM) as port:
        async with AsyncExitStack() as stack:
            sessions = []
            for number in range(40):
                session = await stack.enter_async_context(
                    governed(probe("modbus"), port, governor=governor, key=f"device{number}")
                )
                sessions.append(session)
            asking = [
                asyncio.ensure_future(
                    session.exchange(READ_IDENTITY, len, label="identity", deadline_s=5)
                )
                for session in sessions
            ]
            zone = governor._zones["z"]
            await asyncio.sleep(0.5)
            zone.rate.cap = 50
            zone.rate.settle(zone.rate.charge(50, time.monotonic()), 50, time.monotonic())
            halted_at = time.monotonic()
            governor.halt("stop", rule="stop")
            results = await asyncio.gather(*asking, return_exceptions=True)
            await asyncio.gather(*(session.close() for session in sessions))
        await asyncio.sleep(0.1)

    assert all(isinstance(result, Halted) for result in results)
    assert len(ends) == 40
    assert max(ends) - halted_at < 2.0


@pytest.mark.parametrize("what", ["stop", "end of the window"])
async def test_a_stop_while_a_goodbye_waits_for_its_turn_makes_the_kernel_give_up_soon(
    governed, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    ended = False

    def permission(zone: str, now: datetime) -> Permission:
        return Permission(allowed=not ended, until=None, reason="over" if ended else "")

    governor = Governor(real_clock(), permission, lambda zone, address: True)
    timeouts: list[int] = []
    drain = Wire._drain

    async def noting(wire: Wire, seconds: float) -> bool:
        option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        timeouts.append(wire._socket.getsockopt(*option))
        return await drain(wire, seconds)

    monkeypatch.setattr(Wire, "_drain", noting)

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            while peer.recv(1024):
                peer.sendall(b"x")

    with device(serve, socket.SOCK_STREAM) as port:
        async with governed(probe("modbus"), port, governor=governor) as session:
            await session.exchange(READ_IDENTITY, len, label="identity")
            rate = session.device.rate
            rate.cap = 8
            rate.settle(rate.charge(8, time.monotonic()), 8, time.monotonic())
            closing = asyncio.ensure_future(session.close())
            await asyncio.sleep(0)
            if what == "stop":
                governor.halt("stop", rule="stop")
            ended = True
            await closing

    assert timeouts == [HALTED_USER_TIMEOUT_MS]


async def test_a_halt_ends_the_wait_of_a_library_for_its_datagram(governed) -> None:
    governor = Governor(real_clock(), always, lambda zone, address: True)

    def quiet(listener: socket.socket) -> None:
        while listener.recv(65536):
            pass

    snmp = replace(probe("snmp", Transport.UDP, deadline_s=60.0), tier=Tier.READ)
    with device(quiet, socket.SOCK_DGRAM) as port:
        async with governed(snmp, port, governor=governor) as session:
            loop = asyncio.get_running_loop()
            loop.call_later(0.3, partial(governor.halt, "stop", rule="stop"))
            began = time.monotonic()
            with pytest.raises(Halted):
                async with session.relay() as (host, relayed):
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as library:
                        library.setblocking(False)
                        library.connect((host, relayed))
                        library.send(GET_SYSTEM)
                        await asyncio.wait_for(loop.sock_recv(library, 65536), 15)
            assert time.monotonic() - began < 2
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
