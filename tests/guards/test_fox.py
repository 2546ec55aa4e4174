"""The Fox allow-list: one hello on a connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
HELLO = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"
NEVER = [
    b"fox a 2 1 fox login\n{\nusername=s:admin\nresponse=s:00\n};;\n",
    b"fox a 2 1 fox authMessage1\n{\nclientFirst=s:n,,n=admin\n};;\n",
    b"fox a 3 -1 fox openChannel\n{\nname=s:station\n};;\n",
    b"fox a 4 -1 station invoke\n{\naction=s:restart\n};;\n",
    b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\nusername=s:admin\n};;\n",
    b"fox a 0 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n",
]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("fox").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_hello_passes_once(tier: Tier) -> None:
    guard = open_guard("fox")

    assert guard.judge(HELLO, tier) is None
    assert guard.judge(HELLO, tier) == "a station is greeted once"
    assert judge(HELLO, Tier.PASSIVE)


@pytest.mark.parametrize("frame", NEVER)
def test_every_other_frame_is_refused(frame: bytes) -> None:
    assert all("not the one hello" in (judge(frame, tier) or "") for tier in TIERS)


@given(st.data())
def test_a_changed_hello_is_refused(data: st.DataObject) -> None:
    frame = bytearray(HELLO)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    for changed in (cut, bytes(frame), bytes(frame) + b"\n"):
        assert (judge(changed) is None) == (changed == HELLO)


@given(st.binary(max_size=120))
def test_random_bytes_are_refused(value: bytes) -> None:
    assert (judge(value) is None) == (value == HELLO)


def test_frames_are_cut_apart_and_a_long_rest_is_refused() -> None:
    guard = open_guard("fox")

    assert guard.split(HELLO + HELLO[:9]) == ((HELLO,), HELLO[:9])
    with pytest.raises(GuardRefused):
        guard.split(b"x" * 129)


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("fox").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
