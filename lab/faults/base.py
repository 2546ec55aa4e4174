"""
What a fault is: a named way for a device to misbehave, as data with the code that does it.

A module of this package has a constant `FAULTS`, a tuple of `Behaviour`; the package finds it by
walking. A behaviour meddles in one of two places, or in both:

`make`   gives one `Fault` per device, which the fronts call for every connection and datagram of
         the services it is on. It sees whole frames where lab.frames knows the framing (Modbus,
         S7, EtherNet/IP and every datagram), and pieces as they come elsewhere.
`alter`  rewrites a service's settings before its emulator starts: for what happens inside TLS or
         SSH, where a front sees nothing.

Parameters that every fault has, beside its own:

`on`     the protocols of the device that it is on; without it all to which it applies
`over`   "tcp" or "udp", where it is to be on one of both only
`after`  so many connections (of a datagram service: datagrams) of a service go well first; 0
`seed`   for what is drawn by lot; 0
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from lab import frames
from lab.errors import LabError
from lab.frames.form import Protocol
from lab.ledger import Ledger

Transport = Literal["tcp", "udp"]
Ending = Literal["close", "reset"]
Port = Literal["open", "closed", "dropped"]
Settings = dict[str, Any]
COMMON: Mapping[str, Any] = MappingProxyType({"on": None, "over": None, "after": 0, "seed": 0})


class Line:
    """
    One connection, or one datagram and its answer, as one fault sees it.

    `number` counts the connections (datagrams) of the service from 1, `served` those on which the
    fault is awake. `sent` are the bytes that this fault has let through to the client.
    """

    def __init__(
        self,
        *,
        protocol: str,
        transport: Transport,
        number: int,
        served: int,
        source: str,
        ledger: Ledger,
        forward: Callable[[bytes], Awaitable[None]],
        finish: Callable[[], None],
        end: Callable[[Ending], None],
        client_ended: asyncio.Event,
    ) -> None:
        self.protocol = protocol
        self.transport = transport
        self.number = number
        self.served = served
        self.source = source
        self.ledger = ledger
        self.client_ended = client_ended
        self.request = b""
        """The last request, for a fault that makes an answer of its own."""
        self.sent = 0
        self._forward = forward
        self._finish = finish
        self._end = end

    async def send(self, data: bytes) -> None:
        """To the client, through the faults that come after this one."""
        self.sent += len(data)
        await self._forward(data)

    def finish(self) -> None:
        """Our FIN: nothing more is sent, what the client says is still read."""
        self._finish()

    def end(self, how: Ending) -> None:
        """End the connection from outside its conversation: FIN both ways, or RST."""
        self._end(how)

    async def reset(self) -> NoReturn:
        """RST, and nothing after it."""
        self._end("reset")
        await hang()

    async def close(self) -> NoReturn:
        """An orderly end by the device."""
        self._end("close")
        await hang()

    def count(self, what: str) -> None:
        """Into the device's ledger, under `faults`."""
        self.ledger.misbehaved(what)


async def hang() -> NoReturn:
    """Until the connection is taken down by somebody else."""
    while True:
        await asyncio.Event().wait()


class Fault:
    """One misbehaving device; every method does nothing special unless a fault redefines it."""

    def port(self, protocol: str, served: int) -> Port:
        """
        How the port stands after `served` awake connections: "closed" refuses (RST, or ICMP port
        unreachable), "dropped" takes packets and answers none, not even with an ACK.
        """
        return "open"

    async def opened(self, line: Line) -> None:
        """A connection was accepted; nothing was read."""

    async def up(self, data: bytes, line: Line) -> bytes:
        """A request. What is returned goes on to the server behind; b"" goes nowhere."""
        return data

    async def down(self, data: bytes, line: Line) -> None:
        """A reply of the server behind: `line.send` passes it on."""
        await line.send(data)

    def gone(self, line: Line) -> None:
        """The connection is over, whoever ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The device that a fault is made for."""

    device: str
    ledger: Ledger
    clock: Callable[[], float]
    random: Random


Make = Callable[[Place, Mapping[str, Any]], Fault]
Alter = Callable[[str, Settings, Mapping[str, Any]], Settings]
"""(protocol, settings, parameters) -> settings; the given settings are not changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """
    One row of the table. `meaning` is a sentence for plant owners.

    `parameters` are its own, with their defaults. `variants` are the sets of parameters that a
    proof should try, the default first. `needs` None: any protocol; else those of whose data
    (lab.frames.form) it is true, `because` of a reason. `datagrams` False says that it has no
    sense for a datagram service, `streams` False the opposite.
    """

    name: str
    meaning: str
    make: Make | None = None
    alter: Alter | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Mapping[str, Any], ...] = ({},)
    needs: Callable[[Protocol], bool] | None = None
    streams: bool = True
    datagrams: bool = True
    because: str = ""

    def __post_init__(self) -> None:
        limited = self.needs is not None or not (self.streams and self.datagrams)
        if limited and not self.because:
            raise LabError(f"fault {self.name}: say why it does not apply everywhere")

    def applies(self, protocol: str, transport: str) -> bool:
        fits = self.streams if transport == "tcp" else self.datagrams
        if self.needs is None or not fits:
            return fits
        known = frames.protocol(protocol)
        return known is not None and self.needs(known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One entry of a device's `faults`: a behaviour with its parameters filled in."""

    behaviour: Behaviour
    parameters: Mapping[str, Any]

    @property
    def after(self) -> int:
        return int(self.parameters["after"])

    def is_on(self, protocol: str, transport: str) -> bool:
        chosen = self.parameters["on"]
        named = chosen is None or protocol in chosen
        over = self.parameters["over"]
        return named and over in (None, transport) and self.behaviour.applies(protocol, transport)

    def altered(self, protocol: str, settings: Settings) -> Settings:
        if self.behaviour.alter is None:
            return settings
        return self.behaviour.alter(protocol, settings, self.parameters)

    def made(self, device: str, ledger: Ledger, clock: Callable[[], float]) -> Fault | None:
        if self.behaviour.make is None:
            return None
        random = Random(f"{self.behaviour.name} {device} {self.parameters['seed']}")  # noqa: S311 - reproducible
        place = Place(device=device, ledger=ledger, clock=clock, random=random)
        return self.behaviour.make(place, self.parameters)


def drop_all(sock: socket.socket) -> None:
    """
    From now on the kernel throws away all that arrives for this socket, without an ACK or ICMP.

    A classic BPF program of one instruction, `ret #0`; Linux runs it for listening, connected
    and datagram sockets and asks for no right (net/ipv4/tcp_ipv4.c, tcp_filter).
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program))
    )


def dropped(sock: socket.socket) -> int:
    """How many packets the kernel threw away for this socket (the ninth word of SO_MEMINFO)."""
    words = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack("9I", words)[8]) if len(words) == 36 else 0


def close_unheard(sock: socket.socket) -> None:
    """Close without a packet, where the right for it is there (CAP_NET_ADMIN); else as usual."""
    if sock.fileno() >= 0 and sock.type == socket.SOCK_STREAM:
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    sock.close()


_SO_ATTACH_FILTER = 26
_SO_MEMINFO = 55
_TCP_REPAIR = 19
