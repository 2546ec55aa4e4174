"""SLMP identification: documented replies, refusals, what is no answer, hostile bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import slmp
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

ROUTE = bytes.fromhex("d00000ffff0300")
FX5U = b"FX5U-32MT/DS    " + b"\x49\x4a"
"""Response data of Read Type Name as JY997D56001 prints it: FX5U-32MT/DS, code 4A49."""


def response(data: bytes, *, end_code: int = 0) -> bytes:
    body = end_code.to_bytes(2, "little") + data
    return ROUTE + len(body).to_bytes(2, "little") + body


def always(reply: bytes) -> Callable[[bytes | None], bytes]:
    return lambda request: reply


async def test_one_frame_is_all_that_is_sent(replay) -> None:
    session = replay(slmp.PROBE, always(response(FX5U)))

    facts = await slmp.run(session)

    assert [sent.hex() for sent in session.sent] == ["500000ffff03000600100001010000"]
    assert facts == (
        ServiceAccess(
            protocol="slmp",
            answers_without_login=True,
            encrypted=False,
            details=(("model code", "4A49"),),
        ),
        DeviceIdentity(model="FX5U-32MT/DS"),
        DeviceIdentity(vendor="Mitsubishi", device_class="plc", basis="table"),
    )


@pytest.mark.parametrize("name", ["Q03UDECPU", "L26CPU-BT", "R04CPU", "FX3U-32M", "Q26UDVCPU"])
def test_names_of_cpus_tell_their_maker(name: str) -> None:
    _, said, looked_up = slmp.facts(response(name.encode().ljust(16) + b"\x68\x02"))

    assert (said.model, looked_up.vendor, looked_up.device_class) == (name, "Mitsubishi", "plc")


@pytest.mark.parametrize("name", ["REMOTE I/O", "FR-E800", "VALVE ISLAND", "AFX5U", "CPUX"])
def test_of_other_names_no_maker_is_guessed(name: str) -> None:
    facts = slmp.facts(response(name.encode().ljust(16) + b"\x00\x10"))

    assert facts[1:] == (DeviceIdentity(model=name),)


def test_an_empty_name_is_no_identity() -> None:
    assert len(slmp.facts(response(b" " * 16 + b"\x00\x00"))) == 1


async def test_a_refusal_proves_slmp_and_no_identity(replay) -> None:
    refused = response(ROUTE[2:] + b"\x01\x01\0\0", end_code=0xC059)

    (access,) = await slmp.run(replay(slmp.PROBE, always(refused)))

    assert access == ServiceAccess(protocol="slmp", details=(("end code", "C059"),))


@pytest.mark.parametrize(
    "reply",
    [
        slmp.encode_read_type_name(),  # an echo of our own request
        b"\xd0" + slmp.encode_read_type_name()[1:],
        response(FX5U[:-1]),
        response(FX5U + b"\0"),
        response(b""),
        b"\xd0\x00\x01" + response(FX5U)[3:],
        response(ROUTE[2:] + b"\x01\x10\0\0", end_code=0xC059),
        b"\xd4\x00" + response(FX5U)[2:],
        b"D00000FF03FF000018" + b"0000",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        ROUTE + b"\xff\xff" + bytes(40),
        ROUTE + b"\x01\x00\x00",
    ],
)
async def test_what_is_no_answer_to_the_question_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await slmp.run(replay(slmp.PROBE, always(reply)))


@pytest.mark.parametrize("error", [Silent, Reset, Closed])
async def test_silence_reset_and_close_pass(replay, error: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error("made up")

    with pytest.raises(error):
        await slmp.run(replay(slmp.PROBE, answer))


async def test_half_a_frame_is_a_silence(replay) -> None:
    for cut in (1, 8, 20):
        with pytest.raises(Silent):
            await slmp.run(replay(slmp.PROBE, always(response(FX5U)[:cut])))


@given(st.binary(max_size=80))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    for candidate in (value, ROUTE + value, response(value), response(value, end_code=0xC059)):
        for decode in (slmp.reply_length, slmp.facts, slmp.decode_type_name):
            try:
                decode(candidate)
            except BadReply:
                continue
    told = slmp.text(value[:16])
    assert told is None or (len(told) <= 16 and told.isprintable())


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for question in slmp.PROBE.questions:
        assert open_guard("slmp").judge(question.sample, slmp.PROBE.tier) is None
    assert slmp.PROBE.spoken_by == "mitsubishi"
