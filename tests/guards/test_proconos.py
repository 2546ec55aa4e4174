"""The ProConOS allow-list: ten bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

INFORMATION = bytes.fromhex("cc01000b4002000047ee")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("proconos").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_request_passes(tier: Tier) -> None:
    assert judge(INFORMATION, tier) is None
    assert judge(INFORMATION, Tier.PASSIVE)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ("cc010001400e00004c07", "stop"),
        ("cc010004400e00001821", "start"),
        ("cc01000f40070000eafa", "state"),
        ("cc01000dc0010000d517", "unknown"),
        ("cc01000b4002000047ef", "unknown"),
        ("cc01000b4003000047ee", "unknown"),
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_start_stop_and_all_else_is_refused(frame: str, name: str, tier: Tier) -> None:
    assert name in (judge(bytes.fromhex(frame), tier) or "")


@given(st.data())
def test_a_changed_request_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(INFORMATION)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, 9))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, 10))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == (changed == INFORMATION)


@given(st.binary(max_size=40), st.sampled_from(TIERS))
def test_random_bytes_do_not_pass(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == (frame == INFORMATION)


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    guard = open_guard("proconos")

    assert guard.split(INFORMATION * 2 + b"\xcc") == ((INFORMATION, INFORMATION), b"\xcc")
    with pytest.raises(GuardRefused):
        guard.split(b"\xcc\x02" + bytes(8))
