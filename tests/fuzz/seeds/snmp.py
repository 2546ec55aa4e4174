"""SNMP: recorded agents of every version, communities that are let in, and recorded walks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import probes.snmp
import probes.snmptables
import scanner.clients.snmp
import scanner.guards.snmp
from scanner.facts import DeviceIdentity, SnmpAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import (
    banners,
    captured,
    credential,
    recorded_replies,
    remembered,
    script,
    told_by,
)
from tests.fuzz.session import Dialogue, FuzzSession

FOREIGN = ("Value", "Mapping[str, Value]")
OURS = {"scanner.clients.snmp.reader": "takes the relay's host and port"}
OUR_PARAMETERS = ("entry", "vendor")
GET = bytes.fromhex(
    "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
)
"""A question of ours, for what tells whether a reply answers it."""

mend = mutate.ber


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_snmp

    probe = probes.snmp.PROBE
    v3 = [bytes.fromhex(r["exchanges"][0]["response_hex"]) for r in captured(captures, "snmpv3__*")]
    for i, record in enumerate(captured(captures, "snmp__*.json")):
        values = test_snmp.recorded_values(record)
        agent = test_snmp.Agent(
            values, versions=(0, 1) if i % 3 else (0,), discovery=v3[i % len(v3)]
        )
        yield Dialogue(name=record["id"], probe=probe, answer=remembered(agent))
    for i, descr in enumerate(banners(captures, "snmp_sysdescr")[::6]):
        agent = test_snmp.Agent({probes.snmp.SYS_DESCR: test_snmp.text(descr)})
        yield Dialogue(name=f"banner {i}", probe=probe, answer=remembered(agent))
    for report in v3:
        agent = test_snmp.Agent({}, versions=(), discovery=report)
        yield Dialogue(name="version 3", probe=probe, answer=remembered(agent))
    made = {
        probes.snmp.SYS_DESCR: test_snmp.text("x"),
        probes.snmp.SYS_OBJECT_ID: test_snmp.oid("1.3"),
    }
    accepting = test_snmp.Agent(made, communities=("private",))
    anything = test_snmp.Agent(made, communities=("private", probes.snmp.NO_SUCH_COMMUNITY))
    for agent in (accepting, anything):
        yield Dialogue(
            name="login",
            probe=probes.snmp.LOGIN_PROBE,
            answer=remembered(agent),
            default_credentials=credential("snmp"),
        )
    access = SnmpAccess(versions=("1", "2c"), community="public")
    for file in sorted((captures / "snmprec").glob("*.snmprec")):
        yield Dialogue(
            name=f"read {file.stem}",
            probe=probes.snmp.READ_PROBE,
            answer=script(),
            known=(access, DeviceIdentity(firmware="V04.02")),
            values={"walk": _walk(file)},
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    """
    Each agent as it was recorded: in version 2c, without an answer to the discovery of version 3;
    those of version 3 with nothing but that. Then the walks, read on the strength of both.
    """
    from tests.probes import test_snmp

    probe = probes.snmp.PROBE
    for record in captured(captures, "snmp__*.json"):
        agent = test_snmp.Agent(test_snmp.recorded_values(record))
        first = Dialogue(name=record["id"], probe=probe, answer=remembered(agent))
        yield first
        file = captures / "snmprec" / f"{record['id'].removeprefix('snmp_')}.snmprec"
        if file.exists():
            yield Dialogue(
                name=record["id"],
                probe=probes.snmp.READ_PROBE,
                answer=script(),
                known=told_by(first),
                values={"walk": _recorded_walk(file)},
            )
    for record in captured(captures, "snmpv3__*"):
        report = bytes.fromhex(record["exchanges"][0]["response_hex"])
        agent = test_snmp.Agent({}, versions=(), discovery=report)
        yield Dialogue(name=record["id"], probe=probe, answer=remembered(agent))


BANNERS = {
    "snmp_sysdescr": lambda text: probes.snmp.identify({probes.snmp.SYS_DESCR: text.encode()})
}


def _recorded_walk(file: Path, most: int | None = None) -> dict[str, Any]:
    """What the read tier would find in a recorded walk, as the library hands it over."""
    found: dict[str, Any] = {}
    tables = probes.snmptables
    entries = (*(table.entry for table in tables.TABLES), tables.LLDP_LOCAL)
    for line in file.read_text("utf-8", "replace").splitlines():
        name, _, rest = line.partition("|")
        kind, _, value = rest.partition("|")
        if len(found) == most or not name.startswith(entries):
            continue
        if kind == "6":
            found[name] = value
        elif kind == "4x":
            found[name] = bytes.fromhex(value)
        elif kind in ("4", "64"):
            found[name] = value.encode()
        elif value.lstrip("-").isdecimal():
            found[name] = int(value)
    return found


def _walk(file: Path) -> dict[str, Any]:
    """The same, and a row of every table that is read."""
    tables = probes.snmptables
    found = _recorded_walk(file, most=400)
    for name, value in (
        (f"{tables.ENT_PHYSICAL}.5.1", 3),
        (f"{tables.IF_TABLE}.8.1", 1),
        (f"{tables.LLDP_REMOTE}.5.0.1.1", b"\x00\x1b\x1b\x01\x02\x03"),
        (f"{tables.LLDP_REMOTE}.4.0.1.1", 4),
        (f"{tables.LLDP_REMOTE}.9.0.1.1", b"SW-2"),
        (f"{tables.LLDP_REMOTE_ADDRESS}.3.0.1.1.1.4.192.0.2.7", 1),
        (f"{tables.LLDP_REMOTE}.12.0.1.1", b"\x28"),
        (f"{tables.LLDP_LOCAL}.1.0", 4),
        (f"{tables.LLDP_LOCAL}.2.0", b"\x00\x1b\x1b\x01\x02\x04"),
        (tables.BRIDGE_ADDRESS, b"\x00\x1b\x1b\x01\x02\x05"),
        (f"{tables.CDP_CACHE}.3.1.1", 1),
        (f"{tables.CDP_CACHE}.4.1.1", b"\xc0\x00\x02\x07"),
        (f"{tables.CDP_CACHE}.6.1.1", b"SW-3"),
        (f"{tables.CDP_CACHE}.9.1.1", b"\x00\x00\x00\x29"),
        (f"{tables.OWN_ADDRESS}.2.192.0.2.8", 1),
        (f"{tables.OWN_ADDRESS}.3.192.0.2.8", b"\xff\xff\xff\x00"),
        (f"{tables.ARP}.2.1.192.0.2.9", b"\x00\x1b\x1b\x01\x02\x06"),
        (f"{tables.IP_NEIGHBOUR}.4.1.1.4.192.0.2.9", b"\x00\x1b\x1b\x01\x02\x06"),
        (f"{tables.BASE_PORT}.2.1", 1),
        (f"{tables.VLAN_FORWARDING}.2.7.0.27.27.1.2.6", 1),
        (f"{tables.VLAN_CURRENT}.3.0.10", 7),
        (f"{tables.FORWARDING}.2.0.27.27.1.2.7", 1),
        (f"{tables.VLAN_STATIC}.1.10", b"process"),
        (f"{tables.ENT_PHYSICAL}.5.2", 9),
        (f"{tables.ENT_PHYSICAL}.13.2", b"SFP992-1LD"),
    ):
        found.setdefault(name, value)
    return found


class _Library:
    """scanner.clients.snmp.reader over one damaged walk."""

    cut: frozenset[str] = frozenset()

    async def __aenter__(self) -> _Library:
        self.values: dict[str, Any] = FuzzSession.current.told("walk")
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def get(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.values[name] for name in names if name in self.values}

    async def walk(self, column: str, max_rows: int) -> dict[str, Any]:
        found = [(n, v) for n, v in self.values.items() if n.startswith(column + ".")]
        return dict(found[:max_rows])


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for dialogue in dialogues(captures):
        for reply in recorded_replies(dialogue):
            yield "snmp", lambda r=reply: scanner.guards.snmp.is_answer(r, GET)  # type: ignore[misc]


LIBRARIES = ((scanner.clients.snmp, "reader", lambda *_: _Library()),)
