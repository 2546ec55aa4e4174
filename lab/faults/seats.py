"""
A server with few seats, as most controllers are.

Schneider Electric's M218 serves four Modbus connections and closes the oldest when a fifth comes;
others refuse the fifth. Other clients may hold seats: real ones (another address), or some that
the plant file takes for granted.
"""

from __future__ import annotations

from lab.faults.base import Behaviour, Ending, Fault, Line


class _Seats(Fault):
    """
    `taken` seats belong to clients that are not there on the wire and never leave by themselves;
    they came first, so they are the oldest. An eviction is foreign when it hits one of them, or a
    client of another address than the newcomer's.
    """

    def __init__(self, seats: int, taken: int, when_full: str, how: Ending) -> None:
        self._seats = seats
        self._taken = taken
        self._when_full = when_full
        self._how: Ending = how
        self._sitting: list[Line] = []

    async def opened(self, line: Line) -> None:
        if self._taken + len(self._sitting) >= self._seats:
            if self._when_full == "refuse":
                line.count("seat refused")
                await (line.reset() if self._how == "reset" else line.close())
            self._evict_for(line)
        self._sitting.append(line)

    def _evict_for(self, newcomer: Line) -> None:
        if self._taken:
            self._taken -= 1
            newcomer.count("foreign client evicted")
        elif self._sitting:
            oldest = self._sitting.pop(0)
            foreign = oldest.source != newcomer.source
            newcomer.count("foreign client evicted" if foreign else "own connection evicted")
            oldest.end(self._how)

    def gone(self, line: Line) -> None:
        if line in self._sitting:
            self._sitting.remove(line)


def _behaviour(name: str, when_full: str, meaning: str) -> Behaviour:
    return Behaviour(
        name=name,
        meaning=meaning,
        make=lambda _, p: _Seats(
            int(p["seats"]), int(p["taken"]), when_full, "reset" if p["how"] == "reset" else "close"
        ),
        parameters={"seats": 4, "taken": 4, "how": "close"},
        variants=({}, {"how": "reset"}, {"taken": 3}),
        datagrams=False,
        because="a datagram takes no seat",
    )


FAULTS = (
    _behaviour(
        "seats_refuse",
        "refuse",
        "All seats are taken (`taken` of `seats`): a further connection is ended at once.",
    ),
    _behaviour(
        "seats_evict",
        "evict",
        "All seats are taken (`taken` of `seats`): a further connection ends the oldest one.",
    ),
)
