"""Answers from a port that the device chose anew: its address counts, and nothing goes there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from scanner import tripwire
from scanner.errors import Refused, Silent
from scanner.model import Outcome, Tier, Transport
from scanner.spec import Probe

GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)
STRANGER = "127.0.0.9"


async def nothing(session: object) -> tuple[()]:
    return ()


def probe(**changes: object) -> Probe:
    fields: dict[str, object] = {
        "name": "snmp", "protocol": "snmp", "transport": Transport.UDP, "ports": (161,),
        "tier": Tier.IDENTIFY, "run": nothing, "questions": (), "deadline_s": 6.0,
        "answers_from_any_port": True,
    }  # fmt: skip
    return Probe(**{**fields, **changes})


class Device:
    """
    Hears what comes to its port and to the new ones that it answers from. `behave(number, peer)`
    is called for each question.
    """

    def __init__(
        self, behave: Callable[[Device, int, tuple[str, int]], None], address: str = "127.0.0.1"
    ) -> None:
        self.behave = behave
        self.address = address
        self.asked: list[bytes] = []
        self.told_elsewhere: list[bytes] = []
        self.complaints: list[OSError] = []
        self._sockets: list[socket.socket] = []
        self.main = self._open()
        self.port = int(self.main.getsockname()[1])

    def _open(self, address: str = "") -> socket.socket:
        address = address or self.address
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((address, 0))
        self._sockets.append(sock)
        return sock

    def heard(self) -> None:
        data, peer = self.main.recvfrom(65536)
        self.asked.append(data)
        self.behave(self, len(self.asked), peer)

    def says(self, data: bytes, peer: tuple[str, int]) -> None:
        """From the port that was asked."""
        self.main.sendto(data, peer)

    def says_elsewhere(
        self, data: bytes, peer: tuple[str, int], *, address: str = ""
    ) -> socket.socket:
        """From a new port, of this address or of a stranger's. Connected: it is told of ICMP."""
        sock = self._open(address)
        with tripwire.grant(*peer[:2]):  # we are in the process that is being watched
            sock.connect(peer)
        sock.send(data)
        return sock

    def close(self) -> None:
        for sock in self._sockets:
            try:
                while True:
                    self.told_elsewhere.append(sock.recv(65536))
            except BlockingIOError:
                pass
            except OSError as error:
                self.complaints.append(error)
            sock.close()


@asynccontextmanager
async def standing(
    behave: Callable[[Device, int, tuple[str, int]], None], address: str = "127.0.0.1"
) -> AsyncIterator[Device]:
    device = Device(behave, address)
    loop = asyncio.get_running_loop()
    loop.add_reader(device.main, device.heard)
    try:
        yield device
    finally:
        loop.remove_reader(device.main)
        device.close()


async def test_an_answer_from_a_new_port_of_the_device_is_taken(governed) -> None:
    async with standing(lambda d, n, peer: d.says_elsewhere(b"reply", peer)) as device:
        with tripwire.armed():
            async with governed(probe(), device.port) as session:
                assert await session.exchange(GET, len, label="x") == b"reply"

    assert device.asked == [GET]
    assert device.told_elsewhere == []  # nothing of ours went to the new port
    assert device.complaints == []
    assert session.device.figures.packets == 1
    (end,) = session.evidence_kept.ends.values()
    assert (end["outcome"], end["wire_out"], end["wire_in"]) == (Outcome.ANSWERED, len(GET), 5)


async def test_an_answer_from_a_new_port_is_taken_over_ipv6_too(governed) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    async with standing(lambda d, n, peer: d.says_elsewhere(b"reply", peer), "::1") as device:
        async with governed(probe(), device.port, address="::1") as session:
            assert await session.exchange(GET, len, label="x") == b"reply"


async def test_an_answer_from_the_port_that_was_asked_is_taken_too(governed) -> None:
    async with standing(lambda d, n, peer: d.says(b"reply", peer)) as device:
        async with governed(probe(), device.port) as session:
            assert await session.exchange(GET, len, label="x") == b"reply"


async def test_any_other_probe_takes_no_answer_from_a_new_port(governed) -> None:
    async with standing(lambda d, n, peer: d.says_elsewhere(b"reply", peer)) as device:
        async with governed(probe(answers_from_any_port=False), device.port) as session:
            with pytest.raises(Silent):
                await session.exchange(GET, len, label="x", deadline_s=0.2)


