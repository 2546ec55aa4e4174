"""A plant's emulators in this process: start them, know their ports and keys, stop them."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from lab import devices
from lab.bench import Bench, Server, hush
from lab.errors import LabError
from lab.faults.base import Fault, Given
from lab.front import Installed, TcpFront, UdpFront
from lab.keys import Keys
from lab.ledger import Ledger, totals, write_json
from lab.plant import HIGH_PORT_OFFSET, Device, Plant, Service, shifted

SAVE_EVERY_S = 0.25
"""Changed ledgers are written at most this often, and once more at the end."""

LOOPBACK_NETWORK = IPv4Network("127.0.0.0/8")

_TRIAL = ("127.255.255.254", 102)
"""An address that no plant uses, and a port below 1024."""


def default_offset() -> int:
    """What `start` adds to the ports when it is not told: 0 where low ports are free to us."""
    with socket.socket() as sock:
        try:
            sock.bind(_TRIAL)
        except PermissionError:
            return HIGH_PORT_OFFSET
        except OSError:
            return 0  # taken by somebody, so it is not the right that is lacking
    return 0


@dataclass(slots=True, kw_only=True)
class RunningPlant:
    """A started plant. `ledgers` are live; `host_keys` are fingerprints by device name."""

    plant: Plant
    directory: Path
    base_port_offset: int
    ledgers: Mapping[str, Ledger]
    host_keys: Mapping[str, str]
    _stack: AsyncExitStack
    _saver: _Saver

    def port(self, device: str, protocol: str) -> int:
        for service in self.plant.device(device).services:
            if service.protocol == protocol:
                return shifted(service.port, self.base_port_offset)
        raise LabError(f"{device} does not speak {protocol}")

    def save(self) -> None:
        """Write the ledgers now."""
        self._saver.save()

    async def stop(self) -> None:
        """End all servers and write the last ledgers."""
        await self._stack.aclose()
        self._saver.save()


class _Saver:
    """Writes changed ledgers to DIRECTORY/ledgers/, and the plant's totals beside them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed: set[str] = set()
        self.ledgers: dict[str, Ledger] = {}

    def mark(self, device: str) -> None:
        self._changed.add(device)

    def save(self) -> None:
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        for name in changed:
            write_json(self._folder / f"{name}.json", self.ledgers[name].as_dict())
        write_json(
            self._folder / "totals.json", totals([each.as_dict() for each in self.ledgers.values()])
        )

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self.save()


