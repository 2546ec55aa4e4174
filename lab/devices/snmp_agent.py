"""
An SNMP agent: pysnmp's engine and command responders over a table of this device's own.

Settings: `communities` (list), `versions` (subset of "1", "2c", "3"), `users` for v3
({name: {auth, priv}}), `engine_id` (hex), `system` (descr, object_id, name, location, contact),
`interfaces`, `entity` and `neighbours` (lists), `extra` ({oid: text}), `accept_any` (every v1 and
v2c community is right), and what lab.cabling makes of a plant's cables: `lldp`, `cdp`, `bridge`,
`addresses`, `arp`. Nothing is writable.
"""

from __future__ import annotations

import socket
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

# pysnmp ships no type hints
from pysnmp.carrier.asyncio.dgram import udp  # type: ignore[import-untyped]
from pysnmp.entity import config  # type: ignore[import-untyped]
from pysnmp.entity.engine import SnmpEngine  # type: ignore[import-untyped]
from pysnmp.entity.rfc3413 import cmdrsp, context  # type: ignore[import-untyped]
from pysnmp.proto import rfc1902, rfc1905  # type: ignore[import-untyped]
from pysnmp.smi import error  # type: ignore[import-untyped]
from pysnmp.smi.instrum import AbstractMibInstrumController  # type: ignore[import-untyped]

from lab.bench import LOOPBACK, Bench, Server
from lab.frames import community_of, snmp_version, with_community
from lab.front import ask_inner

Oid = tuple[int, ...]

SYSTEM = (1, 3, 6, 1, 2, 1, 1)
IF_NUMBER = (1, 3, 6, 1, 2, 1, 2, 1, 0)
IF_ENTRY = (1, 3, 6, 1, 2, 1, 2, 2, 1)
ENT_PHYSICAL_ENTRY = (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1)
LLDP_REM_ENTRY = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1)
LLDP_LOC_PORT_ENTRY = (1, 0, 8802, 1, 1, 2, 1, 3, 7, 1)
LLDP_LOC_SYSTEM = (1, 0, 8802, 1, 1, 2, 1, 3)
LLDP_REM_MAN_ADDR_ENTRY = (1, 0, 8802, 1, 1, 2, 1, 4, 2, 1)
IF_X_ENTRY = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
CDP_CACHE_ENTRY = (1, 3, 6, 1, 4, 1, 9, 9, 23, 1, 2, 1, 1)
DOT1D_BASE = (1, 3, 6, 1, 2, 1, 17, 1)
DOT1D_TP_FDB_ENTRY = (1, 3, 6, 1, 2, 1, 17, 4, 3, 1)
DOT1Q = (1, 3, 6, 1, 2, 1, 17, 7, 1)
IP_AD_ENTRY = (1, 3, 6, 1, 2, 1, 4, 20, 1)
IP_NET_TO_MEDIA_ENTRY = (1, 3, 6, 1, 2, 1, 4, 22, 1)
LLDP_CAPABILITIES = {"repeater": 0x40, "bridge": 0x20, "router": 0x08, "station": 0x01}
CDP_CAPABILITIES = {"router": 0x01, "bridge": 0x08, "station": 0x10}
LEARNED = 3
FDB_ID_OF_VLAN = 1000
"""Added to a VLAN's number: the id of a forwarding table is no VLAN (RFC 4363)."""


def oid(text: str) -> Oid:
    return tuple(int(part) for part in text.strip(".").split("."))


def _octets(value: object) -> rfc1902.OctetString:
    return rfc1902.OctetString(str(value).encode("utf-8"))


