"""The allow-list for Network UPS Tools: version and goodbye, lists in the read tier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected.nut import WRITES

ALWAYS = (b"VER\n", b"LOGOUT\n")
READ = (b"LIST UPS\n", b"LIST VAR rack-1\n", b"LIST VAR a.b_c\n")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("nut").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_asked_passes_in_its_tier(tier: Tier) -> None:
    for line in ALWAYS:
        assert judge(line, tier) is None
        assert judge(line, Tier.PASSIVE)
    for line in READ:
        assert (judge(line, tier) is None) == (tier is not Tier.IDENTIFY)


@pytest.mark.parametrize(
    "line",
    [
        *(sent[-1] for _, _, sent in WRITES.values()),
        b"LIST CLIENT ups\n",
        b"LIST RW ups\n",
        b"GET VAR ups ups.status\n",
        b"LIST VAR \n",
        b"LIST VAR -x\n",
        b"LIST VAR ups x\n",
        b"LIST VAR ups\nFSD ups\n",
        b"LIST VAR " + b"a" * 65 + b"\n",
        b"VER\r\n",
        b"VER",
        b"ver\n",
        b"VER\nVER\n",
        b"STARTTLS\n",
        b"",
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_everything_else_is_refused(line: bytes, tier: Tier) -> None:
    assert judge(line, tier)


@given(st.data())
def test_a_changed_line_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([*ALWAYS, b"LIST UPS\n"])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    passes = judge(bytes(frame)) is None

    assert passes == (bytes(frame) in (*ALWAYS, b"LIST UPS\n"))


@given(st.binary(max_size=100))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("nut").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
