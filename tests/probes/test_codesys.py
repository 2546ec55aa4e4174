"""CODESYS: what a name service and a runtime of version 2.3 tell, and what is none of either."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import codesys
from scanner.errors import BadReply, Closed, Refused, Reset, Silent, Withheld
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from scanner.model import Tier, Transport
from scanner.spec import OwnEnd
from tests.probes import codesys_replies as replies

PUBLISHED = "replies built from published layouts (no recording)"

# --- version 3: our address ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "port", "prefix", "words"),
    [
        ("192.168.20.7", 1740, 24, "0007"),
        ("192.168.20.7", 1743, 24, "0307"),  # the programming tool, as in the CODESYS Forge thread
        ("10.138.131.1", 1743, 8, "038a8301"),  # the same thread, over another interface
        ("172.16.5.9", 1741, 16, "00010509"),
        ("10.0.0.6", 1742, 30, "000a"),
        ("127.0.0.1", 1740, 8, "00000001"),
        ("10.76.0.1", 1743, None, "00030a4c0001"),
    ],
)
def test_our_address_is_what_the_network_leaves_free_behind_the_index_of_our_port(
    address: str, port: int, prefix: int | None, words: str
) -> None:
    own = OwnEnd(address=address, port=port, prefix=prefix)

    assert codesys.encode_sender(own).hex() == words


def test_the_request_is_the_programming_tool_s() -> None:
    """CODESYS Forge, thread bba444aef6: the datagram byte for byte."""
    seen = bytes.fromhex("c5744003 0020b78b 038a8301 02c20004 01dc7d06".replace(" ", ""))

    asked = codesys.encode_resolve_address(sender=bytes.fromhex("038a8301"), request_id=0x067DDC01)

    assert asked[:6] + asked[8:] == seen[:6] + seen[8:]
    assert asked[6:8] == b"\xdc\x01"  # a number of ours; the tool's is another one


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.sampled_from(codesys.OWN_PORTS))
def test_every_address_of_ours_makes_a_request_that_may_leave(
    number: int, prefix: int, port: int
) -> None:
    own = OwnEnd(address=str(IPv4Address(number)), port=port, prefix=prefix)
    request = codesys.encode_resolve_address(sender=codesys.encode_sender(own), request_id=number)

    assert open_guard("codesys").judge(request, Tier.IDENTIFY) is None


async def test_over_ipv6_nothing_is_asked(replay) -> None:
    session = replay(
        codesys.PROBE, lambda request: b"", own=OwnEnd(address="fe80::1", port=1740, prefix=64)
    )

    with pytest.raises(Withheld, match="IPv4"):
        await codesys.run(session)
    assert session.sent == []


# --- version 3: what is told ---------------------------------------------------------------------


def device(**changes: object) -> Callable[[bytes | None], bytes]:
    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return replies.answer(request[-4:], **changes)

    return answer


async def test_one_datagram_tells_name_device_vendor_and_version(replay) -> None:
    session = replay(codesys.PROBE, device(serial="0030DE438F4C"))

    access, said, looked_up = await codesys.run(session)

    assert len(session.sent) == 1
    assert access == ServiceAccess(
        protocol="codesys",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("target type", "0x1000"),
            ("target id", "0x10061204"),
            ("flags", "0x00000001"),
            ("channels", "8"),
        ),
    )
    assert said == DeviceIdentity(
        vendor="WAGO",
        model="WAGO 750-8206 PFC200 2ETH RS CAN DPS",
        firmware="5.15.4.0",
        serial="0030DE438F4C",
        name="PFC200-438F4C",
    )
    assert looked_up == DeviceIdentity(device_class="plc", basis="table")


@pytest.mark.parametrize(
    "changes",
    [
        {"order": "big"},
        {"parent": b"\x00\x01\x00\x02"},
        {"words": 2},
        {"words": 3},
        {"kind": b"\x80\xc2\x03\x01"},  # version 1.3
    ],
)
async def test_other_forms_of_the_answer_tell_the_same(replay, changes: dict) -> None:
    _, said, _ = await codesys.run(replay(codesys.PROBE, device(**changes)))

    assert (said.name, said.vendor, said.firmware) == ("PFC200-438F4C", "WAGO", "5.15.4.0")


@pytest.mark.parametrize("wide", [False, True])
async def test_a_serial_number_comes_in_one_byte_or_in_two(replay, wide: bool) -> None:
    answer = device(serial="0030DE438F4C", wide_serial=wide)

    _, said, _ = await codesys.run(replay(codesys.PROBE, answer))

    assert said.serial == "0030DE438F4C"


async def test_an_answer_without_names_is_no_identity(replay) -> None:
    answer = device(node="", device="", vendor="", version=bytes(4), target_type=0x1003)

    found = await codesys.run(replay(codesys.PROBE, answer))

    assert [type(fact) for fact in found] == [ServiceAccess]


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request,  # an echo
        device(service=0x40),
        device(kind=b"\x81\xc2\x00\x04"),
        device(kind=b"\x80\xc2\x00\x05"),
        lambda request: replies.answer(request[-4:])[:40],
        lambda request: replies.answer(request[-4:])[:90],
        lambda request: b"\xc5\x70\x40\x04\0\0" + bytes(20),
        lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda request: b"\xff" * 60,
    ],
)
async def test_what_is_no_answer_identifies_nobody(replay, answer) -> None:
    with pytest.raises(BadReply):
        await codesys.run(replay(codesys.PROBE, answer))


async def test_the_answer_to_another_question_is_passed_by(replay) -> None:
    with pytest.raises(Silent):
        await codesys.run(replay(codesys.PROBE, lambda request: replies.answer(b"\1\2\3\4")))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
@pytest.mark.parametrize("probe", [codesys.PROBE])
async def test_trouble_is_told_as_what_it_is(replay, probe, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await probe.run(replay(probe, answer))


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    good = replies.answer(b"\1\0\0\0")
    for candidate in (value, good[:12] + value, good[:20] + value, good[:44] + value):
        for decode in (
            codesys.decode_datagram,
            codesys.decode_identification,
            codesys.answers(1),
            codesys.runtime_reply_length,
            codesys.decode_runtime,
        ):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, codesys.Identification):
                assert codesys.facts(found)


@given(st.text(max_size=300))
def test_names_are_bounded_and_printable(name: str) -> None:
    text = name.encode("utf-16-le", "replace").decode("utf-16-le", "replace")
    content = codesys.decode_datagram(replies.answer(bytes(4), vendor=text[:200]))

    found = codesys.decode_identification(content).vendor

    assert found is None or (len(found) <= codesys.MAX_TEXT and found.isprintable())


# --- version 2.3 ---------------------------------------------------------------------------------


async def test_a_runtime_is_asked_once_and_tells_its_system(replay) -> None:
    session = replay(codesys.V2_PROBE, lambda request: replies.runtime())

    access, looked_up = await codesys.run_v2(session)

    assert session.sent == [bytes.fromhex("bbbb0100000001")]
    assert access == ServiceAccess(
        protocol="codesys2",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("operating system", "Nucleus PLUS"),
            ("operating system version", "Nucleus PLUS version unknown"),
            ("product", "3S-Smart Software Solutions"),
        ),
    )
    assert looked_up == DeviceIdentity(device_class="plc", basis="table")


async def test_only_a_vendor_s_own_product_name_is_a_model(replay) -> None:
    answer = replies.runtime(product="AC500 PM573-ETH", behind=b"")

    found = await codesys.run_v2(replay(codesys.V2_PROBE, lambda request: answer))

    assert DeviceIdentity(model="AC500 PM573-ETH") in found


async def test_the_other_byte_order_is_asked_after_a_hang_up_and_only_then(replay) -> None:
    def hangs_up(request: bytes | None) -> bytes:
        if request == codesys.WHO_LITTLE:
            raise Closed("without a byte")
        return replies.runtime()

    session = replay(codesys.V2_PROBE, hangs_up)
    await codesys.run_v2(session)
    assert session.sent == [codesys.WHO_LITTLE, codesys.WHO_BIG]
    assert session.connections == 2

    for trouble in (Silent, Reset, Refused):

        def fails(request: bytes | None, trouble: type[Exception] = trouble) -> bytes:
            raise trouble("made up")

        session = replay(codesys.V2_PROBE, fails)
        with pytest.raises(trouble):
            await codesys.run_v2(session)
        assert session.sent == [codesys.WHO_LITTLE]


async def test_a_runtime_that_hangs_up_twice_is_not_asked_again(replay) -> None:
    def hangs_up(request: bytes | None) -> bytes:
        raise Closed("without a byte")

    session = replay(codesys.V2_PROBE, hangs_up)

    with pytest.raises(Closed):
        await codesys.run_v2(session)
    assert session.sent == [codesys.WHO_LITTLE, codesys.WHO_BIG]


@pytest.mark.parametrize(
    "reply",
    [
        codesys.WHO_LITTLE,
        codesys.WHO_LITTLE * 40,  # an echo that never ends
        codesys.WHO_BIG,
        replies.runtime()[:100],
        replies.runtime(system=""),
        replies.runtime(system="\x01\x02\x03"),
        b"\xbb\xbb" + b"A" * 500,  # a tarpit
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xbb" + bytes(200),
    ],
)
async def test_what_is_no_runtime_identifies_nobody(replay, reply: bytes) -> None:
    session = replay(codesys.V2_PROBE, lambda request: reply)

    with pytest.raises(BadReply):
        await codesys.run_v2(session)
    assert session.sent == [codesys.WHO_LITTLE]


def test_the_two_probes_are_two_services_of_one_module() -> None:
    assert (codesys.PROBE.transport, codesys.PROBE.ports) == (Transport.UDP, (1740,))
    assert (codesys.V2_PROBE.service, codesys.V2_PROBE.ports) == ("codesys2", (1200, 2455))
    for probe in (codesys.PROBE, codesys.V2_PROBE):
        for question in probe.questions:
            assert open_guard(probe.protocol).judge(question.sample, probe.tier) is None


# --- through the real door -----------------------------------------------------------------------


class Runtime(asyncio.DatagramProtocol):
    """Answers where a real one would: the port whose index the question carries."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        self.asked.append((data, sender[1]))
        index = data[8] & 3  # on loopback the address has two words: index and 24 bits
        self.transport.sendto(replies.answer(data[-4:]), (sender[0], codesys.FIRST_PORT + index))


