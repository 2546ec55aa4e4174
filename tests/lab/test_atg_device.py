"""The lab's tank gauge, and the emulator and the echoing line that may stand in its place."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from ruamel.yaml import YAML

from lab import proving
from lab.devices.atg_device import answer
from lab.frames import PROTOCOLS, Stream
from lab.plant import load, parse
from lab.site_file import site_text

REVISION = b"\x01I90200\n"
RENAME = b"\x01S60201DIESEL\n"
GAUGE = {"software": "349783-001-AXM", "created": "01.05.17.15.11"}


def test_its_report_is_laid_out_as_the_manual_prints_it() -> None:
    assert answer(GAUGE, REVISION) == (
        b"\x01\r\nI90200\r\n22-05-01 15:12\r\nSOFTWARE# 349783-001-AXM\r\n"
        b"CREATED - 01.05.17.15.11\r\nSYSTEM FEATURES:\r\nPERIODIC IN-TANK TESTS\r\n"
        b"ANNUAL IN-TANK TESTS\r\n\x03"
    )
    assert answer(GAUGE, RENAME) == b"\x019999FF1B\x03"
    assert answer({"speaks": "gaspot"}, REVISION) == b"9999FF1B\n"
    assert answer({"speaks": "serial"}, REVISION) == REVISION


def test_requests_are_classified() -> None:
    seen = Stream("atg").feed(REVISION + b"\x01I20100\n" + RENAME + b"\x01IS00300\n")

    assert [(each.function, each.write) for each in seen] == [
        ("I90200", False), ("I20100", False), ("S60201", True), ("IS0030", True),
    ]  # fmt: skip
    assert Stream("atg").feed(b"GET / HTTP/1.1\r\n")[0].kind == "foreign"
    assert Stream("atg").feed(b"\x01I\n")[0].kind == "malformed"


async def test_a_new_name_of_a_tank_is_counted_as_a_write(
    begin, dial: Callable[[int, int], socket.socket]
) -> None:
    plant = await begin({"services": [{"protocol": "atg", **GAUGE}]})

    def client() -> bytes:
        with dial(1, 10001) as sock:
            sock.sendall(RENAME)
            return sock.recv(4096)

    assert await asyncio.to_thread(client) == b"\x019999FF1B\x03"
    assert plant.ledgers["D1"].writes == {"atg S60201": 1}


@pytest.mark.parametrize("offset", [0, 20_000])
def test_a_site_file_names_it_only_where_it_stands(offset: int) -> None:
    """Elsewhere no address is asked on its port, which belongs to serial device servers too."""
    plant = load("line")
    text = site_text(
        plant, now=datetime(2026, 11, 30, tzinfo=UTC), base_port_offset=offset, host_keys={}
    )

    zones = YAML(typ="safe").load(text)["zones"]

    named = {
        asset["name"]: asset["ports"]["atg"]
        for zone in zones
        for asset in zone["assets"]
        if "atg" in asset.get("ports", {})
    }
    assert named == {name: 10001 + offset for name in ("TANK-1", "TANK-2", "TANK-3")}
    assert not any("atg" in zone.get("ports", {}) for zone in zones)


def test_in_a_proving_plant_its_zones_name_it() -> None:
    assert PROTOCOLS["atg"].opt_in
    raw = proving.plant(proving.kinds_for("atg"), ["silent"])

    assert {zone["ports"]["atg"] for zone in raw["zones"]} == {10001}
    site = site_text(
        parse(raw, "p"), now=datetime(2026, 11, 30, tzinfo=UTC), base_port_offset=20_000,
        host_keys={},
    )  # fmt: skip
    for zone in YAML(typ="safe").load(site)["zones"]:
        assert zone["ports"]["atg"] == 30001
