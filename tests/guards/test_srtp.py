"""The GE-SRTP allow-list: 56 zeros, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

ALLOWED = bytes(56)
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("srtp").judge(frame, tier)


def service(code: int) -> bytes:
    return (
        b"\x02"
        + bytes(30)
        + b"\xc0"
        + bytes(4)
        + b"\x10\x0e"
        + bytes(4)
        + bytes([code])
        + bytes(13)
    )


@pytest.mark.parametrize("tier", TIERS)
def test_the_initialisation_passes_once(tier: Tier) -> None:
    guard = open_guard("srtp")

    assert guard.judge(ALLOWED, tier) is None
    assert "once" in (guard.judge(ALLOWED, tier) or "")


def test_nothing_passes_in_tier_passive() -> None:
    assert judge(ALLOWED, Tier.PASSIVE)


NEVER = [0x07, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x24, 0x39, 0x3F, 0x40, 0x44]


@pytest.mark.parametrize("code", NEVER)
@pytest.mark.parametrize("tier", TIERS)
def test_services_that_change_a_controller_are_refused_by_name(code: int, tier: Tier) -> None:
    reason = judge(service(code), tier)

    assert reason is not None
    assert "unknown" not in reason


def test_every_service_is_refused() -> None:
    assert all(len(service(code)) == 56 and judge(service(code)) for code in range(256))


@given(st.binary(max_size=70))
def test_random_bytes_pass_only_as_the_initialisation(value: bytes) -> None:
    for candidate in (value, value.ljust(56, b"\0"), ALLOWED + value):
        assert (judge(candidate) is None) == (candidate == ALLOWED)


@given(st.integers(0, 55), st.integers(1, 255))
def test_a_changed_byte_is_refused(at: int, by: int) -> None:
    assert judge(ALLOWED[:at] + bytes([by]) + ALLOWED[at + 1 :])
    assert judge(ALLOWED[:at])


def test_messages_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("srtp").split(bytes(60)) == ((ALLOWED,), bytes(4))
    assert open_guard("srtp").split(bytes(9)) == ((), bytes(9))
    with pytest.raises(GuardRefused):
        open_guard("srtp").split(b"GET / HTTP/1.0\r\n")
