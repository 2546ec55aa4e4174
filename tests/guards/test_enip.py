"""The EtherNet/IP allow-list, checked exhaustively and against shapes written independently."""

from __future__ import annotations

import re
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycomm3 import CIPDriver
from pycomm3.exceptions import PycommError

from scanner.errors import BadReply, GuardRefused
from scanner.guards import open_guard, specs
from scanner.model import Tier

TIERS = [Tier.IDENTIFY, Tier.READ, Tier.LOGIN]
_SESSION = rb"(?!\0{4}).{4}\0{4}.{8}\0{4}"
IDENTIFY_SHAPES = [rb"\x63\0" + rb"\0{22}", rb"\x04\0" + rb"\0{22}"]
_CPF = rb"\0{4}..\x02\0\0\0\0\0\xb2\0"
READ_SHAPES = [
    *IDENTIFY_SHAPES,
    rb"\x65\0\x04\0\0{8}.{8}\0{4}\x01\0\0\0",
    rb"\x66\0\0\0" + _SESSION,
    rb"\x6f\0\x16\0" + _SESSION + _CPF + rb"\x06\0\x01\x02\x20\x01\x24\x01",
    rb"\x6f\0\x18\0" + _SESSION + _CPF + rb"\x08\0\x0e\x03\x20\x01\x24\x01\x30[\x01-\x08]",
    rb"\x6f\0\x24\0" + _SESSION + _CPF + rb"\x14\0\x52\x02\x20\x06\x24\x01\x01\xfa\x06\0"
    rb"\x01\x02\x20\x01\x24\x01\x01\0\x01[\0-\x10]",
    rb"\x6f\0\x22\0" + _SESSION + _CPF + rb"\x12\0\x4b\x02\x20\x67\x24\x01\x07\0{6}"
    rb"\x06\0\x01\0\x03",
]
IDENTIFY = re.compile(b"|".join(b"(?:" + shape + b")" for shape in IDENTIFY_SHAPES), re.DOTALL)
READ = re.compile(b"|".join(b"(?:" + shape + b")" for shape in READ_SHAPES), re.DOTALL)


def command(number: int, body: bytes = b"", *, session: int = 0) -> bytes:
    return struct.pack("<HHII8sI", number, len(body), session, 0, bytes(8), 0) + body


def unconnected(cip: bytes) -> bytes:
    body = struct.pack("<IHHHHHH", 0, 10, 2, 0, 0, 0xB2, len(cip)) + cip
    return command(0x6F, body, session=7)


LIST_IDENTITY = command(0x63)
REGISTER = command(0x65, b"\x01\0\0\0")
ALL = unconnected(bytes.fromhex("010220012401"))
SINGLE = unconnected(bytes.fromhex("0e03200124013005"))
UNREGISTER = command(0x66, session=7)
SLOT = unconnected(bytes.fromhex("52022006240101fa060001022001240101000110"))
PCCC = unconnected(bytes.fromhex("4b0220672401070000000000000600010003"))
READ_FRAMES = [REGISTER, ALL, SINGLE, SLOT, PCCC, UNREGISTER]


def judge(frame: bytes, tier: Tier = Tier.READ) -> str | None:
    return open_guard("enip").judge(frame, tier)


@pytest.mark.parametrize("tier", TIERS)
def test_list_identity_passes(tier: Tier) -> None:
    assert judge(LIST_IDENTITY, tier) is None
    assert judge(command(0x04), tier) is None


def test_nothing_passes_in_tier_passive() -> None:
    assert all(judge(frame, Tier.PASSIVE) for frame in [LIST_IDENTITY, *READ_FRAMES])


def test_a_session_needs_tier_read() -> None:
    assert all("tier read" in (judge(frame, Tier.IDENTIFY) or "") for frame in READ_FRAMES)
    assert [judge(frame, Tier.READ) for frame in READ_FRAMES] == [None] * len(READ_FRAMES)


def routed(message: str, *, route: str = "01000103", path: str = "20062401") -> bytes:
    """Unconnected_Send of a message, by default to slot 3."""
    inner = bytes.fromhex(message)
    head = bytes.fromhex(f"5202{path}01fa") + len(inner).to_bytes(2, "little")
    return unconnected(head + inner + bytes(len(inner) % 2) + bytes.fromhex(route))


