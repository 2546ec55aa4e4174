"""GE-SRTP: the one reply that proves it, and all that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import srtp
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import ServiceAccess
from scanner.guards import open_guard

PUBLISHED = "the published initialisation reply (ICS-pcap notes)"

REPLY = b"\x01" + bytes(7) + b"\x0f" + bytes(47)
"""As recorded on port 18245 (ICS-pcap, GE-SRTP/Notes.txt)."""


def always(reply: bytes) -> Callable[[bytes | None], bytes]:
    return lambda request: reply


@pytest.mark.parametrize("reply", [REPLY, b"\x01" + bytes(55)])
async def test_the_service_is_told_and_no_identity(replay, reply: bytes) -> None:
    session = replay(srtp.PROBE, always(reply))

    facts = await srtp.run(session)

    assert session.sent == [bytes(56)]
    assert facts == (ServiceAccess(protocol="srtp", answers_without_login=True, encrypted=False),)


@pytest.mark.parametrize(
    "reply",
    [
        bytes(56),  # an echo of our own request
        b"\x03" + bytes(55),
        REPLY[:-1] + b"\x01",
        b"\x01\x01" + REPLY[2:],
        b"\x01" * 56,
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(40),
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
async def test_what_is_no_answer_to_the_question_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await srtp.run(replay(srtp.PROBE, always(reply)))


@pytest.mark.parametrize("error", [Silent, Reset, Closed])
async def test_silence_reset_and_close_pass(replay, error: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error("made up")

    with pytest.raises(error):
        await srtp.run(replay(srtp.PROBE, answer))


async def test_half_a_reply_is_a_silence(replay) -> None:
    for cut in (1, 8, 55):
        with pytest.raises(Silent):
            await srtp.run(replay(srtp.PROBE, always(REPLY[:cut])))


@given(st.binary(max_size=80))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    for candidate in (value, b"\x01" + value, REPLY[:9] + value, value.ljust(56, b"\0")):
        for decode in (srtp.reply_length, srtp.decode_initialisation):
            try:
                told = decode(candidate)
            except BadReply:
                continue
            assert told is None or 0 <= told <= 255


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for question in srtp.PROBE.questions:
        assert open_guard("srtp").judge(question.sample, srtp.PROBE.tier) is None
