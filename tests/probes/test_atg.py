"""Tank gauges: what consoles print, what emulators give away, and what is neither."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import atg
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess
from scanner.guards import open_guard

TLS2 = (
    b"\x01\r\nI90200\r\n22-05-01 15:12\r\n\r\nSOFTWARE# 349783-001-AXM\r\n"
    b"CREATED - 01.05.17.15.11\r\nSYSTEM FEATURES:\r\nPERIODIC IN-TANK TESTS\r\n"
    b"ANNUAL IN-TANK TESTS\r\n\x03"
)
"""As the manual of the TLS2 prints it (577013-767 revision H, section 7.4.1)."""
TLS_HLD = b"\x01\r\nI90200\r\nSOFTWARE# 349787-001-003 2\r\nCREATED - 09.11.02.14.20\r\n\x03"
"""As the manual of the TLS-HLD prints it (function 902), its placeholders filled in."""
TLS350 = (
    b"\x01\r\nI90200\r\nNOV 30, 2026  8:02 PM\r\n\r\nHARBOUR STATION\r\n12 QUAY ROAD\r\n\r\n"
    b"SOFTWARE REVISION LEVEL\r\nVERSION 131.02\r\nSOFTWARE# 346331-100-C\r\n"
    b"CREATED - 14.08.26.15.15\r\n\x03"
)
"""With a version and header lines, in the form of the other two."""
MAKER = DeviceIdentity(vendor="Veeder-Root", device_class="other", basis="table")


def access(*details: tuple[str, str], version: str | None = None) -> ServiceAccess:
    return ServiceAccess(
        protocol="atg", answers_without_login=True, encrypted=False, version=version,
        details=details,
    )  # fmt: skip


async def test_a_console_tells_its_software(replay) -> None:
    session = replay(atg.PROBE, lambda request: TLS2)

    found = await atg.run(session)

    assert session.sent == [b"\x01I90200\n"]
    assert found == (
        access(("software", "349783-001-AXM"), ("created", "01.05.17.15.11")),
        DeviceIdentity(firmware="349783-001-AXM"),
        MAKER,
    )


async def test_a_report_without_a_time_tells_as_much(replay) -> None:
    _, said, maker = await atg.run(replay(atg.PROBE, lambda request: TLS_HLD))

    assert said == DeviceIdentity(firmware="349787-001-003")
    assert maker == MAKER


async def test_a_version_and_the_station_s_header_are_told_where_they_are_printed(replay) -> None:
    found = await atg.run(replay(atg.PROBE, lambda request: TLS350))

    assert found[0] == access(
        ("software", "346331-100-C"), ("created", "14.08.26.15.15"), version="131.02"
    )
    assert found[1] == DeviceIdentity(firmware="131.02", name="HARBOUR STATION / 12 QUAY ROAD")


async def test_another_maker_s_software_number_names_nobody(replay) -> None:
    reply = TLS2.replace(b"349783-001-AXM", b"EVO-2.17.1")

    _, said, maker = await atg.run(replay(atg.PROBE, lambda request: reply))

    assert said.firmware == "EVO-2.17.1"
    assert maker.vendor is None


async def test_a_console_that_does_not_know_the_function_is_one_and_tells_nothing(replay) -> None:
    found = await atg.run(replay(atg.PROBE, lambda request: b"\x019999FF1B\x03"))

    assert found == (
        ServiceAccess(
            protocol="atg", answers_without_login=True, details=(("function 902", "not known"),)
        ),
    )


# --- emulators -----------------------------------------------------------------------------------


async def test_the_recorded_emulator_is_labelled_and_makes_no_device(
    replay, captures: Path
) -> None:
    """It knows no function but five, and answers others without control characters."""
    recording = json.loads((captures / "atg__atg_avia_probable_gaspot.json").read_text())
    assert recording["real_device"] is False
    replies = [bytes.fromhex(each["response_hex"]) for each in recording["exchanges"]]
    refused = [reply for reply in replies if b"9999" in reply]
    assert len(refused) == 2

    for reply in refused:
        (found,) = await atg.run(replay(atg.PROBE, lambda request, reply=reply: reply))
        assert isinstance(found, ServiceAccess)
        assert found.answers_without_login is None
        assert found.details[0][0] == "emulator"
    for reply in (reply for reply in replies if reply not in refused):  # to other functions
        with pytest.raises(BadReply):
            await atg.run(replay(atg.PROBE, lambda request, reply=reply: reply))


@pytest.mark.parametrize(
    "reply", [b"9999FF1B\n", b"9999FF1B", b"\n9999FF1B\n", b"\nI90200\n08/19/2024 02:52\n\nAVIA\n"]
)
async def test_answers_without_control_characters_are_an_emulator_s(replay, reply: bytes) -> None:
    found = await atg.run(replay(atg.PROBE, lambda request: reply))

    assert [type(fact) for fact in found] == [ServiceAccess]
    assert found[0].answers_without_login is None


# --- what is neither -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: request,  # a serial line that echoes
        lambda request: request * 3,
        lambda request: request + b"\x03",  # an echo, and an ETX that happened to come
        lambda request: b"\x01\r\nI20100\r\nSOFTWARE# 1-2\r\n\x03",
        lambda request: TLS2[:-1],
        lambda request: b"Lantronix MSS4D Version V3.6/4(990824)\r\n",
        lambda request: b"220 FTP server ready.\r\n",
        lambda request: b"\n\n\nlogin: ",
        lambda request: b"\x01\x03",
        lambda request: b"\xff\xfd\x01\xff\xfb\x03",
    ],
)
async def test_what_is_no_tank_gauge_identifies_nobody(replay, answer) -> None:
    with pytest.raises(BadReply):
        await atg.run(replay(atg.PROBE, answer))


@pytest.mark.parametrize("trouble", [Silent, Refused, Reset, Closed])
async def test_trouble_is_told_as_what_it_is(replay, trouble: type[Exception]) -> None:
    def answer(request: bytes | None) -> bytes:
        raise trouble("made up")

    with pytest.raises(trouble):
        await atg.run(replay(atg.PROBE, answer))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_bad_reply(value: bytes) -> None:
    for candidate in (value, b"\x01" + value + b"\x03", TLS2[:30] + value + b"\x03"):
        for decode in (atg.decode_revision, atg.reply_length, atg.is_emulator):
            try:
                found = decode(candidate)
            except BadReply:
                continue
            if isinstance(found, atg.Revision):
                assert atg.facts(found)
                for text in (found.software, found.version, found.created, found.station):
                    assert text is None or (len(text) <= atg.MAX_TEXT and text.isprintable())


def test_it_is_asked_nowhere_by_itself() -> None:
    assert atg.PROBE.opt_in
    assert atg.PROBE.ports == ()
    (question,) = atg.PROBE.questions
    assert open_guard("atg").judge(question.sample, atg.PROBE.tier) is None


@pytest.mark.integration
async def test_it_goes_through_the_real_door_and_ends_in_order(governed) -> None:
    ended: list[bytes] = []

    async def console(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == b"\x01I90200\n"
        writer.write(TLS2)
        ended.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(console, "127.0.0.1", 0)
    async with server, governed(atg.PROBE, server.sockets[0].getsockname()[1]) as session:
        _, said, _ = await atg.run(session)
        await session.finish()

    assert said.firmware == "349783-001-AXM"
    assert ended == [b""]