IDENTITY = "010220012401"


def test_the_slots_of_one_chassis_can_be_asked_for_their_identity() -> None:
    passed = [
        (port, slot)
        for port in range(256)
        for slot in range(256)
        if judge(routed(IDENTITY, route=f"0100{port:02x}{slot:02x}")) is None
    ]

    assert passed == [(1, slot) for slot in range(17)]


@pytest.mark.parametrize("service", sorted(set(range(256)) - {0x01}))
def test_nothing_but_reading_all_attributes_is_sent_on(service: int) -> None:
    """0x02, 0x04, 0x10 set, 0x05 resets, 0x4D and 0x53 write tags, 0x52 sends on again."""
    assert judge(routed(f"{service:02x}0220012401"))
    assert judge(routed(f"{service:02x}022001240130070100"))


@pytest.mark.parametrize(
    "frame",
    [
        routed("010220662401"),
        routed("0e032001240130 07".replace(" ", "")),
        routed(IDENTITY + "00"),
        routed("52022006240101fa060001022001240101000103"),
        routed("4b0220672401070000000000000600010003"),
        routed(IDENTITY, path="20662401"),
        routed(IDENTITY, path="20062402"),
        routed(IDENTITY, route=""),
        routed(IDENTITY, route="0000"),
        routed(IDENTITY, route="020001010102"),
        routed(IDENTITY, route="0300010102020103"),
        routed(IDENTITY, route="0100010300"),
        routed(IDENTITY, route="1100"),
    ],
)
@pytest.mark.parametrize("tier", TIERS)
def test_what_else_could_be_routed_is_refused(frame: bytes, tier: Tier) -> None:
    assert judge(frame, tier)


def test_of_pccc_the_diagnostic_status_alone_passes() -> None:
    requester = "4b022067240107" + "00" * 6
    passed = [
        (command, function)
        for command in range(256)
        for function in range(256)
        if judge(unconnected(bytes.fromhex(f"{requester}{command:02x}000100{function:02x}")))
        is None
    ]

    assert passed == [(0x06, 0x03)]
    assert judge(unconnected(bytes.fromhex(f"{requester}060001000300")))


def test_every_command_off_the_list_is_refused() -> None:
    passed = [number for number in range(0x10000) if judge(command(number)) is None]

    assert passed == [0x04, 0x63]
    assert "SendUnitData" in (judge(command(0x70, session=7)) or "")


NEVER = {
    0x02: "Set_Attributes_All",
    0x04: "Set_Attribute_List",
    0x05: "Reset",
    0x06: "Start",
    0x07: "Stop",
    0x08: "Create",
    0x09: "Delete",
    0x0D: "Apply",
    0x10: "Set_Attribute_Single",
    0x15: "Restore",
    0x16: "Save",
    0x18: "0x18",
    0x19: "0x19",
    0x4B: "PCCC",
    0x4D: "Write_Tag",
    0x4E: "Read_Modify_Write",
    0x52: "Unconnected_Send",
    0x53: "Write_Tag_Fragmented",
    0x54: "Forward_Open",
    0x5B: "Forward_Open",
}


@pytest.mark.parametrize(("service", "name"), NEVER.items())
@given(body=st.binary(max_size=40), tier=st.sampled_from([Tier.READ, Tier.LOGIN]))
def test_services_that_change_a_device_are_refused_by_name(
    service: int, name: str, body: bytes, tier: Tier
) -> None:
    reason = judge(unconnected(bytes([service]) + body), tier)

    assert reason is not None
    assert name in reason


@given(st.sampled_from(sorted(set(range(256)) - {0x01, 0x0E})), st.binary(max_size=40))
def test_every_service_off_the_list_is_refused(service: int, body: bytes) -> None:
    assert judge(unconnected(bytes([service]) + body))
    assert judge(unconnected(bytes([service]) + bytes.fromhex("0220012401")))


