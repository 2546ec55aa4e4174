"""The DCP allow-list: one frame, of which only the number of the transaction is free."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dcp
from scanner.guards import open_guard
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["dcp"]
IDENTIFY = dcp.encode_identify(xid=0x0C0FFEE1)
SHAPE = re.compile(re.escape(IDENTIFY[:4]) + rb".{4}" + re.escape(IDENTIFY[8:]), re.DOTALL)
OFFENCES = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}


def judge(frame: bytes, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("dcp").judge(frame, tier)


def unpadded(frame: bytes) -> bytes:
    return frame[: 12 + int.from_bytes(frame[10:12], "big")]


@pytest.mark.parametrize("tier", [Tier.IDENTIFY, Tier.READ, Tier.LOGIN])
def test_identify_passes(tier: Tier) -> None:
    assert judge(IDENTIFY, tier) is None
    ((harmless,),) = [requests for *_, requests in MODULE.HARMLESS.values()]
    assert judge(unpadded(harmless), tier) is None


def test_nothing_passes_in_tier_passive() -> None:
    assert "tier passive" in (judge(IDENTIFY, Tier.PASSIVE) or "")


@pytest.mark.parametrize("name", [*OFFENCES])
def test_what_may_never_be_sent_is_refused(name: str) -> None:
    (offence,) = OFFENCES[name][2]

    assert judge(offence)
    assert judge(unpadded(offence))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dcp set the name of station", "4 (Set)"), ("dcp signal", "4 (Set)"),
        ("dcp factory reset", "4 (Set)"), ("dcp hello", "6 (Hello)"), ("dcp get", "3 (Get)"),
        ("dcp identify a name", "one shape"), ("an answer to identify", "type 1"),
        ("profinet output data", "FrameID 8001"), ("profinet alarm", "FrameID fe01"),
    ],
)  # fmt: skip
def test_services_are_refused_by_name(name: str, words: str) -> None:
    (offence,) = OFFENCES[name][2]

    assert words in (judge(offence) or "")


def test_every_frame_id_service_and_type_but_those_of_identify_are_refused() -> None:
    heads = {number.to_bytes(2, "big") + b"\5\0" for number in range(0x10000)}
    heads |= {b"\xfe\xfe" + number.to_bytes(2, "big") for number in range(0x10000)}

    assert {head for head in heads if judge(head + IDENTIFY[4:]) is None} == {IDENTIFY[:4]}


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\xfe", b"\xfe\xfe\x05", IDENTIFY[:-1], IDENTIFY + b"\0", IDENTIFY + IDENTIFY,
        IDENTIFY[:8] + b"\0\0" + IDENTIFY[10:],  # no delay factor at all
        IDENTIFY[:8] + b"\x00\x80" + IDENTIFY[10:],  # one for many stations
        IDENTIFY[:12] + b"\x02\x02\0\0",  # one option
    ],
)  # fmt: skip
def test_each_deviation_is_refused(frame: bytes) -> None:
    assert judge(frame)


@given(st.data())
def test_a_changed_frame_passes_only_in_the_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(IDENTIFY)
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(SHAPE.fullmatch(changed))


@given(st.binary(max_size=60))
def test_random_bytes_do_not_pass(frame: bytes) -> None:
    for candidate in (frame, IDENTIFY[:4] + frame, IDENTIFY[:12] + frame):
        assert (judge(candidate) is None) == bool(SHAPE.fullmatch(candidate))


@given(st.binary(max_size=60))
def test_what_is_sent_at_once_is_one_frame(buffer: bytes) -> None:
    frames, rest = open_guard("dcp").split(buffer)

    assert b"".join(frames) + rest == buffer
    assert len(frames) == bool(buffer)
