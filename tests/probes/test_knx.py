"""KNXnet/IP: recordings of real routers and interfaces, security told apart, hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import knx
from scanner.errors import BadReply, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

FAMILIES = {
    "core": 2, "devmgmt": 3, "tunnelling": 4, "routing": 5, "remote_conf": 7, "secure": 9,
}  # fmt: skip
"""As the recordings name them."""


def recordings(captures: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(captures.glob("knxnet-ip__*"))]


def reply_of(capture: dict) -> bytes:
    return bytes.fromhex(capture["exchanges"][0]["response_hex"])


def as_description(reply: bytes) -> bytes:
    """The same blocks as a description: another service, and no control endpoint."""
    return b"\x06\x10\x02\x04" + (len(reply) - 8).to_bytes(2, "big") + reply[14:]


def description(*, families: str = "02010301", serial: bytes = b"\0\x83abcd") -> bytes:
    device = bytes.fromhex("02002000 0000") + serial + bytes.fromhex("e000170c cc1be08004c4")
    device += b"MDT KNX IP Router".ljust(30, b"\0")
    blocks = b"\x36\x01" + device
    content = bytes.fromhex(families)
    blocks += bytes([2 + len(content), 2]) + content
    return b"\x06\x10\x02\x04" + (6 + len(blocks)).to_bytes(2, "big") + blocks


def test_every_recording_gives_its_facts_and_no_others(captures: Path) -> None:
    found = recordings(captures)
    assert len(found) == 6
    for capture in found:
        reply, truth = reply_of(capture), capture["facts"]

        told = knx.decode_description(reply, service=int.from_bytes(reply[2:4], "big"))

        assert told.name == truth["friendly_name"].strip(), capture["id"]
        assert told.serial.hex() == truth["serial"]
        assert knx.individual_address(told.individual_address) == truth["individual_address"]
        assert told.mac.hex(":") == truth["mac"]
        assert (told.medium, told.programming_mode) == (truth["knx_medium"], False)
        assert dict(told.families) == {
            FAMILIES[name]: version for name, version in truth["service_families"].items()
        }
        secured = truth.get("secured_service_families")
        assert (None if told.secured is None else dict(told.secured)) == (
            None if secured is None else {int(name, 16): v for name, v in secured.items()}
        )
        extended = truth.get("extended_device_info")
        assert told.descriptor == (None if extended is None else int(extended[8:12], 16))


async def test_one_datagram_identifies_a_recorded_device(replay, captures: Path) -> None:
    for capture in recordings(captures):
        session = replay(knx.PROBE, lambda request, c=capture: as_description(reply_of(c)))

        access, said, made_by, *_ = await knx.run(session)

        assert session.sent == [bytes.fromhex("06100203000e0801000000000000")]
        assert made_by == DeviceIdentity(vendor=capture["facts"]["vendor"], basis="table")
        assert said == DeviceIdentity(
            name=capture["facts"]["friendly_name"].strip(), serial=capture["facts"]["serial"]
        )
        assert dict(access.details)["individual address"] == capture["facts"]["individual_address"]
        has_security = "secure" in capture["facts"]["service_families"]
        assert access.answers_without_login is (None if has_security else True)
        assert access.authentication is None


@pytest.mark.parametrize(
    ("part", "is_open", "authentication"),
    [
        ("ip-secure-enabled", None, ("KNX IP Secure",)),
        ("ip-secure-disabled", True, ()),
        ("no-ip-secure-support-but-corev2", True, ()),
    ],
)
async def test_the_read_tier_tells_whether_security_is_switched_on(
    replay, captures: Path, part: str, is_open: bool | None, authentication: tuple
) -> None:
    known = (ServiceAccess(protocol="knx", details=(("core version", "2"),)),)
    chosen = [capture for capture in recordings(captures) if capture["id"].endswith(part)]
    assert chosen
    for capture in chosen:
        session = replay(knx.READ_PROBE, lambda request, c=capture: reply_of(c), known=known)

        access = (await knx.run_read(session))[0]

        assert session.sent == [bytes.fromhex("0610020b00140801000000000000060401020608")]
        assert access.answers_without_login is is_open
        assert access.authentication == authentication


async def test_a_device_of_core_version_1_is_not_asked_again(replay) -> None:
    known = (ServiceAccess(protocol="knx", details=(("core version", "1"),)),)
    session = replay(knx.READ_PROBE, lambda request: b"", known=known)

    assert await knx.run_read(session) == ()
    assert session.sent == []


def test_routing_that_is_left_open_is_open() -> None:
    told = knx.decode_description(
        description(families="0202030204020502 0901"), service=knx.DESCRIPTION_RESPONSE
    )
    half = type(told)(
        **{name: getattr(told, name) for name in told.__slots__} | {"secured": ((4, 1),)}
    )

    assert knx.is_open(half, asked_extended=True) is True


async def test_a_device_without_a_name_and_serial_has_no_identity(replay) -> None:
    reply = description(serial=bytes(6)).replace(b"MDT KNX IP Router", bytes(17))
    reply = reply.replace(bytes.fromhex("cc1be08004c4"), bytes.fromhex("020000000001"))

    facts = await knx.run(replay(knx.PROBE, lambda request: reply))

    assert len(facts) == 1


def named(name: bytes, mac: str = "cc1be08004c4") -> list[DeviceIdentity]:
    """What is recognised of a device of this name and hardware address."""
    reply = description().replace(b"MDT KNX IP Router".ljust(30, b"\0"), name.ljust(30, b"\0"))
    reply = reply.replace(bytes.fromhex("cc1be08004c4"), bytes.fromhex(mac))
    told = knx.decode_description(reply, service=knx.DESCRIPTION_RESPONSE)
    return list(knx.recognised(told))


def test_the_maker_follows_from_the_hardware_address_and_not_from_the_name() -> None:
    assert named(b"Gira X1") == [DeviceIdentity(vendor="MDT", basis="table")]
    assert named(b"Gira X1", "000ab3290b13") == [
        DeviceIdentity(vendor="Gira", basis="table"),
        DeviceIdentity(model="X1", basis="text"),
    ]
    assert named(b"Gira X1", "020000000001") == []


def test_an_address_of_28_assigned_bits_is_not_that_of_its_neighbour() -> None:
    assert named(b"Router", "cc1be07fffff") == []
    assert named(b"Router", "cc1be08fffff") == [DeviceIdentity(vendor="MDT", basis="table")]


def test_a_product_is_told_while_its_name_is_the_factory_s() -> None:
    model = DeviceIdentity(model="SCN-IP000.03", basis="text")

    assert model in named(b"SCN-IP000.03 IP Interface mit ")
    assert model not in named(b"Hall 3, SCN-IP000.03")


def test_every_row_of_the_table_has_its_source_and_every_product_its_maker() -> None:
    assert all(row["source"] for row in knx._table()["maker"])
    assert all(product.source for product in knx.products())
    assert {product.vendor for product in knx.products()} <= {*knx.makers().values()}
    addresses = sorted(knx.makers())
    assert not any(longer.startswith(shorter) for shorter, longer in pairwise(addresses))


@pytest.mark.parametrize(
    "reply",
    [
        knx.encode_description_request(),  # an echo
        b"\x63\x00" + bytes(22),
        description()[:-1],
        description()[:2] + b"\x02\x02" + description()[4:],  # an answer to a search
        b"\x06\x10\x02\x04\x00\x06",
        b"\x06\x10\x02\x04\x00\x08\x02\x01",
        b"\x06\x10\x02\x04\x00\x08\x00\x01",  # a block of length 0
        b"\x06\x10\x02\x06\x00\x08\x00\x24",
    ],
)
async def test_what_is_no_description_is_a_bad_reply(replay, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await knx.run(replay(knx.PROBE, lambda request: reply))


async def test_silence_is_silence(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        raise Silent("nobody")

    with pytest.raises(Silent):
        await knx.run(replay(knx.PROBE, answer))


def test_our_own_requests_are_no_answers() -> None:
    for request in (knx.encode_description_request(), knx.encode_search_request_extended()):
        for service in (knx.DESCRIPTION_RESPONSE, knx.SEARCH_RESPONSE_EXTENDED):
            with pytest.raises(BadReply):
                knx.decode_description(request, service=service)


def test_every_cut_of_a_description_is_a_bad_reply() -> None:
    whole = description()
    for cut in range(len(whole)):
        for reply in (whole[:cut], whole[:4] + cut.to_bytes(2, "big") + whole[6:cut]):
            if cut in (60, len(whole)):  # a whole first block is a description
                continue
            with pytest.raises(BadReply):
                knx.decode_description(reply, service=knx.DESCRIPTION_RESPONSE)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    known = description()[6:]
    calls: list[Callable[[], object]] = []
    for body in (value, known + value, bytes(8) + known + value):
        for service in (knx.DESCRIPTION_RESPONSE, knx.SEARCH_RESPONSE_EXTENDED):
            head = b"\x06\x10" + service.to_bytes(2, "big") + (6 + len(body)).to_bytes(2, "big")
            calls.append(
                lambda reply=head + body, service=service: knx.facts(
                    knx.decode_description(reply, service=service), asked_extended=True
                )
            )
    for call in calls:
        try:
            call()
        except BadReply:
            continue


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (knx.PROBE, knx.READ_PROBE):
        for question in probe.questions:
            assert open_guard("knx").judge(question.sample, probe.tier) is None
            assert question.label
