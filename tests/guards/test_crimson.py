"""The Crimson allow-list: two frames of six bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

GOOD = [bytes.fromhex("0004012b1b00"), bytes.fromhex("0004012a1a00")]
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("crimson").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_two_requests_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None, None]
    assert all(judge(frame, Tier.PASSIVE) for frame in GOOD)


def test_every_other_register_is_refused_by_name() -> None:
    passed = []
    for register in range(0x10000):
        for code in (b"\x1b\x00", b"\x1a\x00", b"\x03\x00"):
            frame = b"\x00\x04" + register.to_bytes(2, "big") + code
            reason = judge(frame)
            if reason is None:
                passed.append(frame)
            else:
                assert f"0x{register:04X}" in reason
    assert passed == [GOOD[1], GOOD[0]]


@given(st.data())
def test_a_changed_frame_passes_only_when_it_is_one_of_the_two(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, 5))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, 6))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == (changed in GOOD)


@given(st.binary(max_size=40), st.sampled_from(TIERS))
def test_random_bytes_do_not_pass(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == (frame in GOOD)


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    guard = open_guard("crimson")

    assert guard.split(GOOD[0] + GOOD[1] + b"\x00\x04\x01") == (tuple(GOOD), b"\x00\x04\x01")
    for nonsense in (b"\x00\x00\x01\x2b", b"\xff\xff\x01\x2b"):
        with pytest.raises(GuardRefused):
            guard.split(nonsense)


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("crimson").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