async def start(
    plant: Plant,
    directory: Path,
    *,
    now: datetime,
    base_port_offset: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    networks: Sequence[IPv4Network] = (),
) -> RunningPlant:
    """
    Start every emulator of `plant` in this event loop, each behind its front.

    `now` dates the certificates. `base_port_offset` is added to all ports; None: 0 where the
    standard ports are free to us, else 20,000. Ledgers go to `directory`/ledgers. `networks` are
    where devices may stand beside 127.0.0.0/8, such as a network namespace of one's own; the
    servers behind the fronts stay on 127.0.0.1. Raises LabError when a port cannot be had, or when
    a device stands elsewhere; nothing stays started then.
    """
    hush()
    _check_addresses(plant, networks)
    _raise_descriptor_limit()
    offset = default_offset() if base_port_offset is None else base_port_offset
    saver = _Saver(directory / "ledgers")
    keys = Keys(now)
    async with AsyncExitStack() as stack:
        servers = _Servers()
        stack.push_async_callback(servers.stop)
        for device in plant.devices:
            if device.address is None:
                continue
            ledger = Ledger(
                device.name,
                device.address,
                clock=clock,
                frailty=device.frailty,
                changed=partial(saver.mark, device.name),
            )
            saver.ledgers[device.name] = ledger
            saver.mark(device.name)
            made = [(each, each.made(device.name, ledger, clock)) for each in device.faults]
            for service in device.services:
                await _start_service(
                    stack, servers, device, service, made, ledger, keys, offset, clock
                )
        saver.save()
        task = asyncio.create_task(saver.run())
        stack.push_async_callback(_cancel, task)
        kept = stack.pop_all()
    return RunningPlant(
        plant=plant,
        directory=directory,
        base_port_offset=offset,
        ledgers=saver.ledgers,
        host_keys=_host_keys(plant, keys),
        _stack=kept,
        _saver=saver,
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Servers:
    """The servers behind the fronts; some serve several devices that are set up alike."""

    def __init__(self) -> None:
        self._started: list[Server] = []
        self._shared: dict[tuple[str, str], Server] = {}

    async def start(self, emulator: str, bench: Bench) -> Server:
        shareable = devices.SHAREABLE.get(emulator)
        key = (emulator, json.dumps(bench.settings, sort_keys=True, default=str))
        shares = shareable is not None and shareable(bench.settings)
        if shares and key in self._shared:
            return self._shared[key]
        server = await devices.KINDS[emulator](bench)
        self._started.append(server)
        if shares:
            self._shared[key] = server
        return server

    async def stop(self) -> None:
        """All at once: some wait a second for their threads."""
        await asyncio.gather(*(server.stop() for server in self._started))


def _check_addresses(plant: Plant, networks: Sequence[IPv4Network]) -> None:
    """Emulators are open to whoever reaches them: off loopback only where that was asked for."""
    for device in plant.devices:
        if device.address is None:
            continue
        where = ip_address(device.address)
        if not any(where in network for network in (LOOPBACK_NETWORK, *networks)):
            raise LabError(
                f"{device.name}: {device.address} is not a loopback address. Devices stand "
                "elsewhere only in a network that is named: --network 10.77.0.0/16"
            )


def _raise_descriptor_limit() -> None:
    """A connection through a front takes three descriptors; a dead device keeps its own."""
    try:
        import resource
    except ImportError:  # not there on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _start_service(
    stack: AsyncExitStack,
    servers: _Servers,
    device: Device,
    service: Service,
    made: Sequence[tuple[Given, Fault | None]],
    ledger: Ledger,
    keys: Keys,
    offset: int,
    clock: Callable[[], float],
) -> None:
    address = device.address
    if service.emulator not in devices.KINDS or address is None:
        raise LabError(f"{device.name}: there is no emulator {service.emulator!r}")
    port = shifted(service.port, offset)
    bench = Bench(
        device=device.name,
        address=address,
        protocol=service.protocol,
        port=port,
        settings=service.settings,
        ledger=ledger,
        keys=keys,
        clock=clock,
    )
    altered, altered_after = _altered(device, service)
    if altered is not None and altered_after == 0:
        bench, altered = replace(bench, settings=altered), None
    server = await servers.start(service.emulator, bench)
    other: Server | None = None
    if altered is not None:
        other = await servers.start(service.emulator, replace(bench, settings=altered))
    fronts: list[TcpFront | UdpFront] = []
    if "tcp" in service.transports:
        if server.inner is None:
            raise LabError(f"{device.name}: {service.emulator} has no TCP side")
        fronts.append(
            TcpFront(
                ledger=ledger,
                protocol=service.protocol,
                address=address,
                port=port,
                inner=server.inner,
                altered=other.inner if other else None,
                altered_after=altered_after,
                faults=_installed(made, service.protocol, "tcp"),
            )
        )
    if "udp" in service.transports:
        if server.answer is None:
            raise LabError(f"{device.name}: {service.emulator} has no UDP side")
        fronts.append(
            UdpFront(
                ledger=ledger,
                protocol=service.protocol,
                address=address,
                port=port,
                answer=server.answer,
                altered=other.answer if other else None,
                altered_after=altered_after,
                faults=_installed(made, service.protocol, "udp"),
            )
        )
    for front in fronts:
        front.start()
        stack.push_async_callback(front.stop)


def _altered(device: Device, service: Service) -> tuple[dict[str, object] | None, int]:
    """The settings that the device's faults make of a service's own, and from when they hold."""
    settings = dict(service.settings)
    after: list[int] = []
    for given in device.faults:
        if any(given.is_on(service.protocol, transport) for transport in service.transports):
            changed = given.altered(service.protocol, dict(settings))
            if changed != settings:
                settings = changed
                after.append(given.after)
    return (settings, min(after)) if after else (None, 0)


def _installed(
    made: Sequence[tuple[Given, Fault | None]], protocol: str, transport: str
) -> list[Installed]:
    return [
        Installed(fault, given.after)
        for given, fault in made
        if fault is not None and given.is_on(protocol, transport)
    ]


def _host_keys(plant: Plant, keys: Keys) -> dict[str, str]:
    found: dict[str, str] = {}
    for device in plant.devices:
        for service in device.services:
            if service.protocol == "ssh":
                name = str(service.settings.get("host_key", device.name))
                algorithm = str(service.settings.get("host_key_algorithms", ("ssh-ed25519",))[0])
                found[device.name] = keys.host_key(name, algorithm).get_fingerprint("sha256")
    return found
