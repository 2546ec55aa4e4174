"""
What a simulated device saw, counted apart from everything that Walkdown says about itself.

One ledger per device, over all its ports. A device dies of what its `frailty` names and stays
dead; only a new start of the lab revives it. Nothing here knows a socket: fronts and emulators
report, the ledger counts. Times come from the clock given.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CAUSES = frozenset(
    {"second_connection", "burst", "half_open", "reset", "foreign", "malformed", "write"}
)
"""
What a fragile device can die of.

second_connection  a connection while another one is open, on whatever port
burst              more than `max_requests_per_s` requests in any second, or a new connection
                   sooner than `min_reconnect_s` after the last one ended
half_open          a connection that ends without one whole request, or with an answer owed
reset              RST instead of an orderly end
foreign            bytes that do not begin a frame of the port's own protocol
malformed          a frame of the protocol whose lengths or markers are wrong
write              any write or control request
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frailty:
    """What kills a device, and where its limits are. The default is a device that survives."""

    dies_of: frozenset[str] = frozenset()
    max_requests_per_s: int = 1_000_000
    min_reconnect_s: float = 0.0


@dataclass(slots=True)
class Connection:
    """One TCP connection as its front sees it. `ended_by_peer` asks the kernel, see front.py."""

    port: int
    protocol: str
    ended_by_peer: Callable[[], bool]
    requests: int = 0
    owed: int = 0
    open: bool = True


