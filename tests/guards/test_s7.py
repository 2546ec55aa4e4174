"""The S7 allow-list, checked exhaustively and against shapes written down independently."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snap7.async_client import AsyncClient
from snap7.error import S7Error

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
_HEAD = rb"\x03\0\0"
_SZL = rb"\x21\x02\xf0\x80\x32\x07\0\0..\0\x08\0\x08\0\x01\x12\x04\x11\x44\x01\0\xff\x09\0\x04"
IDENTIFY_SHAPES = [
    rb"\x16\x11\xe0\0\0..\0\xc1\x02\x01\0\xc2\x02\x03.\xc0\x01[\x07-\x0a]",
    rb"\x0b\x06\x80....[\0\x80]",
    rb"\x19\x02\xf0\x80\x32\x01\0\0..\0\x08\0\0\xf0\0\0\x01\0\x01"
    rb"(?:\0[\xf0-\xff]|[\x01\x02].|\x03[\0-\xc0])",
    _SZL + rb"(?:\0\0\0\0|\0\x11\0[\0\x01\x06\x07\x81]|\0\x1c\0[\0-\x0b])",
    rb"\x21\x02\xf0\x80\x32\x07\0\0..\0\x0c\0\x04\0\x01\x12\x08\x12\x44\x01.\0\0\0\0\x0a\0\0\0",
]
READ_SHAPES = [*IDENTIFY_SHAPES, _SZL + rb"(?:[\x01\x02]\x32\0\x04|\x04\x24\0[\0\x04])"]
IDENTIFY = re.compile(_HEAD + b"(?:" + b"|".join(IDENTIFY_SHAPES) + b")", re.DOTALL)
READ = re.compile(_HEAD + b"(?:" + b"|".join(READ_SHAPES) + b")", re.DOTALL)

CONNECT = bytes.fromhex("0300001611e00000000100c1020100c2020302c0010a")
SETUP = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
SZL = bytes.fromhex("0300002102f080320700000002000800080001120411440100ff09000400110000")
CONTINUE = bytes.fromhex("0300002102f080320700000a00000c00040001120812440103000000000a000000")
GOODBYE = bytes.fromhex("0300000b06800001000180")
PROTECTION = SZL[:-4] + bytes.fromhex("02320004")
GOOD = [CONNECT, SETUP, SZL, CONTINUE, GOODBYE]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("s7").judge(frame, tier)


def tpkt(payload: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, len(payload) + 4) + payload


def job(body: bytes, *, kind: int = 1, data: bytes = b"") -> bytes:
    head = struct.pack(">BBHHHH", 0x32, kind, 0, 1, len(body), len(data))
    return tpkt(b"\x02\xf0\x80" + head + body + data)


def userdata(group: int, function: int, data: bytes = bytes.fromhex("ff09000400110000")) -> bytes:
    return job(bytes([0, 1, 0x12, 4, 0x11, group, function, 0]), kind=7, data=data)


@pytest.mark.parametrize("tier", TIERS)
def test_the_frames_of_identification_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None] * len(GOOD)


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in GOOD)


def test_protection_needs_tier_read() -> None:
    assert "tier read" in (judge(PROTECTION, Tier.IDENTIFY) or "")
    assert judge(PROTECTION, Tier.READ) is None


def test_every_tsap_but_s7_basic_is_refused() -> None:
    passed = {
        tsap >> 8
        for tsap in range(0, 0x10000, 7)
        if judge(CONNECT[:17] + tsap.to_bytes(2, "big") + CONNECT[19:]) is None
    }

    assert passed == {0x03}


@pytest.mark.parametrize("slot", range(256))
def test_a_programming_devices_seat_is_never_taken(slot: int) -> None:
    reason = judge(CONNECT[:17] + bytes([1, slot]) + CONNECT[19:], Tier.LOGIN)

    assert "programming device" in (reason or "")


def test_a_routed_connection_request_is_refused() -> None:
    routed = CONNECT[4:] + bytes.fromhex("c60200 01 c7020102")

    assert judge(tpkt(bytes([len(routed) - 1]) + routed[1:]))


JOBS = {
    0x04: "read variable",
    0x05: "write variable",
    0x1A: "request download",
    0x1B: "download block",
    0x1C: "download ended",
    0x1D: "start upload",
    0x1E: "upload",
    0x1F: "end upload",
    0x28: "PLC control",
    0x29: "PLC stop",
}


@pytest.mark.parametrize(("code", "name"), JOBS.items())
@given(body=st.binary(max_size=30), tier=st.sampled_from(TIERS))
def test_jobs_that_read_write_load_or_stop_are_refused_by_name(
    code: int, name: str, body: bytes, tier: Tier
) -> None:
    reason = judge(job(bytes([code]) + body), tier)

    assert reason is not None
    assert name in reason


@given(st.sampled_from(sorted(set(range(256)) - {0xF0})), st.binary(max_size=30))
def test_every_job_but_the_set_up_is_refused(code: int, body: bytes) -> None:
    assert judge(job(bytes([code]) + body))


def test_every_userdata_function_but_reading_a_list_is_refused() -> None:
    passed = [
        (group, function)
        for group in range(256)
        for function in range(256)
        if judge(userdata(group, function)) is None
    ]

    assert passed == [(0x44, 0x01)]


def test_every_list_off_the_list_is_refused() -> None:
    def passed(tier: Tier) -> set[int]:
        return {
            szl
            for szl in range(0x10000)
            for index in (0, 4)
            if judge(SZL[:-4] + struct.pack(">HH", szl, index), tier) is None
        }

    assert passed(Tier.IDENTIFY) == {0x0000, 0x0011, 0x001C}
    assert passed(Tier.READ) == {0x0000, 0x0011, 0x001C, 0x0132, 0x0232, 0x0424}


@given(st.binary(max_size=80))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes) -> None:
    for candidate in (frame, tpkt(frame), tpkt(b"\x02\xf0\x80" + frame)):
        assert (judge(candidate, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(candidate))
        assert (judge(candidate, Tier.READ) is None) == bool(READ.fullmatch(candidate))


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([*GOOD, PROTECTION])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(changed))
    assert (judge(changed, Tier.READ) is None) == bool(READ.fullmatch(changed))


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    assert open_guard("s7").split(CONNECT + SETUP + SZL[:5]) == ((CONNECT, SETUP), SZL[:5])


@pytest.mark.parametrize("text", ["474554202f", "0301000b", "03000003ffff", "0300ffff"])
def test_nonsense_is_not_cut_but_refused(text: str) -> None:
    with pytest.raises(GuardRefused):
        open_guard("s7").split(bytes.fromhex(text))


@given(st.binary(max_size=300))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("s7").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer


@given(st.lists(st.binary(min_size=3, max_size=40), max_size=6), st.binary(max_size=10))
def test_the_reply_framer_is_total(payloads: list[bytes], tail: bytes) -> None:
    framer = specs()["s7"].reply_framer
    assert framer is not None
    for buffer in (b"".join(tpkt(payload) for payload in payloads) + tail, tail):
        try:
            length = framer(buffer)
        except BadReply:
            continue
        assert length is None or 7 <= length <= len(buffer)


def test_a_reply_ends_with_its_last_data_unit() -> None:
    framer = specs()["s7"].reply_framer
    assert framer is not None
    first, last = tpkt(b"\x02\xf0\x00abc"), tpkt(b"\x02\xf0\x80def")

    assert framer(first) is None
    assert framer(first + last[:-1]) is None
    assert framer(first + last + b"more") == len(first + last)
    assert framer(CONNECT) == len(CONNECT)


async def answering(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[bytes]
) -> None:
    """Accepts connection and set-up, writes everything down, and closes at the first job."""
    try:
        while True:
            head = await reader.readexactly(4)
            frame = head + await reader.readexactly(int.from_bytes(head[2:], "big") - 4)
            seen.append(frame)
            if frame[5] == 0xE0:
                writer.write(frame[:5] + b"\xd0" + frame[8:10] + b"\0\x01" + frame[10:])
            elif frame[5] == 0xF0 and frame[17] == 0xF0:
                confirmed = bytes.fromhex("00080000 0000 f000 0001 0001 00f0")
                writer.write(tpkt(b"\x02\xf0\x80\x32\x03\0\0" + frame[11:13] + confirmed))
            else:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def recorder() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port, and what was sent to it; at the end of the block all of it is there."""
    seen: list[bytes] = []
    ended: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ended.append(task)
        await answering(reader, writer, seen)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        if ended:
            await asyncio.wait(ended, timeout=5)
        server.close()
        await server.wait_closed()


