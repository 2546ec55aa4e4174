"""ADS: what a recorded router tells, and nothing that only looks like an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import ads
from scanner.errors import BadReply, Refused, Silent
from scanner.facts import DeviceIdentity, ServiceAccess

REQUEST = bytes.fromhex("036614710000000001000000000000000000102700000000")


def tag(number: int, value: bytes) -> bytes:
    return number.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


def system(major: int, minor: int, build: int, platform: int) -> bytes:
    numbers = (276, major, minor, build, platform)
    return b"".join(one.to_bytes(4, "little") for one in numbers) + bytes(256)


def reply(*tags: bytes, service: int = 0x80000001, count: int | None = None) -> bytes:
    head = REQUEST[:8] + service.to_bytes(4, "little") + bytes([10, 1, 2, 3, 1, 1]) + b"\x10\x27"
    number = len(tags) if count is None else count
    return head + number.to_bytes(4, "little") + b"".join(tags)


GOOD = reply(
    tag(5, b"PLC-7\0"), tag(4, system(10, 0, 19044, 2)), tag(3, bytes.fromhex("0301b80f")),
    tag(18, b"a1b2c3\0"),
)  # fmt: skip


def recordings(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("ads__*.json"))]


async def test_a_recorded_router_gives_its_facts_and_no_others(replay, captures: Path) -> None:
    found = recordings(captures)
    assert found
    for capture in found:
        assert capture["identity_in_reply"]
        told, first = capture["facts"], capture["exchanges"][0]
        assert first["request_hex"].startswith("0366147100000000")
        session = replay(ads.PROBE, lambda request, f=first: bytes.fromhex(f["response_hex"]))

        access, said, looked_up = await ads.run(session)

        version = told["twincat_version"].split(" ")[0]
        assert access == ServiceAccess(
            protocol="ads", answers_without_login=True, encrypted=False, version=version,
            details=(
                ("AMS NetId", told["ams_net_id"]),
                ("operating system", told["os"].split(" (")[0]),
            ),
        )  # fmt: skip
        assert said == DeviceIdentity(name=told["host_name"], firmware=version)
        assert looked_up == DeviceIdentity(vendor=told["vendor"], basis="table")
        assert session.sent == [REQUEST]


async def test_one_datagram_is_all_that_is_sent_and_it_names_no_sender(replay) -> None:
    session = replay(ads.PROBE, lambda request: GOOD)

    access, said = await ads.run(session)

    assert session.sent == [REQUEST]
    assert said == DeviceIdentity(name="PLC-7", firmware="3.1.4024")
    assert dict(access.details) == {
        "AMS NetId": "10.1.2.3.1.1",
        "operating system": "Windows NT 10.0.19044",
        "fingerprint": "a1b2c3",
    }


async def test_a_router_that_tells_no_tag_has_no_identity(replay) -> None:
    (access,) = await ads.run(replay(ads.PROBE, lambda request: reply()))

    assert access.version is None
    assert access.details == (("AMS NetId", "10.1.2.3.1.1"),)


def test_it_is_asked_of_beckhoff_and_of_whoever_told_no_vendor() -> None:
    assert ads.PROBE.spoken_by == "beckhoff"
    assert ads.PROBE.ports == (48899,)
    assert [name for name in vars(ads) if name.endswith("PROBE")] == ["PROBE"]


@pytest.mark.parametrize("error", [Silent("no"), Refused("no")])
async def test_trouble_is_told_as_it_is(replay, error: Exception) -> None:
    def answer(request: bytes | None) -> bytes:
        raise error

    with pytest.raises(type(error)):
        await ads.run(replay(ads.PROBE, answer))


@pytest.mark.parametrize(
    "bad",
    [
        REQUEST,
        reply(service=0x80000006),
        reply(service=1),
        GOOD[:4] + b"\x01" + GOOD[5:],
        b"\x00" + GOOD[1:],
        GOOD[:23],
        GOOD[:40],
        reply(count=3),
        reply(tag(5, b"x")[:-1]),
        b"10.1.2.3,F0FE6B000000,HF-A11",
    ],
)
async def test_what_is_no_answer_of_a_router_is_none(replay, bad: bytes) -> None:
    """Our own datagram, other services, another question's, cut off, tags missing, others."""
    with pytest.raises(BadReply):
        await ads.run(replay(ads.PROBE, lambda request: bad))


def test_short_and_empty_tags_tell_nothing() -> None:
    info = ads.decode_server_info(reply(tag(5, b"\0"), tag(4, bytes(19)), tag(3, bytes(4))))

    assert info == ads.RouterInfo(net_id="10.1.2.3.1.1")


def test_texts_and_tags_are_bounded() -> None:
    many = [tag(100 + number, b"x") for number in range(40)]

    assert ads.decode_text(b"A" * 500) == "A" * ads.MAX_TEXT
    assert ads.decode_text(b"\x1b[2Jname\0after") == "[2Jname"
    assert len(ads.decode_tags(b"".join(many), count=40)) == ads.MAX_TAGS
    assert ads.decode_tags(tag(5, b"one") + tag(5, b"two"), count=2) == {5: b"one"}


@given(st.binary(max_size=400), st.integers(0, 2**32 - 1))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes, count: int) -> None:
    for one in (data, reply(data), GOOD + data, reply(count=count) + data):
        try:
            ads.facts(ads.decode_server_info(one))
        except BadReply:
            continue
