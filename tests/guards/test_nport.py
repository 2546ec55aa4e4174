"""The allow-list of the Moxa search, against shapes written independently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.guards import open_guard
from scanner.model import Tier

SEARCH = bytes.fromhex("0100000800000000")
DEVICE_ID = bytes.fromhex("005101801a510090e83cf87e")
IDENTIFY = re.compile(rb"\x01\0\0\x08\0{4}")
READ = re.compile(rb"\x01\0\0\x08\0{4}|[\x10\x16]\0\0\x14\0{4}.{12}", re.DOTALL)


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("nport").judge(frame, tier)


def request(number: int, body: bytes = DEVICE_ID) -> bytes:
    return bytes([number, 0]) + (8 + len(body)).to_bytes(2, "big") + bytes(4) + body


@pytest.mark.parametrize("tier", [Tier.IDENTIFY, Tier.READ, Tier.LOGIN])
def test_the_search_passes(tier: Tier) -> None:
    assert judge(SEARCH, tier) is None


def test_name_and_details_need_tier_read() -> None:
    for number in (0x10, 0x16):
        assert judge(request(number), Tier.READ) is None
        assert "tier read" in (judge(request(number), Tier.IDENTIFY) or "")


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in (SEARCH, request(0x10), request(0x16)))


def test_every_other_id_is_refused() -> None:
    with_id = [number for number in range(256) if judge(request(number)) is None]
    without = [number for number in range(256) if judge(request(number, b"")) is None]

    assert (with_id, without) == ([0x10, 0x16], [0x01])


@pytest.mark.parametrize("number", [0x1E, 0x2C, 0x26, 0x4D, 0x4F])
def test_ids_that_hand_out_the_configuration_are_refused_by_name(number: int) -> None:
    assert "unknown" not in (judge(request(number)) or "unknown")


@given(st.binary(max_size=40))
def test_random_bytes_pass_only_in_an_allowed_shape(value: bytes) -> None:
    for candidate in (value, SEARCH + value, request(0x10, value), request(0x16, value)):
        assert (judge(candidate, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(candidate))
        assert (judge(candidate, Tier.READ) is None) == bool(READ.fullmatch(candidate))


@given(st.data())
def test_a_changed_datagram_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([SEARCH, request(0x10), request(0x16)])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(changed))
    assert (judge(changed, Tier.READ) is None) == bool(READ.fullmatch(changed))


@given(st.binary(max_size=40))
def test_a_datagram_is_one_frame(buffer: bytes) -> None:
    assert open_guard("nport").split(buffer) == (((buffer,), b"") if buffer else ((), b""))
