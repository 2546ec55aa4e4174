"""The Telnet guard: refusals of options, two lines in the login tier, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

TALKING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)


@pytest.mark.parametrize("command", range(240, 256))
def test_only_wont_and_dont_may_leave(command: int) -> None:
    for option in range(256):
        frame = bytes([0xFF, command, option])
        for tier in TALKING:
            assert (open_guard("telnet").judge(frame, tier) is None) == (command in (0xFC, 0xFE))


def test_a_refusal_is_made_once() -> None:
    guard = open_guard("telnet")

    assert guard.judge(b"\xff\xfc\x18", Tier.IDENTIFY) is None
    assert guard.judge(b"\xff\xfe\x18", Tier.IDENTIFY) is None
    assert guard.judge(b"\xff\xfc\x18", Tier.IDENTIFY)


@given(st.binary(max_size=80))
def test_text_is_refused_below_the_login_tier(data: bytes) -> None:
    if data[:1] == b"\xff":
        data = b"a" + data
    for tier in (Tier.PASSIVE, Tier.IDENTIFY, Tier.READ):
        assert open_guard("telnet").judge(data, tier)
        assert open_guard("telnet").judge(data + b"\r\n", tier)


@pytest.mark.parametrize("frame", [b"\r", b"\n", b"\r\n", b"\r\0", b" "])
def test_not_even_a_carriage_return_leaves_below_login(frame: bytes) -> None:
    assert open_guard("telnet").judge(frame, Tier.IDENTIFY)
    assert open_guard("telnet").judge(frame, Tier.READ)


@given(st.binary(max_size=90))
def test_a_line_is_printable_short_and_ended(data: bytes) -> None:
    if data[:1] == b"\xff":
        return
    reason = open_guard("telnet").judge(data, Tier.LOGIN)

    good = (
        data.endswith(b"\r\n")
        and len(data) <= 66
        and all(0x20 <= byte < 0x7F for byte in data[:-2])
    )
    assert (reason is None) == good


def test_two_lines_and_no_third() -> None:
    guard = open_guard("telnet")

    assert guard.judge(b"admin\r\n", Tier.LOGIN) is None
    assert guard.judge(b"secret\r\n", Tier.LOGIN) is None
    assert guard.judge(b"reload\r\n", Tier.LOGIN)


@given(st.binary(max_size=300))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    guard = open_guard("telnet")
    try:
        frames, rest = guard.split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data


def test_commands_and_lines_are_cut_apart() -> None:
    assert open_guard("telnet").split(b"\xff\xfc\x18\xff\xfe\x01admin\r\npa") == (
        (b"\xff\xfc\x18", b"\xff\xfe\x01", b"admin\r\n"),
        b"pa",
    )


def test_subnegotiation_is_refused() -> None:
    guard = open_guard("telnet")

    assert guard.judge(b"\xff\xfa\x18\x00xterm\xff\xf0", Tier.LOGIN)
    frames, _ = guard.split(b"\xff\xfa\x18\x00xterm\xff\xf0")
    assert guard.judge(frames[0], Tier.LOGIN)


def test_half_a_command_and_half_a_line_wait_for_their_rest() -> None:
    guard = open_guard("telnet")

    assert guard.split(b"\xff\xfc") == ((), b"\xff\xfc")
    assert guard.split(b"admin") == ((), b"admin")
    assert guard.split(b"\xff\xfc\x18adm") == ((b"\xff\xfc\x18",), b"adm")


def test_a_line_without_its_end_or_too_long_is_refused() -> None:
    for line in (b"admin\n", b"admin", b"a" * 65 + b"\r\n"):
        assert "not one line" in (open_guard("telnet").judge(line, Tier.LOGIN) or "")
