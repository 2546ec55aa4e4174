"""PROFINET DCP: two recorded stations, other people's replies, hostile bytes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dcp
from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, OwnAddress, ServiceAccess
from tests.conftest import NOON

XID = 0x01020304


def block(option: int, suboption: int, value: bytes, *, info: int = 0) -> bytes:
    content = info.to_bytes(2, "big") + value
    head = bytes([option, suboption]) + len(content).to_bytes(2, "big")
    return head + content + bytes(len(content) & 1)


def reply(
    *blocks: bytes, xid: int = XID, head: str = "feff0501", length: int | None = None
) -> bytes:
    data = b"".join(blocks)
    said = len(data) if length is None else length
    return bytes.fromhex(head) + xid.to_bytes(4, "big") + bytes(2) + said.to_bytes(2, "big") + data


def recorded(captures: Path, name: str) -> tuple[dict[str, str], bytes, bytes]:
    found = json.loads((captures / f"profinet-dcp__{name}.json").read_text(encoding="utf-8"))
    (exchange,) = found["exchanges"]
    request, answer = (bytes.fromhex(exchange[f"{one}_hex"]) for one in ("request", "response"))
    return found["facts"], request, answer


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "ge_versamax_pns",
            (
                ServiceAccess(
                    protocol="dcp", answers_without_login=True, encrypted=False,
                    details=(
                        ("VendorID", "0x015A"), ("DeviceID", "0x0003"), ("DeviceRole", "IO device"),
                    ),
                ),
                DeviceIdentity(model="IC200PNS001", name="versamax-pns11"),
                DeviceIdentity(vendor="GE", basis="table"),
                OwnAddress(ip="192.168.1.2", prefix_length=24),
            ),
        ),
        (
            "profinet_station_percent_n",
            (
                ServiceAccess(
                    protocol="dcp", answers_without_login=True, encrypted=False,
                    details=(
                        ("VendorID", "0x002A"), ("DeviceID", "0x0101"),
                        ("DeviceRole", "IO controller"),
                    ),
                ),
                DeviceIdentity(model="S7-300EC", name="%n%n%n"),
                DeviceIdentity(vendor="Siemens", device_class="plc", basis="table"),
                OwnAddress(ip="192.168.0.11", prefix_length=24),
            ),
        ),
    ],
)  # fmt: skip
def test_recorded_stations_give_exactly_what_they_said(
    captures: Path, name: str, facts: tuple[object, ...]
) -> None:
    told, _, answer = recorded(captures, name)

    station = dcp.decode_identify(answer, xid=int.from_bytes(answer[4:8], "big"))

    assert dcp.facts_from(station) == facts
    assert station.gateway == told["gateway"]


def test_the_request_is_the_one_that_a_real_station_was_asked_alone(captures: Path) -> None:
    _, request, _ = recorded(captures, "profinet_station_percent_n")

    assert dcp.encode_identify(xid=int.from_bytes(request[4:8], "big")) == request


def test_no_two_moments_have_the_same_transaction() -> None:
    found = {dcp.xid_of(NOON + timedelta(microseconds=n)) for n in range(100)}

    assert len(found) == 100
    assert all(0 < xid <= 0xFFFFFFFF for xid in found)


def test_an_echo_of_our_own_bytes_is_no_station() -> None:
    with pytest.raises(BadReply, match="expected a response"):
        dcp.decode_identify(dcp.encode_identify(xid=XID), xid=XID)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "expected a response"),
        (reply()[:11], "expected a response"),
        (reply(head="fefd0301"), "expected a response"),  # to a Get
        (reply(head="fefc0601"), "expected a response"),  # a Hello
        (reply(head="feff0301"), "service 5"),
        (reply(head="feff0505"), "success"),  # not supported
        (reply(head="feff0500"), "success"),
        (reply(xid=XID + 1), "another transaction"),
        (reply(length=1), "beyond the frame"),
        (reply(b"\x02\x02\x00"), "a block reaches beyond"),
        (reply(b"\x02\x02\x00\x09abc"), "a block reaches beyond"),
        (reply(block(2, 2, b"ok"), b"\x02\x01\xff\xff"), "a block reaches beyond"),
    ],
)
def test_what_is_no_reply_to_our_question_is_bad(frame: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        dcp.decode_identify(frame, xid=XID)


def test_a_reply_without_blocks_tells_no_identity() -> None:
    station = dcp.decode_identify(reply() + bytes(30), xid=XID)

    assert station == dcp.Station()
    assert dcp.facts_from(station) == (
        ServiceAccess(protocol="dcp", answers_without_login=True, encrypted=False),
    )


@pytest.mark.parametrize("kind", [(2, 3), (2, 4), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("content", [b"", b"\0", b"\0\0", b"\0\0\0"])
def test_a_block_that_is_too_short_tells_nothing(kind: tuple[int, int], content: bytes) -> None:
    short = bytes(kind) + len(content).to_bytes(2, "big") + content + bytes(len(content) & 1)

    station = dcp.decode_identify(reply(short), xid=XID)

    assert station in (dcp.Station(), dcp.Station(role=0))


def test_a_station_without_an_address_has_none() -> None:
    station = dcp.decode_identify(reply(block(1, 2, bytes(12))), xid=XID)

    assert (station.address, station.prefix, station.gateway) == (None, None, None)
    assert not any(isinstance(fact, OwnAddress) for fact in dcp.facts_from(station))


@pytest.mark.parametrize(
    ("mask", "prefix"),
    [("ffffffff", 32), ("fffffe00", 23), ("80000000", 1), ("ff00ff00", None), ("000000ff", None)],
)
def test_a_mask_is_a_prefix_or_nothing(mask: str, prefix: int | None) -> None:
    value = bytes([10, 0, 0, 5]) + bytes.fromhex(mask) + bytes(4)

    station = dcp.decode_identify(reply(block(1, 2, value, info=0x81)), xid=XID)

    assert (station.address, station.prefix) == ("10.0.0.5", prefix)
    assert station.conflict
    assert ("IPParameter", "address conflict") in dcp.facts_from(station)[0].details  # type: ignore[union-attr]


def test_hostile_texts_are_bounded_and_without_control_characters() -> None:
    station = dcp.decode_identify(
        reply(block(2, 1, b"\x1b[2Jcpu\r\n"), block(2, 2, b"x" * 1000), block(2, 2, b"second")),
        xid=XID,
    )

    assert station.station_type == "[2Jcpu"
    assert station.name == "x" * dcp.MAX_TEXT


def test_an_unknown_vendor_and_a_role_without_a_name_are_numbers() -> None:
    station = dcp.decode_identify(
        reply(block(2, 3, bytes.fromhex("beef0001")), block(2, 4, b"\x10\0")), xid=XID
    )

    (access,) = dcp.facts_from(station)

    assert access.details == (  # type: ignore[union-attr]
        ("VendorID", "0xBEEF"), ("DeviceID", "0x0001"), ("DeviceRole", "0x10"),
    )  # fmt: skip


def test_a_station_with_another_address_is_not_the_one_that_was_meant() -> None:
    with pytest.raises(BadReply, match=r"address 10\.0\.0\.5"):
        dcp.told_by(dcp.Station(address="10.0.0.5"), "10.0.0.6")


@pytest.mark.parametrize(
    ("address", "asked"), [("10.0.0.5", "10.0.0.5"), (None, "10.0.0.5"), ("10.0.0.5", "fe80::1")]
)
def test_a_station_that_says_nothing_against_it_is_believed(
    address: str | None, asked: str
) -> None:
    dcp.told_by(dcp.Station(address=address), asked)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_station_or_a_bad_reply(data: bytes, framed: bool) -> None:
    try:
        station = dcp.decode_identify(reply(data) if framed else data, xid=XID)
    except BadReply:
        return
    for fact in dcp.facts_from(station):
        assert fact.kind in {"service_access", "device_identity", "own_address"}


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8), st.binary(max_size=20))))
def test_whole_blocks_of_any_kind_are_read_to_the_end(
    blocks: list[tuple[int, int, bytes]],
) -> None:
    name = block(2, 2, b"last")
    others = [block(*one) for one in blocks if one[:2] != (2, 2)]

    station = dcp.decode_identify(reply(*others, name), xid=XID)

    assert station.name == "last"
