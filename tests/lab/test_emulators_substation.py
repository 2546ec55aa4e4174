"""The substation's emulators answer recorded requests as the recorded devices did."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probes import dnp3
from tests.proof.judge.injected import ads as injected_ads
from tests.proof.judge.injected import dnp3 as injected_dnp3
from tests.proof.judge.injected import mms as injected

pytestmark = pytest.mark.lab

Dial = Callable[[int, int], socket.socket]


def exchanges(captures: Path, name: str) -> dict[str, tuple[bytes, bytes]]:
    """Request and reply by the recording's label."""
    told = json.loads((captures / f"{name}.json").read_text())
    return {
        one["label"]: (bytes.fromhex(one["request_hex"]), bytes.fromhex(one["response_hex"]))
        for one in told["exchanges"]
    }


async def said(dial: Dial, port: int, *requests: bytes) -> list[bytes]:
    """What device 1 answers to these requests on one connection; b"" ends it."""

    def client() -> list[bytes]:
        found = []
        with dial(1, port) as sock:
            sock.settimeout(2)
            for request in requests:
                sock.sendall(request)
                try:
                    found.append(sock.recv(8192))
                except (TimeoutError, ConnectionError):
                    found.append(b"")
        return found

    return await asyncio.to_thread(client)


# --- MMS ---------------------------------------------------------------------------------------

CENTRE: dict[str, Any] = {
    "protocol": "mms",
    "ied": "CENTRE",
    "identify": {
        "vendor": "AREVA T&D Corporation", "model": "e-terracomm", "revision": "2.3.1",
    },
}  # fmt: skip


async def test_mms_identify_is_answered_as_the_recorded_server_did(
    begin, dial: Dial, captures: Path
) -> None:
    recorded = exchanges(captures, "mms__areva_e-terracomm")
    plant = await begin({"services": [CENTRE]})

    _, initiated, identified = await said(dial, 102, *(request for request, _ in recorded.values()))

    assert bytes.fromhex("a92580027d00") in initiated
    assert identified == recorded["MMS identify request"][1]
    assert plant.ledgers["D1"].functions["mms identify"] == 1


async def test_an_mms_write_is_refused_by_the_server_and_flagged(begin, dial: Dial) -> None:
    plant = await begin({"services": [CENTRE]})
    requests = injected.WRITES["mms operate a breaker"][2]

    *_, reply = await said(dial, 102, *requests)

    assert reply[-3:-2] == b"\x80"  # data access error
    assert plant.ledgers["D1"].writes == {"mms write": 1}


async def test_an_s7_client_is_let_in_by_the_transport_and_then_dropped(begin, dial: Dial) -> None:
    """As IEDs do, whose transport layer lets every TSAP in."""
    plant = await begin({"services": [CENTRE]})
    connect = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
    setup = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")

    confirmed, dropped = await said(dial, 102, connect, setup)

    assert confirmed[5] == 0xD0
    assert dropped == b""
    assert not plant.ledgers["D1"].foreign


@pytest.mark.parametrize(
    ("nameplate", "shown"),
    [({"vendor": "A & <B>", "model": '"M"'}, True), ({}, False)],
)
async def test_an_ied_has_the_nameplate_of_the_plant_file(
    begin, dial: Dial, nameplate: dict[str, str], shown: bool
) -> None:
    await begin({"services": [{**CENTRE, "nameplate": nameplate, "domains": ["CENTRELD0"]}]})
    connect, associate, *_ = injected.HARMLESS["mms identify"][2]

    read = await _nameplate(dial, connect, associate)

    assert (b"A & <B>" in read) is shown


async def _nameplate(dial: Dial, connect: bytes, associate: bytes) -> bytes:
    variable = b"\x1a\x09CENTRELD0\x1a\x16LPHD1$DC$PhyNam$vendor"
    body = variable
    for tag in (0xA1, 0xA0, 0x30, 0xA0, 0xA1, 0xA4):
        body = bytes([tag, len(body)]) + body
    body = b"\x02\x01\x05" + body
    body = b"\x02\x01\x03" + _wrapped(0xA0, _wrapped(0xA0, body))
    body = b"\x01\0\x01\0" + _wrapped(0x61, _wrapped(0x30, body))
    request = b"\x03\0" + (7 + len(body)).to_bytes(2, "big") + b"\x02\xf0\x80" + body
    *_, reply = await said(dial, 102, connect, associate, request)
    return reply


