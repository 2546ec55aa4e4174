"""The MMS allow-list, checked against shapes written independently and against real writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import mms
from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier
from tests.proof.judge.injected import mms as injected

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
CONNECT = [
    bytes.fromhex(f"0300001611e00000000100c1020001c202{tsap}c0010a") for tsap in ("0001", "0002")
]
IDENTIFY = bytes.fromhex("0300001b02f08001000100610e300c020103a007a0050201018200")
CONCLUDE = bytes.fromhex("0300001602f0800100010061093007020103a0028b00")
NAMES = bytes.fromhex("0300002402f0800100010061173015020103a010a00e020101a109a003800109a1028000")
ASSOCIATE = [mms.encode_association(tsap=tsap) for tsap in mms.TSAPS]
NAMEPLATE = mms.encode_read_nameplate(invoke=10, domain="BAY1LD0")
IDENTIFYING = [*CONNECT, *ASSOCIATE, IDENTIFY, CONCLUDE]
READING = [NAMES, mms.encode_list_domains(invoke=2, after="BAY1LD0"), NAMEPLATE]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("mms").judge(frame, tier)


def data(pdu: bytes) -> bytes:
    return b"\x03\0" + (len(pdu) + 7).to_bytes(2, "big") + b"\x02\xf0\x80" + pdu


@pytest.mark.parametrize("tier", TIERS)
def test_what_identifies_passes_in_every_tier_that_sends(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in IDENTIFYING] == [None] * len(IDENTIFYING)


def test_lists_and_reads_need_tier_read() -> None:
    assert all("tier read" in (judge(frame, Tier.IDENTIFY) or "") for frame in READING)
    assert [judge(frame, Tier.READ) for frame in READING] == [None] * len(READING)


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in [*IDENTIFYING, *READING])


def test_the_samples_of_the_probe_pass_in_their_tier() -> None:
    for probe in (mms.PROBE, mms.READ_PROBE):
        assert all(judge(question.sample, probe.tier) is None for question in probe.questions)


@pytest.mark.parametrize("tsap", [0x0000, 0x0003, 0x0100, 0x0102, 0x0302])
def test_no_other_seat_is_asked_for(tsap: int) -> None:
    reason = judge(mms.encode_connection_request(tsap=tsap))

    assert reason is not None
    assert ("programming device" in reason) == (tsap >> 8 == 1)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        (name, one)
        for table in (injected.WRITES, injected.NOT_ONLY_READING, injected.SIGNING_IN)
        for name, (_, _, requests) in table.items()
        for one in requests[1:]
        if one != ASSOCIATE[0] and one != injected.WRITES["mms write"][2][1]
    ],
)
def test_no_write_no_control_and_no_login_passes(name: str, request_: bytes) -> None:
    assert all(judge(request_, tier) for tier in TIERS), name


@pytest.mark.parametrize("service", sorted(set(range(256)) - {0x82}))
def test_every_service_but_identify_is_refused_in_its_shape(service: int) -> None:
    assert judge(IDENTIFY[:-2] + bytes([service]) + IDENTIFY[-1:])


def test_other_variables_are_not_read() -> None:
    for wrong in (
        NAMEPLATE.replace(b"LPHD1$DC$PhyNam$vendor", b"LPHD1$ST$PhyHlth$stVal"),
        NAMEPLATE.replace(b"LPHD1$DC", b"LLN0$$ST"),
        NAMEPLATE.replace(b"BAY1LD0", b"BAY1L\0\0"),
        NAMEPLATE.replace(b"\x1a\x07BAY1LD0", b"\x1a\x07BAY2LD0", 1),
    ):
        assert wrong != NAMEPLATE
        assert "one shape" in (judge(wrong) or "")
    assert judge(NAMES.replace(b"\x80\x01\x09", b"\x80\x01\x00"))


ALLOWED = [*IDENTIFYING, *READING]


@given(st.sampled_from(ALLOWED), st.data())
def test_a_changed_frame_passes_only_where_numbers_and_names_vary(frame: bytes, draw) -> None:
    at = draw.draw(st.integers(0, len(frame) - 1))
    value = draw.draw(st.integers(0, 255))
    changed = frame[:at] + bytes([value]) + frame[at + 1 :]

    if judge(changed) is None and changed not in ALLOWED:
        same = [old for old, new in zip(frame, changed, strict=True) if old != new]
        assert len(same) == 1
        invoke = frame[at - 2 : at] == b"\x02\x01"
        in_name = frame not in IDENTIFYING and chr(value).isalnum() | (value == 0x5F)
        assert invoke or in_name or frame in (IDENTIFY,)


@given(st.binary(max_size=200), st.sampled_from(TIERS))
def test_anything_else_is_refused(frame: bytes, tier: Tier) -> None:
    assert judge(frame, tier)
    assert judge(data(frame), tier)
    assert judge(data(b"\x01\0\x01\0" + frame), tier)


@given(st.sampled_from(ALLOWED), st.binary(min_size=1, max_size=9))
def test_nothing_may_follow_a_frame(frame: bytes, more: bytes) -> None:
    assert judge(frame + more)


def test_frames_are_cut_and_nonsense_is_not_kept() -> None:
    guard = open_guard("mms")

    assert guard.split(IDENTIFY + CONCLUDE[:9]) == ((IDENTIFY,), CONCLUDE[:9])
    with pytest.raises(GuardRefused):
        guard.split(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(GuardRefused):
        guard.split(b"\x03\0\xff\xff\x02\xf0\x80")


def test_a_reply_is_framed_at_the_end_of_its_tsdu() -> None:
    framer = specs()["mms"].reply_framer
    assert framer is not None
    first = data(b"a").replace(b"\xf0\x80", b"\xf0\x00")

    assert framer(first) is None
    assert framer(first + data(b"b") + b"more") == len(first) + 8
    with pytest.raises(BadReply):
        framer(b"HTTP/1.1 200 OK")
