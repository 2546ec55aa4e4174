"""The allow-list for Redis: PING, and INFO of one section in the read tier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected.redis import WRITES

PING = b"*1\r\n$4\r\nPING\r\n"
INFO = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier) -> str | None:
    return open_guard("redis").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_asked_passes_in_its_tier(tier: Tier) -> None:
    assert judge(PING, tier) is None
    assert (judge(INFO, tier) is None) == (tier is not Tier.IDENTIFY)
    assert judge(PING, Tier.PASSIVE)


@pytest.mark.parametrize(
    "command",
    [
        *(sent[-1] for _, _, sent in WRITES.values()),
        b"PING\r\n",
        b"*1\r\n$4\r\nping\r\n",
        b"*1\r\n$4\r\nINFO\r\n",
        INFO.replace(b"$6\r\nserver", b"$3\r\nall"),
        INFO.replace(b"server", b"memory"),
        b"*2\r\n$4\r\nPING\r\n$1\r\nx\r\n",
        b"*1\r\n$4\r\nQUIT\r\n",
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_every_other_command_is_refused(command: bytes, tier: Tier) -> None:
    assert judge(command, tier)
    for behind in (command, PING + command):
        with pytest.raises(GuardRefused):
            open_guard("redis").split(behind)


@given(st.data())
def test_a_changed_command_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([PING, INFO])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    assert (judge(bytes(frame), Tier.LOGIN) is None) == (bytes(frame) in (PING, INFO))


def test_commands_are_cut_apart_and_half_a_one_waits() -> None:
    assert open_guard("redis").split(PING + INFO + b"*1\r\n") == ((PING, INFO), b"*1\r\n")


@given(st.binary(max_size=60))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("redis").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