def _wrapped(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body


# --- IEC 104 -----------------------------------------------------------------------------------


async def test_an_iec104_station_answers_as_the_recorded_one_did(
    begin, dial: Dial, captures: Path
) -> None:
    recorded = exchanges(captures, "iec104__iec104_rtu_asdu37133")
    plant = await begin({"services": [{"protocol": "iec104", "common_address": 37133}]})

    replies = await said(dial, 2404, *(request for request, _ in recorded.values()))

    assert replies == [reply for _, reply in recorded.values()]
    assert plant.ledgers["D1"].writes == {"iec104 STARTDT act": 1, "iec104 type 100": 1}


async def test_an_iec104_test_frame_is_no_write_and_needs_no_start(begin, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "iec104"}]})

    replies = await said(dial, 2404, bytes.fromhex("680443000000"))

    assert replies == [bytes.fromhex("680483000000")]
    assert plant.ledgers["D1"].writes == {}


async def test_a_second_started_iec104_connection_ends_the_first(begin, dial: Dial) -> None:
    start = bytes.fromhex("680407000000")
    plant = await begin({"services": [{"protocol": "iec104"}]})

    def both() -> bytes:
        with dial(1, 2404) as first:
            first.settimeout(3)
            first.sendall(start)
            first.recv(64)
            with dial(1, 2404) as second:
                second.settimeout(3)
                second.sendall(start)
                second.recv(64)
                return first.recv(64)

    assert await asyncio.to_thread(both) == b""
    assert plant.ledgers["D1"].faults


async def test_an_iec104_command_is_confirmed_and_flagged(begin, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "iec104"}]})
    command = bytes.fromhex("680e00000000 2d0106000100010000 81".replace(" ", ""))

    _, reply = await said(dial, 2404, bytes.fromhex("680407000000"), command)

    assert reply[6:9] == bytes([45, 1, 7])
    assert plant.ledgers["D1"].writes["iec104 type 45"] == 1


# --- DNP3 --------------------------------------------------------------------------------------

RECORDED_STATUS = bytes.fromhex("0564050b00000100baf0")
"""LINK STATUS of an outstation at address 1, as captured in the field (docs of the probe)."""


async def test_a_dnp3_outstation_answers_for_its_addresses_and_no_other(begin, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "dnp3", "addresses": [1, 10]}]})
    ask = [dnp3.encode_request_link_status(destination=to, source=0) for to in (1, 2, 10)]

    first, nobody, other = await said(dial, 20000, *ask)

    assert first == RECORDED_STATUS
    assert nobody == b""
    assert other[6:8] == b"\x0a\x00"
    assert plant.ledgers["D1"].writes == {}


async def test_a_dnp3_outstation_may_know_its_master_only(begin, dial: Dial) -> None:
    await begin({"services": [{"protocol": "dnp3", "addresses": [4], "master": 3}]})
    ask = [dnp3.encode_request_link_status(destination=4, source=source) for source in (0, 3)]

    stranger, own = await said(dial, 20000, *ask)

    assert stranger == b""
    assert own[3:8] == bytes.fromhex("0b03000400")


@pytest.mark.parametrize("name", ["dnp3 cold restart", "dnp3 direct operate"])
async def test_a_dnp3_command_is_not_carried_out_and_flagged(begin, dial: Dial, name: str) -> None:
    plant = await begin({"services": [{"protocol": "dnp3", "addresses": [10]}]})

    _, reply = await said(dial, 20000, *injected_dnp3.WRITES[name][2])

    assert reply[12] == 0x81
    assert reply[14] == 0x01
    (flagged,) = plant.ledgers["D1"].writes
    assert flagged.startswith("dnp3 UNCONFIRMED USER DATA")


# --- ADS ---------------------------------------------------------------------------------------

ROUTER: dict[str, Any] = {
    "protocol": "ads", "net_id": "5.13.117.96.1.1", "host_name": "CX_0D7560",
    "twincat": "2.11.2228", "os": {"major": 6, "minor": 0, "build": 0, "platform": 3},
}  # fmt: skip


async def datagram(plant, data: bytes) -> bytes:
    def client() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            sock.connect((plant.ledgers["D1"].address, plant.port("D1", "ads")))
            sock.send(data)
            try:
                return sock.recv(2048)
            except TimeoutError:
                return b""

    return await asyncio.to_thread(client)


async def test_an_ams_router_answers_as_the_recorded_one_did(begin, captures: Path) -> None:
    recorded = exchanges(captures, "ads__beckhoff_cx_0d7560_tc2")
    request, reply = recorded["AMS/UDP discovery 0x00000001 get identity"]
    plant = await begin({"services": [ROUTER]})

    assert await datagram(plant, request) == reply
    assert plant.ledgers["D1"].writes == {}


async def test_an_ams_route_is_not_added_and_flagged(begin) -> None:
    plant = await begin({"services": [ROUTER]})
    (request,) = injected_ads.WRITES["ads add a route"][2]

    reply = await datagram(plant, request)

    assert reply[8:12] == bytes.fromhex("06000080")
    assert reply[-4:] != bytes(4)
    assert plant.ledgers["D1"].writes == {"ads add route": 1}