def test_no_class_but_the_identity_object_can_be_asked() -> None:
    passed = [
        (kind, instance)
        for kind in range(256)
        for instance in range(256)
        if judge(unconnected(bytes([1, 2, 0x20, kind, 0x24, instance]))) is None
    ]

    assert passed == [(1, 1)]


@given(st.binary(max_size=80))
def test_random_bytes_pass_only_in_an_allowed_shape(value: bytes) -> None:
    for candidate in (value, command(0x6F, value, session=7), unconnected(value)):
        assert (judge(candidate, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(candidate))
        assert (judge(candidate, Tier.READ) is None) == bool(READ.fullmatch(candidate))


@given(st.data())
def test_a_changed_frame_passes_only_in_an_allowed_shape(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([LIST_IDENTITY, *READ_FRAMES])))
    for _ in range(data.draw(st.integers(0, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    changed = data.draw(st.sampled_from([cut, bytes(frame), bytes(frame) + b"\0"]))

    assert (judge(changed, Tier.IDENTIFY) is None) == bool(IDENTIFY.fullmatch(changed))
    assert (judge(changed, Tier.READ) is None) == bool(READ.fullmatch(changed))


def test_frames_are_cut_apart_and_a_rest_is_kept() -> None:
    buffer = LIST_IDENTITY + REGISTER + ALL[:30]

    assert open_guard("enip").split(buffer) == ((LIST_IDENTITY, REGISTER), ALL[:30])


def test_a_frame_that_names_more_than_it_may_is_refused() -> None:
    with pytest.raises(GuardRefused):
        open_guard("enip").split(b"GET / HTTP/1.0\r\n\r\n")


@given(st.binary(max_size=300))
def test_splitting_loses_no_byte(buffer: bytes) -> None:
    try:
        frames, rest = open_guard("enip").split(buffer)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == buffer


@given(st.binary(max_size=300))
def test_the_reply_framer_is_total(value: bytes) -> None:
    framer = specs()["enip"].reply_framer
    assert framer is not None
    for buffer in (value, b"\x6f\0" + value):
        try:
            length = framer(buffer)
        except BadReply:
            continue
        assert length is None or 24 <= length <= len(buffer)


class Recorder:
    """A TCP server in a thread that answers every request and keeps what came."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while data := connection.recv(4096):
                self.seen.append(data)
                if data[:2] == b"\x65\0":
                    connection.sendall(data[:4] + b"\x2a\0\0\0" + data[8:])
                elif data[:2] == b"\x6f\0":
                    cip = bytes([data[40] | 0x80, 0, 0x08, 0])
                    cpf = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, 4) + cip
                    head = struct.pack("<HHII", 0x6F, len(cpf), 0x2A, 0)
                    connection.sendall(head + data[12:24] + cpf)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(5)


def ask(**changes: object):
    arguments = {"class_code": 1, "instance": 1, "connected": False, "route_path": False} | changes
    return lambda driver: driver.generic_message(**arguments)


CHANGES = {
    "Set_Attribute_Single": ask(service=0x10, attribute=7, request_data=b"x"),
    "Set_Attributes_All": ask(service=0x02, request_data=b"x"),
    "Reset": ask(service=0x05),
    "Stop": ask(service=0x07),
    "Unconnected_Send": lambda driver: driver.get_module_info(0),
    "Forward_Open": ask(service=0x01, connected=True),
    "Get_Attributes_All of another class": ask(service=0x01, class_code=0xF5),
    "an empty route": ask(service=0x01, route_path=True),
}


@pytest.mark.integration
@pytest.mark.parametrize("name", CHANGES)
def test_what_pycomm3_really_sends_beyond_the_identity_is_refused(name: str) -> None:
    recorder = Recorder()
    driver = CIPDriver(f"127.0.0.1:{recorder.port}")
    driver.socket_timeout = 5.0
    driver.open()
    try:
        CHANGES[name](driver)
    except PycommError:
        pass
    finally:
        driver.close()
        recorder.close()

    assert judge(recorder.seen[0]) is None
    assert judge(recorder.seen[-1]) is None
    between = recorder.seen[1:-1]
    assert between
    assert all(judge(frame, tier) for frame in between for tier in TIERS)
