"""The FINS allow-list, against shapes written independently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

NODE = rb"[\x01-\xfe]"
NODES = rb"FINS\0\0\0\x0c" + rb"\0{12}"
UDP = rb"\x80\0\x02\0\0\0\0\x7e\0."
TCP = rb"\0\0\0\x02\0\0\0\0\x80\0\x02\0" + NODE + rb"\0\0" + NODE + rb"\0."
IDENTIFY_SHAPES = [NODES, UDP + rb"\x05\x01\0", rb"FINS\0\0\0\x15" + TCP + rb"\x05\x01\0"]
READ_SHAPES = [*IDENTIFY_SHAPES, UDP + rb"\x06\x01", rb"FINS\0\0\0\x14" + TCP + rb"\x06\x01"]
IDENTIFY = re.compile(b"|".join(b"(?:" + shape + b")" for shape in IDENTIFY_SHAPES), re.DOTALL)
READ = re.compile(b"|".join(b"(?:" + shape + b")" for shape in READ_SHAPES), re.DOTALL)


def command(body: bytes, *, to: int = 0, sender: int = 126) -> bytes:
    return bytes([0x80, 0, 2, 0, to, 0, 0, sender, 0, 0xEF]) + body


def framed(body: bytes) -> bytes:
    inside = command(body, to=200, sender=251)
    return b"FINS" + (8 + len(inside)).to_bytes(4, "big") + b"\0\0\0\x02\0\0\0\0" + inside


ASK_NODES = b"FINS\0\0\0\x0c" + bytes(12)
DATA, STATUS = b"\x05\x01\0", b"\x06\x01"
IDENTIFY_FRAMES = [ASK_NODES, command(DATA), framed(DATA)]
READ_FRAMES = [command(STATUS), framed(STATUS)]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("fins").judge(frame, tier)


@pytest.mark.parametrize("tier", [Tier.IDENTIFY, Tier.READ, Tier.LOGIN])
def test_controller_data_may_be_asked(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in IDENTIFY_FRAMES] == [None] * 3


def test_status_needs_tier_read() -> None:
    assert [judge(frame) for frame in READ_FRAMES] == [None] * 2
    assert all("tier read" in (judge(frame, Tier.IDENTIFY) or "") for frame in READ_FRAMES)


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in [*IDENTIFY_FRAMES, *READ_FRAMES])


NEVER = [
    0x0102, 0x0103, 0x0105, 0x0202, 0x0203, 0x0221, 0x0304, 0x0305, 0x0307, 0x0308, 0x0401, 0x0402,
    0x0403, 0x0620, 0x0702, 0x0803, 0x0920, 0x0C01, 0x0C02, 0x0C03, 0x2101, 0x2103, 0x2203, 0x2204,
    0x2205, 0x2207, 0x2208, 0x220A, 0x220B, 0x220C, 0x2301, 0x2302, 0x2601, 0x2602,
]  # fmt: skip


@pytest.mark.parametrize("code", NEVER)
@given(body=st.binary(max_size=20), tier=st.sampled_from([Tier.READ, Tier.LOGIN]))
def test_commands_that_change_a_controller_are_refused_by_name(
    code: int, body: bytes, tier: Tier
) -> None:
    for make in (command, framed):
        reason = judge(make(code.to_bytes(2, "big") + body), tier)
        assert reason is not None
        assert "unknown" not in reason


def test_every_command_off_the_list_is_refused() -> None:
    passed = [code for code in range(0x10000) if judge(command(code.to_bytes(2, "big"))) is None]
    with_parameter = [
        code for code in range(0x10000) if judge(command(code.to_bytes(2, "big") + b"\0")) is None
    ]

    assert (passed, with_parameter) == ([0x0601], [0x0501])


@given(st.binary(max_size=60))
def test_random_bytes_pass_only_in_an_allowed_shape(value: bytes) -> None:
    for candidate in (value, command(value), framed(value), b"FINS" + value):
        assert (judge(candidate, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(candidate))
        assert (judge(candidate, Tier.READ) is None) == bool(READ.fullmatch(candidate))


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([*IDENTIFY_FRAMES, *READ_FRAMES])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(changed))
    assert (judge(changed, Tier.READ) is None) == bool(READ.fullmatch(changed))


def test_frames_are_cut_apart_and_a_datagram_is_one() -> None:
    guard = open_guard("fins")

    assert guard.split(ASK_NODES + framed(DATA)[:20]) == ((ASK_NODES,), framed(DATA)[:20])
    assert guard.split(command(DATA)) == ((command(DATA),), b"")
    assert guard.split(b"FI") == ((), b"FI")


def test_a_frame_that_names_more_than_it_may_is_refused() -> None:
    with pytest.raises(GuardRefused):
        open_guard("fins").split(b"FINS\0\0\1\0")
    with pytest.raises(GuardRefused):
        open_guard("fins").split(ASK_NODES + b"HTTP/1.1")


@given(st.binary(max_size=80))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    for candidate in (buffer, b"FINS\0\0\0" + buffer):
        try:
            frames, rest = open_guard("fins").split(candidate)
        except GuardRefused:
            continue
        assert b"".join(frames) + rest == candidate
