"""The S7comm-plus allow-list: three frames, to the byte, and nothing beside them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge import injected

MODULE = injected.MODULES["s7plus"]
S7 = injected.MODULES["s7"]
CONNECT, CREATE, GOODBYE = MODULE.HARMLESS["s7plus ask"][2]
GOOD = [CONNECT, CREATE, GOODBYE]
SHAPES = re.compile(
    b"|".join((
        rb"\x03\0\0\x24\x1f\xe0\0\0..\0\xc1\x02\x06\0\xc2\x10SIMATIC-ROOT-HMI\xc0\x01\x0a",
        re.escape(CREATE),
        rb"\x03\0\0\x0b\x06\x80....[\0\x80]",
    )),
    re.DOTALL,
)  # fmt: skip


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("s7plus").judge(frame, tier)


def tpkt(payload: bytes) -> bytes:
    return b"\x03\0" + (4 + len(payload)).to_bytes(2, "big") + payload


@pytest.mark.parametrize("tier", [Tier.READ, Tier.LOGIN])
def test_the_three_frames_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None] * 3


@pytest.mark.parametrize("tier", [Tier.PASSIVE, Tier.IDENTIFY])
def test_nothing_passes_below_tier_read(tier: Tier) -> None:
    assert all("tier read" in (judge(frame, tier) or "") for frame in GOOD)


@pytest.mark.parametrize("name", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING])
def test_what_may_never_be_sent_is_refused(name: str) -> None:
    *_, offence = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}[name][2]

    assert judge(offence, Tier.LOGIN)


@pytest.mark.parametrize("name", [*S7.WRITES, *S7.HARMLESS])
def test_nothing_of_classic_s7_passes(name: str) -> None:
    frames = {**S7.WRITES, **S7.HARMLESS}[name][2]

    assert all(judge(frame, Tier.LOGIN) for frame in frames)


@pytest.mark.parametrize(
    ("function", "name"),
    [(0x0542, "SetMultiVariables"), (0x04F2, "SetVariable"), (0x056B, "Invoke"),
     (0x04D4, "DeleteObject"), (0x05B3, "InitSsl")],
)  # fmt: skip
def test_functions_are_refused_by_name(function: int, name: str) -> None:
    changed = CREATE[:14] + function.to_bytes(2, "big") + CREATE[16:]

    assert name in (judge(changed) or "")


def test_every_function_but_creating_a_session_is_refused() -> None:
    passed = [
        function
        for function in range(0x10000)
        if judge(CREATE[:14] + function.to_bytes(2, "big") + CREATE[16:]) is None
    ]

    assert passed == [0x04CA]


@pytest.mark.parametrize(
    "seat", [b"SIMATIC-ROOT-ES", b"SIMATIC-ROOT-OTH", b"\x01\x00", b"\x03\x01"]
)
def test_no_seat_but_a_panel_s_is_asked_for(seat: bytes) -> None:
    body = CONNECT[5:15] + b"\xc2" + bytes([len(seat)]) + seat + CONNECT[-3:]

    assert "seat of a panel" in (judge(tpkt(bytes([len(body)]) + body)) or "")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x03\0\0", "not a TPKT"),
        (CREATE + b"\0", "length does not match"),
        (tpkt(CREATE[4:] + b"\0"), "one shape"),
        (CREATE[:60] + b"\x5f" + CREATE[61:], "one shape"),
        (tpkt(GOODBYE[4:] + b"\0"), "seven bytes"),
        (GOODBYE[:-1] + b"\x85", "normal reason"),
        (CREATE[:6] + b"\0" + CREATE[7:], "COTP type"),
        (tpkt(b"\x02\xf0\x80\x72"), "not S7comm-plus"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame) or "passed")


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(SHAPES.fullmatch(changed))


@given(st.binary(max_size=60))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes) -> None:
    for candidate in (frame, tpkt(frame), tpkt(b"\x02\xf0\x80\x72" + frame)):
        assert (judge(candidate) is None) == bool(SHAPES.fullmatch(candidate))


def test_frames_are_cut_apart_and_nonsense_is_refused() -> None:
    assert open_guard("s7plus").split(CONNECT + CREATE + GOODBYE[:5]) == (
        (CONNECT, CREATE), GOODBYE[:5],
    )  # fmt: skip
    for nonsense in (b"GET / HTTP/1.1", b"\x03\0\xff\xff", b"\x03\0\0\x03"):
        with pytest.raises(GuardRefused):
            open_guard("s7plus").split(nonsense)


@given(st.lists(st.binary(min_size=3, max_size=40), max_size=6), st.binary(max_size=10))
def test_splitting_loses_no_byte_and_the_reply_framer_is_total(
    payloads: list[bytes], tail: bytes
) -> None:
    framer = specs()["s7plus"].reply_framer
    assert framer is not None
    for buffer in (b"".join(tpkt(payload) for payload in payloads) + tail, tail):
        try:
            frames, rest = open_guard("s7plus").split(buffer)
            assert b"".join(frames) + rest == buffer
        except GuardRefused:
            pass
        try:
            length = framer(buffer)
        except BadReply:
            continue
        assert length is None or 7 <= length <= len(buffer)
