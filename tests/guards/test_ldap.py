"""The allow-list for LDAP: the search of the root DSE, and the goodbye."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.ldap import encode_search, encode_unbind
from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge.injected.ldap import NOT_ONLY_READING, WRITES

SEARCH, UNBIND = encode_search(), encode_unbind()
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("ldap").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_search_and_the_goodbye_pass(tier: Tier) -> None:
    for frame in (SEARCH, UNBIND):
        assert judge(frame, tier) is None
        assert judge(frame, Tier.PASSIVE)
    assert open_guard("ldap").split(SEARCH + UNBIND + b"\x30") == ((SEARCH, UNBIND), b"\x30")


@pytest.mark.parametrize(
    "frame",
    [
        *(sent[-1] for _, _, sent in WRITES.values()),
        *(sent[-1] for _, _, sent in NOT_ONLY_READING.values()),
        bytes.fromhex("300c020101600702010304008000"),
        SEARCH.replace(b"vendorName", b"memberUid_"),
        SEARCH[:9] + b"\x0a\x01\x02" + SEARCH[12:],
        SEARCH + b"\0",
        b"",
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_everything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert judge(frame, tier)


@given(st.data())
def test_a_changed_message_does_not_pass(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([SEARCH, UNBIND])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))

    assert (judge(bytes(frame)) is None) == (bytes(frame) in (SEARCH, UNBIND))


@given(st.binary(max_size=90))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("ldap").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer
