"""The allow-list for SQL Server: one PRELOGIN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected.mssql import WRITES

PRELOGIN = bytes.fromhex("1201001a0000000000000b00060100110001ff00000000000002")
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("mssql").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_prelogin_passes(tier: Tier) -> None:
    assert judge(PRELOGIN, tier) is None
    assert judge(PRELOGIN, Tier.PASSIVE)
    assert open_guard("mssql").split(PRELOGIN + PRELOGIN[:5]) == ((PRELOGIN,), PRELOGIN[:5])


@pytest.mark.parametrize(
    "frame",
    [
        *(sent[-1] for _, _, sent in WRITES.values()),
        PRELOGIN[:-1] + b"\x00",
        PRELOGIN[:-1] + b"\x01",
        bytes.fromhex("1201000d0000000016030100") + b"\0",
        PRELOGIN + b"\0",
        b"",
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_everything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert judge(frame, tier)


@given(st.data())
def test_a_changed_packet_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(PRELOGIN)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    assert (judge(bytes(frame)) is None) == (bytes(frame) == PRELOGIN)


@given(st.binary(max_size=90))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("mssql").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
