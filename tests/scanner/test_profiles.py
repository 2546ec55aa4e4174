"""Pacing profiles are the numbers of the safety contract, and none goes beyond robust."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from scanner.profiles import DEFAULT, FRAGILE, LAB, PROFILES, ROBUST, on_loopback, stricter


@pytest.mark.parametrize(
    ("name", "device", "interval", "zone", "ipv4", "ipv6"),
    [
        ("fragile", 4, 5.0, 20, 26, 122),
        ("default", 8, 1.0, 50, 22, 118),
        ("robust", 40, 0.25, 1000, 16, 112),
        ("lab", None, 0.0, None, 16, 112),
    ],
)
def test_the_numbers_are_those_of_the_safety_contract(
    name: str, device: int | None, interval: float, zone: int | None, ipv4: int, ipv6: int
) -> None:
    profile = PROFILES[name]

    assert profile.packets_per_s == device
    assert profile.connection_interval_s == interval
    assert profile.zone_packets_per_s == zone
    assert (profile.largest_prefix(4), profile.largest_prefix(6)) == (ipv4, ipv6)


def test_no_profile_for_real_networks_is_faster_than_robust() -> None:
    for profile in PROFILES.values():
        if profile.loopback_only:
            continue
        assert profile.packets_per_s is not None
        assert profile.packets_per_s <= ROBUST.packets_per_s  # type: ignore[operator]
        assert profile.connection_interval_s >= ROBUST.connection_interval_s


def test_only_lab_is_without_caps_and_it_is_for_loopback() -> None:
    uncapped = [each for each in PROFILES.values() if each.packets_per_s is None]

    assert uncapped == [LAB]
    assert LAB.loopback_only


def test_the_stricter_of_two_profiles_is_the_gentler_one() -> None:
    assert stricter(ROBUST, DEFAULT) is DEFAULT
    assert stricter(FRAGILE, DEFAULT) is FRAGILE
    assert stricter(LAB, ROBUST) is ROBUST


@pytest.mark.parametrize(
    ("where", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("128.0.0.1", False),
        ("::2", False),
    ],
)
def test_loopback_is_127_slash_8_and_colon_colon_1(where: str, loopback: bool) -> None:
    assert on_loopback(ip_address(where)) is loopback


def test_a_network_is_loopback_only_when_all_of_it_is() -> None:
    assert on_loopback(ip_network("127.0.0.0/8"))
    assert not on_loopback(ip_network("126.0.0.0/7"))
    assert not on_loopback(ip_network("::/127"))
