"""Replies that come slowly, too late, or in drops."""

from __future__ import annotations

import asyncio

from lab.faults.base import Behaviour, Fault, Line


class _Ramp(Fault):
    """Each reply of the device takes `factor` times as long as the one before."""

    def __init__(self, first_s: float, last_s: float, factor: float) -> None:
        self._next_s = first_s
        self._last_s = last_s
        self._factor = factor

    async def down(self, data: bytes, line: Line) -> None:
        delay, self._next_s = self._next_s, min(self._last_s, self._next_s * self._factor)
        await asyncio.sleep(delay)
        await line.send(data)


class _Drip(Fault):
    def __init__(self, size: int, interval_s: float) -> None:
        self._size = size
        self._interval_s = interval_s

    async def down(self, data: bytes, line: Line) -> None:
        for at in range(0, len(data), self._size):
            if at or line.sent:
                await asyncio.sleep(self._interval_s)
            await line.send(data[at : at + self._size])


class _Late(Fault):
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    async def down(self, data: bytes, line: Line) -> None:
        await asyncio.sleep(self._delay_s)
        line.count("late reply")
        await line.send(data)


class _AfterClose(Fault):
    """Holds the reply until the client's FIN, and sends it then."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s

    async def down(self, data: bytes, line: Line) -> None:
        await line.client_ended.wait()
        await asyncio.sleep(self._delay_s)
        line.count("reply after close")
        await line.send(data)


FAULTS = (
    Behaviour(
        name="slow_ramp",
        meaning="The first reply takes 10 ms, each further one twice as long, up to 5 s.",
        make=lambda _, p: _Ramp(float(p["first_s"]), float(p["last_s"]), float(p["factor"])),
        parameters={"first_s": 0.01, "last_s": 5.0, "factor": 2.0},
    ),
    Behaviour(
        name="drip",
        meaning="Replies come as one byte every four seconds.",
        make=lambda _, p: _Drip(int(p["size"]), float(p["interval_s"])),
        parameters={"size": 1, "interval_s": 4.0},
        datagrams=False,
        because="a datagram arrives whole or not at all",
    ),
    Behaviour(
        name="late",
        meaning="Every reply comes after the asker has stopped waiting.",
        make=lambda _, p: _Late(float(p["delay_s"])),
        parameters={"delay_s": 6.0},
    ),
    Behaviour(
        name="reply_after_close",
        meaning="The reply comes when the client has ended its side.",
        make=lambda _, p: _AfterClose(float(p["delay_s"])),
        parameters={"delay_s": 0.05},
        datagrams=False,
        because="a datagram service has no close; `late` says the same",
    ),
)
