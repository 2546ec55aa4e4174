"""The SMB guard: two negotiations, their first legs in the read tier, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

FIRST_LEG = bytes.fromhex(
    "604806062b0601050502a03e303ca00e300c060a2b06010401823702020aa22a04284e544c4d535350000100000005"
    "82080200000000000000000000000000000000000000000000000f"
)
NEGOTIATE = bytes.fromhex(
    "0000009efe534d4240000000000000000000010000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000240005000100000000000000"
) + b"walkdown-readonl" + bytes.fromhex(
    "7000000001000000020210020003020311030000010026000000000001002000"
    "0100"
) + b"walkdown asks and never signs in"  # fmt: skip
SESSION_SETUP = bytes.fromhex(
    "000000a2fe534d4240000000000000000100010000000000000000000100000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000190000010000000000000000"
    "58004a000000000000000000"
) + FIRST_LEG  # fmt: skip
OLD_NEGOTIATE = bytes.fromhex(
    "0000002fff534d4272000000001801c8000000000000000000000000ffff010000000100000c00024e54204c4d20302e"
    "313200"
)
OLD_SESSION_SETUP = bytes.fromhex(
    "0000008aff534d4273000000001801c8000000000000000000000000ffff0100000002000cff00000004110100000000"
    "0000004a0000000000440000804f00"
) + FIRST_LEG + bytes(5)  # fmt: skip
PAIRS = [(NEGOTIATE, SESSION_SETUP), (OLD_NEGOTIATE, OLD_SESSION_SETUP)]
ALL = [frame for pair in PAIRS for frame in pair]
TALKING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)


@pytest.mark.parametrize(("negotiate", "set_up"), PAIRS)
def test_a_negotiation_and_in_the_read_tier_its_first_leg_may_leave(
    negotiate: bytes, set_up: bytes
) -> None:
    for tier in TALKING:
        guard = open_guard("smb")
        assert guard.split(negotiate + set_up) == ((negotiate, set_up), b"")
        assert guard.judge(negotiate, tier) is None
        refused = guard.judge(set_up, tier)
        assert (refused is None) == (tier is not Tier.IDENTIFY)


def test_nothing_is_said_in_the_passive_tier() -> None:
    assert all(open_guard("smb").judge(frame, Tier.PASSIVE) for frame in ALL)


@pytest.mark.parametrize(("negotiate", "set_up"), PAIRS)
def test_a_first_leg_needs_its_own_negotiation_and_comes_once(
    negotiate: bytes, set_up: bytes
) -> None:
    guard = open_guard("smb")
    assert guard.judge(set_up, Tier.READ)
    other = next(pair[0] for pair in PAIRS if pair[0] != negotiate)
    assert guard.judge(other, Tier.READ) is None
    assert guard.judge(set_up, Tier.READ)
    assert guard.judge(negotiate, Tier.READ)

    guard = open_guard("smb")
    guard.judge(negotiate, Tier.READ)
    assert guard.judge(set_up, Tier.READ) is None
    assert guard.judge(set_up, Tier.READ)


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(3, "big") + message


def command(number: int) -> bytes:
    return framed(NEGOTIATE[4:16] + bytes([number, 0]) + NEGOTIATE[18:68] + b"\x09\0\0\0")


def old_command(number: int) -> bytes:
    return framed(OLD_NEGOTIATE[4:8] + bytes([number]) + OLD_NEGOTIATE[9:36] + bytes(3))


@pytest.mark.parametrize("tier", TALKING)
def test_every_other_command_is_refused_also_behind_a_first_leg(tier: Tier) -> None:
    for negotiate, set_up in PAIRS:
        guard = open_guard("smb")
        guard.judge(negotiate, tier)
        guard.judge(set_up, tier)
        for number in range(256):
            assert guard.judge(command(number), tier)
            assert guard.judge(old_command(number), tier)


@pytest.mark.parametrize("tier", TALKING)
def test_a_second_leg_and_a_null_session_are_refused(tier: Tier) -> None:
    second = FIRST_LEG.replace(b"NTLMSSP\0\1", b"NTLMSSP\0\3")
    for negotiate, set_up in PAIRS:
        guard = open_guard("smb")
        guard.judge(negotiate, tier)
        assert guard.judge(set_up.replace(FIRST_LEG, second), tier)
        assert guard.judge(framed(set_up[4:].replace(FIRST_LEG, b"")), tier)


def test_half_a_message_waits_and_what_is_none_is_refused() -> None:
    assert open_guard("smb").split(NEGOTIATE[:90]) == ((), NEGOTIATE[:90])
    for data in (b"GET / HTTP/1.1\r\n", b"\x81\0\0\x44" + bytes(68), b"\0\0\xff\xff" + bytes(9)):
        with pytest.raises(GuardRefused):
            open_guard("smb").split(data)


@given(frame=st.sampled_from(ALL), data=st.data())
def test_a_changed_byte_is_refused(frame: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frame) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = frame[:at] + bytes([byte]) + frame[at + 1 :]
    guard = open_guard("smb")
    if frame in (SESSION_SETUP, OLD_SESSION_SETUP):
        guard.judge(NEGOTIATE if frame is SESSION_SETUP else OLD_NEGOTIATE, Tier.READ)

    assert (guard.judge(changed, Tier.READ) is None) == (changed == frame)


@given(st.binary(max_size=400))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    try:
        frames, rest = open_guard("smb").split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data
