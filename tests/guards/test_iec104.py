"""The IEC 104 allow-list has one frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import iec104
from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge.injected import iec104 as injected

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
TEST = bytes.fromhex("680443000000")


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("iec104").judge(frame, tier)


def test_the_test_frame_passes_in_every_tier_that_sends() -> None:
    assert iec104.encode_test_frame() == TEST
    assert [judge(TEST, tier) for tier in TIERS] == [None] * 3
    assert judge(TEST, Tier.PASSIVE)


@pytest.mark.parametrize(("name", "requests"), [(n, r[2]) for n, r in injected.WRITES.items()])
def test_no_start_and_no_command_passes(name: str, requests: tuple[bytes, ...]) -> None:
    assert all(judge(requests[-1], tier) for tier in TIERS), name


@pytest.mark.parametrize("control", sorted(set(range(256)) - {0x43}))
def test_every_other_control_octet_is_refused(control: int) -> None:
    reason = judge(bytes([0x68, 4, control, 0, 0, 0]))

    assert reason is not None
    if control in (0x07, 0x13):
        assert ("STARTDT" if control == 0x07 else "STOPDT") in reason


@pytest.mark.parametrize("kind", range(256))
def test_no_type_of_data_passes(kind: int) -> None:
    asdu = bytes([kind, 1, 6, 0, 1, 0, 1, 0, 0, 0])

    assert f"type {kind}" in (judge(bytes([0x68, 4 + len(asdu), 0, 0, 0, 0]) + asdu) or "")


@given(st.integers(0, 5), st.integers(0, 255))
def test_a_changed_test_frame_is_refused(at: int, value: int) -> None:
    changed = TEST[:at] + bytes([value]) + TEST[at + 1 :]

    assert (judge(changed) is None) == (changed == TEST)


@given(st.binary(max_size=260), st.sampled_from(TIERS))
def test_anything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == (frame == TEST)
    assert judge(TEST + frame, tier) is None or frame


def test_frames_are_cut_and_nonsense_is_not_kept() -> None:
    guard = open_guard("iec104")

    assert guard.split(TEST + TEST[:3]) == ((TEST,), TEST[:3])
    for nonsense in (b"GET / HTTP/1.1", b"\x68\x03\x43\x00\x00", b"\x68\xff\x43"):
        with pytest.raises(GuardRefused):
            guard.split(nonsense)


def test_a_reply_is_framed_by_its_length() -> None:
    framer = specs()["iec104"].reply_framer
    assert framer is not None

    assert framer(TEST[:5]) is None
    assert framer(TEST + b"more") == 6
    with pytest.raises(BadReply):
        framer(b"HTTP")
