"""The RDP guard: two connection requests, one on a connection, and nothing that follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

REQUESTS = (
    bytes.fromhex("030000130ee00000000000010008000b000000"),
    bytes.fromhex("030000130ee000000000000100080001000000"),
)
TALKING = (Tier.IDENTIFY, Tier.READ, Tier.LOGIN)


@pytest.mark.parametrize("tier", TALKING)
@pytest.mark.parametrize("request_", REQUESTS)
def test_each_of_the_two_requests_may_be_made_once(request_: bytes, tier: Tier) -> None:
    guard = open_guard("rdp")

    assert guard.split(request_) == ((request_,), b"")
    assert guard.judge(request_, tier) is None
    assert guard.judge(request_, tier)


def test_nothing_is_said_in_the_passive_tier() -> None:
    assert open_guard("rdp").judge(REQUESTS[0], Tier.PASSIVE)


@pytest.mark.parametrize(
    "frame",
    [
        bytes.fromhex("030000130ee000000000000100080000000000"),  # standard security alone
        bytes.fromhex("030000130ee000000000000101080001000000"),  # restricted administration
        bytes.fromhex("030000130ee00000000000010008000f000000"),
        bytes.fromhex("0300000b06e00000000000"),
        bytes.fromhex("0300002f2ae0000000000043") + b"ookie: mstshash=JOHN\r\n\x01\0\x08\0\0\0\0\0",
        bytes.fromhex("0300000c02f0800400010001"),  # MCS erect domain
        bytes.fromhex("0300000802f08028"),  # MCS attach user
        bytes.fromhex("16030100") + b"\x2f" + bytes(47),
        bytes.fromhex("0300001611e00000000100c1020100c2020102c0010a"),  # S7
    ],
)
@pytest.mark.parametrize("tier", TALKING)
def test_other_requests_and_all_that_follows_are_refused(frame: bytes, tier: Tier) -> None:
    assert open_guard("rdp").judge(frame, tier)
    after = open_guard("rdp")
    after.judge(REQUESTS[0], tier)
    assert after.judge(frame, tier)


def test_bytes_behind_a_request_are_refused_and_half_a_request_waits() -> None:
    with pytest.raises(GuardRefused, match="behind"):
        open_guard("rdp").split(REQUESTS[0] + b"\x03")
    with pytest.raises(GuardRefused, match="TPKT"):
        open_guard("rdp").split(b"GET / HTTP/1.1\r\n")
    assert open_guard("rdp").split(REQUESTS[0][:9]) == ((), REQUESTS[0][:9])


@given(frame=st.sampled_from(REQUESTS), at=st.integers(0, 18), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_unless_it_makes_the_other_request(
    frame: bytes, at: int, byte: int
) -> None:
    changed = frame[:at] + bytes([byte]) + frame[at + 1 :]

    assert (open_guard("rdp").judge(changed, Tier.LOGIN) is None) == (changed in REQUESTS)


@given(st.binary(max_size=64))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    try:
        frames, rest = open_guard("rdp").split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data
