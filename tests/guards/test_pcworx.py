"""The PC Worx allow-list, against shapes written down independently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

OPEN = bytes.fromhex("0101001a0000000078800003000c494245544830314e305f4d00")
ASK = bytes.fromhex("01050016000100007880123400000006000402950000")
FETCH = bytes.fromhex("0106000e00020000000012340400")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def allowed(frame: bytes) -> bool:
    """With the session number taken out, one of the three."""
    bare = frame[:10] + b"\x12\x34" + frame[12:]
    return frame == OPEN or (len(frame) in (14, 22) and bare in (ASK, FETCH))


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("pcworx").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_three_requests_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in (OPEN, ASK, FETCH)] == [None] * 3


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in (OPEN, ASK, FETCH))


@pytest.mark.parametrize("service", [each for each in range(256) if each not in (1, 5, 6)])
def test_every_other_service_is_refused_by_name(service: int) -> None:
    reason = judge(FETCH[:1] + bytes([service]) + FETCH[2:])

    assert f"0x{service:02X}" in (reason or "")


def test_every_other_question_is_refused() -> None:
    asked = [n for n in range(0x10000) if judge(ASK[:18] + n.to_bytes(2, "big") + ASK[20:]) is None]

    assert asked == [0x0295]


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([OPEN, ASK, FETCH])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == allowed(changed)


@given(st.binary(max_size=40), st.sampled_from(TIERS))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == allowed(frame)


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    guard = open_guard("pcworx")

    assert guard.split(OPEN + ASK + FETCH[:9]) == ((OPEN, ASK), FETCH[:9])
    for nonsense in (b"\x81" + FETCH[1:], b"\x01\x06\xff\xff", b"\x01\x06\x00\x00"):
        with pytest.raises(GuardRefused):
            guard.split(nonsense)


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("pcworx").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
