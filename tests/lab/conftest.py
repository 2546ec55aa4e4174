"""A small plant of one's own: each test says which devices stand there."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab.plant import Plant, parse
from lab.running import RunningPlant, start

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OFFSET = 20_000
"""High ports, so that the tests need no rights."""

Begin = Callable[..., Awaitable[RunningPlant]]


def worker_octet() -> int:
    """A loopback network of this test worker's own: 127.64.0.0/16 and up."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    return 64 + int(worker.removeprefix("gw")) % 64


def address(last: int) -> str:
    return f"127.{worker_octet()}.9.{last}"


def plant_of(*devices: dict[str, Any]) -> Plant:
    """A plant with these devices; name, zone, address and truth are filled in where missing."""
    filled = [
        {"name": f"D{n}", "zone": "z", "address": address(n), "declared": {}, "truth": {}, **device}
        for n, device in enumerate(devices, start=1)
    ]
    network = f"127.{worker_octet()}.9.0/24"
    zone = {"id": "z", "name": "Zone", "networks": [network], "sl_t": 1, "tier": "read"}
    return parse({"site": "Test site", "zones": [zone], "devices": filled}, "test")


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Start a plant of the given devices; it is stopped when the test ends."""
    running: list[RunningPlant] = []

    async def _begin(*devices: dict[str, Any]) -> RunningPlant:
        plant = await start(plant_of(*devices), tmp_path, now=NOON, base_port_offset=OFFSET)
        running.append(plant)
        return plant

    yield _begin
    for plant in running:
        await plant.stop()


@pytest.fixture
def dial() -> Callable[[int, int], socket.socket]:
    """Makes a plain connected socket to device number n."""

    def _dial(n: int, port: int) -> socket.socket:
        return socket.create_connection((address(n), port + OFFSET), timeout=3)

    return _dial


@pytest.fixture
def octet() -> int:
    """A second octet of this test worker's own, for a whole plant."""
    return worker_octet() + 64
