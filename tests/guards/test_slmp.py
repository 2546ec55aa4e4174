"""The SLMP allow-list: one frame, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

ALLOWED = bytes.fromhex("50 00 00 ff ff 03 00 06 00 10 00 01 01 00 00")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
NEVER = [
    0x0401, 0x0403, 0x0406, 0x0601, 0x0613, 0x0619, 0x0E30, 0x0E31, 0x1001, 0x1002, 0x1003, 0x1005,
    0x1006, 0x1401, 0x1402, 0x1406, 0x1601, 0x1613, 0x1617, 0x1630, 0x1631, 0x1820, 0x1822, 0x1829,
]  # fmt: skip


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("slmp").judge(frame, tier)


def request(command: int, data: bytes = b"", *, subcommand: int = 0) -> bytes:
    body = b"\x10\0" + command.to_bytes(2, "little") + subcommand.to_bytes(2, "little") + data
    return ALLOWED[:7] + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize("tier", TIERS)
def test_read_type_name_passes(tier: Tier) -> None:
    assert judge(ALLOWED, tier) is None
    assert request(0x0101) == ALLOWED


def test_nothing_passes_in_tier_passive() -> None:
    assert judge(ALLOWED, Tier.PASSIVE)


@pytest.mark.parametrize("command", NEVER)
@given(data=st.binary(max_size=20), tier=st.sampled_from(TIERS))
def test_every_other_command_is_refused_by_name(command: int, data: bytes, tier: Tier) -> None:
    reason = judge(request(command, data), tier)

    assert reason is not None
    assert "unknown" not in reason


def test_every_command_and_subcommand_off_the_list_is_refused() -> None:
    assert [code for code in range(0x10000) if judge(request(code)) is None] == [0x0101]
    passed = [sub for sub in range(0x10000) if judge(request(0x0101, subcommand=sub)) is None]
    assert passed == [0]


@given(st.binary(max_size=40))
def test_random_bytes_pass_only_as_the_one_frame(value: bytes) -> None:
    for candidate in (value, ALLOWED[:9] + value, request(0x0101, value)):
        for tier in TIERS:
            assert (judge(candidate, tier) is None) == (candidate == ALLOWED)


@given(st.data())
def test_a_changed_frame_is_refused(data: st.DataObject) -> None:
    frame = bytearray(ALLOWED)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == (changed == ALLOWED)


def test_frames_are_cut_apart_and_others_refused() -> None:
    guard = open_guard("slmp")

    assert guard.split(ALLOWED + ALLOWED[:5]) == ((ALLOWED,), ALLOWED[:5])
    for wrong in (b"GET / HTTP/1.0", ALLOWED[:7] + b"\xff\xff" + bytes(9), b"\x54\x00" + bytes(9)):
        with pytest.raises(GuardRefused):
            guard.split(wrong)


@given(st.binary(max_size=80))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    for candidate in (buffer, ALLOWED[:7] + buffer):
        try:
            frames, rest = open_guard("slmp").split(candidate)
        except GuardRefused:
            continue
        assert b"".join(frames) + rest == candidate
