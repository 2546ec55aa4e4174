"""The HART-IP allow-list, against shapes written independently of it."""

from __future__ import annotations

import re
from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
INITIATE = re.compile(rb"\x01\0\0\0..\0\x0d\x01\0\0..", re.DOTALL)
CLOSE = re.compile(rb"\x01\0\x01\0..\0\x08", re.DOTALL)
WHO = re.compile(rb"\x01\0\x03\0..\0\x0d\x02[\0-\x3f]\0\0.", re.DOTALL)
PLAIN = re.compile(rb"\x01\0\x03\0..\0\x11\x82[\0-\x3f]....[\x0d\x14\x30\x4a]\0.", re.DOTALL)
INDEXED = re.compile(rb"\x01\0\x03\0..\0\x13\x82[\0-\x3f]....\x54\x02...", re.DOTALL)


def allowed(frame: bytes, tier: Tier) -> bool:
    if INITIATE.fullmatch(frame):
        return 0 < int.from_bytes(frame[9:13], "big") <= 60_000
    if CLOSE.fullmatch(frame):
        return True
    shapes = [WHO] if tier is Tier.IDENTIFY else [WHO, PLAIN, INDEXED]
    return any(shape.fullmatch(frame) for shape in shapes) and not reduce(xor, frame[8:])


def message(number: int, body: bytes = b"") -> bytes:
    return bytes([1, 0, number, 0, 0, 7]) + (8 + len(body)).to_bytes(2, "big") + body


def command(number: int, data: bytes = b"", *, address: str = "264e0000d2") -> bytes:
    where = bytes.fromhex(address)
    frame = (b"\x82" if len(where) == 5 else b"\x02") + where + bytes([number, len(data)]) + data
    return message(3, frame + bytes([reduce(xor, frame)]))


IDENTIFYING = [message(0, bytes.fromhex("0100007530")), command(0, address="00"), message(1)]
READING = [*(command(n) for n in (13, 20, 48, 74)), command(84, b"\0\1")]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("hartip").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_what_identifies_passes_in_every_tier(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in IDENTIFYING] == [None] * 3


def test_what_reads_on_needs_tier_read() -> None:
    assert all("tier read" in (judge(frame, Tier.IDENTIFY) or "") for frame in READING)
    assert [judge(frame) for frame in READING] == [None] * 5
    assert all(judge(frame, Tier.PASSIVE) for frame in IDENTIFYING + READING)


def test_no_other_command_passes() -> None:
    for data in (b"", b"\0\1", b"\1"):
        passed = [number for number in range(256) if judge(command(number, data)) is None]
        assert passed == {b"": [13, 20, 48, 74], b"\0\1": [84], b"\1": []}[data]
        short = [n for n in range(256) if judge(command(n, data, address="00")) is None]
        assert short == ([0] if not data else [])


NEVER = {
    6: "write polling address", 17: "write message", 18: "write tag", 19: "write final assembly",
    22: "write long tag", 31: "extended", 38: "reset configuration", 40: "fixed current",
    41: "self test", 42: "device reset", 43: "zero", 71: "lock", 72: "squawk", 73: "find device",
    77: "send command to sub-device", 79: "write device variable", 128: "manufacturer",
}  # fmt: skip


@pytest.mark.parametrize(("number", "name"), NEVER.items())
@given(data=st.binary(max_size=30), tier=st.sampled_from(TIERS))
def test_commands_that_change_a_device_are_refused_by_name(
    number: int, name: str, data: bytes, tier: Tier
) -> None:
    assert name in (judge(command(number, data), tier) or "")


@pytest.mark.parametrize(
    "frame",
    [
        message(0, bytes.fromhex("0000007530")),  # host type 0
        message(0, bytes.fromhex("0100000000")),  # no timer
        message(0, bytes.fromhex("010000ea61")),  # longer than a minute
        message(1, b"\0"),
        message(2),  # keep-alive
        message(4, b"\0\0\0\0\0"),  # direct PDU
        message(5),  # audit log
        command(0, address="80"),  # the primary master's seat
        command(0, address="40"),
        command(20, address="a64e0000d2"),
        command(20, address="00"),
        command(0),
        b"\x02" + IDENTIFYING[0][1:],  # version 2
        b"\x01\x01" + IDENTIFYING[1][2:],  # an answer
        IDENTIFYING[1][:-1] + b"\0",  # check byte
        IDENTIFYING[0][:3] + b"\x01" + IDENTIFYING[0][4:],
    ],
)
def test_what_is_near_the_list_is_refused(frame: bytes) -> None:
    assert all(judge(frame, tier) for tier in TIERS)


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(IDENTIFYING + READING)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    mended = bytes(frame[:-1]) + bytes([reduce(xor, frame[8:-1], 0)])
    changed = data.draw(st.sampled_from([cut, bytes(frame), mended, bytes(frame) + b"\0"]))

    for tier in (Tier.IDENTIFY, Tier.READ):
        assert (judge(changed, tier) is None) == allowed(changed, tier), changed.hex()


@given(st.binary(max_size=80))
def test_random_bytes_pass_only_in_an_allowed_shape(value: bytes) -> None:
    frame = value + bytes([reduce(xor, value, 0)])
    for candidate in (value, message(3, value), message(3, frame)):
        for tier in (Tier.IDENTIFY, Tier.READ):
            assert (judge(candidate, tier) is None) == allowed(candidate, tier)


def test_messages_are_cut_apart_and_a_rest_is_kept() -> None:
    buffer = IDENTIFYING[0] + IDENTIFYING[1] + READING[0][:9]

    assert open_guard("hartip").split(buffer) == (tuple(IDENTIFYING[:2]), READING[0][:9])
    for nonsense in (b"GET / HTTP/1.0\r\n\r\n", message(0)[:6] + b"\0\0"):
        with pytest.raises(GuardRefused):
            open_guard("hartip").split(nonsense)


@given(st.binary(max_size=200))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("hartip").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
