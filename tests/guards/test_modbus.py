"""The Modbus allow-list, checked exhaustively and against a shape written down independently."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu.file_message import FileRecord

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier

ALLOWED = re.compile(
    rb"..\0\0(?:"
    rb"\0\x05[\0-\xf7\xff]\x2b\x0e(?:\x01[\0-\x02]|\x02[\0-\x7f]|[\x03\x04].)"
    rb"|\0\x02[\0-\xf7\xff]\x11)",
    re.DOTALL,
)
GOOD = [bytes.fromhex("0001 0000 0005 ff 2b0e0100"), bytes.fromhex("0001 0000 0002 01 11")]
TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]


def mbap(pdu: bytes, unit: int = 1) -> bytes:
    return b"\0\1\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("modbus").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_the_two_questions_pass(tier: Tier) -> None:
    assert [judge(frame, tier) for frame in GOOD] == [None, None]


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in GOOD)


@given(st.sampled_from(sorted(set(range(256)) - {0x11, 0x2B})), st.binary(max_size=20))
def test_every_function_off_the_list_is_refused_by_name(function: int, arguments: bytes) -> None:
    reason = judge(mbap(bytes([function]) + arguments))

    assert reason is not None
    assert f"0x{function:02X}" in reason


def test_every_function_code_without_arguments_is_refused_but_one() -> None:
    assert [code for code in range(256) if judge(mbap(bytes([code]))) is None] == [0x11]


@pytest.mark.parametrize("mei", [m for m in range(256) if m != 0x0E])
def test_every_other_encapsulated_interface_is_refused(mei: int) -> None:
    assert judge(mbap(bytes([0x2B, mei, 1, 0])))


@pytest.mark.parametrize(
    ("pdu", "name"),
    [
        ("05 0001 ff00", "write single coil"),
        ("06 0001 0003", "write single register"),
        ("0f 0000 0008 01 ff", "write multiple coils"),
        ("10 0000 0001 02 0001", "write multiple registers"),
        ("16 0000 00f2 0025", "mask write"),
        ("17 0000 0001 0000 0001 02 0001", "read/write"),
        ("08 0001 0000", "diagnostics"),
        ("08 0004 0000", "diagnostics"),
        ("15 09 06 0001 0001 0001 0000", "write file"),
        ("5a 00 41 ff", "UMAS"),
        ("03 0000 0001", "read holding"),
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_writes_diagnostics_and_register_reads_are_refused(pdu: str, name: str, tier: Tier) -> None:
    assert name in (judge(mbap(bytes.fromhex(pdu)), tier) or "")


@given(st.binary(max_size=64), st.sampled_from(TIERS))
def test_random_bytes_pass_only_in_an_allowed_shape(frame: bytes, tier: Tier) -> None:
    assert (judge(frame, tier) is None) == bool(ALLOWED.fullmatch(frame))


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(GOOD)))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([changed, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed) is None) == bool(ALLOWED.fullmatch(changed))


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    guard = open_guard("modbus")

    assert guard.split(GOOD[0] + GOOD[1] + GOOD[0][:9]) == ((GOOD[0], GOOD[1]), GOOD[0][:9])


@pytest.mark.parametrize("text", ["0001 0001 0002 01 11", "0001 0000 0000 01 11", "474554202f20"])
def test_nonsense_is_not_cut_but_refused(text: str) -> None:
    with pytest.raises(GuardRefused):
        open_guard("modbus").split(bytes.fromhex(text))


@given(st.binary(max_size=600))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("modbus").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer


@given(st.binary(max_size=300))
def test_the_reply_framer_is_total(buffer: bytes) -> None:
    framer = specs()["modbus"].reply_framer
    assert framer is not None
    try:
        length = framer(buffer)
    except BadReply:
        return
    assert length is None or 8 <= length <= len(buffer)


WRITES = {
    "write_register": lambda c: c.write_register(1, 3),
    "write_registers": lambda c: c.write_registers(1, [3, 4]),
    "write_coil": lambda c: c.write_coil(1, True),
    "write_coils": lambda c: c.write_coils(1, [True, False]),
    "mask_write_register": lambda c: c.mask_write_register(address=1),
    "readwrite_registers": lambda c: c.readwrite_registers(
        read_address=1, read_count=1, write_address=1, values=[1]
    ),
    "write_file_record": lambda c: c.write_file_record(
        [FileRecord(file_number=1, record_number=1, record_data=b"\0\1")]
    ),
    "diag_restart_communication": lambda c: c.diag_restart_communication(True),
    "diag_force_listen_only": lambda c: c.diag_force_listen_only(),
    "diag_clear_counters": lambda c: c.diag_clear_counters(),
    "read_holding_registers": lambda c: c.read_holding_registers(1),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", WRITES)
async def test_what_pymodbus_really_sends_to_write_is_refused(name: str) -> None:
    """Against a server that records and stays silent."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read(4096))
        await reader.read(4096)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = AsyncModbusTcpClient(
        "127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        timeout=0.05,
        retries=0,
        reconnect_delay=0,
    )
    assert await client.connect()
    with suppress(ModbusException):
        await WRITES[name](client)
    client.close()
    frames, rest = open_guard("modbus").split(await asyncio.wait_for(heard, 5))
    await asyncio.wait_for(ended.wait(), 5)
    server.close()
    await server.wait_closed()

    assert frames
    assert not rest
    assert all(judge(frame, tier) for frame in frames for tier in TIERS)


def test_a_frame_cut_off_or_with_another_length_is_refused() -> None:
    guard = open_guard("modbus")

    assert "not a Modbus/TCP frame" in (guard.judge(b"\0\1\0\0\0\2\xff", Tier.READ) or "")
    wrong = bytes.fromhex("000100000006ff2b0e0100")
    assert "length does not match" in (guard.judge(wrong, Tier.READ) or "")
    no_code = bytes.fromhex("000100000005ff2b0e0500")
    assert "has no code 0x05" in (guard.judge(no_code, Tier.READ) or "")
