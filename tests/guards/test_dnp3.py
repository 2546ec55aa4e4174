"""The DNP3 allow-list has one request of the link layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dnp3
from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge.grammar.dnp3 import remainder
from tests.proof.judge.injected import dnp3 as injected

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def frame(control: int, to: int = 1, source: int = 0) -> bytes:
    head = b"\x05\x64\x05" + bytes([control])
    head += to.to_bytes(2, "little") + source.to_bytes(2, "little")
    return head + remainder(head).to_bytes(2, "little")


STATUS = frame(0xC9)


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("dnp3").judge(frame, tier)


def test_the_status_of_the_link_passes_in_every_tier_that_sends() -> None:
    assert dnp3.encode_request_link_status(destination=1, source=0) == STATUS
    assert [judge(STATUS, tier) for tier in TIERS] == [None] * 3
    assert judge(STATUS, Tier.PASSIVE)


@given(st.integers(0, 0xFFEF), st.integers(0, 0xFFEF))
def test_any_device_address_may_be_asked(to: int, source: int) -> None:
    request = dnp3.encode_request_link_status(destination=to, source=source)

    assert request == frame(0xC9, to, source)
    assert judge(request) is None


@pytest.mark.parametrize("address", range(0xFFF0, 0x10000))
def test_no_broadcast_and_no_reserved_address_is_asked(address: int) -> None:
    assert "broadcast" in (judge(frame(0xC9, address)) or "")
    assert "reserved" in (judge(frame(0xC9, 1, address)) or "")


@pytest.mark.parametrize("control", sorted(set(range(256)) - {0xC9}))
def test_every_other_function_of_the_link_is_refused(control: int) -> None:
    assert "not on the DNP3 list" in (judge(frame(control)) or "")


@pytest.mark.parametrize(("name", "requests"), [(n, r[2]) for n, r in injected.WRITES.items()])
def test_no_command_passes(name: str, requests: tuple[bytes, ...]) -> None:
    assert all(judge(requests[-1], tier) for tier in TIERS), name


def test_a_connection_carries_three_requests_at_most() -> None:
    guard = open_guard("dnp3")

    said = [guard.judge(frame(0xC9, to), Tier.IDENTIFY) for to in range(1, 6)]

    assert [one is None for one in said] == [True] * 3 + [False] * 2


@given(st.integers(0, 9), st.integers(0, 255))
def test_a_changed_request_is_refused(at: int, value: int) -> None:
    changed = STATUS[:at] + bytes([value]) + STATUS[at + 1 :]

    assert (judge(changed) is None) == (changed == STATUS)


@given(st.binary(max_size=60), st.sampled_from(TIERS))
def test_anything_else_is_refused(data: bytes, tier: Tier) -> None:
    assert judge(data, tier)
    assert judge(b"\x05\x64" + data, tier)
    assert judge(STATUS + data, tier) is None or data


def test_frames_are_cut_and_nonsense_is_not_kept() -> None:
    guard = open_guard("dnp3")
    command = injected.WRITES["dnp3 direct operate"][2][1]

    assert guard.split(STATUS + command + STATUS[:4]) == ((STATUS, command), STATUS[:4])
    for nonsense in (b"GET / HTTP/1.1", b"\x05\x64\x04\xc9"):
        with pytest.raises(GuardRefused):
            guard.split(nonsense)


def test_a_reply_is_framed_with_its_blocks() -> None:
    framer = specs()["dnp3"].reply_framer
    assert framer is not None
    command = injected.WRITES["dnp3 direct operate"][2][1]

    assert framer(STATUS[:9]) is None
    assert framer(command + STATUS) == len(command)
    with pytest.raises(BadReply):
        framer(b"HTTP")
