"""The KNXnet/IP allow-list: three datagrams, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
ENDPOINT = "0801 00000000 0000"


def knx(service: int, body: str = ENDPOINT) -> bytes:
    data = bytes.fromhex(body)
    return b"\x06\x10" + service.to_bytes(2, "big") + (6 + len(data)).to_bytes(2, "big") + data


DESCRIBE = knx(0x0203)
SEARCH = [knx(0x020B), knx(0x020B, f"{ENDPOINT} 060401020608")]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("knx").judge(frame, tier)


def test_a_description_passes_and_the_extended_search_needs_tier_read() -> None:
    assert [judge(DESCRIBE, tier) for tier in TIERS] == [None] * 3
    assert all("tier read" in (judge(frame, Tier.IDENTIFY) or "") for frame in SEARCH)
    assert [judge(frame) for frame in SEARCH] == [None] * 2
    assert all(judge(frame, Tier.PASSIVE) for frame in (DESCRIBE, *SEARCH))


def test_no_other_service_passes() -> None:
    passed = [service for service in range(0x1000) if judge(knx(service)) is None]

    assert passed == [0x0203, 0x020B]


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (0x0205, "CONNECT"), (0x0310, "DEVICE_CONFIGURATION"), (0x0420, "TUNNELLING"),
        (0x0530, "ROUTING_INDICATION"), (0x0740, "DIAGNOSTIC"), (0x0742, "CONFIGURATION"),
        (0x0743, "RESET"), (0x0201, "SEARCH_REQUEST"), (0x0951, "SESSION"),
    ],
)  # fmt: skip
@given(body=st.binary(max_size=30), tier=st.sampled_from(TIERS))
def test_services_that_change_something_are_refused_by_name(
    service: int, name: str, body: bytes, tier: Tier
) -> None:
    assert name in (judge(knx(service, body.hex()), tier) or "")


@given(st.data())
def test_a_changed_datagram_is_refused(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([DESCRIBE, *SEARCH])))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    for changed in (cut, bytes(frame), bytes(frame) + b"\0"):
        assert (judge(changed) is None) == (changed in (DESCRIBE, *SEARCH))
        assert (judge(changed, Tier.IDENTIFY) is None) == (changed == DESCRIBE)


@given(st.binary(max_size=64))
def test_random_bytes_are_refused(value: bytes) -> None:
    assert (judge(value) is None) == (value in (DESCRIBE, *SEARCH))


def test_a_datagram_is_one_frame_and_not_too_long() -> None:
    assert open_guard("knx").split(DESCRIBE) == ((DESCRIBE,), b"")
    with pytest.raises(GuardRefused):
        open_guard("knx").split(bytes(65))
