"""The allow-list for tank gauges: eight bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

REPORT = b"\x01I90200\n"
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("atg").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_report_passes(tier: Tier) -> None:
    assert judge(REPORT, tier) is None
    assert judge(REPORT, Tier.PASSIVE)


@pytest.mark.parametrize(
    "line",
    [
        b"\x01I20100\n", b"\x01i90200\n", b"\x01I90201\n", b"\x01S60201NAME\n", b"\x01S00100\n",
        b"\x01IS00300\n", b"\x01S50100261130\n", b"\x01000000I90200\n", b"\x01I90200\r\n",
        b"\x01I90200", b"I90200\n", b"\x01I90200\n\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tier", TIERS)
def test_every_other_function_is_refused(line: bytes, tier: Tier) -> None:
    assert judge(line, tier)


def test_no_other_function_number_passes() -> None:
    letters = [b"I", b"i", b"S", b"s"]
    passed = [
        b"\x01" + letter + b"%05d\n" % number
        for letter in letters
        for number in range(0, 100_000, 100)
        if judge(b"\x01" + letter + b"%05d\n" % number) is None
    ]
    assert passed == [REPORT]


@given(st.data())
def test_a_changed_line_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(REPORT)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, 7))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, 8))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == (changed == REPORT)


@given(st.binary(max_size=40), st.sampled_from(TIERS))
def test_random_bytes_do_not_pass(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == (frame == REPORT)


def test_lines_are_cut_apart_and_a_rest_is_kept() -> None:
    guard = open_guard("atg")

    assert guard.split(REPORT + REPORT + b"\x01I9") == ((REPORT, REPORT), b"\x01I9")
    for nonsense in (b"I90200\n", b"\x01" + b"I" * 80, b"\x01" + b"I" * 80 + b"\n"):
        with pytest.raises(GuardRefused):
            guard.split(nonsense)


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("atg").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