def table(settings: Mapping[str, Any]) -> dict[Oid, Any]:
    """Every instance of the agent by its OID, from the plant file's words."""
    system = dict(settings.get("system", {}))
    rows: dict[Oid, Any] = {
        (*SYSTEM, 1, 0): _octets(system.get("descr", "")),
        (*SYSTEM, 2, 0): rfc1902.ObjectIdentifier(oid(str(system.get("object_id", "0.0")))),
        (*SYSTEM, 3, 0): rfc1902.TimeTicks(int(system.get("uptime_s", 8_640_000)) * 100),
        (*SYSTEM, 4, 0): _octets(system.get("contact", "")),
        (*SYSTEM, 5, 0): _octets(system.get("name", "")),
        (*SYSTEM, 6, 0): _octets(system.get("location", "")),
        (*SYSTEM, 7, 0): rfc1902.Integer32(int(system.get("services", 2))),
    }
    interfaces = list(settings.get("interfaces", ()))
    rows[IF_NUMBER] = rfc1902.Integer32(len(interfaces))
    for index, interface in enumerate(interfaces, start=1):
        mac = bytes.fromhex(str(interface.get("mac", "")).replace(":", ""))
        up = rfc1902.Integer32(1 if interface.get("up", True) else 2)
        rows |= {
            (*IF_ENTRY, 1, index): rfc1902.Integer32(index),
            (*IF_ENTRY, 2, index): _octets(interface["name"]),
            (*IF_ENTRY, 3, index): rfc1902.Integer32(6),
            (*IF_ENTRY, 4, index): rfc1902.Integer32(1500),
            (*IF_ENTRY, 5, index): rfc1902.Gauge32(int(interface.get("speed", 100_000_000))),
            (*IF_ENTRY, 6, index): rfc1902.OctetString(mac),
            (*IF_ENTRY, 7, index): rfc1902.Integer32(1),
            (*IF_ENTRY, 8, index): up,
        }
        if "short" in interface:
            rows[(*IF_X_ENTRY, 1, index)] = _octets(interface["short"])
    columns = {
        "descr": 2, "vendor_type": 3, "class": 5, "name": 7, "hardware": 8, "firmware": 9,
        "software": 10, "serial": 11, "manufacturer": 12, "model": 13,
    }  # fmt: skip
    for index, part in enumerate(settings.get("entity", ()), start=1):
        for key, column in columns.items():
            instance = (*ENT_PHYSICAL_ENTRY, column, index)
            if key == "class":
                rows[instance] = rfc1902.Integer32(int(part.get(key, 3)))
            elif key == "vendor_type":
                rows[instance] = rfc1902.ObjectIdentifier(oid(str(part.get(key, "0.0"))))
            else:
                rows[instance] = _octets(part.get(key, ""))
    for index, neighbour in enumerate(settings.get("neighbours", ()), start=1):
        port = int(neighbour["local_port"])
        key_of_row = (0, port, index)  # lldpRemTimeMark, lldpRemLocalPortNum, lldpRemIndex
        rows |= {
            (*LLDP_REM_ENTRY, 4, *key_of_row): rfc1902.Integer32(4),
            (*LLDP_REM_ENTRY, 5, *key_of_row): rfc1902.OctetString(
                bytes.fromhex(str(neighbour["chassis_mac"]).replace(":", ""))
            ),
            (*LLDP_REM_ENTRY, 6, *key_of_row): rfc1902.Integer32(5),
            (*LLDP_REM_ENTRY, 7, *key_of_row): _octets(neighbour["port_id"]),
            (*LLDP_REM_ENTRY, 8, *key_of_row): _octets(neighbour.get("port_descr", "")),
            (*LLDP_REM_ENTRY, 9, *key_of_row): _octets(neighbour["system_name"]),
            (*LLDP_REM_ENTRY, 10, *key_of_row): _octets(neighbour.get("system_descr", "")),
            (*LLDP_LOC_PORT_ENTRY, 2, port): rfc1902.Integer32(5),
            (*LLDP_LOC_PORT_ENTRY, 3, port): _octets(f"Port {port}"),
            (*LLDP_LOC_PORT_ENTRY, 4, port): _octets(f"Port {port}"),
        }
        if neighbour.get("capabilities"):
            flags = _flags(neighbour["capabilities"], LLDP_CAPABILITIES)
            rows[(*LLDP_REM_ENTRY, 12, *key_of_row)] = rfc1902.OctetString(bytes((flags,)))
        if neighbour.get("address"):
            octets = _numbers(neighbour["address"])
            rows[(*LLDP_REM_MAN_ADDR_ENTRY, 3, *key_of_row, 1, 4, *octets)] = rfc1902.Integer32(2)
    rows |= _link_layer(settings, interfaces)
    rows |= _bridge(settings.get("bridge"), interfaces)
    rows |= _addresses(settings)
    for name, text in dict(settings.get("extra", {})).items():
        rows[oid(str(name))] = _octets(text)
    return rows


