"""The VNC guard: one of three lines, once, and no byte behind it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

LINES = (b"RFB 003.003\n", b"RFB 003.007\n", b"RFB 003.008\n")
TALKING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)


@pytest.mark.parametrize("tier", TALKING)
@pytest.mark.parametrize("line", LINES)
def test_each_published_version_may_be_said(line: bytes, tier: Tier) -> None:
    guard = open_guard("vnc")

    assert guard.split(line) == ((line,), b"")
    assert guard.judge(line, tier) is None


def test_nothing_is_said_in_the_passive_tier() -> None:
    assert open_guard("vnc").judge(LINES[0], Tier.PASSIVE)


def test_the_version_is_said_once() -> None:
    guard = open_guard("vnc")

    assert guard.judge(LINES[2], Tier.IDENTIFY) is None
    assert "already" in (guard.judge(LINES[2], Tier.IDENTIFY) or "")


@pytest.mark.parametrize(
    "later",
    [
        b"\x01", b"\x02", b"\x10",  # a choice
        bytes(16),  # an answer to a challenge
        b"\x00\x01",  # ClientInit
        bytes.fromhex("0401000000000000ff0d"),  # a key
        bytes.fromhex("050100100010"),  # the pointer
        bytes.fromhex("0600000000000001") + b"x",  # the clipboard
    ],
)  # fmt: skip
@pytest.mark.parametrize("tier", TALKING)
def test_no_choice_and_nothing_that_comes_after_one_leaves(later: bytes, tier: Tier) -> None:
    guard = open_guard("vnc")
    guard.judge(LINES[2], tier)

    assert guard.judge(later, tier)
    with pytest.raises(GuardRefused):
        open_guard("vnc").split(later)
    with pytest.raises(GuardRefused, match="behind"):
        open_guard("vnc").split(LINES[2] + later)


def test_half_a_line_waits_for_its_rest() -> None:
    assert open_guard("vnc").split(b"RF") == ((), b"RF")
    assert open_guard("vnc").split(b"RFB 003.0") == ((), b"RFB 003.0")


@given(line=st.sampled_from(LINES), at=st.integers(0, 11), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_unless_it_makes_another_version(
    line: bytes, at: int, byte: int
) -> None:
    changed = line[:at] + bytes([byte]) + line[at + 1 :]

    assert (open_guard("vnc").judge(changed, Tier.LOGIN) is None) == (changed in LINES)


@given(st.binary(max_size=64))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    try:
        frames, rest = open_guard("vnc").split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data
