"""The OPC UA allow-list, against shapes and services written down independently."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge import injected

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
MODULE = injected.MODULES["opcua"]
HELLO, OPEN, ENDPOINTS, CLOSE = MODULE.HARMLESS["opcua identify"][2]
GOOD = [HELLO, OPEN, ENDPOINTS, CLOSE]
_HEADER = rb"\0\0.{8}....\0\0\0\0\xff\xff\xff\xff..\0\0\0\0\0"
_URL = rb".\0\0\0opc\.tcp://[\[\]0-9a-fA-F.:]{2,47}:[0-9]{1,5}"
SHAPES = re.compile(
    rb"HELF.{4}\0{6}\x01\0\0\0\x01\0\0\0\x04\0\x10\0\0\0" + _URL
    + rb"|OPNF.{4}\0{4}/\0{3}http://opcfoundation\.org/UA/SecurityPolicy#None\xff{8}.{8}"
    + rb"\x01\0\xbe\x01" + _HEADER + rb"\0{8}\x01\0{3}\xff{4}\x60\xea\0\0"
    + rb"|MSGF.{20}\x01\0\xac\x01" + _HEADER + _URL + rb"\xff{8}"
    + rb"|CLOF.{20}\x01\0\xc4\x01" + _HEADER,
    re.DOTALL,
)  # fmt: skip


def judge(frame: bytes, tier: Tier = Tier.IDENTIFY) -> str | None:
    return open_guard("opcua").judge(frame, tier)


def sized(frame: bytes) -> bytes:
    return frame[:4] + len(frame).to_bytes(4, "little") + frame[8:]


@pytest.mark.parametrize("tier", TIERS)
def test_the_messages_of_identification_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None] * 4


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in GOOD)


@pytest.mark.parametrize("name", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
@pytest.mark.parametrize("tier", TIERS)
def test_what_may_never_be_sent_is_refused(name: str, tier: Tier) -> None:
    *_, offence = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[name][2]

    assert judge(offence, tier)


def test_every_service_but_getting_endpoints_is_refused() -> None:
    passed = [
        number
        for number in range(0x10000)
        if judge(ENDPOINTS[:26] + number.to_bytes(2, "little") + ENDPOINTS[28:]) is None
    ]

    assert passed == [428]


@pytest.mark.parametrize(
    ("service", "name"), [(673, "Write"), (712, "Call"), (461, "CreateSession")]
)
def test_services_are_refused_by_name(service: int, name: str) -> None:
    reason = judge(ENDPOINTS[:26] + service.to_bytes(2, "little") + ENDPOINTS[28:])

    assert name in (reason or "")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (HELLO.replace(b"10.77.1.1:4840", b"evil.test:4840"), "hello has one shape"),
        (HELLO[:28] + b"\x17" + HELLO[29:], "hello has one shape"),
        (HELLO[:8] + b"\x01" + HELLO[9:], "hello has one shape"),
        (OPEN.replace(b"#None", b"#Nine"), "one shape: issued, without security"),
        (OPEN[:-12] + b"\x02" + OPEN[-11:], "one shape: issued, without security"),
        (OPEN[:-16] + b"\x01" + OPEN[-15:], "one shape: issued, without security"),
        (sized(ENDPOINTS + b"\0"), "endpoints has one shape"),
        (sized(CLOSE + b"\0"), "closing a channel"),
        (CLOSE[:3] + b"C" + CLOSE[4:], "not on the OPC UA list"),
        (CLOSE + b"\0", "length does not match"),
        (ENDPOINTS[:24] + b"\x02" + ENDPOINTS[25:], "node id in four bytes"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame, Tier.LOGIN) or "passed")


@given(st.data())
def test_a_changed_message_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    if judge(changed) is None:
        assert SHAPES.fullmatch(changed)
        assert int.from_bytes(changed[4:8], "little") == len(changed)


@given(st.binary(max_size=120), st.sampled_from([b"HELF", b"OPNF", b"MSGF", b"CLOF"]))
def test_random_bytes_pass_only_in_an_allowed_shape(body: bytes, kind: bytes) -> None:
    for frame in (body, sized(kind + bytes(4) + body)):
        assert judge(frame) is not None or SHAPES.fullmatch(frame)


def test_messages_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("opcua").split(HELLO + OPEN + CLOSE[:9]) == ((HELLO, OPEN), CLOSE[:9])


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"HELF\xff\xff\0\0", b"MSGC" + bytes(4), b"OPNF\x08\0\0\0"]
)
def test_nonsense_is_not_cut_but_refused(data: bytes) -> None:
    with pytest.raises(GuardRefused):
        open_guard("opcua").split(data)


@given(st.binary(max_size=300), st.sampled_from([b"", *GOOD]))
def test_splitting_loses_no_byte(rest: bytes, first: bytes) -> None:
    try:
        frames, left = open_guard("opcua").split(first + rest)
    except GuardRefused:
        return
    assert b"".join(frames) + left == first + rest


@given(st.binary(max_size=60), st.sampled_from([b"ACKF", b"ERRF", b"MSGC", b"OPNF", b"MSGA"]))
def test_the_reply_framer_is_total(body: bytes, kind: bytes) -> None:
    framer = specs()["opcua"].reply_framer
    assert framer is not None
    whole = sized(kind + bytes(4) + body)
    for buffer in (body, whole, whole + whole, kind + body):
        try:
            length = framer(buffer)
        except BadReply:
            continue
        assert length is None or 12 <= length <= len(buffer)