class Ledger:
    """The counts of one device. `changed` is called after each event, so that it can be saved."""

    def __init__(
        self,
        device: str,
        address: str,
        *,
        clock: Callable[[], float],
        frailty: Frailty | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self.address = address
        self.frailty = frailty or Frailty()
        self.cause_of_death: str | None = None
        self.connections = 0
        self.peak_concurrent = 0
        self.requests = 0
        self.datagrams = 0
        self.functions: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.resets = 0
        self.half_closes = 0
        self.empty_connections = 0
        self.foreign: Counter[str] = Counter()
        self.malformed: Counter[str] = Counter()
        self.unexpected_commands: Counter[str] = Counter()
        self.logins: Counter[str] = Counter()
        self.lockouts = 0
        self.leaked_sessions = 0
        self.faults: Counter[str] = Counter()
        """What the device did by its faults, see lab.faults; none of it is the client's deed."""
        self.on_death: list[Callable[[], None]] = []
        self.unheard: list[Callable[[], int]] = []
        """Ask these how many packets came for a device that hears nothing any more."""
        self.smallest_gap_s: float | None = None
        self.peak_requests_1s = 0
        self._clock = clock
        self._changed = changed
        self._open: list[Connection] = []
        self._times: deque[float] = deque()
        self._last_end: float | None = None

    @property
    def alive(self) -> bool:
        return self.cause_of_death is None

    def opened(self, port: int, protocol: str, ended_by_peer: Callable[[], bool]) -> Connection:
        """
        A connection was accepted.

        One that the client has already ended is over, even when its front has not come round to
        read that end: it does not count as being open at the same time.
        """
        for old in [c for c in self._open if c.ended_by_peer()]:
            self._open.remove(old)
        connection = Connection(port=port, protocol=protocol, ended_by_peer=ended_by_peer)
        self._open.append(connection)
        self.connections += 1
        self.peak_concurrent = max(self.peak_concurrent, len(self._open))
        if len(self._open) > 1:
            self._struck("second_connection")
        if (
            self._last_end is not None
            and self._clock() - self._last_end < self.frailty.min_reconnect_s
        ):
            self._struck("burst")
        self._changed()
        return connection

    def closed(self, connection: Connection) -> None:
        """The client ended its side in order, or the front gave up on it."""
        if not connection.open:
            return
        self._end(connection)
        if connection.requests == 0:
            self.empty_connections += 1
            self._struck("half_open")
        elif connection.owed > 0:
            self.half_closes += 1
            self._struck("half_open")
        self._changed()

    def reset(self, connection: Connection) -> None:
        """The client sent RST."""
        self._end(connection)
        self.resets += 1
        self._struck("reset")
        self._changed()

    def request(
        self, protocol: str, function: str, *, write: bool = False, on: Connection | None = None
    ) -> None:
        """One whole request arrived. `function` is what it asked for, in the protocol's terms."""
        now = self._clock()
        name = f"{protocol} {function}"
        self.requests += 1
        self.functions[name] += 1
        if on is not None:
            on.requests += 1
        if self._times:
            gap = now - self._times[-1]
            self.smallest_gap_s = (
                gap if self.smallest_gap_s is None else min(self.smallest_gap_s, gap)
            )
        self._times.append(now)
        while now - self._times[0] >= 1.0:
            self._times.popleft()
        self.peak_requests_1s = max(self.peak_requests_1s, len(self._times))
        if len(self._times) > self.frailty.max_requests_per_s:
            self._struck("burst")
        if write:
            self.writes[name] += 1
            self._struck("write")
        self._changed()

    def datagram(self) -> None:
        self.datagrams += 1
        self._changed()

    def alien(self, protocol: str, what: str) -> None:
        """Bytes that are not of the port's protocol. `what` is our guess of what they are."""
        self.foreign[f"{what} on {protocol}"] += 1
        self._struck("foreign")
        self._changed()

    def broken(self, protocol: str, what: str) -> None:
        """A frame of the right protocol that breaks its rules."""
        self.malformed[f"{protocol} {what}"] += 1
        self._struck("malformed")
        self._changed()

    def unexpected(self, command: str) -> None:
        """A command outside the read-only list that this lab knows for the device."""
        self.unexpected_commands[command[:200]] += 1
        self._changed()

    def login(self, service: str, account: str, *, accepted: bool) -> None:
        self.logins[f"{service} {account} {'accepted' if accepted else 'rejected'}"] += 1
        self._changed()

    def locked_out(self) -> None:
        self.lockouts += 1
        self._changed()

    def leaked(self) -> None:
        """A protocol session was left without its goodbye."""
        self.leaked_sessions += 1
        self._changed()

    def ended_by_device(self, connection: Connection) -> None:
        """A fault ended it: neither an empty connection nor an owed answer is the client's."""
        if connection.open:
            self._end(connection)
            self._changed()

    def misbehaved(self, what: str) -> None:
        """One deed of a fault."""
        self.faults[what] += 1
        self._changed()

    def die(self, cause: str) -> None:
        """A fault ends the device: it hears nothing from now on."""
        if not self.alive:
            return
        self.cause_of_death = cause
        for strike in self.on_death:
            strike()
        self._changed()

    def as_dict(self) -> dict[str, object]:
        return {
            "device": self.device,
            "address": self.address,
            "alive": self.alive,
            "cause_of_death": self.cause_of_death,
            "fragile": bool(self.frailty.dies_of),
            "connections": self.connections,
            "open_now": len(self._open),
            "peak_concurrent": self.peak_concurrent,
            "requests": self.requests,
            "datagrams": self.datagrams,
            "functions": dict(sorted(self.functions.items())),
            "writes": dict(sorted(self.writes.items())),
            "resets": self.resets,
            "half_closes": self.half_closes,
            "empty_connections": self.empty_connections,
            "foreign": dict(sorted(self.foreign.items())),
            "malformed": dict(sorted(self.malformed.items())),
            "unexpected_commands": dict(sorted(self.unexpected_commands.items())),
            "logins": dict(sorted(self.logins.items())),
            "lockouts": self.lockouts,
            "leaked_sessions": self.leaked_sessions,
            "faults": dict(sorted(self.faults.items())),
            "packets_after_death": sum(ask() for ask in self.unheard),
            "smallest_gap_s": self.smallest_gap_s,
            "peak_requests_1s": self.peak_requests_1s,
        }

    def _end(self, connection: Connection) -> None:
        connection.open = False
        if connection in self._open:
            self._open.remove(connection)
        self._last_end = self._clock()

    def _struck(self, cause: str) -> None:
        if self.alive and cause in self.frailty.dies_of:
            self.cause_of_death = cause


def totals(ledgers: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """The plant's sums over ledgers as `as_dict` gives them (or as JSON files hold them)."""
    rows = list(ledgers)

    def count(row: Mapping[str, object], key: str) -> int:
        value = row.get(key, 0)
        if isinstance(value, Mapping):
            return sum(int(v) for v in value.values())
        return int(str(value))

    def total(key: str) -> int:
        return sum(count(row, key) for row in rows)

    fragile = [row for row in rows if row.get("fragile")]
    return {
        "devices": len(rows),
        "connections": total("connections"),
        "peak_concurrent": max((count(row, "peak_concurrent") for row in rows), default=0),
        "requests": total("requests"),
        "datagrams": total("datagrams"),
        "writes": total("writes"),
        "resets": total("resets"),
        "half_closes": total("half_closes"),
        "empty_connections": total("empty_connections"),
        "foreign": total("foreign"),
        "malformed": total("malformed"),
        "unexpected_commands": total("unexpected_commands"),
        "lockouts": total("lockouts"),
        "leaked_sessions": total("leaked_sessions"),
        "packets_after_death": total("packets_after_death"),
        "pg_seats": sum(_pg_seats(row) for row in rows),
        "fragile": len(fragile),
        "fragile_alive": sum(bool(row.get("alive")) for row in fragile),
        "dead": sorted(str(row["device"]) for row in rows if not row.get("alive")),
    }


def _pg_seats(row: Mapping[str, object]) -> int:
    functions = row.get("functions", {})
    if not isinstance(functions, Mapping):
        return 0
    return sum(int(n) for name, n in functions.items() if str(name).endswith(" as PG"))


def write_json(path: Path, value: object) -> None:
    """Write whole or not at all: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
