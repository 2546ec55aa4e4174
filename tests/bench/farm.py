"""
A farm: hundreds of devices in one process, so many third-party servers as their identities need.

    python -m tests.bench.farm --devices 1000 --latency-ms 20

says "ready" on a line of its own when every device listens, and runs until its standard input
ends. Devices stand from FIRST on, one address each. Their answers leave so many milliseconds after
they were given: a controller answers once in its cycle. The servers are those of the lab
(lab.devices); what stands before them here counts nothing and keeps nothing, since what a tool
sent is read from the wire.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lab import devices
from lab.bench import Bench, Server, hush
from lab.front import ask_inner
from lab.keys import Keys
from lab.ledger import Ledger

FIRST = IPv4Address("127.60.0.1")
MOST = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    One service of a kind of device. `own`: a server for each device, since its answer names a
    single one; else all devices of the kind have one between them.
    """

    protocol: str
    emulator: str
    ports: tuple[tuple[str, int], ...]
    settings: Mapping[str, Any]
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`share` of hundred devices are of this kind; `model` is what a scan has to find."""

    name: str
    share: int
    model: str
    services: tuple[Service, ...]


MODBUS = Service(
    protocol="modbus", emulator="modbus", ports=(("tcp", 502),), own=True,
    settings={"objects": {0: "Schneider Electric", 1: "BMXP342020", 2: "v2.8"}},
)  # fmt: skip
S7 = Service(
    protocol="s7", emulator="s7", ports=(("tcp", 102),),
    settings={
        "order_number": "6ES7 315-2EH14-0AB0", "firmware": "3.2.7", "hardware": 3,
        "components": {1: "Line", 2: "CPU 315-2 PN/DP", 7: "CPU 315-2 PN/DP"}, "protection": 1,
    },
)  # fmt: skip
ENIP = Service(
    protocol="enip", emulator="enip", ports=(("tcp", 44818), ("udp", 44818)), own=True,
    settings={
        "vendor_id": 1, "device_type": 14, "product_code": 166, "revision": "20.11",
        "product_name": "1769-L24ER-QB1B/A LOGIX5324ER",
    },
)  # fmt: skip
SNMP = Service(
    protocol="snmp", emulator="snmp", ports=(("udp", 161),),
    settings={
        "versions": ["2c"], "communities": ["public"], "engine_id": "800021f3030090e8112200",
        "system": {
            "descr": "Moxa EDS-508A", "object_id": "1.3.6.1.4.1.8691.7.6", "name": "switch",
        },
    },
)  # fmt: skip
HTTP = Service(
    protocol="http", emulator="http", ports=(("tcp", 80),),
    settings={"server": "", "title": "SIMATIC HMI Miniweb", "login": "none"},
)  # fmt: skip

KINDS = (
    Kind(name="modbus", share=35, model="BMXP342020", services=(MODBUS,)),
    Kind(name="s7", share=20, model="CPU 315-2 PN/DP", services=(S7,)),
    Kind(name="enip", share=20, model="1769-L24ER-QB1B", services=(ENIP,)),
    Kind(name="switch", share=15, model="EDS-508A", services=(SNMP, HTTP)),
    Kind(name="panel", share=10, model="", services=(HTTP,)),
)
PROBES = ("modbus", "s7", "enip", "snmp", "http")
TCP_PORTS = (80, 102, 502, 44818)
UDP_PORTS = (161, 44818)


def kinds() -> Iterator[Kind]:
    """Of one device after another, without end; of each hundred in a row each kind its share."""
    hundred = [kind for kind in KINDS for _ in range(kind.share)]
    while True:
        yield from (hundred[at * 37 % 100] for at in range(100))


def population(count: int) -> dict[IPv4Address, Kind]:
    """So many devices, by address. Raises ValueError beyond MOST."""
    if not 0 < count <= MOST:
        raise ValueError(f"a farm has between 1 and {MOST} devices")
    return {FIRST + number: kind for number, kind in zip(range(count), kinds(), strict=False)}


def networks(count: int) -> list[IPv4Network]:
    """One for each of so many devices: of a larger one, the first and the last are nobody's."""
    return [IPv4Network(address) for address in population(count)]


