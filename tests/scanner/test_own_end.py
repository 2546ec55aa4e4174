"""Our own end of a datagram conversation: which port it has, and what we share with the device."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scanner.errors import ToolBug
from scanner.model import Tier, Transport
from scanner.spec import OwnEnd, Probe
from scanner.wire import shared_prefix

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def routes(folder: Path, *lines: tuple[str, str, int, str]) -> Path:
    """A routing table as the kernel prints it, from destination, gateway, flags and mask."""

    def number(address: str) -> str:
        raw = bytes(int(part) for part in address.split("."))
        return f"{int.from_bytes(raw, sys.byteorder):08X}"

    text = "".join(
        f"eth0\t{number(to)}\t{number(gate)}\t{flags:04X}\t0\t0\t0\t{number(mask)}\t0\t0\t0\n"
        for to, gate, flags, mask in lines
    )
    path = folder / "route"
    path.write_text(HEAD + text)
    return path


def test_a_network_on_the_link_is_told_by_its_mask(tmp_path: Path) -> None:
    table = routes(
        tmp_path,
        ("0.0.0.0", "10.1.0.1", 3, "0.0.0.0"),
        ("10.1.0.0", "0.0.0.0", 1, "255.255.0.0"),
        ("10.1.2.0", "0.0.0.0", 1, "255.255.255.0"),
        ("10.1.3.0", "10.1.0.9", 3, "255.255.255.0"),
        ("10.1.4.0", "0.0.0.0", 0, "255.255.255.0"),
    )

    assert shared_prefix("10.1.2.7", table) == 24
    assert shared_prefix("10.1.9.7", table) == 16
    assert shared_prefix("10.1.4.7", table) == 16
    assert shared_prefix("10.1.3.7", table) is None  # through a router
    assert shared_prefix("192.0.2.1", table) is None
    assert shared_prefix("127.35.0.1", table) == 8
    assert shared_prefix("fe80::1", table) is None


def test_without_a_routing_table_nothing_is_known(tmp_path: Path) -> None:
    assert shared_prefix("10.1.2.7", tmp_path / "none") is None
    (tmp_path / "odd").write_text(HEAD + "eth0 what\n")
    assert shared_prefix("10.1.2.7", tmp_path / "odd") is None


async def nothing(session: object) -> tuple[()]:
    return ()


def probe(transport: Transport, **changes: object) -> Probe:
    return Probe(
        name="p", protocol="snmp", transport=transport, ports=(161,), tier=Tier.IDENTIFY,
        run=nothing, questions=(), **changes,
    )  # fmt: skip


async def test_our_end_is_known_before_the_first_datagram(governed) -> None:
    async with governed(probe(Transport.UDP), 9) as session:
        own = await session.own_end()
        assert own == await session.own_end()

    assert own == OwnEnd(address="127.0.0.1", port=own.port, prefix=8)
    assert own.port >= 1024
    assert session.device.figures.packets == 0
    assert session.evidence_kept.intents == []


async def test_a_port_of_ours_may_be_shared_by_conversations_with_several_devices(governed) -> None:
    asked_from = probe(Transport.UDP, own_ports=(31740, 31741))
    async with (
        governed(asked_from, 9, address="127.0.0.1") as one,
        governed(asked_from, 9, address="127.0.0.2") as other,
    ):
        ends = [await one.own_end(), await other.own_end()]

    assert [end.port for end in ends] == [31740, 31740]


async def test_a_connection_has_no_end_before_it_is_made(governed) -> None:
    async with governed(probe(Transport.TCP), 9) as session:
        with pytest.raises(ToolBug):
            await session.own_end()
