"""The allow-list of AMS routers has one datagram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import ads
from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected import ads as injected

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
WHO = bytes.fromhex("036614710000000001000000000000000000102700000000")


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("ads").judge(frame, tier)


def test_the_question_who_a_router_is_passes_in_every_tier_that_sends() -> None:
    assert ads.encode_server_info() == WHO
    assert [judge(WHO, tier) for tier in TIERS] == [None] * 3
    assert judge(WHO, Tier.PASSIVE)


@pytest.mark.parametrize(("name", "requests"), [(n, r[2]) for n, r in injected.WRITES.items()])
def test_no_route_and_no_other_service_passes(name: str, requests: tuple[bytes, ...]) -> None:
    assert all(judge(requests[-1], tier) for tier in TIERS), name


def test_a_route_is_refused_by_name() -> None:
    assert "add a route" in (judge(injected.WRITES["ads add a route"][2][0]) or "")


@given(st.integers(0, 2**32 - 1))
def test_every_other_service_is_refused(service: int) -> None:
    changed = WHO[:8] + service.to_bytes(4, "little") + WHO[12:]

    assert (judge(changed) is None) == (service == 1)


@given(st.integers(0, 23), st.integers(0, 255))
def test_a_changed_question_is_refused(at: int, value: int) -> None:
    changed = WHO[:at] + bytes([value]) + WHO[at + 1 :]

    assert (judge(changed) is None) == (changed == WHO)


@given(st.binary(max_size=80), st.sampled_from(TIERS))
def test_anything_else_is_refused(data: bytes, tier: Tier) -> None:
    assert judge(data, tier)
    assert judge(WHO + data, tier) is None or data


def test_a_datagram_is_one_frame() -> None:
    guard = open_guard("ads")

    assert guard.split(WHO + WHO) == ((WHO + WHO,), b"")
    assert judge(WHO + WHO)
    assert guard.split(b"") == ((), b"")
    with pytest.raises(GuardRefused):
        guard.split(bytes(2000))
