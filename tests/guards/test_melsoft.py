"""The MELSOFT allow-list: one frame, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

ALLOWED = bytes.fromhex(
    "57000000001111070000ffff030000fe03000014001c080a0800000000000000040101010000000001"
)
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
IQF = bytes.fromhex(
    "57010000001111070000ffff030000fe03000020001c0a161400000000000000000000000000000000000000"
    "000121010000000001"
)
WRITE = bytes.fromhex(
    "57000000001111070000ffff0300000000000022001c000a08000000000000000014022d0000000001000090"
    "000a000000000000000100"
)


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("melsoft").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_recorded_frame_passes(tier: Tier) -> None:
    assert judge(ALLOWED, tier) is None


def test_nothing_passes_in_tier_passive() -> None:
    assert judge(ALLOWED, Tier.PASSIVE)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (WRITE, "1402 (device write random)"),
        (WRITE.replace(b"\x14\x02", b"\x10\x02"), "1002 (remote stop)"),
        (WRITE.replace(b"\x14\x02", b"\x10\x06"), "1006 (remote reset)"),
        (IQF, "0121"),
        (b"\x5a\0\0\x01", "5a000001"),
        (b"\x5a\0\0\xff", "5a0000ff"),
        (b"", ""),
    ],
)
def test_other_frames_are_refused_by_name(frame: bytes, name: str) -> None:
    assert name in (judge(frame) or "allowed")
    if frame:
        with pytest.raises(GuardRefused):
            open_guard("melsoft").split(frame)


@given(st.binary(max_size=60))
def test_random_bytes_are_refused(value: bytes) -> None:
    for candidate in (value, ALLOWED[:21] + value, ALLOWED + value):
        assert (judge(candidate) is None) == (candidate == ALLOWED)


@given(st.integers(0, len(ALLOWED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(at: int, by: int) -> None:
    changed = ALLOWED[:at] + bytes([ALLOWED[at] ^ by]) + ALLOWED[at + 1 :]

    assert judge(changed)
    assert judge(ALLOWED[:at])


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("melsoft").split(ALLOWED + ALLOWED[:5]) == ((ALLOWED,), ALLOWED[:5])