class _Behind(asyncio.Protocol):
    """The connection to the server behind: each answer goes to the client after the latency."""

    def __init__(self, front: _Front) -> None:
        self._front = front

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._front.led_to(transport)

    def data_received(self, data: bytes) -> None:
        self._front.answer(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._front.answer(None)


class _Front(asyncio.Protocol):
    """A client's connection to a device."""

    def __init__(self, latency_s: float, connect: Callable[[_Front], Any]) -> None:
        self._latency_s = latency_s
        self._connect = connect
        self._asked: list[bytes] = []
        self._ended = False
        self._client: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._client = transport
        self._task = asyncio.ensure_future(self._connect(self))

    def led_to(self, server: asyncio.Transport) -> None:
        self._server = server
        for data in self._asked:
            server.write(data)
        if self._ended:
            self._end_server()

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._asked.append(data)
        else:
            self._server.write(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._server is not None:
            self._end_server()
        return True  # what the server still says is passed on

    def _end_server(self) -> None:
        assert self._server is not None
        with suppress(OSError):
            self._server.write_eof()

    def answer(self, data: bytes | None) -> None:
        """None: the server has closed."""
        asyncio.get_running_loop().call_later(self._latency_s, self._say, data)

    def _say(self, data: bytes | None) -> None:
        if self._client is None or self._client.is_closing():
            return
        if data is None:
            self._client.close()
        else:
            self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client = None
        if self._server is not None:
            self._server.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, latency_s: float, server: Server) -> None:
        self._latency_s = latency_s
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        task = asyncio.ensure_future(self._reply(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self._server.answer is not None:
            reply = await self._server.answer(data)
        else:
            assert self._server.inner is not None
            reply = await ask_inner(self._server.inner, data)
        if reply is not None:
            await asyncio.sleep(self._latency_s)
            self._transport.sendto(reply, addr)


class _Servers:
    """What stands behind the devices: one server for a kind's service, or one for each."""

    def __init__(self) -> None:
        self._keys = Keys(datetime.now(UTC))
        self._shared: dict[int, Server] = {}
        self.all: list[Server] = []

    async def of(self, service: Service, address: IPv4Address) -> Server:
        if not service.own and id(service) in self._shared:
            return self._shared[id(service)]
        settings = dict(service.settings)
        if service.protocol == "enip":
            settings["serial"] = f"{int(address):08x}"
        name = str(address)
        server = await devices.KINDS[service.emulator](
            Bench(
                device=name,
                address=name,
                protocol=service.protocol,
                port=service.ports[0][1],
                settings=settings,
                ledger=Ledger(name, name, clock=time.monotonic),
                keys=self._keys,
                clock=time.monotonic,
            )
        )
        self.all.append(server)
        self._shared.setdefault(id(service), server)
        return server


async def serve(count: int, latency_s: float, ready: Callable[[], None]) -> None:
    """Until cancelled. Raises OSError when a port cannot be had."""
    hush()
    loop = asyncio.get_running_loop()
    servers = _Servers()
    try:
        for address, kind in population(count).items():
            for service in kind.services:
                server = await servers.of(service, address)
                for transport, port in service.ports:
                    if transport == "udp":
                        await loop.create_datagram_endpoint(
                            partial(_Datagrams, latency_s, server), local_addr=(str(address), port)
                        )
                    else:
                        await _listen(server, latency_s, str(address), port)
        ready()
        await asyncio.Event().wait()
    finally:
        for server in servers.all:
            await server.stop()


async def _listen(server: Server, latency_s: float, address: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    inner = server.inner
    assert inner is not None

    async def connect(front: _Front) -> None:
        await loop.create_connection(lambda: _Behind(front), *inner)

    await loop.create_server(lambda: _Front(latency_s, connect), address, port, backlog=64)


async def _until_input_ends(count: int, latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(serve(count, latency_s, lambda: print("ready", flush=True)))
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ended = asyncio.ensure_future(reader.read())
    await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.farm", description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        asyncio.run(_until_input_ends(options.devices, options.latency_ms / 1000))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"farm: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
