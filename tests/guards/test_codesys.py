"""The allow-lists of CODESYS, against shapes written down independently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

ALLOWED = re.compile(
    rb"\xc5\x74\x40\x03\0(?:\x10..(?:..)\0\0|\x20..(?:....)|\x30..(?:......)\0\0)\x02\xc2\0\x04....",
    re.DOTALL,
)
GOOD = [
    bytes.fromhex("c5744003001012340009000002c2000478563412"),
    bytes.fromhex("c57440030020b78b038a830102c2000401dc7d06"),
    bytes.fromhex("c57440030030123400030a4c0001000002c2000478563412"),
]
WHO = [bytes.fromhex("bbbb0100000001"), bytes.fromhex("bbbb0100000101")]
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.READ, protocol: str = "codesys") -> str | None:
    return open_guard(protocol).judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_questions_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None] * 3
    assert [judge(frame, tier, "codesys2") for frame in WHO] == [None] * 2


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in GOOD)
    assert all(judge(frame, Tier.PASSIVE, "codesys2") for frame in WHO)


@pytest.mark.parametrize("service", [each for each in range(256) if each != 3])
def test_every_other_service_is_refused_by_name(service: int) -> None:
    reason = judge(GOOD[0][:3] + bytes([service]) + GOOD[0][4:])

    assert f"0x{service:02X}" in (reason or "")


@pytest.mark.parametrize("kind", ["01c2", "03c2", "80c2", "c300"])
def test_every_other_packet_of_the_name_service_is_refused(kind: str) -> None:
    assert judge(GOOD[0][:12] + bytes.fromhex(kind) + GOOD[0][14:])


@given(st.data())
def test_a_changed_datagram_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(ALLOWED.fullmatch(changed))


@given(st.binary(max_size=40), st.sampled_from(TIERS))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == bool(ALLOWED.fullmatch(frame))
    assert (judge(frame, tier, "codesys2") is None) == (frame in WHO)


@pytest.mark.parametrize(
    "frame",
    [
        "bbbb0200000051",  # the second frame of a session
        "bbbb0100000002",
        "cccc0100060000",  # a command
        "bbbb0100000000",
        "bbbb0000000001",
    ],
)
def test_every_other_seven_bytes_are_refused(frame: str) -> None:
    assert judge(bytes.fromhex(frame), protocol="codesys2")


def test_the_guard_of_one_does_not_let_the_other_s_pass() -> None:
    assert all(judge(frame) for frame in WHO)
    assert all(judge(frame, protocol="codesys2") for frame in GOOD)


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("codesys").split(GOOD[0]) == ((GOOD[0],), b"")
    assert open_guard("codesys").split(b"") == ((), b"")
    assert open_guard("codesys2").split(WHO[0] + WHO[1] + WHO[0][:3]) == (
        (WHO[0], WHO[1]),
        WHO[0][:3],
    )
    with pytest.raises(GuardRefused):
        open_guard("codesys2").split(b"\xcc\xcc" + bytes(20))
