"""What the layer-2 helper lets leave, to whom, and what its kernel filter hands over."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes import dcp
from scanner import link
from scanner.errors import Withheld
from tests.proof.judge import injected

MODULE = injected.MODULES["dcp"]
IDENTIFY = dcp.encode_identify(xid=0x0C0FFEE1)
STATION, OTHER, ROUTER = "10.1.0.5", "10.1.0.6", "10.1.0.1"
MACS = {STATION: "00:09:91:43:e0:67", OTHER: "00:02:e3:17:c7:50", ROUTER: "02:00:00:00:00:01"}
HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"
OWN, THEIRS = bytes.fromhex("020000000009"), bytes.fromhex("0009914 3e067".replace(" ", ""))


def table(*rows: tuple[str, str, str, str]) -> str:
    return HEAD + "".join(
        f"{address:17}{kind:12}{flags:12}{mac:22}*        {interface}\n"
        for address, kind, flags, mac, interface in ((*row[:4], "eth1") for row in rows)
    )


USUAL = table(*((address, "0x1", "0x2", mac) for address, mac in MACS.items()))


def whereto(
    address: str = STATION, frame: bytes = IDENTIFY, *, arp: str = USUAL,
    plan: dict[str, str | None] | None = None, asked: tuple[str, ...] = (),
) -> link.Neighbour | str:  # fmt: skip
    return link.whereto(
        address,
        frame,
        stations={STATION: None, OTHER: None} if plan is None else plan,
        asked=[bytes.fromhex(one.replace(":", "")) for one in asked],
        known=link.neighbours(arp),
    )


def test_an_identify_goes_to_the_neighbour_that_the_kernel_knows() -> None:
    assert whereto() == link.Neighbour(address=STATION, mac=THEIRS, interface="eth1")
    assert whereto(plan={STATION: "00:09:91:43:E0:67"}) == whereto()


@pytest.mark.parametrize("name", [*MODULE.WRITES, *MODULE.NOT_ONLY_READING, *MODULE.FOREIGN])
def test_no_other_frame_leaves_whatever_the_guard_said(name: str) -> None:
    offences = {**MODULE.WRITES, **MODULE.NOT_ONLY_READING}
    frame = offences[name][2][0] if name in offences else MODULE.FOREIGN[name][2]

    assert whereto(frame=frame) == "the frame is no Identify of all options"
    assert whereto(frame=frame[:16]) == "the frame is no Identify of all options" or (
        name in MODULE.FOREIGN and frame[:4] == IDENTIFY[:4]
    )


@given(st.data())
def test_a_changed_frame_leaves_only_with_another_transaction(data: st.DataObject) -> None:
    frame = bytearray(IDENTIFY)
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(frame) + data.draw(st.binary(max_size=2))

    same = len(changed) == 16 and changed[:4] + changed[8:] == IDENTIFY[:4] + IDENTIFY[8:]
    assert isinstance(whereto(frame=changed), link.Neighbour) == same


@pytest.mark.parametrize(
    ("problem", "found"),
    [
        ("10.1.0.1 is not in the plan", whereto(ROUTER)),
        ("is not in the plan", whereto("01:0e:cf:00:00:00")),
        ("is no neighbour", whereto("10.1.0.7", plan={"10.1.0.7": None})),
        ("is no neighbour", whereto(arp=table((STATION, "0x1", "0x0", MACS[STATION])))),
        ("is no neighbour", whereto(arp=table((STATION, "0x304", "0x2", MACS[STATION])))),
        ("is no neighbour", whereto(arp=table((STATION, "0x1", "0x2", "00:09:91")))),
        ("is no neighbour", whereto(arp=table((STATION, "0x1", "hm", MACS[STATION])))),
        ("is no neighbour", whereto(arp="")),
        ("of one station", whereto(arp=table((STATION, "0x1", "0x2", "01:0e:cf:00:00:00")))),
        ("of one station", whereto(arp=table((STATION, "0x1", "0x2", "ff:ff:ff:ff:ff:ff")))),
        ("of one station", whereto(arp=table((STATION, "0x1", "0x2", "00:00:00:00:00:00")))),
        ("declared is 02:", whereto(plan={STATION: "02:00:00:00:00:05"})),
        ("had its frame already", whereto(asked=(MACS[STATION],))),
        (
            "10.1.0.1 has the same MAC address",  # it answers for the station
            whereto(arp=table(*((one, "0x1", "0x2", MACS[ROUTER]) for one in (STATION, ROUTER)))),
        ),
    ],
)
def test_each_reason_is_told(problem: str, found: link.Neighbour | str) -> None:
    assert isinstance(found, str)
    assert problem in found


def test_two_addresses_of_one_station_get_one_frame() -> None:
    arp = table(*((one, "0x1", "0x2", MACS[STATION]) for one in (STATION, OTHER)))

    assert isinstance(whereto(arp=arp), link.Neighbour)
    assert whereto(OTHER, arp=arp, asked=(MACS[STATION],)) == f"{OTHER} had its frame already"


@given(st.text(max_size=200))
def test_whatever_stands_in_the_table_gives_rows_or_none(text: str) -> None:
    for row in link.neighbours(HEAD + text):
        assert len(row.mac) == 6


# --- the kernel's filter -------------------------------------------------------------------------


def run(program: bytes, frame: bytes) -> int:
    """Classic BPF as linux/filter.h has it, for the four instructions that are used."""
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x15:
            at += yes if accumulator == value else no
        else:
            size = {0x20: 4, 0x28: 2}[code]
            if value + size > len(frame):
                return 0
            accumulator = int.from_bytes(frame[value : value + size], "big")


PROGRAM = link.filter_program(own=OWN, station=THEIRS, xid=IDENTIFY[4:8])
ANSWER = OWN + THEIRS + b"\x88\x92\xfe\xff\x05\x01" + IDENTIFY[4:8] + bytes(60)


def test_the_answer_of_the_station_is_handed_over_whole() -> None:
    assert run(PROGRAM, ANSWER) >= 1514


@given(st.sampled_from([*range(12), 14, 15, *range(18, 22)]), st.integers(1, 255))
def test_frames_of_others_to_others_or_to_other_questions_are_not(at: int, by: int) -> None:
    changed = bytearray(ANSWER)
    changed[at] ^= by

    assert run(PROGRAM, bytes(changed)) == 0


@given(st.binary(max_size=40))
def test_short_frames_are_not(frame: bytes) -> None:
    assert run(PROGRAM, frame) == 0
    assert run(PROGRAM, ANSWER[:21]) == 0


# --- parent and helper ---------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="packet sockets are Linux's")


@linux
async def test_a_helper_without_its_table_sends_nothing_and_says_so(tmp_path: Path) -> None:
    orders, answers = os.pipe(), os.pipe()
    os.write(orders[1], b'{"do": "begin", "stations": {"10.1.0.5": null}}\n')
    ask = {"do": "ask", "id": 1, "address": STATION, "frame": IDENTIFY.hex(), "wait_s": 1}
    os.write(orders[1], json.dumps(ask).encode() + b"\n")
    os.close(orders[1])

    link.serve(orders[0], answers[1], table=tmp_path / "none")

    told = os.read(answers[0], 4096).decode().splitlines()
    for end in (orders[0], *answers):
        os.close(end)
    assert told[0] == '{"begun": true}'
    assert '"sent": false' in told[1]
    assert "cannot be read" in told[1]


class Told(link.Helper):
    """The parent's side over pipes of the test, without a process."""

    def __init__(self, answers: int, orders: int) -> None:
        class Process:
            stdin = os.fdopen(orders, "wb")
            stdout = os.fdopen(answers, "rb", buffering=0)

            def wait(self, timeout: float) -> None:
                pass

        self._process = Process()  # type: ignore[assignment]
        self._waiting, self._numbers, self.problem = b"", 0, ""
        self._sent, self._replies, self._loop = {}, {}, None