@pytest.fixture
async def runtime():
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Runtime, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1], protocol
    transport.close()


@pytest.mark.integration
async def test_it_is_asked_from_a_port_to_which_a_runtime_answers(governed, runtime) -> None:
    port, seen = runtime

    async with governed(codesys.PROBE, port) as session:
        _, said, _ = await codesys.run(session)

    assert said.vendor == "WAGO"
    ((request, source),) = seen.asked
    assert source in codesys.OWN_PORTS
    assert (request[8] & 3) == source - codesys.FIRST_PORT


@pytest.mark.integration
async def test_a_port_that_another_program_has_is_passed_by(governed, runtime) -> None:
    port, seen = runtime
    taken = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in codesys.OWN_PORTS]
    try:
        try:
            for each, own in zip(taken, codesys.OWN_PORTS, strict=True):
                each.bind(("127.0.0.1", own))
        except OSError:
            pytest.skip("a program on this machine has one of CODESYS's ports")
        async with governed(codesys.PROBE, port) as session:
            with pytest.raises(Withheld, match="1740, 1741, 1742, 1743"):
                await codesys.run(session)
            taken[2].close()
        async with governed(codesys.PROBE, port) as session:
            await codesys.run(session)
    finally:
        for each in taken:
            each.close()

    assert [source for _, source in seen.asked] == [1742]


@pytest.mark.integration
async def test_a_big_endian_runtime_gets_a_second_connection_through_the_door(governed) -> None:
    asked: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readexactly(7))
        if asked[-1] == codesys.WHO_BIG:
            writer.write(replies.runtime(system="VxWorks"))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, governed(codesys.V2_PROBE, server.sockets[0].getsockname()[1]) as session:
        access, _ = await codesys.run_v2(session)
        assert session.device.figures.connections == 2

    assert asked == [codesys.WHO_LITTLE, codesys.WHO_BIG]
    assert access.details[0] == ("operating system", "VxWorks")


def test_a_probe_without_ports_of_its_own_leaves_them_to_the_kernel() -> None:
    assert replace(codesys.PROBE, own_ports=()).own_ports == ()
    assert codesys.V2_PROBE.own_ports == ()
