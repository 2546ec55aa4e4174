"""The allow-list for PostgreSQL: eight bytes, once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

SSL = bytes.fromhex("0000000804d2162f")
START = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0"
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


@pytest.mark.parametrize("tier", TIERS)
def test_the_request_for_tls_passes_once(tier: Tier) -> None:
    guard = open_guard("postgres")

    assert guard.split(SSL) == ((SSL,), b"")
    assert guard.judge(SSL, tier) is None
    assert "already" in (guard.judge(SSL, tier) or "")
    assert open_guard("postgres").judge(SSL, Tier.PASSIVE)


@pytest.mark.parametrize(
    "frame",
    [
        START, b"\0\0\0\x08\0\x02\0\0", bytes.fromhex("0000001004d2162e0000012300000456"),
        bytes.fromhex("0000000804d21630"), b"Q\0\0\0\x0eDROP x;\0\0", b"p\0\0\0\x06x\0",
        b"X\0\0\0\x04",
        SSL + START, SSL + SSL, SSL[:7],
    ],
)  # fmt: skip
@pytest.mark.parametrize("tier", TIERS)
def test_everything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert open_guard("postgres").judge(frame, tier)
    try:
        frames, rest = open_guard("postgres").split(frame)
    except GuardRefused:
        return
    assert (frames, rest) == ((), frame)
    assert SSL.startswith(frame)


@given(st.data())
def test_a_changed_request_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(SSL)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, 7))] = data.draw(st.integers(0, 255))
    changed = bytes(frame) + data.draw(st.sampled_from([b"", b"\0", START]))

    assert (open_guard("postgres").judge(changed, Tier.LOGIN) is None) == (changed == SSL)


@given(st.binary(max_size=40))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("postgres").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
