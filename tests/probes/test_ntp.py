"""NTP: a server's time, recorded variables, and what answers somebody else."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.ntp import (
    PROBE,
    READ_PROBE,
    ServerTime,
    client_reply,
    control_reply,
    decode_control,
    decode_server,
    decode_variables,
    encode_client,
    encode_readvar,
)
from scanner.errors import BadReply, Refused, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from tests.fuzz.seeds.ntp import response, server
from tests.probes.test_vnc import Script


async def test_a_server_tells_stratum_and_reference(replay: Any) -> None:
    session = replay(PROBE, Script(server(1, b"GPS\0")))

    facts = await PROBE.run(session)

    assert facts == (
        ServiceAccess(
            protocol="ntp", answers_without_login=True, encrypted=False, version="3",
            details=(("stratum", "1"), ("reference", "GPS"), ("leap", "none")),
        ),
    )  # fmt: skip
    assert session.sent == [encode_client()]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (server(0, b"RATE"), ServerTime(version=3, leap=0, stratum=0, reference="RATE")),
        (server(3, b"GPS\0"), ServerTime(version=3, leap=0, stratum=3, reference="47505300")),
        (server(1, b"\0\0\0\0"), ServerTime(version=3, leap=0, stratum=1, reference="00000000")),
        (
            b"\xe4" + server(16, b"INIT")[1:],
            ServerTime(version=4, leap=3, stratum=16, reference="494e4954"),
        ),
        (server(2, b"\xc0\0\2\1") + bytes(20), ServerTime(
            version=3, leap=0, stratum=2, reference="c0000201")),
    ],
)  # fmt: skip
def test_references_are_names_only_where_they_can_be(reply: bytes, told: ServerTime) -> None:
    assert decode_server(reply) == told


@pytest.mark.parametrize(
    "reply",
    [
        encode_client(),  # an echo
        b"", b"\x1c", server(1, b"GPS\0")[:47],
        b"\x1d" + server(1, b"GPS\0")[1:],  # broadcast
        server(17, b"GPS\0"),
        bytes.fromhex("302602010104067075626c6963"), b"HTTP/1.1 400 Bad Request" * 3,
    ],
)  # fmt: skip
async def test_what_is_no_servers_time_is_none(replay: Any, reply: bytes) -> None:
    with pytest.raises((BadReply, Silent)):
        await PROBE.run(replay(PROBE, Script(reply)))


def test_the_answer_to_another_request_is_not_waited_for() -> None:
    other = server(1, b"GPS\0").replace(b"walkdown", b"somebody")

    assert client_reply(other) is None
    with pytest.raises(BadReply, match="another request"):
        decode_server(other)
    assert client_reply(server(1, b"GPS\0")) == 48


@pytest.mark.parametrize("ending", [Silent("s"), Refused("r")])
@pytest.mark.parametrize("probe", [PROBE, READ_PROBE], ids=["identify", "read"])
async def test_what_ends_a_question_passes_on(replay: Any, probe: Any, ending: Exception) -> None:
    with pytest.raises(type(ending)):
        await probe.run(replay(probe, Script(ending)))


# --- variables ---------------------------------------------------------------------------------


async def test_the_recorded_server_tells_its_software_and_is_no_device(
    replay: Any, captures: Path
) -> None:
    record = json.loads((captures / "ntp__ntp_mode6_readvar.json").read_text())
    recorded = bytes.fromhex(record["exchanges"][0]["response_hex"])
    session = replay(READ_PROBE, Script(recorded[:2] + b"\x57\x44" + recorded[4:]))

    (access,) = await READ_PROBE.run(session)

    assert not isinstance(access, DeviceIdentity)
    assert access.details == (
        ("control messages", "READVAR is answered"),
        ("version", "ntpd 4.2.8p10@1.3728-o Fri May 26 14:07:29 UTC 2017 (1)"),
        ("processor", "x86_64"),
        ("system", "Linux/4.4.79-18.26-default"),
    )
    assert session.sent == [encode_readvar()]
    assert control_reply(recorded) is None
    with pytest.raises(BadReply, match="another request"):
        decode_control(recorded)


def test_variables_of_recorded_servers_are_read(captures: Path) -> None:
    items = json.loads((captures / "banners.json").read_text())["items"]
    banners = [item for item in items if item["kind"] == "ntp_banners"]

    assert len(banners) >= 20
    for item in banners:
        found = decode_variables(item["banner"].encode())
        assert found["system"] in item["banner"]
        for name, value in found.items():
            assert f'{name}="{value}"' in item["banner"]
        assert ("version" in found) == ("version=" in item["banner"].replace("_version", ""))


@pytest.mark.parametrize(
    "reply",
    [
        encode_readvar(),  # an echo
        b"",
        response(b"a")[:11],
        bytes.fromhex("16c2574406180000 00000000".replace(" ", "")),  # refused
        bytes.fromhex("1682574406180000 01d40000".replace(" ", "")),  # a later fragment
        bytes.fromhex("1681574406180000 00000000".replace(" ", "")),  # READSTAT
        bytes.fromhex("1782574406180000 00000000".replace(" ", "")),  # mode 7
    ],
)
async def test_what_is_no_response_of_ours_is_none(replay: Any, reply: bytes) -> None:
    with pytest.raises((BadReply, Silent)):
        await READ_PROBE.run(replay(READ_PROBE, Script(reply)))


def test_a_count_beyond_the_datagram_is_not_believed() -> None:
    reply = response(b'system="x"')

    assert decode_control(reply[:10] + b"\xff\xff" + reply[12:]) == {"system": "x"}


@given(st.binary(max_size=600))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    for decode in (client_reply, control_reply, decode_server, decode_control, decode_variables):
        with suppress(BadReply):
            decode(data)
