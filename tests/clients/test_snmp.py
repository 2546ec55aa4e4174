"""pysnmp as a client, against pysnmp's own agent with tables recorded from real switches."""

from __future__ import annotations

import asyncio
import socket
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdrsp, context
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.smi.instrum import AbstractMibInstrumController

from probes import snmp as probe
from scanner.clients import snmp
from scanner.errors import BadReply, GuardRefused, Silent
from scanner.facts import (
    DeviceIdentity,
    LoginUnavailable,
    Neighbour,
    NetworkInterface,
    SnmpAccess,
)

Oid = tuple[int, ...]
PUBLIC_2C = (SnmpAccess(versions=("2c",), community="public"),)
PUBLIC_1 = (SnmpAccess(versions=("1",), community="public"),)

TYPES = {
    "2": rfc1902.Integer32, "4": rfc1902.OctetString, "6": rfc1902.ObjectIdentifier,
    "64": rfc1902.IpAddress, "65": rfc1902.Counter32, "66": rfc1902.Gauge32,
    "67": rfc1902.TimeTicks, "70": rfc1902.Counter64,
}  # fmt: skip


def recorded(path: Path) -> dict[Oid, Any]:
    """A walk in snmpsim's format: OID, ASN.1 tag (x: hex), value."""
    rows: dict[Oid, Any] = {}
    for line in path.read_text("latin-1").splitlines():
        name, tag, value = line.split("|", 2)
        kind = TYPES.get(tag.removesuffix("x"))
        if kind is None:
            continue
        number = tuple(int(part) for part in name.split("."))
        if tag.endswith("x"):
            rows[number] = rfc1902.OctetString(hexValue=value)
        elif kind is not rfc1902.ObjectIdentifier or value:
            rows[number] = kind(int(value) if kind not in (rfc1902.OctetString,
                rfc1902.ObjectIdentifier, rfc1902.IpAddress) else value)  # fmt: skip
    return rows


