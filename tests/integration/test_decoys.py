"""
What only stands on a port is never reported as what the port suggests.

At every port of every probe stand, on addresses of their own: an echo server, a web server, an SSH
server and a tarpit that lets a byte fall now and then. One scan asks them all; a probe that is new
is asked here without being named.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncssh
import h11
import pytest

from scanner import discovery
from scanner.spec import Probe
from tests.integration.conftest import site_document

NOT_WITHOUT_A_NAMED_PORT = 10001
"""Where a probe has no port of its own."""
TRULY = {"web": {"http"}, "ssh": {"ssh"}, "echo": set(), "tarpit": set()}
"""What a decoy really is."""
DRIP_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """A decoy's address, which is asked by the probes of one name only."""

    decoy: str
    probe: str
    address: str


def asked() -> dict[str, tuple[Probe, ...]]:
    """All probes that ask of themselves, by name: the others follow an answer of one of these."""
    names = {
        probe.name
        for probe in discovery.probes()
        if not probe.follows and not probe.needs & {"login", "answered", "answered_here"}
    }
    return {
        name: tuple(probe for probe in discovery.probes() if probe.name == name)
        for name in sorted(names)
    }


def followers(name: str) -> list[str]:
    """Probes that are asked where this one was answered."""
    return sorted({probe.name for probe in discovery.probes() if probe.follows == name})


def ports_of(probes: tuple[Probe, ...]) -> set[tuple[str, int]]:
    found = {(str(probe.transport), port) for probe in probes for port in probe.ports}
    return found or {(str(probe.transport), NOT_WITHOUT_A_NAMED_PORT) for probe in probes}


# --- the decoys ---------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def tarpit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\x00")
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """h11 decides what is a request; what is none gets 400, as with every web server."""
    connection = h11.Connection(h11.SERVER)
    status, page = 200, b"<html><title>Welcome</title><p>It works.</p></html>"
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(data := await reader.read(65536))
                if not data:
                    return
    except h11.RemoteProtocolError as error:
        status, page = error.error_status_hint, b"<html><title>Bad request</title></html>"
    headers = [("Content-Type", "text/html"), ("Content-Length", str(len(page)))]
    answer: Any = h11.Response(status_code=status, headers=[*headers, ("Connection", "close")])
    for part in (answer, h11.Data(data=page), h11.EndOfMessage()):
        writer.write(connection.send(part) or b"")
    await writer.drain()


async def _with_its_end(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    with suppress(OSError), closing(writer):
        await answer(reader, writer)


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._transport.sendto(data, addr)


class SaysPage(Echo):
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._transport.sendto(b"HTTP/1.1 400 Bad Request\r\n\r\n", addr)


class SaysBanner(Echo):
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._transport.sendto(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", addr)


class Drips(Echo):
    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._transport.sendto(b"\x00", addr)


STREAMS = {"echo": echo, "web": web, "tarpit": tarpit}
DATAGRAMS: Mapping[str, type[Echo]] = {
    "echo": Echo, "web": SaysPage, "ssh": SaysBanner, "tarpit": Drips,
}  # fmt: skip


async def stand(
    place: Place, ports: set[tuple[str, int]], key: asyncssh.SSHKey
) -> list[Callable[[], None]]:
    """What closes each of its servers."""
    loop = asyncio.get_running_loop()
    closing: list[Callable[[], None]] = []
    for transport, port in sorted(ports):
        if transport == "udp":
            where = (place.address, port)
            answers = DATAGRAMS[place.decoy]
            datagrams, _ = await loop.create_datagram_endpoint(answers, local_addr=where)
            closing.append(datagrams.close)
        elif place.decoy == "ssh":
            server = await asyncssh.listen(place.address, port, server_host_keys=[key])
            closing.append(server.close)
        else:
            handler = partial(_with_its_end, STREAMS[place.decoy])
            closing.append((await asyncio.start_server(handler, place.address, port)).close)
    return closing


class Decoys:
    """All decoys in an event loop of their own, in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._closing: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def add(self, work: Coroutine[Any, Any, list[Callable[[], None]]]) -> None:
        self._closing += asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _end(self) -> None:
        for close in self._closing:
            close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


# --- one scan -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def places(octets: Callable[[], int]) -> tuple[Place, ...]:
    octet = octets()
    return tuple(
        Place(decoy, name, f"127.{octet}.{row}.{1 + column}")
        for row, name in enumerate(asked())
        for column, decoy in enumerate(TRULY)
    )


@pytest.fixture(scope="module")
def seen(
    places: tuple[Place, ...],
    walkdown: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """The assessment of a scan of all of them, read tier, with every probe."""
    folder = tmp_path_factory.mktemp("decoys")
    probes = asked()
    key = asyncssh.generate_private_key("ssh-ed25519")
    zones = [
        {
            "id": f"{name}",
            "networks": [f"{place.address}/32" for place in places if place.probe == name],
            "sl_t": 1,
            "profile": "lab",
            "tier": "read",
            "probes": [name, *followers(name)],
            "ports": {
                probe.service or probe.name: [NOT_WITHOUT_A_NAMED_PORT]
                for probe in probes[name]
                if not probe.ports
            },
        }
        for name in probes
    ]
    site = folder / "site.yaml"
    site.write_text(json.dumps(site_document(zones)), encoding="utf-8")
    with closing(Decoys()) as decoys:
        for place in places:
            decoys.add(stand(place, ports_of(probes[place.probe]), key))
        said = walkdown("scan", site, "--out", folder / "run", timeout=300)
    assert (folder / "run" / "assessment.json").exists(), said.err
    return json.loads((folder / "run" / "assessment.json").read_bytes())


def assets(seen: Mapping[str, Any], places: tuple[Place, ...], decoy: str) -> list[dict[str, Any]]:
    mine = {place.address: place for place in places if place.decoy == decoy}
    return [asset | {"place": mine[asset["address"]]} for asset in seen["assets"]
            if asset["address"] in mine]  # fmt: skip


@pytest.mark.parametrize("decoy", TRULY)
def test_a_decoy_is_not_what_its_port_suggests(
    seen: dict[str, Any], places: tuple[Place, ...], decoy: str
) -> None:
    found = assets(seen, places, decoy)

    missed = set(asked()) - {asset["place"].probe for asset in found}
    assert missed == set(), "each was asked and is in the inventory"
    wrong = [
        (asset["place"].probe, asset["device_class"], asset["identity"], asset["facts"])
        for asset in found
        if asset["place"].probe not in TRULY[decoy]
        and (
            asset["device_class"] != "unknown"
            or any(asset["identity"].values())
            or asset["facts"]
            or any(service["outcome"] == "answered" for service in asset["services"])
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("decoy", [name for name, true in TRULY.items() if true])
def test_what_it_is_is_told(seen: dict[str, Any], places: tuple[Place, ...], decoy: str) -> None:
    told = {
        asset["place"].probe
        for asset in assets(seen, places, decoy)
        if any(service["outcome"] == "answered" for service in asset["services"])
    }

    assert told == TRULY[decoy]


def test_no_finding_is_made_of_them(seen: dict[str, Any], places: tuple[Place, ...]) -> None:
    true = {place.address for place in places if place.probe in TRULY[place.decoy]}
    made = [
        (finding["check"], place)
        for finding in seen["findings"]
        if finding["verdict"] == "fail"
        for place in finding.get("places", ())
        if place.get("asset") and place["asset"].split("/")[-1] not in true
    ]

    assert [each for each in made if each[0] != "asset_undeclared"] == []