CHANGES = {
    "plc_stop": lambda c: c.plc_stop(),
    "plc_hot_start": lambda c: c.plc_hot_start(),
    "plc_cold_start": lambda c: c.plc_cold_start(),
    "db_write": lambda c: c.db_write(1, 0, bytearray(b"\1\2")),
    "db_read": lambda c: c.db_read(1, 0, 2),
    "copy_ram_to_rom": lambda c: c.copy_ram_to_rom(1000),
    "compress": lambda c: c.compress(1000),
    "download": lambda c: c.download(bytearray(b"x" * 40), 1),
    "set_plc_system_datetime": lambda c: c.set_plc_system_datetime(),
    "get_cpu_state": lambda c: c.get_cpu_state(),
    "set_session_password": lambda c: c.set_session_password("secret"),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", CHANGES)
async def test_what_python_snap7_really_sends_to_change_a_controller_is_refused(name: str) -> None:
    async with recorder() as (port, seen):
        client = AsyncClient()
        client.connection_type = 3
        await client.connect("127.0.0.1", 0, 2, tcp_port=port)
        with suppress(S7Error, RuntimeError):
            await CHANGES[name](client)
        await client.disconnect()

    assert [judge(frame, Tier.IDENTIFY) for frame in seen[:2]] == [None, None]
    assert len(seen) > 2
    assert all(judge(frame, tier) for frame in seen[2:] for tier in TIERS), name


@pytest.mark.integration
async def test_a_programming_devices_seat_and_a_malformed_goodbye_of_the_library_are_refused() -> (
    None
):
    """What python-snap7 sends when nobody tells it otherwise."""
    async with recorder() as (port, seen):
        client = AsyncClient()
        await client.connect("127.0.0.1", 0, 2, tcp_port=port)
        await client.disconnect()

    assert "programming device" in (judge(seen[0], Tier.LOGIN) or "")
    assert seen[-1][5] == 0x80
    assert "seven bytes" in (judge(seen[-1], Tier.LOGIN) or "")


def changed(frame: bytes, at: int, value: str) -> bytes:
    """`frame` with these bytes (hex) from `at` on."""
    new = bytes.fromhex(value)
    return frame[:at] + new + frame[at + len(new) :]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x03\x00\x00", "not a TPKT"),
        (changed(CONNECT, 2, "0017"), "length does not match"),
        (tpkt(CONNECT[4:] + b"\0"), "connection request has one shape"),
        (changed(CONNECT, 15, "c3"), "in this order"),
        (changed(CONNECT, 13, "0200"), "is not ours"),
        (changed(CONNECT, 17, "0102"), "programming device's seat"),
        (changed(CONNECT, 17, "0202"), "not of type S7 basic"),
        (changed(CONNECT, 21, "0e"), "outside 07 to 0A"),
        (tpkt(GOODBYE[4:] + b"\0"), "has seven bytes"),
        (changed(GOODBYE, 10, "85"), "normal reason"),
        (changed(SETUP, 4, "02f000"), "whole and unnumbered"),
        (changed(SETUP, 7, "33"), "not an S7 request"),
        (tpkt(b"\x02\xf0\x80" + b"\x32\x01"), "not an S7 request"),
        (changed(SETUP, 13, "0009"), "lengths do not match"),
        (changed(SETUP, 8, "02"), "message type 0x02"),
        (job(b"\xf0\x00\x00\x01\x00\x01\x01"), "set-up has one shape"),
        (changed(SETUP, 19, "0002"), "one job at a time"),
        (changed(SETUP, 23, "0010"), "outside 240 to 960"),
        (job(b"\x00\x01\x12\x04", kind=7), "not an S7 userdata request"),
        (userdata(0x84, 1), "not a request"),
        (changed(CONTINUE, 25, "01"), "continuation of an SZL has one shape"),
        (userdata(0x44, 1, b"\xff\x09\x00\x04\x00\x11\x00"), "request of an SZL has one shape"),
        (userdata(0x44, 1, b"\x0a\x09\x00\x04\x00\x11\x00\x00"), "request of an SZL has one shape"),
        (tpkt(b"\x02\x70\x80"), "COTP type 0x70"),
    ],
)
def test_each_deviation_is_refused_for_what_it_is(frame: bytes, reason: str) -> None:
    assert reason in (judge(frame) or "passed")