def _mac(text: object) -> bytes:
    return bytes.fromhex(str(text).replace(":", ""))


def _numbers(address: object) -> tuple[int, ...]:
    return tuple(int(part) for part in str(address).split("."))


def _flags(words: Any, bits: Mapping[str, int]) -> int:
    return sum(bits[str(word)] for word in words)


def _link_layer(settings: Mapping[str, Any], interfaces: list[Any]) -> dict[Oid, Any]:
    """The LLDP system and its ports (id subtype 5, interface name), and the CDP cache."""
    rows: dict[Oid, Any] = {}
    if lldp := settings.get("lldp"):
        flags = bytes((_flags(lldp["capabilities"], LLDP_CAPABILITIES),))
        rows |= {
            (*LLDP_LOC_SYSTEM, 1, 0): rfc1902.Integer32(4),
            (*LLDP_LOC_SYSTEM, 2, 0): rfc1902.OctetString(_mac(lldp["chassis_mac"])),
            (*LLDP_LOC_SYSTEM, 3, 0): _octets(lldp["name"]),
            (*LLDP_LOC_SYSTEM, 5, 0): rfc1902.OctetString(flags),
            (*LLDP_LOC_SYSTEM, 6, 0): rfc1902.OctetString(flags),
        }
        for index, interface in enumerate(interfaces, start=1):
            name = _octets(interface.get("short", interface["name"]))
            rows |= {
                (*LLDP_LOC_PORT_ENTRY, 2, index): rfc1902.Integer32(5),
                (*LLDP_LOC_PORT_ENTRY, 3, index): name,
                (*LLDP_LOC_PORT_ENTRY, 4, index): _octets(interface["name"]),
            }
    for index, neighbour in enumerate(settings.get("cdp", ()), start=1):
        key = (int(neighbour["local_port"]), index)
        flags = _flags(neighbour["capabilities"], CDP_CAPABILITIES).to_bytes(4, "big")
        rows |= {
            (*CDP_CACHE_ENTRY, 3, *key): rfc1902.Integer32(1),
            (*CDP_CACHE_ENTRY, 6, *key): _octets(neighbour["system_name"]),
            (*CDP_CACHE_ENTRY, 7, *key): _octets(neighbour["port_id"]),
            (*CDP_CACHE_ENTRY, 8, *key): _octets(neighbour["platform"]),
            (*CDP_CACHE_ENTRY, 9, *key): rfc1902.OctetString(flags),
        }
        if neighbour.get("address"):
            octets = bytes(_numbers(neighbour["address"]))
            rows[(*CDP_CACHE_ENTRY, 4, *key)] = rfc1902.OctetString(octets)
    return rows