async def test_a_datagram_from_another_address_is_ignored(governed) -> None:
    def behave(device: Device, number: int, peer: tuple[str, int]) -> None:
        device.says_elsewhere(b"forged", peer, address=STRANGER)

    async with standing(behave) as device:
        async with governed(probe(), device.port) as session:
            with pytest.raises(Silent):
                await session.exchange(GET, len, label="x", deadline_s=0.2)
            (end,) = session.evidence_kept.ends.values()

    assert device.asked == [GET, GET]  # it was lost, as far as anybody can tell
    assert (end["outcome"], end["reply"], end["wire_in"]) == (Outcome.SILENT, b"", 0)
    assert device.complaints == []


async def test_a_strangers_datagram_does_not_hide_the_answer_behind_it(governed) -> None:
    def behave(device: Device, number: int, peer: tuple[str, int]) -> None:
        for _ in range(5):
            device.says_elsewhere(b"forged", peer, address=STRANGER)
        device.says_elsewhere(b"reply", peer)

    async with standing(behave) as device:
        async with governed(probe(), device.port) as session:
            assert await session.exchange(GET, len, label="x") == b"reply"


async def test_strangers_without_end_keep_no_exchange_beyond_its_deadline(governed) -> None:
    async def flood(device: Device, peer: tuple[str, int]) -> None:
        sock = device.says_elsewhere(b"forged", peer, address=STRANGER)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for _ in range(20):
                try:
                    sock.send(b"forged")
                except OSError:
                    return
            await asyncio.sleep(0)

    floods: list[asyncio.Task[None]] = []

    def behave(device: Device, number: int, peer: tuple[str, int]) -> None:
        floods.append(asyncio.ensure_future(flood(device, peer)))

    async with standing(behave) as device:
        async with governed(probe(), device.port) as session:
            started = time.monotonic()
            with pytest.raises(Silent):
                await session.exchange(GET, len, label="x", deadline_s=0.4)
            took = time.monotonic() - started
        for task in floods:
            task.cancel()

    assert took < 1.0


async def test_a_closed_port_refuses_as_ever(governed) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    async with governed(probe(), port) as session:
        with pytest.raises(Refused):
            await session.exchange(GET, len, label="x", deadline_s=1.0)


async def test_a_lost_datagram_is_repeated_once_and_no_more(governed) -> None:
    async with standing(lambda d, n, peer: None) as device:
        async with governed(probe(), device.port) as session:
            with pytest.raises(Silent):
                await session.exchange(GET, len, label="x", deadline_s=0.2)

    assert device.asked == [GET, GET]
    assert session.device.figures.packets == 2


async def test_a_late_second_answer_from_a_new_port_draws_no_icmp(governed) -> None:
    late: list[asyncio.TimerHandle] = []

    def behave(device: Device, number: int, peer: tuple[str, int]) -> None:
        if number == 2:  # the one retry
            sock = device.says_elsewhere(b"reply", peer)
            late.append(asyncio.get_running_loop().call_later(0.3, sock.send, b"reply"))

    async with standing(behave) as device:
        async with governed(probe(), device.port) as session:
            await session.exchange(GET, len, label="x", deadline_s=0.6)
        await asyncio.sleep(0)
        assert late[0].when() <= asyncio.get_running_loop().time()

    assert device.complaints == []


async def test_two_conversations_at_once_have_ports_of_their_own(governed) -> None:
    async with standing(lambda d, n, peer: d.says_elsewhere(b"reply", peer)) as device:
        async with (
            governed(probe(), device.port, key="a") as one,
            governed(probe(), device.port, key="b") as other,
        ):
            assert (await one.own_end()).port != (await other.own_end()).port
            replies = await asyncio.gather(
                *(each.exchange(GET, len, label="x") for each in (one, other))
            )

    assert replies == [b"reply", b"reply"]


def test_only_a_datagram_probe_without_ports_of_ours_may_say_so() -> None:
    for wrong in ({"transport": Transport.TCP}, {"own_ports": (1740,)}):
        with pytest.raises(ValueError, match="answers_from_any_port"):
            probe(**wrong)
