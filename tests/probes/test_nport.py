"""The Moxa search: recordings, the read tier, what is no answer, hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import nport
from scanner.errors import BadReply, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

DEVICE_ID = bytes.fromhex("005101801a510090e83cf87e")
SEARCH = bytes.fromhex("8100001800000000") + DEVICE_ID + bytes([192, 168, 88, 250])
DETAILS = bytes.fromhex("9600002400000000") + DEVICE_ID + bytes.fromhex(
    "0031010101000200d207000000000301"
)  # fmt: skip
NAME = bytes.fromhex("9000003c00000000") + DEVICE_ID + b"Xcom-LAN\0\xa8X\xfa".ljust(40, b"\xff")
ANSWERS = {0x01: SEARCH, 0x10: NAME, 0x16: DETAILS}


def recordings(folder: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("moxa-nport__*"))]


def recorded(capture: dict) -> Callable[[bytes | None], bytes]:
    known = {
        bytes.fromhex(e["request_hex"]): bytes.fromhex(e["response_hex"])
        for e in capture["exchanges"]
    }

    def answer(request: bytes | None) -> bytes:
        if request not in known:
            raise Silent("not in the recording")
        return known[request]

    return answer


def device(**instead: bytes) -> Callable[[bytes | None], bytes]:
    """Answers by id; `x10=…` puts another reply in place."""

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return instead.get(f"x{request[0]:02x}", ANSWERS[request[0]])

    return answer


async def test_every_recording_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    devices = recordings(captures)
    assert devices
    for capture in devices:
        truth = capture["facts"]
        access, looked_up = await nport.run(replay(nport.PROBE, recorded(capture)))
        known = (access, looked_up)
        (said,) = await nport.run_read(replay(nport.READ_PROBE, recorded(capture), known=known))
        details = dict(access.details)
        model_id, _, model = truth["model_id"].partition(" ")
        assert details["hardware id"] == f"{int(model_id, 16):04X}"
        assert looked_up.vendor == truth["vendor"]
        assert looked_up.model in (None, model.strip("()"))
        assert details["MAC address"] == truth["mac"]
        assert details["IP address"] == truth["ip_in_reply"]
        assert said.name == truth["device_name"]


async def test_identifying_is_one_datagram(replay) -> None:
    session = replay(nport.PROBE, device())

    facts = await nport.run(session)

    assert [sent.hex() for sent in session.sent] == ["0100000800000000"]
    assert facts == (
        ServiceAccess(
            protocol="nport",
            answers_without_login=True,
            encrypted=False,
            details=(
                ("device id", DEVICE_ID.hex()),
                ("hardware id", "511A"),
                ("MAC address", "00:90:e8:3c:f8:7e"),
                ("IP address", "192.168.88.250"),
            ),
        ),
        DeviceIdentity(vendor="Moxa", model="NPort 5110A", device_class="gateway", basis="table"),
    )


async def test_reading_asks_with_the_device_id_that_was_told(replay) -> None:
    known = nport.facts(nport.decode_search(SEARCH))
    session = replay(nport.READ_PROBE, device(), known=known)

    (said,) = await nport.run_read(session)

    assert [sent.hex() for sent in session.sent] == [
        "1600001400000000" + DEVICE_ID.hex(), "1000001400000000" + DEVICE_ID.hex(),
    ]  # fmt: skip
    # Serial number and firmware are those that the device's console printed.
    assert said == DeviceIdentity(serial="2002", firmware="1.1.31", name="Xcom-LAN")


async def test_reading_searches_first_where_nothing_is_known(replay) -> None:
    session = replay(nport.READ_PROBE, device())

    assert len(await nport.run_read(session)) == 1
    assert [sent[0] for sent in session.sent] == [0x01, 0x16, 0x10]


def test_a_model_that_no_source_names_is_not_guessed() -> None:
    other = SEARCH[:12] + b"\x50\x54" + SEARCH[14:]

    access, looked_up = nport.facts(nport.decode_search(other))

    assert dict(access.details)["hardware id"] == "5450"
    assert (looked_up.vendor, looked_up.model) == ("Moxa", None)


@pytest.mark.parametrize(("version", "says"), [("00001003", "3.10"), ("00000202", "2.2")])
def test_versions_are_digits_in_hex(version: str, says: str) -> None:
    body = bytes.fromhex(version) + bytes(4) + b"\x01\x00"

    assert nport.decode_product_details(body).firmware == says


@pytest.mark.parametrize(
    "reply",
    [
        nport.encode_request(1),  # an echo of our own request
        b"\x81" + nport.encode_request(1)[1:],
        SEARCH[:-1],
        SEARCH + b"\0",
        b"\x90" + SEARCH[1:],
        SEARCH[:1] + b"\x04" + SEARCH[2:],
        SEARCH[:7] + b"\x01" + SEARCH[8:],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_is_no_answer_to_the_search_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await nport.run(replay(nport.PROBE, device(x01=reply)))


@pytest.mark.parametrize(
    "instead",
    [
        {"x16": nport.encode_request(0x16, DEVICE_ID)},
        {"x16": DETAILS[:8] + bytes(12) + DETAILS[20:]},
        {"x16": DETAILS[:3] + b"\x18" + DETAILS[4:24]},
        {"x16": DETAILS[:1] + b"\x04" + DETAILS[2:]},
        {"x10": DETAILS},
        {"x10": NAME[:-3]},
    ],
)
async def test_what_is_no_answer_when_reading_is_a_bad_reply(replay, instead) -> None:
    with pytest.raises(BadReply):
        await nport.run_read(replay(nport.READ_PROBE, device(**instead)))


@pytest.mark.parametrize("error", [Silent, Reset])
async def test_silence_and_reset_pass(replay, error: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error("made up")

    with pytest.raises(error):
        await nport.run(replay(nport.PROBE, answer))


@given(st.binary(max_size=80))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    head = bytes.fromhex("8100")
    mended = head + (20 + len(value)).to_bytes(2, "big") + bytes(4) + DEVICE_ID + value
    for candidate in (value, SEARCH[:20] + value, mended):
        for decode in (
            nport.decode_search,
            nport.decode_product_details,
            lambda reply: nport.decode_body(reply, number=1, device_id=DEVICE_ID),
        ):
            try:
                decode(candidate)
            except BadReply:
                continue
    name = nport.decode_name(value)
    assert name is None or (len(name) <= 40 and name.isprintable())
    assert nport.datagram_length(value) == (len(value) or None)


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (nport.PROBE, nport.READ_PROBE):
        for question in probe.questions:
            assert open_guard("nport").judge(question.sample, probe.tier) is None
