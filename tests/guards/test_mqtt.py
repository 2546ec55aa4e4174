"""The MQTT guard: one nameless CONNECT and its goodbye, with tier login; nothing else ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

HEAD = bytes.fromhex("10230004") + b"MQTT" + bytes.fromhex("0402000a0017")
CONNECT = HEAD + b"walkdown0123456789abcde"
DISCONNECT = b"\xe0\x00"


@pytest.mark.parametrize("tier", list(Tier))
def test_to_connect_takes_tier_login(tier: Tier) -> None:
    guard = open_guard("mqtt")

    assert guard.split(CONNECT + DISCONNECT) == ((CONNECT, DISCONNECT), b"")
    assert (guard.judge(CONNECT, tier) is None) == (tier is Tier.LOGIN)
    assert (guard.judge(DISCONNECT, tier) is None) == (tier is Tier.LOGIN)


def test_each_is_said_once_and_in_order() -> None:
    guard = open_guard("mqtt")

    assert guard.judge(DISCONNECT, Tier.LOGIN)
    assert guard.judge(CONNECT, Tier.LOGIN) is None
    assert guard.judge(CONNECT, Tier.LOGIN)
    assert guard.judge(DISCONNECT, Tier.LOGIN) is None
    assert guard.judge(DISCONNECT, Tier.LOGIN)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x30\x07\x00\x04pump1", b"\x33\x09\x00\x04pump\x00\x011",  # PUBLISH
        b"\x82\x06\x00\x01\x00\x01#\x00", b"\xa2\x05\x00\x01\x00\x01#",  # SUBSCRIBE, UNSUBSCRIBE
        b"\xc0\x00", b"\x40\x02\x00\x01", b"\x62\x02\x00\x01",  # PINGREQ, PUBACK, PUBREL
        CONNECT[:9] + b"\x00" + CONNECT[10:],  # a session that stays
        CONNECT[:9] + b"\x06" + CONNECT[10:],  # a will
        CONNECT[:9] + b"\xc2" + CONNECT[10:],  # a name and a password
        HEAD + b"pump-house-controller-1",  # somebody else's identifier
        HEAD + b"walkdown0123456789ABCDE",
        CONNECT[:8] + b"\x05" + CONNECT[9:],
    ],
)  # fmt: skip
def test_nothing_that_publishes_subscribes_or_is_somebody_leaves(frame: bytes) -> None:
    for tier in Tier:
        assert open_guard("mqtt").judge(frame, tier)
        guard = open_guard("mqtt")
        guard.judge(CONNECT, tier)
        assert guard.judge(frame, tier)


def test_long_packets_are_refused_and_halves_wait() -> None:
    with pytest.raises(GuardRefused, match="longer"):
        open_guard("mqtt").split(b"\x30\x80\x01" + bytes(128))
    assert open_guard("mqtt").split(CONNECT[:9]) == ((), CONNECT[:9])


@given(at=st.integers(0, 21), byte=st.integers(0, 255))
def test_a_changed_byte_of_its_form_is_refused(at: int, byte: int) -> None:
    changed = CONNECT[:at] + bytes([byte]) + CONNECT[at + 1 :]

    assert (open_guard("mqtt").judge(changed, Tier.LOGIN) is None) == (changed == CONNECT)


@given(st.binary(max_size=100))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    try:
        frames, rest = open_guard("mqtt").split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data
