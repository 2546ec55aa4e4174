"""The PROFINET emulator is understood by tshark's dissector, and what would act shows."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from probes import profinet
from scanner.errors import Refused
from tests.conftest import NOON
from tests.lab.conftest import OFFSET, address
from tests.proof.judge import injected
from tests.proof.judge.crafted import SCANNER, Wire

pytestmark = pytest.mark.lab

SERVICE: dict[str, Any] = {
    "protocol": "profinet", "device_type": "S7-1200", "order_number": "6ES7 212-1AE40-0XB0",
    "hardware": 14, "software": "V4.5.1",
}  # fmt: skip
ANNOTATION = "S7-1200                   6ES7 212-1AE40-0XB0     14 V  4  5  1"


def ask(request: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect((address(1), 34964 + OFFSET))
        sock.send(request)
        return sock.recv(4096)


@pytest.mark.parametrize("order", ["little", "big"])
async def test_tshark_reads_its_reply_as_the_published_one(begin, tmp_path: Path, order) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    await begin({"services": [{**SERVICE, "byte_order": order}]})
    request = profinet.encode_lookup(activity=profinet.activity_of(NOON))

    reply = await asyncio.to_thread(ask, request)

    wire = Wire()
    wire.datagram("10.77.1.1", 34964, request)
    wire.datagram(SCANNER, 40_000, reply, source="10.77.1.1")
    wire.frames[-1] = (wire.frames[-1][0], _turned(wire.frames[-1][1]))
    capture = wire.write(tmp_path / "c.pcap")
    fields = ["epm.annotation", "epm.num_ents", "epm.rc", "epm.tower.num_floors", "_ws.malformed"]
    words = [tshark, "-n", "-r", str(capture), "-T", "fields", "-E", "separator=|"]
    for field in fields:
        words += ["-e", field]
    done = await asyncio.to_thread(
        subprocess.run, words, capture_output=True, text=True, check=True
    )
    annotation, entries, status, floors, malformed = done.stdout.splitlines()[1].split("|")
    assert annotation == ANNOTATION
    assert (entries, int(status, 0), floors, malformed) == ("1", 0, "5", "")


def _turned(frame: bytes) -> bytes:
    """A datagram from port 34964 to 40000 instead of the other way round."""
    return frame[:34] + frame[36:38] + frame[34:36] + frame[38:]


@pytest.mark.parametrize("order", ["little", "big"])
async def test_the_probe_reads_it_through_the_door(begin, governed, order) -> None:
    plant = await begin({"services": [{**SERVICE, "byte_order": order}]})
    ledger = plant.ledgers["D1"]

    async with governed(
        profinet.READ_PROBE, plant.port("D1", "profinet"), address=ledger.address
    ) as session:
        _, said, looked_up = await profinet.run_read(session)

    assert (said.order_number, said.firmware) == ("6ES7 212-1AE40-0XB0", "V4.5.1")
    assert looked_up.vendor == "Siemens"
    assert ledger.functions == {"profinet mapper 2": 1}
    assert not ledger.writes


async def test_what_would_act_shows_in_the_ledger_and_is_refused(begin) -> None:
    plant = await begin({"services": [SERVICE]})
    module = injected.MODULES["profinet"]

    for name, (*_, (request,)) in module.WRITES.items():
        assert (await asyncio.to_thread(ask, request))[1] == 3, name

    assert sum(plant.ledgers["D1"].writes.values()) == len(module.WRITES)


async def test_a_busy_device_rejects_in_words(begin, governed) -> None:
    plant = await begin({"services": [SERVICE], "faults": [{"name": "busy"}]})

    with pytest.raises(Refused, match="1C010014"):
        async with governed(
            profinet.READ_PROBE, plant.port("D1", "profinet"),
            address=plant.ledgers["D1"].address,
        ) as session:  # fmt: skip
            await profinet.run_read(session)
