"""What the auditor reads of layer 2, and that one frame counts like any other packet."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dcp
from scanner.audit.certificate import audit
from scanner.audit.packets import US, Packet, Unreadable, read, read_link
from scanner.model import Target, Transport
from tests.audit.test_certificate import PLC, S7, T0, Story, audited, clean, failed, limits, words

GLOBAL = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
MACHINE, STATION = bytes.fromhex("020000000009"), bytes.fromhex("0009914 3e067".replace(" ", ""))
KNOWN = {STATION.hex(":"): PLC}
IDENTIFY = dcp.encode_identify(xid=7)


def entry(head: bytes, length: int = 60) -> bytes:
    return struct.pack("<IIII", 5, 1, len(head), length) + head


def frame(
    to: bytes = STATION, by: bytes = MACHINE, payload: bytes = IDENTIFY, kind: int = 0x8892
) -> bytes:
    return (to + by + kind.to_bytes(2, "big") + payload)[:26]


def test_a_question_and_its_answer_are_read() -> None:
    back = bytes.fromhex("feff0501000000070000 0028")
    data = GLOBAL + entry(frame()) + entry(frame(MACHINE, STATION, back), 80)

    out, came = read_link(data, KNOWN)

    assert (out.protocol, out.source, out.target, out.target_port) == ("link", US, PLC, 0x8892)
    assert (out.payload, out.odd, out.counts) == (len(IDENTIFY), "", True)
    assert (came.source, came.target, came.payload, came.odd) == (PLC, US, 12 + 40, "")


@pytest.mark.parametrize(
    ("payload", "length", "words"),
    [
        ("fefd0400000000010000 0008", 60, "DCP service 4, type 0, FrameID 0xfefd"),
        ("fefd0300000000010000 0002", 60, "DCP service 3"),
        ("fefc0600000000010000 0008", 60, "DCP service 6"),
        ("fefe0500000000010001 0004", 30, "a frame of 30 bytes"),
        ("fefe0500000000010001 0100", 60, "a length that does not fit"),
    ],
)
def test_what_must_not_leave_is_odd(payload: str, length: int, words: str) -> None:
    data = GLOBAL + entry(frame(payload=bytes.fromhex(payload)), length)

    assert words in next(read_link(data, KNOWN)).odd


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GLOBAL[:20] + struct.pack("<I", 101) + entry(frame()),
        GLOBAL + entry(frame()[:25]),
        GLOBAL + entry(frame(to=bytes.fromhex("010ecf000000"))),
        GLOBAL + entry(frame(to=MACHINE)),
        GLOBAL + entry(frame(to=STATION, by=STATION)),
        GLOBAL + entry(frame(kind=0x0800)),
    ],
)
def test_a_file_that_no_scan_wrote_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        list(read_link(data, KNOWN))


def test_a_file_of_frames_is_no_file_of_packets() -> None:
    with pytest.raises(Unreadable, match="raw IP"):
        list(read(GLOBAL + entry(frame())))


@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=40))))
def test_any_frames_are_read_or_unreadable(kept: list[tuple[int, bytes]]) -> None:
    data = GLOBAL + b"".join(entry(head, length) for length, head in kept)
    try:
        found = list(read_link(data, KNOWN))
    except Unreadable:
        return
    assert len(found) == len(kept)


# --- the certificate -----------------------------------------------------------------------------


def asked(*, frames: int = 1, odd: str = "", address: str = PLC, recorded: bool = True) -> Story:
    """A clean scan, and one question on layer 2 behind everything else."""
    told = clean()
    if recorded:
        told.record(9.0, address, 0x8892, "dcp", IDENTIFY)
        target = Target(zone="control", address=address, port=0x8892, transport=Transport.LINK)
        told.exchanges[-1] = replace(told.exchanges[-1], target=target)
    told.packets += [
        Packet(
            at=T0 + 9.0 + number / 1000, source=US, target=address, protocol="link",
            source_port=0x8892, target_port=0x8892, flags=0, sequence=0, acknowledged=0,
            payload=len(IDENTIFY), odd=odd,
        )
        for number in range(frames)
    ]  # fmt: skip
    return told


def test_one_frame_is_one_packet_of_its_device_and_breaks_no_promise() -> None:
    made = audit(audited(asked()))

    assert {row.verdict for row in made.promises} == {"pass"}
    assert "13 packets" in words(made, 5)
    assert "0 writes, 0 unknown of 7 requests" in words(made, 1)


@pytest.mark.parametrize(
    ("story", "changes", "rows"),
    [
        (asked(frames=2), {}, {7}),  # one more than the record has
        (asked(frames=9), {}, {3, 5, 7}),
        (asked(odd="DCP service 4, type 0, FrameID 0xfefd"), {}, {9}),
        (asked(recorded=False), {}, {7}),
        (asked(address=S7), {}, {15}),  # it was left alone before
        (asked(), {"stops": ((audited(clean()).sittings[0], "stopped"),)}, {16}),
        (asked(), {"limits": tuple(limits(a, budget=3) for a in (PLC, S7))}, {6}),
    ],
)  # fmt: skip
def test_what_must_not_happen_on_layer_2_fails_its_rows(
    story: Story, changes: dict[str, Any], rows: set[int]
) -> None:
    assert rows <= failed(story, **changes)


def test_a_frame_that_was_answered_and_is_not_in_the_capture_makes_it_prove_nothing() -> None:
    made = audit(audited(asked(frames=0)))

    assert "not used, since it lacks 16 of" in made.capture
    assert next(row for row in made.promises if row.promise == 5).verdict == "not measured"
