"""
pysnmp for depth: scalars and columns of tables through the guarded relay, read verbs only.

Conversations that go on at the same time share an SNMP engine, which is closed with the last of
them: pysnmp keeps its socket open for ever otherwise, and an engine of its own for each of many
devices was so much garbage that collecting it kept all others waiting. No retry of its own (it
would send six datagrams), no MIB look-up (it would want files), and the walk is ours: pysnmp's asks
again for ever when an agent is silent.

Source: RFC 3416 sections 4.2.1 to 4.2.3; library: pysnmp 7.1, hlapi.v3arch.asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from importlib import import_module
from threading import Lock
from typing import Any, Literal, Protocol

from scanner.errors import BadReply, Silent

COMMUNITY = "public"
BULK_ROWS = 10
"""max-repetitions: small replies, as protocols.md section 25 asks of fragile agents."""
MAX_QUESTIONS_PER_COLUMN = 16
"""Or a question for each ten rows that are wanted, where those are more."""
MAX_QUESTIONS = 192
"""Of all walks of one conversation, as the plan says; an agent with more to tell is cut short."""
MAX_GETS = 16
"""Of one conversation, likewise."""
WAIT_S = 15.0
"""Longer than the relay needs for pacing and one lost datagram; the relay's deadline decides."""
MAX_BYTES = 4096
MAX_CONVERSATIONS = 64
"""Of one engine, which keeps something of each."""
_API = "pysnmp.hlapi.v3arch.asyncio"
_CONFIG = "pysnmp.entity.config"
_UDP = "pysnmp.carrier.asyncio.dgram.udp"
"""Not imported above: many runs read no tables."""

_loading = Lock()
"""Runs of runpy would change sys.modules under each other."""

Value = int | bytes | str | None


class ErrorStatus(BadReply):
    """The agent answered, and said that it could not: genErr, tooBig, noAccess, …"""


class Reader(Protocol):
    """
    Two verbs, both reading. Raises Silent and BadReply (ErrorStatus among them). `cut` are the
    columns whose walk a bound of ours ended: there may be more of them.
    """

    cut: set[str]

    async def get(self, names: tuple[str, ...]) -> dict[str, Value]:
        """
        The named scalars; those that the agent does not have are left out (all of them, where one
        is missing and the agent speaks SNMPv1). Nothing after MAX_GETS questions.
        """
        ...

    async def walk(self, column: str, max_rows: int) -> dict[str, Value]:
        """One column of a table from its beginning, at most `max_rows` rows."""
        ...


def prepare() -> None:
    """Load pysnmp, which takes a third of a second, with the MIB that each of its engines reads."""
    _engine().close_dispatcher()


def _engine() -> Any:  # Any: pysnmp has no types
    """Runs the MIB modules that pysnmp ships, 60 ms of work: not for the event loop."""
    with _loading:
        return _api().SnmpEngine()


def _api() -> Any:
    return import_module(_API)


class _Engine:
    """An engine and how many conversations it has."""

    def __init__(self, engine: Any) -> None:  # Any: pysnmp has no types
        self.engine = engine
        self.talking = 0
        self.lent = 0


class _Engines:
    """Those of one event loop: the newest, and who is waiting or talking."""

    def __init__(self) -> None:
        self.making = asyncio.Lock()
        self.newest: _Engine | None = None
        self.users = 0


_engines: dict[asyncio.AbstractEventLoop, _Engines] = {}


@asynccontextmanager
async def _borrowed() -> AsyncIterator[Any]:
    loop = asyncio.get_running_loop()
    mine = _engines.setdefault(loop, _Engines())
    mine.users += 1
    try:
        async with mine.making:
            if mine.newest is None or mine.newest.lent >= MAX_CONVERSATIONS:
                mine.newest = _Engine(await _open_engine())
            one = mine.newest
            one.talking += 1
            one.lent += 1
        try:
            yield one.engine
        finally:
            one.talking -= 1
            if not one.talking:
                mine.newest = None if mine.newest is one else mine.newest
                one.engine.close_dispatcher()
    finally:
        mine.users -= 1
        if not mine.users:
            del _engines[loop]


