"""IEC 104: one test frame, its confirmation, and nothing that only looks like one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import iec104
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import ServiceAccess

CONFIRMED = bytes.fromhex("680483000000")


def recordings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("iec104__*.json"))]


def recorded(capture: dict[str, Any]) -> Callable[[bytes | None], bytes]:
    """The recorded station, by the request; it says nothing to what it was not asked."""
    known = {
        bytes.fromhex(one["request_hex"]): bytes.fromhex(one["response_hex"])
        for one in capture["exchanges"]
    }

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request not in known:
            raise Silent("not in the recording")
        return known[request]

    return answer


async def test_a_recorded_station_is_known_and_not_identified(replay, captures: Path) -> None:
    found = recordings(captures)
    assert found
    for capture in found:
        assert not capture["identity_in_reply"]
        session = replay(iec104.PROBE, recorded(capture))

        facts = await iec104.run(session)

        assert facts == (
            ServiceAccess(protocol="iec104", answers_without_login=True, encrypted=False),
        )
        assert session.sent == [bytes.fromhex("680443000000")]
        assert session.connections == 1


def test_it_is_asked_only_where_it_is_named_and_only_to_identify() -> None:
    assert iec104.PROBE.opt_in
    assert [name for name in vars(iec104) if name.endswith("PROBE")] == ["PROBE"]
    assert sum(question.at_most for question in iec104.PROBE.questions) == 1


@pytest.mark.parametrize("error", [Silent("no"), Refused("no"), Reset("no"), Closed("no")])
async def test_trouble_is_told_as_it_is(replay, error: Exception) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error

    session = replay(iec104.PROBE, answer)

    with pytest.raises(type(error)):
        await iec104.run(session)

    assert len(session.sent) == 1


@pytest.mark.parametrize(
    "reply",
    [
        iec104.encode_test_frame(),
        bytes.fromhex("68040b000000"),
        bytes.fromhex("680483000001"),
        bytes.fromhex("680e0000000064010701010000000014"),
        bytes.fromhex("6803830000"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x05\x64\x05\x0b\x00\x00\x01\x00\xba\xf0",
    ],
)
async def test_what_is_no_confirmation_is_no_station(replay, reply: bytes) -> None:
    """Our own frame, another confirmation, one with rubbish, data, too short, HTTP, DNP3."""
    with pytest.raises(BadReply):
        await iec104.run(replay(iec104.PROBE, lambda request: reply))


async def test_half_a_confirmation_is_waited_for_and_not_believed(replay) -> None:
    with pytest.raises(Silent):
        await iec104.run(replay(iec104.PROBE, lambda request: CONFIRMED[:-1]))


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes) -> None:
    for decode in (iec104.frame_length, iec104.decode_confirmation):
        for one in (data, b"\x68" + data, CONFIRMED + data):
            try:
                length = decode(one)
            except BadReply:
                continue
            assert length is None or 6 <= length <= min(255, len(one))
