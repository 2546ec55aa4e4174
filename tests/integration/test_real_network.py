"""
What switches run: Net-SNMP's snmpd, and lldpd, which tells it the neighbours on its cable.

They stand in two network namespaces of the test with one cable between them, so that nobody else
hears their LLDP and they hear nobody else's. In the one is the agent with its lldpd, and the scan;
in the other is the neighbour. lldpd has its chroot under /run, where each sees a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.real import (
    Seen,
    folder_of_servers,
    program,
    running,
    scanned,
    until,
    wait_for,
)

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(120)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {"snmp": ("snmpd (Debian)", "lldpd (Debian)")}

PORTS = {"snmp": 20161}
OPEN, CLOSED = "127.0.0.11", "127.0.0.12"

SNMPD = """
agentaddress udp:{at}:{port}
sysName {name}
sysDescr Quayside managed switch, firmware 4.2
sysLocation Pump house
sysObjectID 1.3.6.1.4.1.8072.3.2.10
"""
FOR_ANYBODY = """
rocommunity public 127.0.0.0/8
master agentx
agentXSocket {folder}/agentx
"""
FOR_USERS = """
rouser sluice priv
"""


def ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Two namespaces and the cable between them: `port1` in the first, `port2` in the second."""
    names = (f"wdreal-{os.getpid()}-a", f"wdreal-{os.getpid()}-b")
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "port1", "netns", names[0], "type", "veth", "peer", "name", "port2",
           "netns", names[1])  # fmt: skip
        for name, port in zip(names, ("port1", "port2"), strict=True):
            ip("-n", name, "link", "set", port, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def inside(namespace: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", namespace)


@pytest.fixture(scope="module")
def namespaces() -> Iterator[tuple[str, str]]:
    if os.geteuid() != 0:
        missing("namespaces and lldpd need root")
    with cable() as names:
        yield names


@pytest.fixture(scope="module")
def cable_ends(namespaces: tuple[str, str]) -> Mapping[str, str]:
    """The MAC address of each end."""
    ends = zip(namespaces, ("port1", "port2"), strict=True)
    return {
        port: json.loads(ip("-n", name, "-j", "link", "show", port))[0]["address"]
        for name, port in ends
    }


@pytest.fixture(scope="module")
def seen(
    walkdown: Callable[..., Any], namespaces: tuple[str, str]
) -> Iterator[Callable[[str], Seen]]:
    here, there = namespaces
    snmpd, lldpd = program("snmpd", "snmpd"), program("lldpd", "lldpd")
    lldpcli = program("lldpcli", "lldpd")
    with folder_of_servers() as folder, ExitStack() as stack:

        def _begin(name: str, words: tuple[object, ...]) -> Any:
            return stack.enter_context(running(words, folder / f"{name}.log"))

        def _snmpd(name: str, at: str, who: str) -> tuple[object, ...]:
            path = folder / f"{name}.conf"
            text = (SNMPD + who).format(at=at, port=PORTS["snmp"], name=name, folder=folder)
            path.write_text(text, encoding="utf-8")
            state = f"SNMP_PERSISTENT_DIR={folder}/{name}.state"
            return (
                *inside(here), "env", state, snmpd, "-f", "-Le", "-C", "-c", path, "-m", "",
                "-I", "-smux", "-p", folder / f"{name}.pid",
            )  # fmt: skip

        def _lldpd(namespace: str, name: str, *words: object) -> tuple[object, ...]:
            own = 'mount -t tmpfs tmpfs /run && exec "$@"'
            return (
                *inside(namespace), "sh", "-c", own, "sh", lldpd, "-dd", "-L", "",
                "-u", folder / f"{name}.sock", "-p", folder / f"{name}.pid", *words,
            )  # fmt: skip

        def _bound(at: str) -> bool:
            rows = subprocess.run(
                [*inside(here), "cat", "/proc/net/udp"], check=True, capture_output=True, text=True
            ).stdout
            quad = "".join(f"{int(part):02X}" for part in reversed(at.split(".")))
            return f"{quad}:{PORTS['snmp']:04X}" in rows

        def _neighbour_known() -> bool:
            said = subprocess.run(
                [lldpcli, "-u", folder / "local.sock", "-f", "keyvalue", "show", "neighbors"],
                check=False, capture_output=True, text=True,
            ).stdout  # fmt: skip
            return "Quayside neighbour" in said

        daemons = {
            "open": _begin("open", _snmpd("SW-7", OPEN, FOR_ANYBODY)),
            "closed": _begin("closed", _snmpd("SW-8", CLOSED, FOR_USERS)),
        }
        wait_for(daemons["open"], lambda: _bound(OPEN))
        wait_for(daemons["closed"], lambda: _bound(CLOSED))
        local = _begin("local", _lldpd(here, "local", "-I", "port1", "-X", folder / "agentx"))
        other = _begin("other", _lldpd(there, "other", "-I", "port2", "-S", "Quayside neighbour"))
        for daemon in (local, other):
            wait_for(daemon, lambda: True)
        until(_neighbour_known, lambda: f"no neighbour is seen:\n{local.log}\n{other.log}")
        assessment = scanned(
            walkdown, folder, [OPEN, CLOSED], ports=PORTS, before=inside(here), probes=["snmp"]
        )
        addresses = {"open": OPEN, "closed": CLOSED}
        yield lambda name: Seen(
            address=addresses[name], assessment=assessment, daemon=daemons[name]
        )


def test_both_answer_and_nothing_goes_wrong(seen: Callable[[str], Seen]) -> None:
    for name in ("open", "closed"):
        assert seen(name).answered == {"snmp"}
        assert seen(name).bad_ends == []


def test_snmpd_that_takes_public_tells_itself(seen: Callable[[str], Seen]) -> None:
    one = seen("open")

    access = one.fact("snmp_access")
    assert access["versions"] == ["2c", "3"]
    assert access["community"] == "public"
    assert (access["enterprise"], access["object_id"]) == (8072, "1.3.6.1.4.1.8072.3.2.10")
    assert access["engine_id"].startswith("80001f88")  # 8072 with the first bit set
    assert access["engine_boots"] == 1
    assert one.identity["name"] == "SW-7"
    assert {"snmp_default_community", "snmp_cleartext_version"} <= one.weaknesses


def test_snmpd_that_wants_users_tells_its_engine_alone(seen: Callable[[str], Seen]) -> None:
    one = seen("closed")

    access = one.fact("snmp_access")
    assert access["versions"] == ["3"]
    assert "community" not in access
    assert access["engine_id"].startswith("80001f88")
    assert one.fact("login_unavailable")["service"] == "snmp"
    assert one.weaknesses == set()


def test_the_agents_tables_are_those_of_the_kernel(
    seen: Callable[[str], Seen], cable_ends: Mapping[str, str]
) -> None:
    one = seen("open")

    rows = {row["name"]: row for row in one.facts("network_interface")}
    assert set(rows) == {"lo", "port1"}
    assert rows["port1"]["mac"] == cable_ends["port1"]
    assert rows["port1"]["oper_up"] is True
    (own,) = one.facts("own_address")
    assert (own["ip"], own["prefix_length"], own["interface"]) == ("127.0.0.1", 8, "lo")


def test_lldpd_tells_who_is_on_its_cable(
    seen: Callable[[str], Seen], cable_ends: Mapping[str, str]
) -> None:
    one = seen("open")

    neighbour, port = one.fact("neighbour"), one.fact("link_layer_port")
    assert neighbour["system_description"] == "Quayside neighbour"
    assert neighbour["chassis_id"] == neighbour["port_id"] == cable_ends["port2"]
    assert neighbour["local_port"] == port["port_id"] == cable_ends["port1"]
    assert (port["description"], port["interface"]) == ("port1", "port1")
    assert one.fact("link_layer_name")["chassis_id"] == cable_ends["port1"]
    read = {row["table"]: row for row in one.facts("table_read")}
    assert (read["neighbours"]["rows"], read["neighbours"]["complete"]) == (1, True)


def test_nobody_complains_of_us(seen: Callable[[str], Seen]) -> None:
    for name in ("open", "closed"):
        log = seen(name).log.partition("NET-SNMP version")[2]
        assert log.count("Connection from UDP") > 2
        strangers = [
            line
            for line in log.splitlines()[1:]
            if line and not line.startswith("Connection from UDP: [127.0.0.1]")
        ]
        assert strangers == []
