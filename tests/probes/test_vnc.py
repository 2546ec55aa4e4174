"""VNC: greetings and types of recorded servers, each way to refuse, and what is never said."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.vnc import (
    PROBE,
    Security,
    decode_security,
    decode_version,
    encode_version,
    facts_of,
    greeting_length,
    security_length,
    spoken_with,
)
from scanner.errors import BadReply, Closed, Reset, Silent
from scanner.facts import DeviceIdentity, ServiceAccess, VncFace

VERSIONS = [(3, 3), (3, 7), (3, 8)]


class Script:
    """A server that says these in turn."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    def __call__(self, request: bytes | None) -> bytes:
        answer = self.answers.pop(0) if self.answers else Silent("nothing more")
        if isinstance(answer, Exception):
            raise answer
        return answer


# --- recordings --------------------------------------------------------------------------------

RECORDED = {
    "vnc_3.8_openwall": VncFace(version="003.008", security_types=("VNC Authentication",)),
    "vnc_scanner_target": VncFace(
        version="003.008", security_types=("VNC Authentication", "Tight")
    ),
    "vnc_failure_reason": VncFace(version="003.008", refused="A" * 16),
    "vnc_4.1_realvnc": VncFace(
        version="004.001",
        security_types=(
            "type 13", "type 133", "RA2", "RA256", "RA2ne", "RAne256", "VNC Authentication",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
async def test_a_recorded_server_is_decoded_to_what_it_says(
    replay: Any, captures: Path, name: str
) -> None:
    record = json.loads((captures / f"vnc__{name}.json").read_text())
    said = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
    session = replay(PROBE, Script(*said))

    face, *more = await PROBE.run(session)

    assert face == RECORDED[name]
    assert session.sent == [None, b"RFB 003.008\n"]
    assert session.connections == 1
    assert not any(isinstance(fact, DeviceIdentity) for fact in more)
    assert [fact.details for fact in more if isinstance(fact, ServiceAccess)] == (
        [(("implementation", "RealVNC"),)] if name == "vnc_4.1_realvnc" else []
    )


def test_every_recording_is_covered(captures: Path) -> None:
    assert {path.stem.removeprefix("vnc__") for path in captures.glob("vnc__*.json")} == {*RECORDED}


# --- codec -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ((3, 3), (3, 3)), ((3, 5), (3, 3)), ((3, 6), (3, 3)), ((3, 7), (3, 7)), ((3, 8), (3, 8)),
        ((3, 130), (3, 8)), ((3, 889), (3, 8)), ((4, 0), (3, 8)), ((5, 0), (3, 8)),
    ],
)  # fmt: skip
def test_no_later_version_is_spoken_than_the_published(
    theirs: tuple[int, int], ours: tuple[int, int]
) -> None:
    assert spoken_with(theirs) == ours
    assert decode_version(encode_version(ours)) == ours


@pytest.mark.parametrize(
    ("version", "reply", "security"),
    [
        ((3, 3), b"\0\0\0\x01", Security(types=(1,))),
        ((3, 3), b"\0\0\0\x02" + bytes(16), Security(types=(2,))),
        ((3, 3), b"\0\0\0\0\0\0\0\x02no", Security(types=None, refused="no")),
        ((3, 7), b"\x02\x01\x02", Security(types=(1, 2))),
        ((3, 8), b"\x03\x02\x02\x10", Security(types=(2, 16))),
        ((3, 8), b"\x00\0\0\0\0", Security(types=None, refused="")),
        ((3, 8), b"\x00\0\0\0\x03a\x1bb", Security(types=None, refused="a�b")),
    ],
)
def test_security_messages_are_read(
    version: tuple[int, int], reply: bytes, security: Security
) -> None:
    assert decode_security(reply, version) == security


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "reply",
    [b"", b"\0", b"\0\0\0", b"RFB 003.008\n", b"\0\0\0\x05hal", bytes(4) + b"\xff\xff\xff\xff"],
)
def test_a_message_that_is_cut_off_huge_or_our_own_is_no_reply(
    version: tuple[int, int], reply: bytes
) -> None:
    if version == (3, 8) and reply == bytes(4) + b"\xff\xff\xff\xff":
        reply = b"\0\xff\xff\xff\xff"
    if version == (3, 7) and reply.startswith(bytes(4)):
        reply = b"\0\0\1\0\0"
    with pytest.raises(BadReply):
        decode_security(reply, version)


def test_a_type_that_version_3_3_does_not_have_is_no_reply() -> None:
    with pytest.raises(BadReply, match="security type 16"):
        decode_security(b"\0\0\0\x10", (3, 3))


@given(data=st.binary(max_size=400), version=st.sampled_from(VERSIONS))
def test_any_bytes_are_a_value_or_a_bad_reply(data: bytes, version: tuple[int, int]) -> None:
    for decode in (
        lambda: greeting_length(data),
        lambda: decode_version(data),
        lambda: security_length(data, version),
        lambda: facts_of((3, 8), decode_security(data, version)),
    ):
        with suppress(BadReply):
            decode()


# --- conversations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 ready\r\n",
        b"RFB 3.8\r\n\r\n\r\n", b"RFB abc.def\n", bytes(12), b"\xff\xfd\x18",
    ],
)  # fmt: skip
async def test_another_protocols_server_is_not_taken_for_vnc(replay: Any, greeting: bytes) -> None:
    session = replay(PROBE, Script(greeting))

    with pytest.raises(BadReply):
        await PROBE.run(session)
    assert session.sent == [None]


async def test_a_server_that_sends_our_own_line_back_is_none(replay: Any) -> None:
    with pytest.raises(BadReply, match="our own"):
        await PROBE.run(replay(PROBE, Script(b"RFB 003.008\n", b"RFB 003.008\n")))


@pytest.mark.parametrize("ending", [Silent("s"), Closed("c")])
async def test_a_server_that_greets_and_tells_no_types_is_said_to_have_told_none(
    replay: Any, ending: Exception
) -> None:
    facts = await PROBE.run(replay(PROBE, Script(b"RFB 003.008\n", ending)))

    assert facts == (VncFace(version="003.008"),)


@pytest.mark.parametrize("ending", [Silent("s"), Closed("c"), Reset("r")])
async def test_who_never_greets_is_nobody(replay: Any, ending: Exception) -> None:
    with pytest.raises(type(ending)):
        await PROBE.run(replay(PROBE, Script(ending)))


async def test_a_reset_in_the_middle_passes_on(replay: Any) -> None:
    with pytest.raises(Reset):
        await PROBE.run(replay(PROBE, Script(b"RFB 003.008\n", Reset("r"))))


async def test_no_type_is_ever_chosen(replay: Any) -> None:
    session = replay(PROBE, Script(b"RFB 003.003\n", b"\0\0\0\x01"))

    facts = await PROBE.run(session)

    assert facts == (VncFace(version="003.003", security_types=("None",)),)
    assert session.sent == [None, b"RFB 003.003\n"]