class Table(AbstractMibInstrumController):
    """Instances sorted by OID. `writes` would list what a SetRequest brought."""

    def __init__(self, rows: dict[Oid, Any]) -> None:
        self.rows = rows
        self.order = sorted(rows)
        self.questions = 0
        self.writes: list[object] = []
        self.silent_after: int | None = None

    def read_variables(self, *varBinds: Any, **_: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        self.questions += 1
        return [(name, self.rows.get(tuple(name), rfc1905.noSuchInstance)) for name, _ in varBinds]

    def read_next_variables(self, *varBinds: Any, **_: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        self.questions += 1
        found = []
        for name, _value in varBinds:
            at = bisect_right(self.order, tuple(name))
            if at < len(self.order):
                found.append((rfc1902.ObjectName(self.order[at]), self.rows[self.order[at]]))
            else:
                found.append((name, rfc1905.endOfMibView))
        return found

    def write_variables(self, *varBinds: Any, **_: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        self.writes.append(varBinds)
        return list(varBinds)


@asynccontextmanager
async def agent(rows: dict[Oid, Any]) -> AsyncIterator[tuple[int, Table]]:
    """pysnmp's engine and responders on a free UDP port, communities public (read and write)."""
    engine = SnmpEngine()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    config.add_transport(
        engine, udp.DOMAIN_NAME, udp.UdpAsyncioTransport().open_server_mode(sock=sock)
    )
    config.add_v1_system(engine, "area", "public")
    for model in (1, 2):
        config.add_vacm_user(engine, model, "area", "noAuthNoPriv", (1,), (1,))
    table = Table(rows)
    responders = context.SnmpContext(engine)
    responders.unregister_context_name(rfc1902.OctetString(b""))
    responders.register_context_name(rfc1902.OctetString(b""), table)
    for kind in (
        cmdrsp.GetCommandResponder,
        cmdrsp.NextCommandResponder,
        cmdrsp.BulkCommandResponder,
        cmdrsp.SetCommandResponder,
    ):
        kind(engine, responders)
    try:
        yield sock.getsockname()[1], table
    finally:
        engine.close_dispatcher()
        sock.close()


def scalance(captures: Path) -> dict[Oid, Any]:
    return recorded(captures / "snmprec" / "scalance_xc206-2sfp.snmprec")


async def test_a_column_is_walked_to_its_end_and_no_further(captures: Path) -> None:
    rows = scalance(captures)
    expected = [v for o, v in sorted(rows.items()) if o[:10] == (1, 3, 6, 1, 2, 1, 2, 2, 1, 2)]

    async with agent(rows) as (port, table), snmp.reader("127.0.0.1", port, "2c") as read:
        found = await read.walk("1.3.6.1.2.1.2.2.1.2", 128)

    assert [bytes(v) for v in expected] == list(found.values())
    assert len(expected) >= 6
    # Each GetBulk is ten look-ups in the agent; the last one shows that the column is over.
    assert table.questions <= 10 * (len(expected) // 10 + 1)


async def test_v1_walks_with_get_next(captures: Path) -> None:
    async with (
        agent(scalance(captures)) as (port, _table),
        snmp.reader("127.0.0.1", port, "1") as read,
        snmp.reader("127.0.0.1", port, "2c") as read_2c,
    ):
        assert await read.walk("1.3.6.1.2.1.2.2.1.2", 128) == await read_2c.walk(
            "1.3.6.1.2.1.2.2.1.2", 128
        )
        assert await read.walk("1.3.6.1.2.1.99", 128) == {}


async def test_conversations_at_the_same_time_share_an_engine_and_none_is_left_open() -> None:
    name = (1, 3, 6, 1, 2, 1, 1, 1, 0)
    async with AsyncExitStack() as stack:
        ports = [
            (await stack.enter_async_context(agent({name: rfc1902.OctetString(f"agent {n}")})))[0]
            for n in range(3)
        ]
        readers = [
            await stack.enter_async_context(snmp.reader("127.0.0.1", port, "2c")) for port in ports
        ]
        engines = {reader._engine for reader in readers}
        transport = config.get_transport(next(iter(engines)), udp.DOMAIN_NAME).transport
        assert transport.get_extra_info("sockname")[0] == "127.0.0.1"
        found = await asyncio.gather(*(reader.get(("1.3.6.1.2.1.1.1.0",)) for reader in readers))

    assert len(engines) == 1
    assert [next(iter(one.values())) for one in found] == [b"agent 0", b"agent 1", b"agent 2"]
    engine = engines.pop()
    assert engine.transport_dispatcher is None
    assert snmp._engines == {}


async def test_an_engine_has_only_so_many_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp, "MAX_CONVERSATIONS", 2)
    async with AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(snmp.reader("127.0.0.1", 9, "2c")) for _ in range(3)
        ]

    assert readers[0]._engine is readers[1]._engine
    assert readers[2]._engine is not readers[0]._engine
    assert snmp._engines == {}


async def test_an_answer_that_the_library_stumbles_over_ends_the_conversation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pysnmp forgets its question and then raises, so that nobody would ever hear of it."""

    class Stumbling(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            reply = data.replace(b"\xa0", b"\xa2", 1)
            at = reply.index(b"\x02\x01\x00\x02\x01\x00") + 5
            self.transport.sendto(reply[:at] + b"\xb1" + reply[at + 1 :], addr)

    monkeypatch.setattr(snmp, "WAIT_S", 0.5)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    transport, _ = await loop.create_datagram_endpoint(Stumbling, local_addr=("127.0.0.1", 0))
    try:
        async with snmp.reader(*transport.get_extra_info("sockname"), "1") as read:
            with pytest.raises(BadReply):
                await asyncio.wait_for(read.get(("1.3.6.1.2.1.1.1.0",)), 10)
    finally:
        transport.close()


async def test_a_device_cannot_answer_for_another_that_shares_its_engine(governed: Any) -> None:
    """It is asked, and answers with every number that another conversation may be waiting for."""

    class Liar(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            at = data.index(b"\x02\x04") + 2
            number = int.from_bytes(data[at : at + 4], "big")
            for other in (number - 1, number + 1, number):
                reply = data[:at] + other.to_bytes(4, "big") + data[at + 4 :]
                self.transport.sendto(reply.replace(b"\xa0", b"\xa2", 1), addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Liar, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    question = bytes.fromhex(
        "302902010104067075626c6963a01c020411223344020100020100300e300c06082b060102010101000500"
    )
    try:
        async with governed(probe.READ_PROBE, port, known=PUBLIC_2C) as session:
            async with session.relay() as endpoint:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as library:
                    library.setblocking(False)
                    library.bind(("127.0.0.1", 0))
                    await loop.sock_sendto(library, question, endpoint)
                    told = await asyncio.wait_for(loop.sock_recv(library, 1000), 5)
    finally:
        transport.close()

    assert told == question.replace(b"\xa0", b"\xa2", 1)


async def test_a_walk_stops_at_the_row_limit(captures: Path) -> None:
    async with (
        agent(scalance(captures)) as (port, _table),
        snmp.reader("127.0.0.1", port, "2c") as read,
    ):
        assert len(await read.walk("1.3.6.1.2.1.2.2.1.2", 3)) == 3


async def test_scalars_that_are_missing_are_left_out(captures: Path) -> None:
    names = ("1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.99.0")
    async with (
        agent(scalance(captures)) as (port, _table),
        snmp.reader("127.0.0.1", port, "2c") as read,
    ):
        values = await read.get(names)

    assert set(values) == set(names[:2])
    assert values[names[1]] == "1.3.6.1.4.1.4329.6.1.2.1.2"
    assert isinstance(values[names[0]], bytes)


async def test_an_agent_that_goes_round_in_circles_does_not_keep_us(captures: Path) -> None:
    class Circle(Table):
        def read_next_variables(self, *varBinds: Any, **_: Any) -> list[tuple[Any, Any]]:  # noqa: N803
            self.questions += 1
            name = (1, 3, 6, 1, 2, 1, 2, 2, 1, 2, 1 + self.questions % 2)
            return [(rfc1902.ObjectName(name), rfc1902.OctetString("x")) for _ in varBinds]

    engine_table = Circle({})
    async with agent({}) as (port, table), snmp.reader("127.0.0.1", port, "2c") as read:
        table.read_next_variables = engine_table.read_next_variables  # type: ignore[method-assign]
        found = await asyncio.wait_for(read.walk("1.3.6.1.2.1.2.2.1.2", 128), 5)

    assert len(found) <= 2


async def test_a_silent_agent_is_told_as_silent_and_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snmp, "WAIT_S", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.setblocking(False)
        async with snmp.reader("127.0.0.1", deaf.getsockname()[1], "2c") as read:
            with pytest.raises(Silent):
                await read.walk("1.3.6.1.2.1.2.2.1.2", 128)
        heard = 0
        while True:
            try:
                deaf.recv(2048)
            except BlockingIOError:
                break
            heard += 1
        assert heard == 1


# --- through the door ----------------------------------------------------------------------------


async def test_tables_are_read_through_the_governed_relay(captures: Path, governed: Any) -> None:
    async with (
        agent(scalance(captures)) as (port, table),
        governed(probe.READ_PROBE, port, known=PUBLIC_2C) as session,
    ):
        facts = await probe.run_read(session)

    interfaces = [f for f in facts if isinstance(f, NetworkInterface)]
    neighbours = [f for f in facts if isinstance(f, Neighbour)]
    chassis = next(f for f in facts if isinstance(f, DeviceIdentity))
    assert len(interfaces) >= 6
    assert any(i.mac and i.oper_up for i in interfaces)
    assert all(i.name for i in interfaces)
    assert chassis.vendor == "Siemens"
    assert chassis.hardware == "3"
    assert neighbours[0].chassis_id == "3c:41:0e:e8:4b:80"
    assert neighbours[0].local_port == "port-008"
    assert neighbours[0].port_id == "Gi1/0/16"
    assert neighbours[0].system_name == "C3560"
    assert neighbours[0].management_address == "10.10.11.4"
    assert table.writes == []
    planned = sum(q.at_most for q in probe.READ_PROBE.questions)
    assert len(session.evidence_kept.intents) <= planned


async def test_the_chassis_of_a_router_tells_model_and_serial(
    captures: Path, governed: Any
) -> None:
    rows = recorded(captures / "snmprec" / "iosxe_ir1101.snmprec")
    async with (
        agent(rows) as (port, _table),
        governed(probe.READ_PROBE, port, known=PUBLIC_1) as session,
    ):
        facts = await probe.run_read(session)

    chassis = next(f for f in facts if isinstance(f, DeviceIdentity))
    assert (chassis.vendor, chassis.model) == ("Cisco Systems Inc", "IR1101-K9")
    assert (chassis.hardware, chassis.serial) == ("V03", "FCW2428P6Q9")


async def test_identify_through_the_door_is_two_datagrams(captures: Path, governed: Any) -> None:
    async with (
        agent(scalance(captures)) as (port, _table),
        governed(probe.PROBE, port) as session,
    ):
        facts = await probe.run(session)

    access = next(f for f in facts if isinstance(f, SnmpAccess))
    identity = next(f for f in facts if isinstance(f, DeviceIdentity))
    assert access.versions == ("2c", "3")
    assert access.community == "public"
    assert access.engine_id
    assert access.uptime_s
    assert identity.model == "SCALANCE XC206-2SFP"
    assert len(session.evidence_kept.intents) == 2


async def test_a_set_through_the_relay_is_refused_and_never_reaches_the_agent(
    captures: Path, governed: Any
) -> None:
    async with (
        agent(scalance(captures)) as (port, table),
        governed(probe.READ_PROBE, port, known=PUBLIC_2C) as session,
    ):
        engine = hlapi.SnmpEngine()
        try:
            with pytest.raises(GuardRefused):
                async with session.relay() as (host, relay_port):
                    target = await hlapi.UdpTransportTarget.create(
                        (host, relay_port), timeout=1, retries=0
                    )
                    await hlapi.set_cmd(
                        engine,
                        hlapi.CommunityData("public", mpModel=1),
                        target,
                        hlapi.ContextData(),
                        hlapi.ObjectType(
                            hlapi.ObjectIdentity("1.3.6.1.2.1.1.5.0"), rfc1902.OctetString("owned")
                        ),
                        lookupMib=False,
                    )
        finally:
            engine.close_dispatcher()

    assert table.writes == []
    assert table.questions == 0
    assert session.device.figures.bytes_out == 0


async def test_without_an_accepted_community_nothing_is_asked(governed: Any) -> None:
    known = (SnmpAccess(versions=("3",)),)
    async with governed(probe.READ_PROBE, 9, known=known) as session:
        facts = await probe.run_read(session)

    assert [type(fact) for fact in facts] == [LoginUnavailable]
    assert session.evidence_kept.intents == []


async def test_all_walks_of_a_conversation_ask_no_more_than_the_plan_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def endless(self: object, name: str, rows: int) -> object:
        asked.append(name)
        return None, 0, 0, [(f"{name}.1", 5)]

    monkeypatch.setattr(snmp._Reader, "_next", endless)
    monkeypatch.setattr(snmp, "_value", lambda value: value)
    async with snmp.reader("127.0.0.1", 9, "2c") as read:
        for column in range(1, 30):
            await read.walk(f"1.3.6.1.2.1.2.2.1.{column}", 128)

    assert len(asked) == snmp.MAX_QUESTIONS
