"""The BACnet/IP allow-list, against shapes written independently of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]

_DEVICE = rb"\x0c\x02[\x00-\x3f].."  # any instance; 3fffff is excluded below
_IDENTITY = rb"(?:\x09[\x0c\x2c\x46\x4d\x70\x78\x79\x8b]|\x0a\x01\x74)"
_MORE = rb"(?:\x09[\x0c\x2c\x46\x4d\x70\x78\x79\x8b\x1c\x3a]|\x0a\x01\x74|\x09\x4c\x19\x00)"
_LENGTH = rb"\x81\x0a.."
WHICH = re.compile(_LENGTH + rb"\x01\x04\x00\x05.\x0c\x0c\x02\x3f\xff\xff\x19\x4b", re.DOTALL)
IDENTITY = re.compile(
    _LENGTH + rb"\x01\x04\x00\x05.\x0e" + _DEVICE + rb"\x1e" + _IDENTITY + rb"{1,9}\x1f", re.DOTALL
)
SINGLE = re.compile(
    _LENGTH + rb"\x01\x04\x00\x05.\x0c" + _DEVICE
    + rb"(?:\x19[\x0c\x1c\x1e\x2c\x3a\x46\x4b\x4d\x70\x78\x79\x8b]|\x1a\x01\x74|\x19\x4c\x29\x00)",
    re.DOTALL,
)  # fmt: skip
MULTIPLE = re.compile(
    _LENGTH + rb"\x01\x04\x00\x05.\x0e" + _DEVICE + rb"\x1e" + _MORE + rb"{1,12}\x1f", re.DOTALL
)
ROUTED = re.compile(
    _LENGTH + rb"\x01\x24(?!\x00\x00|\xff\xff)..\x01[^\x00\xff]\xff\x00\x05.\x0e" + _DEVICE
    + rb"\x1e" + _IDENTITY + rb"{1,9}\x1f",
    re.DOTALL,
)  # fmt: skip
TABLES = re.compile(rb"\x81[\x02\x06]\x00\x04")


def allowed(frame: bytes, tier: Tier) -> bool:
    if len(frame) > 256 or len(frame) < 4 or int.from_bytes(frame[2:4], "big") != len(frame):
        return False
    if WHICH.fullmatch(frame):
        return True
    shapes = [IDENTITY] if tier is Tier.IDENTIFY else [IDENTITY, SINGLE, MULTIPLE, ROUTED, TABLES]
    if not any(shape.fullmatch(frame) for shape in shapes) or b"\x0c\x02\x3f\xff\xff" in frame:
        return False
    return _no_property_twice(frame)


def _no_property_twice(frame: bytes) -> bool:
    start = frame.find(b"\x1e", 13)
    if frame[1] != 0x0A or start < 0 or SINGLE.fullmatch(frame):
        return True
    names = re.findall(rb"\x09\x4c\x19\x00|\x09.|\x0a\x01\x74", frame[start + 1 : -1], re.DOTALL)
    return len(names) == len(set(names))


def bvlc(body: str, function: int = 0x0A) -> bytes:
    data = bytes.fromhex(body)
    return bytes([0x81, function]) + (4 + len(data)).to_bytes(2, "big") + data


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("bacnet").judge(frame, tier)


IDENTIFYING = [
    bvlc("0104 0005010c 0c023fffff 194b"),
    bvlc("0104 0005020e 0c0200001d 1e 0979 0978 0946 092c 090c 094d 0a0174 0970 098b 1f"),
]
READING = [
    bvlc("0104 0005140c 0c0200001d 1979"),
    bvlc("0104 0005140c 0c0200001d 1a0174"),
    bvlc("0104 0005140c 0c0200001d 194c 2900"),
    bvlc("0104 0005140c 0c0200001d 191e"),
    bvlc("0104 0005030e 0c0200001d 1e 091c 093a 094c 1900 1f"),
    bvlc("0124 0003 01 1d ff 0005280e 0c0200001d 1e 0979 0946 1f"),
    b"\x81\x02\x00\x04",
    b"\x81\x06\x00\x04",
]


@pytest.mark.parametrize("tier", TIERS)
def test_what_identifies_passes_in_every_tier(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in IDENTIFYING] == [None, None]


def test_what_reads_on_needs_tier_read() -> None:
    assert all(judge(frame, Tier.IDENTIFY) for frame in READING)
    assert [judge(frame) for frame in READING] == [None] * len(READING)


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in IDENTIFYING + READING)


def test_no_bvlc_function_but_three_passes() -> None:
    for function in range(256):
        for body in ("", "0104 0005010c 0c023fffff 194b", "003c", "0a4d0101bac0"):
            frame = bvlc(body, function)
            reading = frame in (READING[-2], READING[-1])
            assert (judge(frame) is None) == (reading or frame == IDENTIFYING[0])


NEVER = {
    5: "SubscribeCOV", 7: "AtomicWriteFile", 8: "AddListElement", 9: "RemoveListElement",
    10: "CreateObject", 11: "DeleteObject", 15: "WriteProperty", 16: "WritePropertyMultiple",
    17: "DeviceCommunicationControl", 18: "PrivateTransfer", 19: "TextMessage",
    20: "ReinitializeDevice", 27: "LifeSafetyOperation", 28: "SubscribeCOVProperty",
}  # fmt: skip


@pytest.mark.parametrize(("service", "name"), NEVER.items())
@given(body=st.binary(max_size=40), tier=st.sampled_from(TIERS))
def test_services_that_change_a_device_are_refused_by_name(
    service: int, name: str, body: bytes, tier: Tier
) -> None:
    reason = judge(bvlc(f"0104 000501{service:02x}" + body.hex()), tier)

    assert reason is not None
    assert name in reason


def test_no_service_but_the_two_reads_passes() -> None:
    for service in range(256):
        for body in ("0c0200001d 1979", "0c0200001d 1e 0979 1f"):
            passes = judge(bvlc(f"0104 000501{service:02x} {body}")) is None
            assert passes == ((service, body[-2:]) in ((0x0C, "79"), (0x0E, "1f")))


@pytest.mark.parametrize(
    "body",
    [
        "0120 ffff00ff 1008",  # Who-Is
        "0100 1008",
        "0180 00",  # Who-Is-Router-To-Network
        "0180 06 00",  # Initialize-Routing-Table
        "0124 0003 00 ff 0005280e 0c0200001d 1e 0979 1f",  # all of network 3
        "0124 ffff 00 ff 0005280e 0c0200001d 1e 0979 1f",  # everybody
        "0124 0003 01 ff ff 0005280e 0c0200001d 1e 0979 1f",  # broadcast on MS/TP
        "0124 0003 06 c0a80002bac0 ff 0005280e 0c0200001d 1e 0979 1f",  # a station on IP
        "0124 0003 01 1d ff 0005280c 0c0200001d 1979",  # one property through a router
        "0104 0205010c 0c0200001d 1979",  # a segmented response would be accepted
        "0104 0805010c 0000 0c0200001d 1979",  # a segmented request
        "0104 0005010c 0c00800001 1955",  # present value of an analog value
        "0104 0005010c 0c0200001d 194c",  # the whole object list
        "0104 0005010c 0c0200001d 194c 2901",
        "0104 0005010c 0c0200001d 1979 2900",
        "0104 0005020e 0c0200001d 1e 0908 1f",  # all properties
        "0104 0005020e 0c0200001d 1e 0979 0979 1f",
        "0104 0005020e 0c0200001d 1e 0979 1f 0c0200001e 1e 0979 1f",  # two objects
        "0104 0005020e 0c023fffff 1e 0979 1f",
        "0104 0005020e 0c0200001d 1e 1f",
    ],
)  # fmt: skip
def test_what_is_near_the_list_is_refused(body: str) -> None:
    assert all(judge(bvlc(body), tier) for tier in TIERS)


def _reference(prop: int) -> str:
    return f"19{prop:02x}" if prop < 256 else f"1a{prop:04x}"


def test_no_property_off_the_list_is_read() -> None:
    passed = [
        prop for prop in range(0x200)
        if judge(bvlc(f"0104 0005010c 0c0200001d {_reference(prop)}")) is None
    ]  # fmt: skip

    assert passed == [12, 28, 30, 44, 58, 70, 75, 77, 112, 120, 121, 139, 372]


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(IDENTIFYING + READING)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    longer = bytes(frame) + data.draw(st.binary(min_size=1, max_size=6))
    resized = [f[:2] + len(f).to_bytes(2, "big") + f[4:] for f in (cut, longer) if len(f) >= 4]
    changed = data.draw(st.sampled_from([cut, bytes(frame), longer, *resized]))

    for tier in (Tier.IDENTIFY, Tier.READ):
        assert (judge(changed, tier) is None) == allowed(changed, tier), changed.hex()


@given(st.binary(max_size=300))
def test_random_bytes_pass_only_in_an_allowed_shape(value: bytes) -> None:
    for candidate in (value, bvlc(value.hex()), bvlc("0104" + value.hex())):
        for tier in (Tier.IDENTIFY, Tier.READ):
            assert (judge(candidate, tier) is None) == allowed(candidate, tier)


def test_a_datagram_is_one_frame_and_not_too_long() -> None:
    guard = open_guard("bacnet")

    assert guard.split(IDENTIFYING[0]) == ((IDENTIFYING[0],), b"")
    assert guard.split(b"") == ((), b"")
    with pytest.raises(GuardRefused):
        guard.split(bytes(257))
