"""The S7comm-plus emulator says what recorded CPUs said, and S7 on the same port works on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from snap7.async_client import AsyncClient

from probes import s7, s7plus
from scanner.errors import Refused
from scanner.facts import DeviceIdentity

pytestmark = pytest.mark.lab

CPU: dict[str, Any] = {
    "protocol": "s7plus", "order_number": "6ES7 511-1AK00-0AB0", "firmware": "1.0.0",
    "hardware": 1, "like": "s7-1500",
}  # fmt: skip
KNOWN = (DeviceIdentity(order_number="6ES7 511-1AK00-0AB0"),)


@pytest.mark.parametrize(
    ("recording", "like", "order_number", "firmware"),
    [
        ("siemens_s7-1511_6es7511-1ak00", "s7-1500", "6ES7 511-1AK00-0AB0", "1.0.0"),
        ("siemens_s7-1211_6es7211-1be31", "s7-1200", "6ES7 211-1BE31-0XB0 ", "3.0.2"),
    ],
)
async def test_it_says_byte_for_byte_what_the_recorded_cpu_said(
    begin, dial, captures: Path, recording: str, like: str, order_number: str, firmware: str
) -> None:
    await begin(
        {"services": [{**CPU, "like": like, "order_number": order_number, "firmware": firmware}]}
    )
    text = await asyncio.to_thread((captures / f"s7comm-plus__{recording}.json").read_text)
    connect, create = json.loads(text)["exchanges"]

    def ask() -> list[bytes]:
        with dial(1, 102) as sock:
            said = []
            for exchange in (connect, create):
                sock.sendall(bytes.fromhex(exchange["request_hex"]))
                said.append(sock.recv(4096))
            return said

    confirm, reply = await asyncio.to_thread(ask)

    assert confirm[5] == 0xD0
    assert confirm[6:8] == bytes.fromhex(connect["request_hex"])[8:10]
    assert reply == bytes.fromhex(create["response_hex"])


async def test_the_probes_of_both_protocols_read_it_on_one_port(begin, governed) -> None:
    plant = await begin({"services": [{**CPU, "like": "s7-1500-v3", "firmware": "3.1.2"}]})
    ledger, port = plant.ledgers["D1"], plant.port("D1", "s7plus")

    async with governed(s7.PROBE, port, address=ledger.address) as session:
        _, classic, _ = await s7.run(session)
    async with governed(
        s7plus.READ_PROBE, port, address=ledger.address, known=(classic,)
    ) as session:
        access, said, looked_up = await s7plus.run_read(session)

    assert (said.order_number, said.firmware) == ("6ES7 511-1AK00-0AB0", "V3.1")
    assert classic.firmware == "V3.1.2"
    assert dict(access.details) == {"family": "S7-1500"}
    assert looked_up.vendor == "Siemens"
    assert ledger.functions["s7plus connect SIMATIC-ROOT-HMI"] == 1
    assert ledger.functions["s7plus plus 0x04ca"] == 1
    assert not ledger.writes
    assert not ledger.resets


async def test_a_cpu_without_a_free_seat_refuses_in_words(begin, governed) -> None:
    plant = await begin({"services": [{**CPU, "seats": False}]})

    with pytest.raises(Refused):
        async with governed(
            s7plus.READ_PROBE, plant.port("D1", "s7plus"),
            address=plant.ledgers["D1"].address, known=KNOWN,
        ) as session:  # fmt: skip
            await s7plus.run_read(session)


async def test_snap7_reads_through_it_and_what_would_act_shows_in_the_ledger(begin, dial) -> None:
    plant = await begin({"services": [CPU]})
    client = AsyncClient()
    client.set_connection_type(3)
    await client.connect(plant.ledgers["D1"].address, 0, 1, tcp_port=plant.port("D1", "s7plus"))
    order = await client.get_order_code()
    await client.disconnect()
    body = b"\x31\0\0\x05\x42\0\0\0\x02" + bytes(20)
    pdu = b"\x72\x01" + len(body).to_bytes(2, "big") + body + b"\x72\x01\0\0"
    write = b"\x03\0" + (7 + len(pdu)).to_bytes(2, "big") + b"\x02\xf0\x80" + pdu
    engineer = s7plus.encode_connection_request().replace(b"\xc2\x10SIMATIC-ROOT-HMI",
                                                          b"\xc2\x10SIMATIC-ROOT--ES")  # fmt: skip

    def ask() -> bytes:
        with dial(1, 102) as sock:
            sock.sendall(engineer)
            sock.recv(1024)
            sock.sendall(write)
            return bytes(sock.recv(1024))

    said = await asyncio.to_thread(ask)

    assert order.OrderCode.startswith(b"6ES7 511")
    assert said[11:14] == b"\x32\0\0"
    assert plant.ledgers["D1"].writes == {"s7plus plus 0x0542": 1}
    assert any(name.endswith(" as PG") for name in plant.ledgers["D1"].functions)


async def test_a_cpu_without_s7comm_plus_refuses_its_seat_in_words(begin, governed) -> None:
    plant = await begin({"services": [{**CPU, "protocol": "s7"}]})
    ledger = plant.ledgers["D1"]

    with pytest.raises(Refused):
        async with governed(
            s7plus.READ_PROBE, plant.port("D1", "s7"), address=ledger.address, known=KNOWN
        ) as session:
            await s7plus.run_read(session)
    async with governed(s7.PROBE, plant.port("D1", "s7"), address=ledger.address) as session:
        assert len(await s7.run(session)) == 3

    assert not ledger.half_closes
    assert not ledger.resets
