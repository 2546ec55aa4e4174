"""The UMAS allow-list: five exact frames, and nothing that is one byte away from them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["umas"]
GOOD = list(MODULE.HARMLESS["umas read"][2])
SHAPES = re.compile(
    rb"..\0\0(?:\0\x04\0\x5a\0[\x02\x04]|\0\x05\0\x5a\0(?:\x01\0|\x03\0|\x06\x06))", re.DOTALL
)


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("umas").judge(frame, tier)


def frame_of(pdu: bytes, unit: int = 0) -> bytes:
    return b"\0\1\0\0" + (1 + len(pdu)).to_bytes(2, "big") + bytes([unit]) + pdu


@pytest.mark.parametrize("tier", [Tier.READ, Tier.LOGIN])
def test_the_five_requests_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None] * 5


@pytest.mark.parametrize("tier", [Tier.PASSIVE, Tier.IDENTIFY])
def test_nothing_passes_below_tier_read(tier: Tier) -> None:
    assert all("tier read" in (judge(frame, tier) or "") for frame in GOOD)


@pytest.mark.parametrize("name", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
def test_what_may_never_be_sent_is_refused(name: str) -> None:
    *_, offence = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[name][2]

    assert judge(offence, Tier.LOGIN)


def test_every_function_but_the_five_is_refused() -> None:
    bare = {f for f in range(256) if judge(frame_of(bytes([0x5A, 0, f]))) is None}
    one = {
        (f, argument)
        for f in range(256)
        for argument in range(256)
        if judge(frame_of(bytes([0x5A, 0, f, argument]))) is None
    }

    assert (bare, one) == ({0x02, 0x04}, {(0x01, 0), (0x03, 0), (0x06, 6)})


@pytest.mark.parametrize(
    ("function", "name"),
    [(0x10, "TAKE_PLC_RESERVATION"), (0x40, "START_PLC"), (0x41, "STOP_PLC"),
     (0x20, "READ_MEMORY_BLOCK"), (0x31, "UPLOAD_BLOCK")],
)  # fmt: skip
@given(body=st.binary(max_size=20))
def test_what_acts_is_refused_by_name(function: int, name: str, body: bytes) -> None:
    assert name in (judge(frame_of(bytes([0x5A, 0, function]) + body)) or "")


@given(st.integers(0, 255).filter(lambda f: f != 0x5A), st.binary(min_size=2, max_size=20))
def test_every_other_function_of_modbus_is_refused(function: int, body: bytes) -> None:
    assert "not on the UMAS list" in (judge(frame_of(bytes([function]) + body)) or "")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (frame_of(b"\x5a\0\x02", unit=255), "the controller itself"),
        (frame_of(b"\x5a\x01\x02"), "pairing key"),
        (frame_of(b"\x5a\0\x03\x04"), "has one shape"),
        (frame_of(b"\x5a\0\x02") + b"\0", "length does not match"),
        (frame_of(b"\x5a\0"), "not a UMAS frame"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame) or "passed")


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(SHAPES.fullmatch(changed))


@given(st.binary(max_size=30))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes) -> None:
    for candidate in (frame, frame_of(frame), frame_of(b"\x5a\0" + frame)):
        assert (judge(candidate) is None) == bool(SHAPES.fullmatch(candidate))


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("umas").split(GOOD[0] + GOOD[1] + GOOD[2][:5]) == (
        (GOOD[0], GOOD[1]), GOOD[2][:5],
    )  # fmt: skip
    with pytest.raises(GuardRefused):
        open_guard("umas").split(b"GET / HTTP/1.1")


@given(st.binary(max_size=300))
def test_splitting_loses_no_byte_and_the_reply_framer_is_total(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("umas").split(buffer)
        assert b"".join(frames) + rest == buffer
    except GuardRefused:
        pass
    framer = specs()["umas"].reply_framer
    assert framer is not None
    for reply in (buffer, frame_of(buffer)):
        try:
            length = framer(reply)
        except BadReply:
            continue
        assert length is None or 8 <= length <= len(reply)