async def test_replies_find_their_questions_in_whatever_order_they_come() -> None:
    (orders_out, orders_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    with Told(answers_out, orders_in) as helper:
        first = asyncio.ensure_future(helper.send(STATION, IDENTIFY, 1.0))
        second = asyncio.ensure_future(helper.send(OTHER, IDENTIFY, 1.0))
        third = asyncio.ensure_future(helper.send(OTHER, IDENTIFY, 1.0))
        await asyncio.sleep(0)
        for line in (
            b'{"id": 2, "sent": true, "why": ""}\n{"id": 1, "sent"',
            b': true, "why": ""}\n{"id": 2, "reply": "feff", "came_ns": 5}\n',
            b'{"id": 3, "sent": false, "why": "had its frame already"}\n{"id": 1, "reply": null}\n',
        ):
            os.write(answers_in, line)

        assert await (await second) == link.Reply(frame=b"\xfe\xff", came_ns=5)
        assert await (await first) is None
        with pytest.raises(Withheld, match="layer 2: had its frame already"):
            await third
        await asyncio.sleep(0)
        assert not helper._sent
        assert not helper._replies
    os.close(orders_out)
    os.close(answers_in)


async def test_a_helper_that_died_sends_nothing_and_every_question_says_so() -> None:
    (orders_out, orders_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    with Told(answers_out, orders_in) as helper:
        asked = asyncio.ensure_future(helper.send(STATION, IDENTIFY, 1.0))
        await asyncio.sleep(0)
        os.write(answers_in, b'{"id": 1, "sent": true, "why": ""}\n')
        reply = await asked
        os.close(answers_in)

        assert await reply is None
        with pytest.raises(Withheld, match="gone"):
            await helper.send(OTHER, IDENTIFY, 1.0)
        os.close(orders_out)


async def test_a_question_that_is_cancelled_leaves_nothing_behind() -> None:
    (orders_out, orders_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    with Told(answers_out, orders_in) as helper:
        asked = asyncio.ensure_future(helper.send(STATION, IDENTIFY, 1.0))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.sleep(0)

        assert not helper._sent
        os.write(answers_in, b'{"id": 1, "sent": true, "why": ""}\n')
        again = asyncio.ensure_future(helper.send(OTHER, IDENTIFY, 1.0))
        await asyncio.sleep(0)
        os.write(answers_in, b'{"id": 2, "sent": true, "why": ""}\n')
        (await again).cancel()
    os.close(orders_out)
    os.close(answers_in)
