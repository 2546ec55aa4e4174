"""The NTP guard: a client's request, one READVAR from the read tier up, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.guards import open_guard
from scanner.model import Tier

CLIENT = b"\x1b" + bytes(39) + b"walkdown"
READVAR = bytes.fromhex("160257440000000000000018") + b"version,processor,system"


@pytest.mark.parametrize("tier", list(Tier))
def test_each_tier_has_its_own_datagrams(tier: Tier) -> None:
    guard = open_guard("ntp")

    assert guard.split(CLIENT) == ((CLIENT,), b"")
    assert (guard.judge(CLIENT, tier) is None) == (tier is not Tier.PASSIVE)
    assert (guard.judge(READVAR, tier) is None) == (tier in (Tier.READ, Tier.LOGIN))


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("mode", [mode for mode in range(8) if mode != 3])
def test_no_other_mode_leaves(mode: int, tier: Tier) -> None:
    for version in range(8):
        first = bytes([version << 3 | mode])
        assert open_guard("ntp").judge(first + CLIENT[1:], tier)
        assert open_guard("ntp").judge(first + bytes.fromhex("00032a00000000"), tier)


@pytest.mark.parametrize("opcode", [code for code in range(256) if code != 2])
def test_no_other_opcode_of_a_control_message_leaves(opcode: int) -> None:
    assert open_guard("ntp").judge(bytes([0x16, opcode]) + READVAR[2:], Tier.LOGIN)


@given(frame=st.sampled_from([CLIENT, READVAR]), data=st.data())
def test_a_changed_byte_is_refused(frame: bytes, data: st.DataObject) -> None:
    at, byte = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(0, 255))
    changed = frame[:at] + bytes([byte]) + frame[at + 1 :]

    assert (open_guard("ntp").judge(changed, Tier.LOGIN) is None) == (changed == frame)


@given(st.binary(max_size=100))
def test_a_datagram_is_never_cut(data: bytes) -> None:
    frames, rest = open_guard("ntp").split(data)

    assert b"".join(frames) + rest == data
