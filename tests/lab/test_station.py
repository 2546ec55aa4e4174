"""The PROFINET station answers as recorded ones did, tshark reads it, and what would act shows."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

from lab.ledger import Ledger
from lab.station import ALL_STATIONS, Station
from tests.conftest import missing
from tests.proof.judge import injected

MODULE = injected.MODULES["dcp"]
OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
S7_300 = {
    "station_type": "S7-300EC", "name": "%n%n%n ", "padded": True, "vendor_id": 0x2A,
    "device_id": 0x101, "role": 2, "address": "192.168.0.11", "mask": "255.255.255.0",
    "gateway": "192.168.0.11",
}  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def station(**settings: Any) -> tuple[Station, Ledger, Clock]:
    clock = Clock()
    ledger = Ledger("D1", "192.168.0.11", clock=clock)
    return Station({**S7_300, **settings}, THEIRS, ledger, clock), ledger, clock


def said(to: Station, payload: bytes, *, source: bytes = OURS, target: bytes = THEIRS) -> bytes:
    frame = (target + source + b"\x88\x92" + payload).ljust(60, b"\0")
    answer = to.hear(frame)
    if answer is None:
        return b""
    assert answer[:14] == source + THEIRS + b"\x88\x92"
    return answer[14:]


def test_it_answers_as_a_recorded_station_did(captures: Path) -> None:
    path = captures / "profinet-dcp__profinet_station_percent_n.json"
    (exchange,) = json.loads(path.read_text(encoding="utf-8"))["exchanges"]
    one, ledger, _ = station()

    answer = said(one, bytes.fromhex(exchange["request_hex"]))

    # The recorded one fills its names up further, and orders what it can do differently.
    recorded = bytes.fromhex(exchange["response_hex"])
    assert answer[:8] == recorded[:8]
    assert blocks(answer)[2, 2].rstrip(b"\0") == blocks(recorded)[2, 2].rstrip(b"\0")
    for same in ((2, 1), (2, 3), (2, 4), (1, 2)):
        assert blocks(answer)[same] == blocks(recorded)[same]
    assert ledger.functions == {"dcp identify": 1}


def blocks(frame: bytes) -> dict[tuple[int, int], bytes]:
    found, at = {}, 12
    while at < 12 + int.from_bytes(frame[10:12], "big"):
        option, suboption, length = struct.unpack_from("!BBH", frame, at)
        found[option, suboption] = frame[at + 4 : at + 4 + length]
        at += 4 + length + (length & 1)
    return found


def test_what_would_act_is_answered_and_counted() -> None:
    one, ledger, _ = station()
    sets = [name for name in MODULE.WRITES if name.startswith("dcp") and name != "dcp hello"]

    for name in sets:
        ((request,),) = [MODULE.WRITES[name][2]]
        assert said(one, request)[:4] == bytes.fromhex("fefd0401"), name

    assert ledger.writes == {"dcp set": len(sets)}


def test_other_frames_and_broken_ones_are_counted_apart() -> None:
    one, ledger, _ = station()
    ((identify,),) = [requests for *_, requests in MODULE.HARMLESS.values()]

    for name in ("profinet output data", "profinet alarm", "an answer to identify", "dcp hello"):
        assert said(one, MODULE.WRITES[name][2][0]) == b""
    assert one.hear(THEIRS + OURS + b"\x88\x92" + identify[:20]) is None
    assert said(one, identify[:10] + b"\xff\xff" + identify[12:]) == b""

    assert sum(ledger.foreign.values()) == 4
    assert sum(ledger.malformed.values()) == 2
    assert ledger.requests == 0


def test_all_stations_are_told_apart_and_other_stations_are_not_heard() -> None:
    one, ledger, _ = station()
    ((identify,),) = [requests for *_, requests in MODULE.HARMLESS.values()]

    assert said(one, identify, target=ALL_STATIONS)
    assert said(one, identify, target=OURS) == b""
    assert said(one, identify[:8] + bytes.fromhex("0001 0006 0202 0002") + b"xx") == b""

    assert ledger.functions == {"dcp identify to all stations": 1, "dcp identify": 1}


def test_a_get_keeps_everybody_else_out_for_three_seconds_and_identify_does_not() -> None:
    one, _, clock = station()
    ((get,),) = [MODULE.NOT_ONLY_READING["dcp get"][2]]
    ((identify,),) = [requests for *_, requests in MODULE.HARMLESS.values()]
    engineer = bytes.fromhex("020000000009")

    assert said(one, identify)
    assert said(one, get, source=engineer)
    assert said(one, get) == b""
    assert said(one, identify)
    clock.now = 3.1
    assert said(one, get)
    assert said(one, get, source=engineer) == b""


def test_tshark_reads_what_it_says(tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        missing("tshark is not installed")
    one, _, _ = station()
    ((identify,),) = [requests for *_, requests in MODULE.HARMLESS.values()]
    frame = OURS + THEIRS + b"\x88\x92" + said(one, identify)
    file = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    file += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    names = (
        "pn_dcp.suboption_device_devicevendorvalue", "pn_dcp.suboption_vendor_id",
        "pn_dcp.suboption_device_role", "pn_dcp.suboption_ip_ip", "_ws.malformed",
    )  # fmt: skip
    words = ["tshark", "-n", "-r", "-", "-T", "fields", "-E", "separator=,"]

    told = subprocess.run(
        [*words, *(word for name in names for word in ("-e", name))],
        input=file, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip

    assert told.strip() == "S7-300EC,0x002a,0x02,192.168.0.11,"
