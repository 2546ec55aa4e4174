"""
One Identify leaves the layer-2 helper for a station on a link, and nothing else ever does: two
namespaces of the test's own, a pair of interfaces, the kernel's ARP, the lab's station, and what
the device side saw.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes import dcp
from scanner.audit import packets
from scanner.facts import DeviceIdentity, OwnAddress
from tests.conftest import missing
from tests.proof.judge.packets import read
from tests.proof.judge.verdict import Allowed, Device, judge

pytestmark = [pytest.mark.integration, pytest.mark.root]
ROOT = Path(__file__).parents[2]
SCANNER, STATION, SECOND = "10.99.0.1", "10.99.0.2", "10.99.0.3"
SETTINGS = {
    "station_type": "S7-300EC", "name": "%n%n%n ", "padded": True, "vendor_id": 0x2A,
    "device_id": 0x101, "role": 2, "address": STATION, "mask": "255.255.255.0",
}  # fmt: skip
IDENTIFY = dcp.encode_identify(xid=0x0C0FFEE1)
DRIVER = """
import asyncio, json, os, signal, socket, subprocess, sys
from pathlib import Path
from scanner import link, privileges
from scanner.errors import Withheld

async def main():
    steps = json.loads(sys.argv[1])
    helper = link.launch()
    if all(verb != "down" for verb, *_ in steps):
        privileges.drop()
    status = Path(f"/proc/{helper.pid}/status").read_text()
    told = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "NoNew"))]
    found = [told, privileges.standing().capabilities]
    for verb, *what in steps:
        if verb == "begin":
            found.append(helper.begin(what[0]))
        elif verb == "knock":  # what makes the kernel look for a neighbour
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knock:
                knock.sendto(b"?", (what[0], 9))
            await asyncio.sleep(0.2)
        elif verb == "down":  # the cable is pulled while the helper listens
            waiting = asyncio.ensure_future(helper.send(what[0], bytes.fromhex(what[1]), what[2]))
            await asyncio.sleep(0.2)
            subprocess.run(["ip", "link", "set", "s0", "down"], check=True)
            subprocess.run(["ip", "link", "set", "s0", "up"], check=True)
            found.append(await (await waiting))
        elif verb == "kill":
            os.kill(helper.pid, signal.SIGKILL)
        else:
            try:
                reply = await (await helper.send(what[0], bytes.fromhex(what[1]), what[2]))
                found.append(None if reply is None else reply.frame.hex())
                assert reply is None or 0 <= reply.age_s < 1
            except Withheld as why:
                found.append(str(why))
    helper.close()
    print(json.dumps(found))

asyncio.run(main())
"""


SCAN = """
import asyncio, json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from scanner import capture, link, privileges, plan, site
from scanner.cli import certifying
from scanner.cli.scanning import ScanOrder  # the composition root is loaded as for a scan
from scanner.engine import Engine
from scanner.fragile import Neighbours
from scanner.governor import Governor
from scanner.session import Grant
from scanner.windows import Permission
from tests.conftest import MemoryEvidence, RefusingAttempts, real_clock
from tests.scanner.test_link_session import PROBE
from probes.modbus import PROBE as MODBUS
from scanner import tripwire

class Journal(MemoryEvidence):
    def __init__(self):
        super().__init__()
        self.kept = []
    async def question_started(self, key, *, protocol, at):
        pass
    async def question_finished(self, observation):
        self.kept.append(observation)
        return observation

async def main():
    helper, watcher = link.launch(), capture.launch()
    privileges.drop()
    plan.LAYER_2 = "cleartext"  # what the site file knows to consent to
    planned = plan.build(site.load(Path(sys.argv[1])), (PROBE, MODBUS))
    helper.begin({a: None for device in planned.devices for a in device.addresses})
    begun, ours = certifying.begin_capture(watcher, planned, Path(sys.argv[2]), wanted=True)
    assert begun == certifying.BEGUN, begun
    clock = real_clock()
    always = lambda zone, now: Permission(allowed=True, until=None, reason="")
    inside = lambda zone, address: planned.site.zone_of(address) is not None
    journal = Journal()
    with ThreadPoolExecutor(1) as executor, tripwire.armed():
        await Engine(
            plan=planned, governor=Governor(clock, always, inside), journal=journal,
            lend=lambda device, question, known: Grant(
                known=known, attempts=RefusingAttempts(), fingerprint_key=bytes(32)
            ),
            executor=executor, link_address=Neighbours().link_address, link=helper,
        ).run()
    helper.close()
    seen = watcher.end()
    watcher.close()
    told = [(o.probe, o.outcome, o.reason, [f.kind for f in o.facts]) for o in journal.kept]
    print(json.dumps([told, [row["request"].hex() for row in journal.intents],
                      [seen.whole, seen.frames, dict(seen.stations)]]))

asyncio.run(main())
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@dataclass(frozen=True)
class Link:
    names: tuple[str, str]
    folder: Path

    def inside(self, side: int) -> list[str]:
        return ["ip", "netns", "exec", self.names[side]]

    @property
    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "ledger.json").read_text("utf-8"))
        return found

    def drive(self, *steps: tuple[object, ...]) -> list[Any]:
        """What the driver says of each step but `knock` and `kill`, the helper's rights first."""
        done = subprocess.run(
            [*self.inside(0), sys.executable, "-c", DRIVER, json.dumps(steps)],
            capture_output=True, text=True, check=False, timeout=30,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: list[Any] = json.loads(done.stdout)
        return found


@contextmanager
def link(folder: Path, **settings: Any) -> Iterator[Link]:
    """A scanner and a station on one link."""
    names = (f"wdlink-{os.getpid()}-s", f"wdlink-{os.getpid()}-d")
    place = Link(names, folder)
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, **settings}))
    try:
        for name in names:
            ip("netns", "add", name)
            for kind in ("all", "default"):
                quiet = f"net.ipv6.conf.{kind}.disable_ipv6=1"
                subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", quiet], check=True)
        ip("link", "add", "s0", "netns", names[0], "type", "veth",
           "peer", "name", "d0", "netns", names[1])  # fmt: skip
        ip("-n", names[0], "address", "add", f"{SCANNER}/24", "dev", "s0")
        ip("-n", names[1], "address", "add", f"{STATION}/24", "dev", "d0")
        ip("-n", names[1], "address", "add", f"{SECOND}/24", "dev", "d0")
        for name, device in zip(names, ("s0", "d0"), strict=True):
            ip("-n", name, "link", "set", device, "up")
        words = [sys.executable, "-m", "lab.station", "d0"]
        words += [str(folder / "settings.json"), str(folder / "ledger.json")]
        with subprocess.Popen(
            [*place.inside(1), *words], stdout=subprocess.PIPE, cwd=ROOT
        ) as station:
            try:
                assert station.stdout is not None
                assert station.stdout.readline().count(b":") == 5
                yield place
            finally:
                station.kill()
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@contextmanager
def captured(place: Link) -> Iterator[Path]:
    path = place.folder / "device.pcap"
    words = ["tcpdump", "-i", "d0", "-n", "-U", "--immediate-mode", "-Z", "root", "-w", str(path)]
    with subprocess.Popen([*place.inside(1), *words], stderr=subprocess.PIPE) as dump:
        try:
            deadline = time.monotonic() + 10
            while not path.exists() or path.stat().st_size < 24:
                assert time.monotonic() < deadline, "tcpdump did not start"
                time.sleep(0.02)
            yield path
            time.sleep(0.2)
        finally:
            dump.send_signal(signal.SIGINT)
            words = dump.communicate(timeout=10)[1].decode()
    assert "0 packets dropped by kernel" in words, words


@pytest.fixture(autouse=True)
def _able() -> None:
    lacking = [name for name in ("ip", "tcpdump", "tshark", "sysctl") if not shutil.which(name)]
    if os.geteuid() != 0 or lacking:
        missing(f"no link can be made here: {', '.join(lacking) or 'not root'}")


def test_a_station_in_the_plan_is_asked_once_and_tells_who_it_is(tmp_path: Path) -> None:
    setting = bytes.fromhex("fefd04000c0ffee1000000080202000400016161")

    with link(tmp_path) as place, captured(place) as capture:
        rights, ours, begun, reply, again, foreign, write, cut = place.drive(
            ("begin", {STATION: None, SECOND: None}),
            ("knock", STATION),
            ("ask", STATION, IDENTIFY.hex(), 2.0),
            ("ask", STATION, IDENTIFY.hex(), 2.0),
            ("ask", "10.99.0.9", IDENTIFY.hex(), 2.0),
            ("ask", SECOND, setting.hex(), 2.0),
            ("ask", SECOND, setting[:16].hex(), 2.0),
        )
        ledger = place.ledger

    assert (rights, ours, begun) == (["0000000000002000", "1"], 0, True)
    facts = dcp.facts_from(dcp.decode_identify(bytes.fromhex(reply), xid=0x0C0FFEE1))
    assert DeviceIdentity(model="S7-300EC", name="%n%n%n") in facts
    assert OwnAddress(ip=STATION, prefix_length=24) in facts
    assert again == f"layer 2: {STATION} had its frame already"
    assert foreign == "layer 2: 10.99.0.9 is not in the plan"
    assert write == cut == "layer 2: the frame is no Identify of all options"
    assert (ledger["functions"], ledger["writes"]) == ({"dcp identify": 1}, {})
    assert (ledger["foreign"], ledger["malformed"]) == ({}, {})
    sent = [p for p in read([capture]) if p.protocol == "link" and p.source == SCANNER]
    assert [(p.target, p.length + 14, p.odd) for p in sent] == [(STATION, 60, "")]
    device = Device(
        addresses=(STATION, SECOND), zone="z", packets_per_s=4, budget=2,
        ports=frozenset({("link", 0x8892), ("udp", 9)}), measured=True,
    )  # fmt: skip
    found = judge(
        [capture],
        Allowed(scanner=frozenset({SCANNER}), devices={"d": device}, networks=("10.99.0.0/24",)),
    )
    faults = {number: one.faults for number, one in found.findings.items() if one.faults}
    knock = "port of no protocol here: 3f to 10.99.0.2 udp 9"
    assert faults == {1: [f"unknown: {knock}"], 7: [knock]}  # the test's own
    assert found.services["read: DCP Identify"] == 1


def test_a_scan_asks_over_ip_first_and_then_once_on_the_link(tmp_path: Path) -> None:
    """The engine, the session, the governor and the helper of the product; what is missing for a
    scan of a user is a probe that the plan finds, consent in the site file, and the certificate."""
    site = tmp_path / "site.yaml"
    site.write_text(
        "site: Test\nzones:\n  - id: z\n    networks: [10.99.0.2/31]\n    sl_t: 1\n    assets:\n"
        f"      - {{name: A, address: {STATION}, addresses: [{SECOND}], consent: [cleartext]}}\n"
    )

    with link(tmp_path) as place, captured(place) as capture:
        done = subprocess.run(
            [*place.inside(0), sys.executable, "-c", SCAN, str(site), str(tmp_path)],
            capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told, requests, seen = json.loads(done.stdout)
        ledger = place.ledger

    outcomes = [(probe, outcome) for probe, outcome, *_ in told]
    assert outcomes == [
        ("modbus", "refused"), ("modbus", "refused"), ("dcp", "answered"), ("dcp", "withheld"),
    ]  # fmt: skip
    assert told[2][3] == [
        "service_access", "device_identity", "device_identity", "own_address", "link_address",
    ]  # fmt: skip
    assert told[3][2] == f"layer 2: {SECOND} had its frame already"
    assert [one[:8] for one in requests if one.startswith("fe")] == ["fefe0500"] * 2
    assert (ledger["functions"], ledger["writes"]) == ({"dcp identify": 1}, {})
    device = Device(
        addresses=(STATION, SECOND), zone="z", packets_per_s=8, connection_interval_s=1.0,
        ports=frozenset({("link", 0x8892), ("tcp", 502)}), measured=True,
    )  # fmt: skip
    found = judge(
        [capture],
        Allowed(scanner=frozenset({SCANNER}), devices={"d": device}, networks=("10.99.0.0/24",)),
    )
    assert {number: one.faults for number, one in found.findings.items() if one.faults} == {}
    assert found.findings[13].most["dcp questions"] == 1
    (station,) = seen[2].items()
    assert seen[:2] == [True, 2]
    assert sorted(station[1]) == [STATION, SECOND]
    kept = (tmp_path / "link.pcap").read_bytes()
    out, came = packets.read_link(kept, {station[0]: STATION})
    assert (out.target, out.payload, out.odd) == (STATION, 16, "")
    assert (came.source, came.odd) == (STATION, "")
    assert b"%n%n%n" not in kept, "no block of an answer is in the file"
    sent = next(p for p in read([capture]) if p.protocol == "link" and p.source == SCANNER)
    assert abs(out.at - sent.at) < 0.05


def test_who_answers_also_for_an_address_outside_the_plan_is_not_asked(tmp_path: Path) -> None:
    with link(tmp_path) as place:
        *_, answer = place.drive(
            ("begin", {STATION: None}),
            ("knock", STATION),
            ("knock", SECOND),
            ("ask", STATION, IDENTIFY.hex(), 1.0),
        )
        ledger = place.ledger

    assert answer == f"layer 2: {SECOND} has the same MAC address, and is not in the plan"
    assert ledger["requests"] == 0


def test_whoever_was_never_spoken_to_is_not_looked_for(tmp_path: Path) -> None:
    with link(tmp_path) as place, captured(place) as capture:
        *_, answer = place.drive(("begin", {STATION: None}), ("ask", STATION, IDENTIFY.hex(), 1.0))

    assert answer == f"layer 2: {STATION} is no neighbour on a link of this machine"
    assert read([capture]) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"silent": True},
        {"answers": "feff0501 0badf00d 0000 0000"},  # of another question
        {"answers": IDENTIFY.hex().replace("0c0ffee1", "X" * 8)},  # our own bytes
    ],
)
def test_silence_and_answers_to_others_are_no_answer_and_nothing_is_repeated(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with link(tmp_path, **settings) as place:
        started = time.monotonic()
        *_, answer = place.drive(
            ("begin", {STATION: None}),
            ("knock", STATION),
            ("ask", STATION, IDENTIFY.hex(), 0.3),
        )
        took = time.monotonic() - started
        ledger = place.ledger

    assert answer is None
    assert took < 10
    assert ledger["functions"] == {"dcp identify": 1}


@pytest.mark.parametrize("settings", [{"tagged": True}, {"repeats": 500}])
def test_a_priority_tag_and_a_flood_of_answers_change_nothing(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with link(tmp_path, **settings) as place:
        *_, answer, after = place.drive(
            ("begin", {STATION: None}),
            ("knock", STATION),
            ("ask", STATION, IDENTIFY.hex(), 2.0),
            ("ask", STATION, IDENTIFY.hex(), 2.0),
        )

    station = dcp.decode_identify(bytes.fromhex(answer), xid=0x0C0FFEE1)
    assert (station.station_type, station.address) == ("S7-300EC", STATION)
    assert after.endswith("had its frame already")


def test_a_link_that_goes_down_ends_the_wait_and_not_the_helper(tmp_path: Path) -> None:
    with link(tmp_path, silent=True) as place:
        started = time.monotonic()
        *_, answer, after = place.drive(
            ("begin", {STATION: None}),
            ("knock", STATION),
            ("down", STATION, IDENTIFY.hex(), 5.0),
            ("ask", "10.99.0.9", IDENTIFY.hex(), 1.0),
        )

    assert answer is None
    assert time.monotonic() - started < 4.5
    assert after == "layer 2: 10.99.0.9 is not in the plan"


def test_a_helper_that_is_killed_sends_nothing_and_says_so(tmp_path: Path) -> None:
    with link(tmp_path) as place:
        *_, answer = place.drive(
            ("begin", {STATION: None}),
            ("knock", STATION),
            ("kill",),
            ("ask", STATION, IDENTIFY.hex(), 1.0),
        )
        ledger = place.ledger

    assert "the layer-2 helper" in answer
    assert ledger["requests"] == 0
