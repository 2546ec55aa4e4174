"""BACnet/IP: recordings of real devices, refusals, who stands behind whom, and hostile bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import bacnet
from probes.bacnet import Ack, ObjectId, Refusal, Station
from scanner.errors import BadReply, Silent
from scanner.facts import BacnetAccess, DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

INSTANCE = 29
SAID: dict[int, bytes] = {
    121: b"\x75\x18\x00Lithonia Lighting, Inc.",
    120: b"\x21\x2a",
    70: b"\x75\x09\x00SYSC MLX",
    44: b"\x75\x05\x002.62",
    12: b"\x75\x0c\x0016-Dec-2004",
    77: b"\x75\x06\x00112E1",
    112: b"\x91\x00",
    139: b"\x21\x02",
    28: b"\x75\x06\x00Attic",
    76: b"\x21\x0c",
}
"""Application-tagged values, written out by hand; the texts are those of the recording."""
UNKNOWN_PROPERTY = b"\x91\x02\x91\x20"
UNKNOWN_OBJECT = b"\x91\x01\x91\x1f"


def datagram(apdu: bytes, *, source: Station | None = None) -> bytes:
    npdu = b"\x01\x00"
    if source is not None:
        npdu = b"\x01\x08" + source.network.to_bytes(2, "big") + bytes([len(source.address)])
        npdu += source.address
    return b"\x81\x0a" + (4 + len(npdu) + len(apdu)).to_bytes(2, "big") + npdu + apdu


def device_id(instance: int) -> bytes:
    return (8 << 22 | instance).to_bytes(4, "big")


def invoke_of(request: bytes) -> int:
    """Of a request without, or with, a destination of one byte."""
    return request[8] if request[5] == 0x04 else request[13]


def property_of(reference: bytes) -> tuple[int, bytes]:
    size = reference[0] & 0x07
    return int.from_bytes(reference[1 : 1 + size], "big"), reference[1 + size :]


class Device:
    """Answers reads of one device object; `behind` are devices it routes to, by station."""

    def __init__(
        self,
        said: Mapping[int, bytes] = SAID,
        *,
        instance: int = INSTANCE,
        multiple: bool = True,
        wildcard: bool = True,
        bindings: bytes = b"",
        behind: Mapping[Station, Device] | None = None,
        tables: Mapping[int, bytes] | None = None,
    ) -> None:
        self.said, self.instance, self.multiple = said, instance, multiple
        self.wildcard, self.bindings = wildcard, bindings
        self.behind, self.tables = behind or {}, tables

    def __call__(self, request: bytes | None) -> bytes:
        assert request is not None
        if request[1] in (0x02, 0x06):
            if self.tables is None:
                raise Silent("no table")
            return self.tables[request[1]]
        if request[5] == 0x24:
            station = Station(int.from_bytes(request[6:8], "big"), request[9:10])
            if station not in self.behind:
                return b"\x81\x0a\x00\x0a\x01\x80\x03\x01" + request[6:8]
            return datagram(self.behind[station].apdu(request[11:]), source=station)
        return datagram(self.apdu(request[6:]))

    def apdu(self, apdu: bytes) -> bytes:
        invoke, service, body = apdu[2], apdu[3], apdu[4:]
        head = bytes([0x30, invoke, service])
        if service == 0x0C:
            prop, _ = property_of(body[5:])
            said = dict(self.said) | {75: b"\xc4" + device_id(self.instance)}
            said |= {30: self.bindings} if self.bindings else {}
            unknown = body[1:5] == device_id(4194303) and not self.wildcard
            if prop not in said or unknown:
                return bytes([0x50, invoke, service]) + UNKNOWN_PROPERTY
            return (
                head
                + body[:1]
                + device_id(self.instance)
                + body[5:]
                + b"\x3e"
                + said[prop]
                + b"\x3f"
            )
        if not self.multiple:
            return bytes([0x60, invoke, 9])
        if body[:6] != b"\x0c" + device_id(self.instance) + b"\x1e":
            return bytes([0x50, invoke, service]) + UNKNOWN_OBJECT
        reply, rest = body[:6], body[6:-1]
        while rest:
            size = rest[0] & 0x07
            prop, rest = property_of(rest)
            reply += bytes([0x28 | size]) + prop.to_bytes(size, "big")
            if rest[:1] == b"\x19":
                reply, rest = reply + b"\x39" + rest[1:2], rest[2:]
            told = self.said.get(prop)
            reply += b"\x4e" + told + b"\x4f" if told else b"\x5e" + UNKNOWN_PROPERTY + b"\x5f"
        return head + reply + b"\x1f"


IDENTITY = DeviceIdentity(
    vendor="Lithonia Lighting, Inc.", model="SYSC MLX", firmware="2.62", name="112E1"
)
LOOKED_UP = DeviceIdentity(vendor="Lithonia Lighting", basis="table")


def read_values(exchange: Mapping[str, str]) -> Sequence[bacnet.Value] | Refusal:
    request, reply = (bytes.fromhex(exchange[f"{each}_hex"]) for each in ("request", "response"))
    apdu = request.index(b"\xff\x02") + 1
    answer = bacnet.decode_answer(reply, invoke=request[apdu + 2], service=request[apdu + 3])
    if isinstance(answer, Refusal):
        return answer
    assert answer.source == Station(3, b"\x1d")
    prop, _ = property_of(request[apdu + 9 :])
    told, values = bacnet.decode_read_property(answer.data, prop=prop)
    assert told == ObjectId(8, INSTANCE)
    return values


def test_the_recorded_device_is_read_as_its_bytes_say(captures: Path) -> None:
    capture = json.loads((captures / "bacnet__lithonia_sysc_mlx.json").read_text())
    values = {e["label"].rpartition("prop ")[2]: read_values(e) for e in capture["exchanges"]}

    truth = capture["facts"]
    for name in (
        "object_name", "system_status", "vendor_name", "vendor_identifier", "model_name",
        "firmware_revision", "application_software_version",
    ):  # fmt: skip
        assert values[name] == (truth[name],), name
    assert values["object_identifier"] == (ObjectId(*truth["object_identifier"]),)
    assert values["116"] == Refusal("error", 32)


def test_its_identity_is_told_from_single_reads(captures: Path) -> None:
    capture = json.loads((captures / "bacnet__lithonia_sysc_mlx.json").read_text())
    found = {}
    for exchange in capture["exchanges"]:
        request = bytes.fromhex(exchange["request_hex"])
        values = read_values(exchange)
        if not isinstance(values, Refusal):
            found[property_of(request[request.index(b"\xff\x02") + 10 :])[0]] = values

    assert bacnet.identities(found) == (IDENTITY, LOOKED_UP)


def test_an_i_am_is_no_answer_to_a_question(captures: Path) -> None:
    names = sorted(captures.glob("bacnet__iam_*.json"))
    assert len(names) >= 5
    for name in names:
        capture = json.loads(name.read_text())
        assert not capture["identity_in_reply"]
        reply = bytes.fromhex(capture["exchanges"][0]["response_hex"])
        with pytest.raises(BadReply):
            bacnet.decode_answer(reply, invoke=1, service=0x0C)


async def test_two_datagrams_identify_a_device(replay) -> None:
    session = replay(bacnet.PROBE, Device())

    facts = await bacnet.run(session)

    assert session.sent == [
        bytes.fromhex("810a001101040005010c0c023fffff194b"),
        bytes.fromhex("810a0024 0104 0005020e 0c0200001d 1e")
        + bytes.fromhex("0979 0978 0946 092c 090c 094d 0a0174 0970 098b 1f"),
    ]
    assert facts == (
        ServiceAccess(
            protocol="bacnet", answers_without_login=True, encrypted=False,
            details=(
                ("ReadPropertyMultiple", "answered"),
                ("application-software-version", "16-Dec-2004"),
            ),
        ),
        BacnetAccess(
            instance=INSTANCE, vendor_id=42, protocol_revision=2, system_status="operational"
        ),
        IDENTITY,
        LOOKED_UP,
    )  # fmt: skip


@pytest.mark.parametrize(
    "refusal", [b"\x60\x02\x09", b"\x71\x02\x04", b"\x50\x02\x0e\x91\x05\x91\x1d"]
)
async def test_a_device_that_refuses_the_second_read_keeps_its_instance_and_has_no_identity(
    replay, refusal: bytes
) -> None:
    device = Device()

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return datagram(refusal) if invoke_of(request) == 2 else device(request)

    access, bacnet_access = await bacnet.run(replay(bacnet.PROBE, answer))

    assert access.details == (("ReadPropertyMultiple", "refused"),)
    assert bacnet_access == BacnetAccess(instance=INSTANCE)


async def test_a_device_that_knows_no_wildcard_is_said_to_speak_and_no_more(replay) -> None:
    facts = await bacnet.run(replay(bacnet.PROBE, Device(wildcard=False)))

    assert facts == (ServiceAccess(protocol="bacnet", encrypted=False),)


async def test_a_vendor_that_is_not_told_comes_from_the_table(replay) -> None:
    said = {120: b"\x21\x24", 70: SAID[70]}

    facts = await bacnet.run(replay(bacnet.PROBE, Device(said)))

    assert facts[2:] == (
        DeviceIdentity(model="SYSC MLX"),
        DeviceIdentity(vendor="Tridium", basis="table"),
    )
    assert bacnet.vendor_name(65535) is None


async def test_a_vendor_that_is_told_stands_beside_that_of_the_table(replay) -> None:
    said = {**SAID, 120: b"\x21\x24"}

    facts = await bacnet.run(replay(bacnet.PROBE, Device(said)))

    assert facts[2:] == (IDENTITY, DeviceIdentity(vendor="Tridium", basis="table"))


async def test_a_device_without_a_number_of_its_own_is_one_all_the_same(replay) -> None:
    session = replay(bacnet.PROBE, Device(instance=bacnet.ANY_DEVICE))

    access, bacnet_access = await bacnet.run(session)

    assert access.answers_without_login
    assert bacnet_access == BacnetAccess(instance=bacnet.ANY_DEVICE)
    assert len(session.sent) == 1


async def test_a_silent_station_behind_a_router_costs_nothing_that_the_router_told(replay) -> None:
    told = b"\xc4" + device_id(29) + b"\x21\x03\x61\x1d"
    device = Device(bindings=told, tables={2: b"\x81\x03\x00\x04", 6: b"\x81\x07\x00\x04"})

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[5:6] == b"\x24":
            raise Silent("nobody there")
        return device(request)

    session = replay(bacnet.READ_PROBE, answer, known=known())
    access, bacnet_access = await bacnet.run_read(session)

    assert ("description", "Attic") in access.details
    assert (bacnet_access.broadcast_table, bacnet_access.foreign_devices) == ((), ())
    assert session.sent[-1][5:6] == b"\x24", "after a silent station the router is asked nothing"


def known(multiple: str = "answered") -> tuple:
    return (
        ServiceAccess(protocol="bacnet", details=(("ReadPropertyMultiple", multiple),)),
        BacnetAccess(instance=INSTANCE),
    )


async def test_the_read_tier_reads_on_and_names_who_answers_behind(replay) -> None:
    behind = {
        Station(3, b"\x1d"): Device(instance=29),
        Station(3, b"\x6c"): Device(SAID | {77: b"\x75\x06\x00112E2"}, instance=108),
    }
    told = b"".join(
        b"\xc4" + device_id(instance) + network + address
        for instance, network, address in (
            (7, b"\x21\x00", b"\x65\x06\x0a\x01\x02\x03\xba\xc0"),  # on the device's own network
            (29, b"\x21\x03", b"\x61\x1d"),
            (8, b"\x21\x03", b"\x61\xff"),  # a broadcast address
            (108, b"\x21\x03", b"\x61\x6c"),
            (9, b"\x21\x05", b"\x61\x02"),  # no way there
            (10, b"\x21\x05", b"\x61\x03"),  # not asked any more
        )
    )
    table = b"\x81\x03\x00\x0e" + bytes([10, 1, 2, 3, 0xBA, 0xC0, 255, 255, 255, 255])
    foreign = b"\x81\x07\x00\x0e" + bytes([10, 9, 9, 9, 0xBA, 0xC1, 0, 60, 0, 45])
    device = Device(bindings=told, behind=behind, tables={2: table, 6: foreign})
    session = replay(bacnet.READ_PROBE, device, known=known())

    facts = await bacnet.run_read(session)

    access, bacnet_access, one, _, other, _ = facts
    assert ("description", "Attic") in access.details
    assert bacnet_access == BacnetAccess(
        instance=INSTANCE, objects=12, broadcast_table=("10.1.2.3:47808",),
        foreign_devices=("10.9.9.9:47809",),
    )  # fmt: skip
    assert (one.sub_address, one.name) == ("network 3 device 29", "112E1")
    assert (other.sub_address, other.name) == ("network 3 device 108", "112E2")
    asked = [request[6:10].hex() for request in session.sent if request and request[5:6] == b"\x24"]
    assert asked == ["0003011d", "0003016c", "00050102"]


async def test_a_device_behind_that_answers_as_somebody_else_is_not_reported(replay) -> None:
    told = b"\xc4" + device_id(29) + b"\x21\x03\x61\x1d"
    device = Device(bindings=told, instance=29)

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        if request[5:6] == b"\x24":  # it answers itself, without a source
            return datagram(device.apdu(request[11:]))
        return device(request)

    facts = await bacnet.run_read(replay(bacnet.READ_PROBE, answer, known=known()))

    assert not [f for f in facts if isinstance(f, DeviceIdentity)]


async def test_where_several_at_once_are_refused_they_are_read_one_by_one(replay) -> None:
    session = replay(bacnet.READ_PROBE, Device(multiple=False), known=known("refused"))

    access, bacnet_access, identity, looked_up = await bacnet.run_read(session)

    assert (identity, looked_up) == (IDENTITY, LOOKED_UP)
    assert ("application-software-version", "16-Dec-2004") in access.details
    assert (bacnet_access.objects, bacnet_access.vendor_id) == (12, 42)
    assert bacnet_access.broadcast_table is None
    asked = [r for r in session.sent if r and r[1] == 0x0A]
    assert len({invoke_of(r) for r in asked}) == len(asked)


async def test_a_device_that_is_no_bbmd_is_asked_for_one_table(replay) -> None:
    device = Device(tables={2: b"\x81\x00\x00\x06\x00\x20"})
    session = replay(bacnet.READ_PROBE, device, known=known())

    facts = await bacnet.run_read(session)

    assert facts[1].broadcast_table is None
    assert session.sent.count(b"\x81\x06\x00\x04") == 0


async def test_a_device_without_instance_has_its_tables(replay) -> None:
    device = Device(tables={2: b"\x81\x03\x00\x04", 6: b"\x81\x07\x00\x04"})

    facts = await bacnet.run_read(replay(bacnet.READ_PROBE, device))

    assert facts == (BacnetAccess(broadcast_table=(), foreign_devices=()),)


@pytest.mark.parametrize("echo", [True, False])
async def test_an_echo_or_another_protocol_is_no_bacnet_device(replay, echo: bool) -> None:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return request if echo else b"\x63\x00" + bytes(22)

    with pytest.raises(BadReply):
        await bacnet.run(replay(bacnet.PROBE, answer))


def test_our_own_requests_are_no_answers() -> None:
    for request in (
        bacnet.encode_read_property(bacnet.ANY_DEVICE, 75, invoke=1),
        bacnet.encode_read_property_multiple(5, bacnet.IDENTITY, invoke=1),
        bacnet.encode_read_property_multiple(5, (121,), invoke=1, station=Station(3, b"\x1d")),
    ):
        for service in (0x0C, 0x0E):
            with pytest.raises(BadReply):
                bacnet.decode_answer(request, invoke=1, service=service)
    for function in (2, 6):
        with pytest.raises(BadReply):
            bacnet.decode_table(bacnet.encode_read_table(function), function=function)


async def test_the_answer_to_another_request_is_waited_past(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return datagram(b"\x30\x63\x0c" + Device().apdu(request[6:])[3:])

    with pytest.raises(Silent):
        await bacnet.run(replay(bacnet.PROBE, answer))


async def test_what_is_no_device_object_is_a_bad_reply(replay) -> None:
    def answer(request: bytes | None) -> bytes:
        return datagram(
            bytes.fromhex("30010c 0c023fffff 194b 3e c400800001 3f")  # analog value 1
        )

    with pytest.raises(BadReply, match="not that of a device"):
        await bacnet.run(replay(bacnet.PROBE, answer))


def test_every_cut_of_an_answer_is_a_bad_reply() -> None:
    request = bacnet.encode_read_property_multiple(INSTANCE, bacnet.IDENTITY, invoke=2)
    whole = Device()(request)
    for cut in range(len(whole)):
        with pytest.raises(BadReply):
            bacnet.decode_answer(whole[:cut], invoke=2, service=0x0E)
    answer = bacnet.decode_answer(whole, invoke=2, service=0x0E)
    assert isinstance(answer, Ack)
    for cut in range(len(answer.data)):
        with pytest.raises(BadReply):
            bacnet.decode_read_property_multiple(answer.data[:cut], instance=INSTANCE)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x00\xc3\xa4", "ä"),
        (b"\x05\xe4", "ä"),
        (b"\x04\x00A\x00\xe4", "Aä"),
        (b"\x03\x00\x00\x00A", "A"),
        (b"\x00\xff\xff", "\ufffd\ufffd"),
        (b"\x00a\x1b[2J\x00b", "a[2J"),
        (b"\x00" + b"x" * 900, "x" * 128),
        (b"", ""),
    ],
)
def test_a_text_is_bounded_and_printable_in_every_character_set(content: bytes, text: str) -> None:
    tagged = b"\x75" + (
        bytes([len(content)]) if len(content) < 254 else b"\xfe" + len(content).to_bytes(2, "big")
    )
    data = b"\x0c\x02\x00\x00\x1d\x19\x4d\x3e" + tagged + content + b"\x3f"

    assert bacnet.decode_read_property(data, prop=77)[1] == (text,)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    calls: list[Callable[[], object]] = []
    for reply in (value, datagram(value), datagram(b"\x30\x01\x0e" + value)):
        calls += [
            lambda reply=reply: bacnet.decode_answer(reply, invoke=1, service=0x0E),
            lambda reply=reply: bacnet.answer_length(reply, invoke=1),
        ]
    begun = b"\x0c\x02\x00\x00\x1d\x1e\x29\x79\x4e"
    for data in (value, begun + value, b"\x0c\x02\x00\x00\x1d\x19\x4b\x3e" + value):
        calls += [
            lambda data=data: bacnet.decode_read_property(data, prop=75),
            lambda data=data: bacnet.decode_read_property_multiple(data, instance=29),
        ]
    for table in (value, b"\x81\x03" + (4 + len(value)).to_bytes(2, "big") + value):
        calls.append(lambda table=table: bacnet.decode_table(table, function=2))
    for call in calls:
        try:
            call()
        except BadReply:
            continue


def test_every_request_of_the_plan_passes_the_guard() -> None:
    for probe in (bacnet.PROBE, bacnet.READ_PROBE):
        for question in probe.questions:
            assert open_guard("bacnet").judge(question.sample, probe.tier) is None
            assert question.label
