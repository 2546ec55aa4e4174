"""The PROFINET allow-list: one datagram, of which only the activity's id is free."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["profinet"]
((LOOKUP,),) = [requests for *_, requests in MODULE.HARMLESS.values()]
SHAPE = re.compile(re.escape(LOOKUP[:40]) + rb".{16}" + re.escape(LOOKUP[56:]), re.DOTALL)


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("profinet").judge(frame, tier)


@pytest.mark.parametrize("tier", [Tier.READ, Tier.LOGIN])
def test_the_lookup_passes(tier: Tier) -> None:
    assert judge(LOOKUP, tier) is None


@pytest.mark.parametrize("tier", [Tier.PASSIVE, Tier.IDENTIFY])
def test_nothing_passes_below_tier_read(tier: Tier) -> None:
    assert "tier read" in (judge(LOOKUP, tier) or "")


@pytest.mark.parametrize("name", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
def test_what_may_never_be_sent_is_refused(name: str) -> None:
    (offence,) = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[name][2]

    assert judge(offence, Tier.LOGIN)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("profinet connect", "Connect"), ("profinet write", "Write"),
        ("profinet control", "Control"), ("profinet release", "Release"),
        ("profinet read", "Read"), ("endpoint mapper insert", "Insert"),
        ("endpoint mapper delete", "Delete"),
    ],
)  # fmt: skip
def test_operations_are_refused_by_name(name: str, words: str) -> None:
    (offence,) = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[name][2]

    assert f"({words})" in (judge(offence) or "")


def test_every_operation_of_the_mapper_but_lookup_is_refused() -> None:
    passed = [
        number
        for number in range(0x10000)
        if judge(LOOKUP[:68] + number.to_bytes(2, "little") + LOOKUP[70:]) is None
    ]

    assert passed == [2]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "not a PDU"),
        (LOOKUP[:79], "not a PDU"),
        (b"\x05" + LOOKUP[1:], "not a PDU"),
        (LOOKUP + b"\0", "one shape"),
        (LOOKUP[:2] + b"\0" + LOOKUP[3:], "one shape"),  # not idempotent: it wants an ack
        (LOOKUP[:-4] + b"\xff\0\0\0", "one shape"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame) or "passed")


@given(st.data())
def test_a_changed_datagram_passes_only_in_the_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(LOOKUP)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(SHAPE.fullmatch(changed))


@given(st.binary(max_size=160))
def test_random_bytes_do_not_pass(frame: bytes) -> None:
    for candidate in (frame, LOOKUP[:40] + frame, LOOKUP[:80] + frame):
        assert (judge(candidate) is None) == bool(SHAPE.fullmatch(candidate))


@given(st.binary(max_size=200))
def test_a_datagram_is_one_frame(buffer: bytes) -> None:
    frames, rest = open_guard("profinet").split(buffer)

    assert b"".join(frames) + rest == buffer
    assert len(frames) == bool(buffer)