def _bridge(bridge: Mapping[str, Any] | None, interfaces: list[Any]) -> dict[Oid, Any]:
    """BRIDGE-MIB, or Q-BRIDGE-MIB where the bridge has named VLANs. Ports are numbered alike."""
    if bridge is None:
        return {}
    rows: dict[Oid, Any] = {}
    if bridge.get("address"):
        rows[(*DOT1D_BASE, 1, 0)] = rfc1902.OctetString(_mac(bridge["address"]))
    for index in range(1, len(interfaces) + 1):
        rows[(*DOT1D_BASE, 4, 1, 1, index)] = rfc1902.Integer32(index)
        rows[(*DOT1D_BASE, 4, 1, 2, index)] = rfc1902.Integer32(index)
    for vlan, name in bridge.get("vlans", {}).items():
        rows[(*DOT1Q, 4, 2, 1, 3, 0, int(vlan))] = rfc1902.Gauge32(FDB_ID_OF_VLAN + int(vlan))
        rows[(*DOT1Q, 4, 3, 1, 1, int(vlan))] = _octets(name)
    for entry in bridge["heard"]:
        mac = tuple(_mac(entry["mac"]))
        if bridge.get("vlans"):
            key: Oid = (FDB_ID_OF_VLAN + int(entry["vlan"]), *mac)
            rows[(*DOT1Q, 2, 2, 1, 2, *key)] = rfc1902.Integer32(int(entry["port"]))
            rows[(*DOT1Q, 2, 2, 1, 3, *key)] = rfc1902.Integer32(LEARNED)
        else:
            octets = rfc1902.OctetString(bytes(mac))
            rows[(*DOT1D_TP_FDB_ENTRY, 1, *mac)] = octets
            rows[(*DOT1D_TP_FDB_ENTRY, 2, *mac)] = rfc1902.Integer32(int(entry["port"]))
            rows[(*DOT1D_TP_FDB_ENTRY, 3, *mac)] = rfc1902.Integer32(LEARNED)
    return rows


def _addresses(settings: Mapping[str, Any]) -> dict[Oid, Any]:
    rows: dict[Oid, Any] = {}
    for own in settings.get("addresses", ()):
        key = _numbers(own["ip"])
        mask = (0xFFFFFFFF << 32 - int(own["prefix"]) & 0xFFFFFFFF).to_bytes(4, "big")
        rows[(*IP_AD_ENTRY, 1, *key)] = rfc1902.IpAddress(str(own["ip"]))
        rows[(*IP_AD_ENTRY, 2, *key)] = rfc1902.Integer32(int(own["port"]))
        rows[(*IP_AD_ENTRY, 3, *key)] = rfc1902.IpAddress(".".join(map(str, mask)))
    for entry in settings.get("arp", ()):
        row = (int(entry["port"]), *_numbers(entry["ip"]))
        rows[(*IP_NET_TO_MEDIA_ENTRY, 1, *row)] = rfc1902.Integer32(int(entry["port"]))
        rows[(*IP_NET_TO_MEDIA_ENTRY, 2, *row)] = rfc1902.OctetString(_mac(entry["mac"]))
        rows[(*IP_NET_TO_MEDIA_ENTRY, 3, *row)] = rfc1902.IpAddress(str(entry["ip"]))
        rows[(*IP_NET_TO_MEDIA_ENTRY, 4, *row)] = rfc1902.Integer32(LEARNED)
    return rows


class ReadOnlyTable(AbstractMibInstrumController):  # type: ignore[misc]
    """Instances sorted by OID; no instance can be written."""

    def __init__(
        self, rows: Mapping[Oid, Any], *, started: float, on_write: Callable[[], None]
    ) -> None:
        self._on_write = on_write
        self._rows = dict(rows)
        self._order = sorted(self._rows)
        self._started = started

    def read_variables(self, *varBinds: Any, **_context: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        return [(name, self._value(tuple(name))) for name, _ in varBinds]

    def read_next_variables(self, *varBinds: Any, **_context: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        answers = []
        for name, _ in varBinds:
            at = bisect_right(self._order, tuple(name))
            if at < len(self._order):
                found = self._order[at]
                answers.append((rfc1902.ObjectName(found), self._value(found)))
            else:
                answers.append((name, rfc1905.endOfMibView))
        return answers

    def write_variables(self, *varBinds: Any, **_context: Any) -> list[tuple[Any, Any]]:  # noqa: N803
        self._on_write()
        raise error.NotWritableError(name=varBinds[0][0], idx=0)

    def _value(self, name: Oid) -> Any:
        if name == (*SYSTEM, 3, 0):
            elapsed = int((time.monotonic() - self._started) * 100)
            return rfc1902.TimeTicks(int(self._rows[name]) + elapsed)
        value = self._rows.get(name)
        if value is not None:
            return value
        siblings = bisect_right(self._order, name[:-1])
        near = self._order[siblings] if siblings < len(self._order) else ()
        return (
            rfc1905.noSuchInstance if near[: len(name) - 1] == name[:-1] else rfc1905.noSuchObject
        )


def shareable(settings: Mapping[str, Any]) -> bool:
    """
    Whether devices with the same settings may have one agent between them: an engine takes a
    twentieth of a second to make. Not where the agent itself tells the ledger something.
    """
    return "3" not in settings.get("versions", ()) and not settings.get("accept_any")


def _engine(engine_id: bytes) -> Any:
    """
    An engine with an id of its own.

    The constructor's argument is not used: with it pysnmp keeps a boot counter in the shared
    temporary folder.
    """
    engine = SnmpEngine()
    (stored,) = engine.get_mib_builder().import_symbols("__SNMP-FRAMEWORK-MIB", "snmpEngineID")
    stored.syntax = stored.syntax.clone(engine_id)
    engine.snmpEngineID = stored.syntax
    return engine


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    versions = frozenset(str(v) for v in settings.get("versions", ("1", "2c")))
    engine = _engine(bytes.fromhex(bench.text("engine_id")))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((LOOPBACK, 0))
    inner = (LOOPBACK, int(sock.getsockname()[1]))
    config.add_transport(
        engine, udp.DOMAIN_NAME, udp.UdpAsyncioTransport().open_server_mode(sock=sock)
    )
    for number, community in enumerate(settings.get("communities", ())):
        config.add_v1_system(engine, f"area-{number}", str(community))
    for user, secrets in dict(settings.get("users", {})).items():
        config.add_v3_user(
            engine,
            str(user),
            config.USM_AUTH_HMAC96_SHA,
            str(secrets["auth"]),
            config.USM_PRIV_CFB128_AES,
            str(secrets["priv"]),
        )
    snmp_context = context.SnmpContext(engine)
    snmp_context.unregister_context_name(rfc1902.OctetString(b""))
    asked: list[str | None] = [None]

    def on_write() -> None:
        """A SetRequest that the front could not see, because it came encrypted."""
        if asked[0] == "3":
            bench.ledger.request("snmp", "v3 SetRequest inside", write=True)

    snmp_context.register_context_name(
        rfc1902.OctetString(b""),
        ReadOnlyTable(table(settings), started=time.monotonic(), on_write=on_write),
    )
    for responder in (
        cmdrsp.GetCommandResponder,
        cmdrsp.NextCommandResponder,
        cmdrsp.BulkCommandResponder,
        cmdrsp.SetCommandResponder,
    ):
        responder(engine, snmp_context)

    async def answer(datagram: bytes) -> bytes | None:
        asked[0] = snmp_version(datagram)
        if asked[0] not in versions:
            return None
        known = [str(each).encode() for each in settings.get("communities", ())]
        if settings.get("accept_any") and known and (given := community_of(datagram)) is not None:
            bench.ledger.misbehaved("secret received")
            reply = await ask_inner(inner, with_community(datagram, known[0]))
            return None if reply is None else with_community(reply, given)
        return await ask_inner(inner, datagram)

    async def stop() -> None:
        engine.close_dispatcher()
        sock.close()

    return Server(answer=answer, stop=stop)


SERVES = {"snmp": serve}
SHAREABLE = {"snmp": shareable}
