"""Network UPS Tools: the version, each supply behind it, and what only resembles them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import nut
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard
from tests.fuzz.seeds.nut import BYE, FIELDS, SUPPLIES, VERSION

RACK_1 = DeviceIdentity(
    sub_address="ups rack1",
    vendor="EATON",
    model="5PX 1500",
    serial="G118Z",
    firmware="02.08.0010",
    name="rack1",
    device_class="ups",
)


class Script:
    """A server that says these in turn."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    def __call__(self, request: bytes | None) -> bytes:
        answer = self.answers.pop(0) if self.answers else Silent("nothing more")
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("line", "version"),
    [
        (VERSION, "2.8.0"),
        (b"Network UPS Tools upsd 2.7.4 - http://www.networkupstools.org/ \n", "2.7.4"),
        (b"Network UPS Tools upsd 2.8.0-Windows\n", "2.8.0-Windows"),
    ],
)
async def test_the_version_is_told_to_anybody(replay: Any, line: bytes, version: str) -> None:
    session = replay(nut.PROBE, Script(line, BYE))

    facts = await nut.run(session)

    assert session.sent == [b"VER\n", b"LOGOUT\n"]
    assert facts == (
        ServiceAccess(protocol="nut", answers_without_login=True, encrypted=False, version=version),
    )


async def test_a_server_that_refuses_this_address_has_told_nothing(replay: Any) -> None:
    (access,) = await nut.run(replay(nut.PROBE, Script(b"ERR ACCESS-DENIED\n", BYE)))

    assert (access.answers_without_login, access.version) == (False, None)


@pytest.mark.parametrize("ending", [Silent("s"), Closed("c"), Reset("r")])
async def test_a_goodbye_that_is_forestalled_costs_no_answer(
    replay: Any, ending: Exception
) -> None:
    (access,) = await nut.run(replay(nut.PROBE, Script(VERSION, ending)))

    assert access.version == "2.8.0"


async def test_each_supply_is_a_device_behind_the_server(replay: Any) -> None:
    session = replay(nut.READ_PROBE, Script(SUPPLIES, FIELDS, b"ERR DRIVER-NOT-CONNECTED\n", BYE))

    assert await nut.run_read(session) == (RACK_1,)
    assert session.sent == [
        b"LIST UPS\n",
        b"LIST VAR rack1\n",
        b"LIST VAR rack2\n",
        b"LOGOUT\n",
    ]


@pytest.mark.parametrize("supplies", [b"BEGIN LIST UPS\nEND LIST UPS\n", b"ERR ACCESS-DENIED\n"])
async def test_no_supplies_are_no_devices(replay: Any, supplies: bytes) -> None:
    session = replay(nut.READ_PROBE, Script(supplies, BYE))

    assert await nut.run_read(session) == ()
    assert session.sent == [b"LIST UPS\n", b"LOGOUT\n"]


def test_older_names_of_variables_and_escapes_are_read() -> None:
    reply = (
        b'BEGIN LIST VAR u\nVAR u ups.mfr "APC"\nVAR u ups.model "Smart \\"UPS\\" \\\\ 1500"\n'
        b'VAR u ups.serial ""\nVAR u device.type "pdu"\nbroken\nEND LIST VAR u\n'
    )

    supply = nut.decode_variables(reply, "u")

    assert supply is not None
    assert (supply.vendor, supply.model, supply.serial) == ("APC", 'Smart "UPS" \\ 1500', None)
    identity = nut.identity_of(supply)
    assert identity is not None
    assert identity.device_class == "other"


def test_a_supply_of_which_nothing_is_known_makes_no_identity() -> None:
    supply = nut.decode_variables(b'BEGIN LIST VAR u\nVAR u ups.status "OL"\nEND LIST VAR u\n', "u")

    assert supply is not None
    assert nut.identity_of(supply) is None


def test_names_that_would_end_a_line_are_never_asked_for_and_eight_are_enough() -> None:
    listed = b"".join(
        b'UPS %s "x"\n' % name
        for name in (b"a;FSD", b"-x", b"\xffy", *(b"u%d" % n for n in range(20)))
    )

    names = nut.decode_supplies(b"BEGIN LIST UPS\n" + listed + b"END LIST UPS\n")

    assert names == tuple(f"u{n}" for n in range(8))


@pytest.mark.parametrize(
    "reply",
    [
        b"VER\n",
        b"ERR UNKNOWN-COMMAND\n",
        b"220 ready\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"Network UPS Tools upsd\n",
        b"Network UPS Tools upsmon 2.8.0\n",
        b"A" * 2000,
    ],
)
async def test_whoever_says_anything_else_is_nobody(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await nut.run(replay(nut.PROBE, Script(reply)))


@pytest.mark.parametrize(
    "reply",
    [
        b"LIST UPS\n",
        b"BEGIN LIST VAR x\nEND LIST VAR x\n",
        b'BEGIN LIST UPS\nVAR u ups.model "x"\nEND LIST UPS\n',
        b"OK\n",
    ],
)
async def test_a_list_of_something_else_is_no_reply(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await nut.run_read(replay(nut.READ_PROBE, Script(reply)))


def test_a_variable_of_another_supply_is_no_reply() -> None:
    with pytest.raises(BadReply):
        nut.decode_variables(b'BEGIN LIST VAR u\nVAR v ups.mfr "x"\nEND LIST VAR u\n', "u")


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay: Any, trouble: type[Exception]) -> None:
    with pytest.raises(trouble):
        await nut.run(replay(nut.PROBE, Script(trouble("made up"))))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes) -> None:
    supplies = b"BEGIN LIST UPS\n" + data + b"\nEND LIST UPS\n"
    fields = b'BEGIN LIST VAR u\nVAR u ups.mfr "' + data + b'"\nEND LIST VAR u\n'
    for candidate in (data, b"Network UPS Tools upsd " + data + b"\n", supplies, fields):
        for decode in (
            nut.line_length,
            nut.decode_version,
            nut.decode_supplies,
            lambda reply: nut.list_length(reply, "UPS"),
            lambda reply: nut.decode_variables(reply, "u"),
        ):
            with suppress(BadReply):
                found = decode(candidate)
                if isinstance(found, nut.Supply) and found.vendor is not None:
                    assert len(found.vendor) <= nut.MAX_TEXT
                    assert found.vendor.isprintable()


def test_its_questions_are_allowed_in_their_tiers() -> None:
    for probe in (nut.PROBE, nut.READ_PROBE):
        for question in probe.questions:
            assert open_guard("nut").judge(question.sample, probe.tier) is None
        assert not probe.for_controllers


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_says_goodbye(governed: Any) -> None:
    said: list[bytes] = []

    async def upsd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.readline())
        writer.write(VERSION)
        said.append(await reader.readline())
        writer.write(BYE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(upsd, "127.0.0.1", 0)
    async with server, governed(nut.PROBE, server.sockets[0].getsockname()[1]) as session:
        (access,) = await nut.run(session)
        await session.finish()

    assert access.version == "2.8.0"
    assert said == [b"VER\n", b"LOGOUT\n"]
