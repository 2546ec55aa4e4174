"""Silence: of a port, of a device from the start, or from some moment on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.faults.base import Behaviour, Fault, Line, Place, Port, hang


class _Silent(Fault):
    async def up(self, data: bytes, line: Line) -> bytes:
        line.count("request left unanswered")
        return b""

    async def down(self, data: bytes, line: Line) -> None:
        """Nothing: not even the greeting of a server that speaks first."""


class _Port(Fault):
    def __init__(self, state: Port) -> None:
        self._state = state

    def port(self, protocol: str, served: int) -> Port:
        return self._state


class _DiesAfterPackets(Fault):
    """Counts what reaches a device: accepted connections, segments with data, datagrams."""

    def __init__(self, packets: int) -> None:
        self._left = packets

    def _one(self, line: Line) -> None:
        self._left -= 1
        if self._left <= 0:
            line.ledger.die("fault dies_after_packets")

    async def opened(self, line: Line) -> None:
        if line.transport == "tcp":
            self._one(line)

    async def up(self, data: bytes, line: Line) -> bytes:
        self._one(line)
        return data


class _AtMoment(Fault):
    """Something happens once, some seconds after the first packet that the device got."""

    def __init__(self, place: Place, parameters: Mapping[str, Any]) -> None:
        at = parameters["after_s"]
        within = float(parameters["within_s"])
        self._after_s = place.random.uniform(0.0, within) if at is None else float(at)
        self._ledger = place.ledger
        self._begun = False
        self.struck = False

    def begin(self) -> None:
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_later(self._after_s, self._strike)

    def _strike(self) -> None:
        self.struck = True
        self.strike()

    def strike(self) -> None:
        raise NotImplementedError

    async def opened(self, line: Line) -> None:
        self.begin()


class _DiesAt(_AtMoment):
    def strike(self) -> None:
        self._ledger.die("fault dies_at")


class _ResetsAt(_AtMoment):
    """From the moment on every connection is reset: those that are open, and new ones at once."""

    def __init__(self, place: Place, parameters: Mapping[str, Any]) -> None:
        super().__init__(place, parameters)
        self._open: set[Line] = set()

    def strike(self) -> None:
        for line in self._open:
            self._ledger.misbehaved("connection reset")
            line.end("reset")

    async def opened(self, line: Line) -> None:
        self.begin()
        if self.struck:
            line.count("connection reset")
            await line.reset()
        self._open.add(line)

    def gone(self, line: Line) -> None:
        self._open.discard(line)


class _SlowsAt(_AtMoment):
    def __init__(self, place: Place, parameters: Mapping[str, Any]) -> None:
        super().__init__(place, parameters)
        self._delay_s = float(parameters["delay_s"])

    def strike(self) -> None:
        self._ledger.misbehaved("became slow")

    async def down(self, data: bytes, line: Line) -> None:
        if self.struck:
            await asyncio.sleep(self._delay_s)
        await line.send(data)


class _Hangs(Fault):
    """The first reply of every connection gets through, then nothing."""

    def __init__(self, replies: int) -> None:
        self._replies = replies
        self._seen: dict[Line, int] = {}

    async def down(self, data: bytes, line: Line) -> None:
        seen = self._seen[line] = self._seen.get(line, 0) + 1
        if seen > self._replies:
            line.count("reply held back")
            await hang()
        await line.send(data)

    def gone(self, line: Line) -> None:
        self._seen.pop(line, None)


_MOMENT: Mapping[str, Any] = {"after_s": None, "within_s": 5.0}
"""`after_s` None: a moment drawn by lot, within `within_s` seconds of the first packet."""

FAULTS = (
    Behaviour(
        name="silent",
        meaning="Takes connections and datagrams, and never answers.",
        make=lambda _, __: _Silent(),
    ),
    Behaviour(
        name="goes_silent",
        meaning="Answers the first `replies` times on each connection, and then never again.",
        make=lambda _, p: _Hangs(int(p["replies"])),
        parameters={"replies": 1},
        datagrams=False,
        because="a datagram is a conversation of one reply: with `after`, `silent` says the same",
    ),
    Behaviour(
        name="closed",
        meaning="The port refuses: RST to a SYN, ICMP port unreachable to a datagram.",
        make=lambda _, __: _Port("closed"),
    ),
    Behaviour(
        name="dropped",
        meaning="The port takes every packet and answers none, not even with an ACK.",
        make=lambda _, __: _Port("dropped"),
    ),
    Behaviour(
        name="dies_after_packets",
        meaning="Dies at the n-th packet (connection, segment with data or datagram): from then on "
        "the whole device answers nothing, not even with an ACK.",
        make=lambda _, p: _DiesAfterPackets(int(p["n"])),
        parameters={"n": 3},
        variants=({}, {"n": 1}, {"n": 2}, {"n": 5}),
    ),
    Behaviour(
        name="dies_at",
        meaning="Dies some seconds after the first packet that it got.",
        make=_DiesAt,
        parameters=_MOMENT,
    ),
    Behaviour(
        name="resets_at",
        meaning="Some seconds after the first packet it resets every connection, old and new.",
        make=_ResetsAt,
        parameters=_MOMENT,
        datagrams=False,
        because="there is no reset of a datagram",
    ),
    Behaviour(
        name="slows_at",
        meaning="Some seconds after the first packet every reply takes `delay_s` seconds.",
        make=_SlowsAt,
        parameters={**_MOMENT, "delay_s": 1.0},
    ),
)