async def _open_engine() -> Any:
    """
    An engine with its socket open, so that no first question waits for it; on loopback, where the
    relays are: pysnmp takes a datagram from anybody.
    """
    engine = await asyncio.to_thread(_engine)
    udp = import_module(_UDP)
    transport = udp.UdpAsyncioTransport().open_client_mode(("127.0.0.1", 0))
    import_module(_CONFIG).add_transport(engine, udp.DOMAIN_NAME, transport)
    try:
        async with asyncio.timeout(WAIT_S):
            while transport.transport is None:  # noqa: ASYNC110 - the library tells nobody
                await asyncio.sleep(0)
    finally:
        if transport.transport is None:
            engine.close_dispatcher()
    return engine


@asynccontextmanager
async def reader(host: str, port: int, version: Literal["1", "2c"]) -> AsyncIterator[Reader]:
    """A reader on one endpoint (a relay's), under the community `public`."""
    api = _api()
    async with _borrowed() as engine:
        target = await api.UdpTransportTarget.create((host, port), timeout=WAIT_S, retries=0)
        yield _Reader(api, engine, target, version)


class _Reader:
    def __init__(self, api: Any, engine: Any, target: Any, version: Literal["1", "2c"]) -> None:
        # Any: pysnmp has no types
        self._api = api
        self._engine = engine
        self._target = target
        self._bulk = version == "2c"
        self._asked = 0
        self._gets = 0
        self.cut: set[str] = set()
        self._auth = api.CommunityData(COMMUNITY, mpModel=1 if self._bulk else 0)

    async def get(self, names: tuple[str, ...]) -> dict[str, Value]:
        if self._gets >= MAX_GETS:
            return {}
        self._gets += 1
        answer = await _in_time(
            self._api.get_cmd(
                self._engine,
                self._auth,
                self._target,
                self._api.ContextData(),
                *(self._variable(name) for name in names),
                lookupMib=False,
            )
        )
        return {name: value for name, value in _pairs(answer) if value is not None}

    async def walk(self, column: str, max_rows: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        at = column
        wanted = -(-max_rows // BULK_ROWS) if self._bulk else 0
        at_most = max(MAX_QUESTIONS_PER_COLUMN, wanted)
        for _ in range(min(at_most, MAX_QUESTIONS - self._asked)):
            self._asked += 1
            pairs = _pairs(await self._next(at, min(BULK_ROWS, max_rows - len(found))))
            if not pairs:
                return found
            for name, value in pairs:
                if not name.startswith(column + ".") or value is None:
                    return found
                if len(found) >= max_rows:
                    break
                if _numbers(name) <= _numbers(at):
                    return found  # an agent that goes backwards would keep us for ever
                found[name] = value
                at = name
            if len(found) >= max_rows:
                break
        self.cut.add(column)
        return found

    async def _next(self, name: str, rows: int) -> Any:
        common = (self._engine, self._auth, self._target, self._api.ContextData())
        if self._bulk:
            asking = self._api.bulk_cmd(*common, 0, rows, self._variable(name), lookupMib=False)
        else:
            asking = self._api.next_cmd(*common, self._variable(name), lookupMib=False)
        return await _in_time(asking)

    def _variable(self, name: str) -> Any:
        return self._api.ObjectType(self._api.ObjectIdentity(name))


async def _in_time(asking: Awaitable[Any]) -> Any:
    """
    The library's answer. Raises BadReply where it never gives one: an answer that it stumbles over
    has already ended its own wait.
    """
    try:
        async with asyncio.timeout(WAIT_S + 1):
            return await asking
    except TimeoutError:
        raise BadReply("SNMP: an answer that the library could not read") from None


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in name.split("."))


def _pairs(answer: Any) -> list[tuple[str, Value]]:
    """Names and values of one answer. Raises Silent and BadReply."""
    indication, status, _, variables = answer
    if indication:
        text = str(indication)
        if "before timeout" in text.lower() or "timed out" in text.lower():
            raise Silent("the SNMP agent stopped answering")
        raise BadReply(f"SNMP: {text[:120]}")
    if int(status) == 2:  # noSuchName: SNMPv1 says so where a table ends
        return []
    if int(status):
        raise ErrorStatus(f"SNMP: error-status {int(status)}")
    return [(str(name), _value(value)) for name, value in variables][:256]


def _value(value: Any) -> Value:
    """A pysnmp object as a plain value; exceptions such as noSuchInstance are None."""
    kind = type(value).__name__
    if kind in ("NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null"):
        return None
    if kind == "ObjectIdentifier" or kind == "ObjectIdentity":
        return str(value)
    if hasattr(value, "asOctets"):
        return bytes(value.asOctets())[:MAX_BYTES]
    return int(value)
