"""SMB: recorded servers, both negotiations, the challenge, and the ways to say no."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.smb import (
    PROBE,
    READ_PROBE,
    Negotiated,
    decode_challenge,
    decode_negotiate,
    decode_old_negotiate,
    decode_old_session_setup,
    decode_session_setup,
    encode_negotiate,
    encode_old_negotiate,
    encode_old_session_setup,
    encode_session_setup,
    face_of,
    facts_of,
    reply_length,
)
from scanner.errors import BadReply, Closed, Refused, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess, SmbFace
from tests.fuzz.seeds.smb import answered, negotiated, set_up
from tests.probes.test_vnc import Script

DECODERS = (
    decode_negotiate, decode_old_negotiate, decode_session_setup, decode_old_session_setup,
    decode_challenge,
)  # fmt: skip


def recorded(captures: Path, name: str) -> dict[int, bytes]:
    """Replies of a recording by SMB 1 command."""
    record = json.loads((captures / f"smb__{name}.json").read_text())
    replies = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
    return {reply[8]: reply for reply in replies if reply[4:8] == b"\xffSMB"}


# --- recordings --------------------------------------------------------------------------------

OFFERED_AT = {
    "qnap_ts412_samba": 0,
    "windows_2000_substation_server": 5,
    "windows_2008_plant_ias01": 5,
    "windows_7_ultimate_sp1": 5,
}
"""Where the recorded client had "NT LM 0.12" in its list."""


def test_every_recording_is_covered(captures: Path) -> None:
    assert {path.stem.removeprefix("smb__") for path in captures.glob("smb__*.json")} == {
        *OFFERED_AT
    }


@pytest.mark.parametrize("name", OFFERED_AT)
def test_a_recorded_negotiation_is_decoded(captures: Path, name: str) -> None:
    reply = recorded(captures, name)[0x72]

    told = decode_old_negotiate(reply, offered_at=OFFERED_AT[name])

    names = ("WORKGROUP", "JOHN-PC") if name == "windows_7_ultimate_sp1" else (None, None)
    assert told == Negotiated(
        dialect="NT LM 0.12", signing_enabled=False, signing_required=False, names=names
    )
    if OFFERED_AT[name]:
        with pytest.raises(BadReply):
            decode_old_negotiate(reply)


@pytest.mark.parametrize(
    ("name", "identities", "details"),
    [
        (
            "qnap_ts412_samba",
            (DeviceIdentity(name="TS412"), DeviceIdentity(vendor="QNAP", basis="text")),
            {
                "target": "TS412", "NetBIOS domain": "TS412", "DNS computer": "ts412",
                "native OS": "QTS", "native LAN manager": "Samba 4.4.16",
            },
        ),
        (
            "windows_2000_substation_server",
            (DeviceIdentity(name="SAS1", firmware="Windows 5.0"),),
            {
                "target": "SAS1", "NetBIOS domain": "SAS1", "DNS computer": "sas1",
                "DNS domain": "sas1", "native OS": "Windows 5.0",
                "native LAN manager": "Windows 2000 LAN Manager",
            },
        ),
        (
            "windows_2008_plant_ias01",
            (
                DeviceIdentity(
                    name="IAS01",
                    firmware="Windows Server (R) 2008 Standard 6002 Service Pack 2",
                ),
            ),
            {
                "target": "IAS01", "NetBIOS domain": "IAS01", "DNS computer": "IAS01",
                "DNS domain": "IAS01", "Windows build": "6.0.6002",
                "native OS": "Windows Server (R) 2008 Standard 6002 Service Pack 2",
                "native LAN manager": "Windows Server (R) 2008 Standard 6.0",
            },
        ),
    ],
)  # fmt: skip
async def test_a_recorded_server_tells_its_names_in_the_read_tier(
    replay: Any,
    captures: Path,
    name: str,
    identities: tuple[DeviceIdentity, ...],
    details: dict[str, str],
) -> None:
    replies = recorded(captures, name)
    negotiation = replies[0x72][:37] + bytes(2) + replies[0x72][39:]
    known = (SmbFace(dialects=("NT LM 0.12",), smb1=True),)
    session = replay(READ_PROBE, Script(negotiation, replies[0x73]), known=known)

    access, *told = await READ_PROBE.run(session)

    assert isinstance(access, ServiceAccess)
    assert dict(access.details) == details
    assert access.answers_without_login is True
    assert tuple(told) == identities
    assert session.sent == [encode_old_negotiate(), encode_old_session_setup()]


# --- both negotiations -------------------------------------------------------------------------

OLD = bytes.fromhex(
    "00000055ff534d4272000000009853c8000000000000000000000000ffff01000000010011"
    "00000332000100044100000000010000000000fde30080943254e5e2e8c801000000"
    "1000035f3baa4063884abd17d5721c567e15"
)
NO_DIALECT = bytes.fromhex(
    "00000025ff534d4272000000008803c0000000000000000000000000ffff010000000100"
)
NO_DIALECT += bytes.fromhex("01ffff0000")
BOTH = SmbFace(
    dialects=("3.1.1", "NT LM 0.12"), smb1=True, signing_required=False, signing_enabled=True
)
NEW_ALONE = SmbFace(dialects=("3.1.1",), smb1=False, signing_required=False, signing_enabled=True)
OLD_ALONE = SmbFace(
    dialects=("NT LM 0.12",), smb1=True, signing_required=False, signing_enabled=False
)
OPEN = SmbFace(dialects=("3.1.1",), smb1=None, signing_required=False, signing_enabled=True)


@pytest.mark.parametrize(
    ("first", "second", "face"),
    [
        (negotiated(0x311, 1), OLD, BOTH),
        (negotiated(0x311, 1), Reset("r"), NEW_ALONE),
        (negotiated(0x311, 1), Closed("c"), NEW_ALONE),
        (negotiated(0x311, 1), NO_DIALECT, NEW_ALONE),
        (negotiated(0x311, 1), negotiated(0x2FF, 1), NEW_ALONE),
        (negotiated(0x311, 1), Silent("s"), OPEN),
        (negotiated(0x311, 1), Refused("r"), OPEN),
        (negotiated(0x311, 1), b"HTTP/1.1 400", OPEN),
        (Closed("c"), OLD, OLD_ALONE),
        (Reset("r"), OLD, OLD_ALONE),
        (Silent("s"), OLD, OLD_ALONE),
        (
            negotiated(0x302, 3), Closed("c"),
            SmbFace(dialects=("3.0.2",), smb1=False, signing_required=True, signing_enabled=True),
        ),
        (answered(0, 0, 0xC00000BB, bytes(9)), Closed("c"), SmbFace(smb1=False)),
    ],
)  # fmt: skip
async def test_each_version_is_asked_about_on_a_connection_of_its_own(
    replay: Any, first: bytes | Exception, second: bytes | Exception, face: SmbFace
) -> None:
    session = replay(PROBE, Script(first, second))

    assert await PROBE.run(session) == (face,)
    assert session.sent == [encode_negotiate(), encode_old_negotiate()]
    assert session.connections == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Refused("r"), OLD), (Closed("c"), Closed("c")), (Reset("r"), Reset("r")),
        (Closed("c"), Silent("s")), (Reset("r"), b"HTTP/1.1 400"), (Silent("s"), Silent("s")),
        (Silent("s"), Closed("c")),
    ],
)  # fmt: skip
async def test_who_answers_neither_is_no_smb_server(
    replay: Any, first: Exception, second: bytes | Exception
) -> None:
    with pytest.raises(type(first)):
        await PROBE.run(replay(PROBE, Script(first, second)))


async def test_an_old_server_without_extended_security_tells_its_name_at_once(
    replay: Any, captures: Path
) -> None:
    reply = recorded(captures, "windows_7_ultimate_sp1")[0x72]
    reply = reply[:37] + bytes(2) + reply[39:]

    facts = await PROBE.run(replay(PROBE, Script(Closed("c"), reply)))

    assert facts[2] == DeviceIdentity(name="JOHN-PC")
    assert facts[1].details == (("NetBIOS domain", "WORKGROUP"),)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "reply",
    [
        encode_negotiate(), encode_old_negotiate(),  # an echo
        answered(1, 0, 0, bytes(64)),  # another command
        answered(0, 7, 0, bytes(64)),  # another message
        negotiated(0x0210, 1)[:80],
        negotiated(0x0999, 1),
        b"\x83\0\0\x01\x82", b"HTTP/1.1 400 Bad Request", b"SSH-2.0-OpenSSH_9.2\r\n",
        bytes.fromhex("000000090000000600000000"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_of_smb_is_none(replay: Any, reply: bytes) -> None:
    with pytest.raises((BadReply, Silent)):
        await PROBE.run(replay(PROBE, Script(reply)))


# --- the challenge -----------------------------------------------------------------------------


async def test_the_first_leg_of_a_newer_server_tells_names_and_nothing_is_signed(
    replay: Any,
) -> None:
    known = (SmbFace(dialects=("3.1.1", "NT LM 0.12"), smb1=True),)
    session = replay(READ_PROBE, Script(negotiated(0x311, 1), set_up()), known=known)

    access, identity = await READ_PROBE.run(session)

    assert session.sent == [encode_negotiate(), encode_session_setup()]
    assert identity == DeviceIdentity(name="TS412", firmware="Windows 6.1.6002")
    assert access.version == "3.1.1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "reply",
    [
        answered(1, 1, 0, b"\x09\0\0\0\x48\0\0\0"),  # let in, which nobody asked for
        answered(1, 1, 0xC000006D, bytes(9)),
        answered(1, 1, 0xC0000016, b"\x09\0\0\0\x48\0\x08\0" + b"Kerberos"),
        encode_session_setup(),
    ],
)
async def test_a_set_up_without_a_challenge_gives_no_names(replay: Any, reply: bytes) -> None:
    with pytest.raises(BadReply):
        await READ_PROBE.run(replay(READ_PROBE, Script(negotiated(0x311, 1), reply)))


def test_samba_has_no_build_of_windows(captures: Path) -> None:
    told = decode_old_session_setup(recorded(captures, "qnap_ts412_samba")[0x73])

    assert told.build is None
    assert not any(
        isinstance(fact, DeviceIdentity) and fact.firmware for fact in facts_of(told, "x")
    )


@given(data=st.binary(max_size=300), frame=st.booleans())
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes, frame: bool) -> None:
    if frame:
        data = b"\0" + len(data).to_bytes(3, "big") + data
    for decode in (reply_length, *DECODERS):
        with suppress(BadReply):
            decode(data)


@given(data=st.binary(max_size=200), at=st.integers(0, 200), old=st.booleans())
def test_a_damaged_negotiation_is_a_value_or_a_bad_reply(data: bytes, at: int, old: bool) -> None:
    good = OLD if old else negotiated(0x311, 1)
    spoiled = good[:at] + data + good[at + len(data) :]
    with suppress(BadReply):
        face_of(
            None if old else decode_negotiate(spoiled),
            decode_old_negotiate(spoiled) if old else None,
        )
