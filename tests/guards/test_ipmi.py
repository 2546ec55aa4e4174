"""The allow-list for IPMI: one datagram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected.ipmi import NOT_ONLY_READING, WRITES, message

ASKS = bytes.fromhex("0600ff07000000000000000000092018c88154388e0461")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("ipmi").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_one_question_passes(tier: Tier) -> None:
    assert judge(ASKS, tier) is None
    assert judge(ASKS, Tier.PASSIVE)
    assert open_guard("ipmi").split(ASKS) == ((ASKS,), b"")


@pytest.mark.parametrize(
    "frame",
    [
        *(sent[-1] for _, _, sent in WRITES.values()),
        *(sent[-1] for _, _, sent in NOT_ONLY_READING.values()),
        message(6, 0x38, b"\x8e\x04", session=b"\1\0\0\0"),
        message(6, 0x38, b"\x01\x04"),
        bytes.fromhex("0600ff06000011be80000000"),  # ASF ping
        ASKS + b"\0",
        ASKS[:-1],
        b"",
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_everything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert judge(frame, tier)


@given(st.data())
def test_a_changed_datagram_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(ASKS)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    assert (judge(bytes(frame)) is None) == (bytes(frame) == ASKS)


@given(st.binary(max_size=60))
def test_random_bytes_do_not_pass_and_none_are_lost(frame: bytes) -> None:
    assert (judge(frame) is None) == (frame == ASKS)
    frames, rest = open_guard("ipmi").split(frame)
    assert b"".join(frames) + rest == frame
