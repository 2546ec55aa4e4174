"""Replies that end early: with a reset, or with a FIN."""

from __future__ import annotations

import asyncio

from lab import frames
from lab.faults.base import Behaviour, Fault, Line, hang


def header_length(protocol: str, data: bytes) -> int:
    """
    Where a reply's header ends, as its protocol says (`header`); 4 where nothing is known of it.

    Where certain bytes end a header and are not there, all of the reply is one.
    """
    known = frames.protocol(protocol)
    header = 4 if known is None else known.header
    if isinstance(header, int):
        return header
    at = data.find(header)
    return at + len(header) if at >= 0 else len(data)


class _ResetAt(Fault):
    """RST after the n-th byte of a connection's replies. Cycling, n grows with each connection."""

    def __init__(self, n: int, cycle: int) -> None:
        self._n = n
        self._cycle = cycle

    def _limit(self, line: Line) -> int:
        if not self._cycle:
            return self._n
        return self._n + (line.served - 1) % self._cycle

    async def up(self, data: bytes, line: Line) -> bytes:
        if self._limit(line) == 0:
            line.count("reset after byte 0")
            await line.reset()
        return data

    async def down(self, data: bytes, line: Line) -> None:
        limit = self._limit(line)
        if line.sent + len(data) < limit:
            await line.send(data)
            return
        if rest := data[: limit - line.sent]:
            await line.send(rest)
            await asyncio.sleep(0.01)  # let the bytes be read before the RST overtakes them
        line.count(f"reset after byte {limit}")
        await line.reset()


class _HalfClose(Fault):
    async def down(self, data: bytes, line: Line) -> None:
        await line.send(data[: header_length(line.protocol, data)])
        line.count("half-closed")
        line.finish()
        await hang()


class _Truncates(Fault):
    def __init__(self, n: int | None) -> None:
        self._n = n

    async def down(self, data: bytes, line: Line) -> None:
        n = header_length(line.protocol, data) if self._n is None else self._n
        line.count("datagram cut short")
        await line.send(data[:n])


FAULTS = (
    Behaviour(
        name="reset_at_byte",
        meaning="Resets the connection after byte n of its reply; with `cycle` c, n grows by one "
        "with each connection, for c connections.",
        make=lambda _, p: _ResetAt(int(p["n"]), int(p["cycle"])),
        parameters={"n": 1, "cycle": 0},
        variants=({}, {"n": 0}, {"n": 0, "cycle": 64}),
        datagrams=False,
        because="there is no reset of a datagram; `closed` gives ICMP port unreachable",
    ),
    Behaviour(
        name="half_close",
        meaning="Sends a reply's header and ends its side; what the client says is still read.",
        make=lambda _, __: _HalfClose(),
        datagrams=False,
        because="a datagram has no end of its own; `cut_datagram` says the nearest",
    ),
    Behaviour(
        name="cut_datagram",
        meaning="Replies stop after byte n, or after their header.",
        make=lambda _, p: _Truncates(None if p["n"] is None else int(p["n"])),
        parameters={"n": None},
        variants=({}, {"n": 0}, {"n": 1}),
        streams=False,
        because="a stream has no ends of messages; `half_close` and `reset_at_byte` cut it",
    ),
)
