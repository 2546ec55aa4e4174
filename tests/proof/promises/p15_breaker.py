"""
The circuit breaker.

Devices, each in a zone of its own, are scanned side by side; at a random moment each goes silent
(the device side's firewall drops everything, so that nothing is acknowledged), resets every
connection, or becomes slow. Counted on the device side, from the first packet on that it could have
answered in its changed way: what reaches it, when the last of it came, and connections.

The one question that section 6 of safety.md asks for (the canary) belongs to what is counted. It
may need a connection where the device still takes one; a second one would be a fault.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.proof.ground import OWN, Ground, ground
from tests.proof.judge.packets import ACK, RST, SYN, Packet, read
from tests.proof.promise import Measured, Promise, Tally, Unable, Work
from tests.proof.stops import NETWORK, emulated

PACKETS = 8
LAST_S = 5.0
CONNECTIONS = 1
"""That of the canary."""
CHUNK = 96
LAST_MOMENT_S = 12.0
DEVICES = ("PLC-11", "PLC-12", "PLC-14", "HMI-1", "RIO-16", "GW-17", "UPS-1", "SW-SUP")
WAYS = ("silent", "resets", "slow")
FAULTS: dict[str, dict[str, Any]] = {
    "resets": {"name": "resets_at"},
    "slow": {"name": "slows_at", "delay_s": 1.5},
}


@dataclass(slots=True, kw_only=True)
class Patient:
    """One device and what happens to it, `after_s` its first packet."""

    number: int
    name: str
    address: str
    way: str
    after_s: float
    struck: float | None = None


def measure(work: Work) -> Measured:
    with ground() as made:

        def part(first: int, n: int) -> Tally:
            folder = work.folder / f"from{first}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            tally = batch(work, made, folder, first, n)
            if not tally.bad:
                shutil.rmtree(folder)
            return tally

        whole = work.in_chunks(CHUNK, part)
    drawn = whole.cases + sum(
        int(whole.sums.get(why, 0)) for why in ("over before", "never answered before")
    )
    enough = whole.cases * 3 >= drawn
    most = int(whole.figures.get("packets", 0))
    return Measured(
        passed=not whole.bad and enough,
        value=f"at most {most} packets after the moment, the last "
        f"{whole.figures.get('last_s', 0.0):.1f} s after it, at most "
        f"{int(whole.figures.get('connections', 0))} new connection (one may be the canary's), "
        f"from the first packet that was not answered as before; {whole.cases:,} devices that went "
        f"silent, reset or slow while they were asked, of {drawn:,}",
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
        note="" if enough else "too few were struck while they were asked",
    )


def batch(work: Work, made: Ground, folder: Path, first: int, n: int) -> Tally:
    patients = draw(work.setting.seed, first, n)
    path = plant(folder / "plant.yaml", patients)
    site(folder / "site.yaml", patients)
    with emulated(made, path, folder), made.captured(folder) as capture:
        scan = made.start(
            "scanner", *work.setting.walkdown, "scan", str(folder / "site.yaml"),
            "--out", str(folder / "run"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        striking = threading.Thread(target=strike, args=(made, folder, patients, scan))
        striking.start()
        said = scan.communicate(timeout=400)[0].decode(errors="replace")
        striking.join()
    made.heal(*[p.address for p in patients if p.way == "silent" and p.struck])
    if scan.returncode not in (0, 3):
        raise Unable(f"the scan ended with {scan.returncode}: {said[-500:]}")
    packets = read(capture.at_devices)
    whole = Tally()
    for patient in patients:
        whole += judged(patient, [p for p in packets if patient.address in (p.source, p.target)])
    return whole


def draw(seed: int, first: int, n: int) -> list[Patient]:
    found = []
    for number in range(first, first + n):
        dice = random.Random(f"{seed} {number}")
        place = number - first
        found.append(
            Patient(
                number=number,
                name=DEVICES[number % len(DEVICES)],
                address=f"{NETWORK}.{place // 200}.{place % 200 + 1}",
                way=WAYS[dice.randrange(len(WAYS))],
                after_s=dice.uniform(0.05, LAST_MOMENT_S),
            )
        )
    return found


def plant(path: Path, patients: Sequence[Patient]) -> Path:
    harbour = Path(__file__).resolve().parents[3] / "lab" / "plants" / "harbour.yaml"
    whole = YAML(typ="safe", pure=True).load(harbour.read_text(encoding="utf-8"))
    devices = []
    for patient in patients:
        found = next(one for one in whole["devices"] if one["name"] == patient.name)
        fault = FAULTS.get(patient.way)
        new: dict[str, Any] = {
            **found, "name": f"D{patient.number}", "zone": f"z{patient.number}", "declared": None,
            "address": patient.address, "backup": None, "truth": {}, "frailty": {},
            "faults": [{**fault, "after_s": patient.after_s}] if fault else [],
        }  # fmt: skip
        devices.append(new)
    content = {"plant": path.stem, "site": "Struck", "zones": zones(patients), "devices": devices}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def zones(patients: Sequence[Patient]) -> list[dict[str, Any]]:
    return [
        {"id": f"z{p.number}", "networks": [f"{p.address}/32"], "sl_t": 1, "tier": "read"}
        for p in patients
    ]


def site(path: Path, patients: Sequence[Patient]) -> None:
    now = datetime.now(UTC)
    content = {
        "site": "Struck",
        "authorisation": {
            "reference": "PROOF", "owner": "the proof", "contact": "none",
            "valid_from": (now - timedelta(hours=1)).isoformat(),
            "valid_until": (now + timedelta(hours=2)).isoformat(),
        },
        "zones": zones(patients),
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")


def strike(
    made: Ground, folder: Path, patients: Sequence[Patient], scan: subprocess.Popen[bytes]
) -> None:
    """Drop the silent ones when their time has come, counted from the scan's first packet."""
    capture = folder / "device.pcap"
    while capture.stat().st_size < 100 and scan.poll() is None:
        time.sleep(0.01)
    begun = time.time()
    silent = sorted((p for p in patients if p.way == "silent"), key=lambda p: p.after_s)
    for patient in silent:
        while time.time() < begun + patient.after_s:
            if scan.poll() is not None:
                return
            time.sleep(0.005)
        made.drop(patient.address)
        patient.struck = time.time()


def judged(patient: Patient, packets: Sequence[Packet]) -> Tally:
    ours = [p for p in packets if p.source in OWN and p.counts]
    if not ours:
        return Tally(cases=1, bad=1, faults=(f"device {patient.number} was not asked at all",))
    moment = patient.struck
    if patient.way != "silent":
        # The emulator counts from the first packet that it was given to read.
        moment = min(p.at for p in packets) + patient.after_s
    if moment is None:
        return Tally(sums={"over before": 1})
    if not any(p.at < moment and p.source == patient.address and replies(p) for p in packets):
        # Section 6: silence of an address that never answered counts for nothing.
        return Tally(sums={"never answered before": 1})
    moment = noticed(patient, packets, moment)
    after = [p for p in ours if p.at >= moment]
    if not after:
        return Tally(sums={"over before": 1})
    connections = sum(
        p.at > moment and p.flags & (SYN | ACK) == SYN | ACK and p.target in OWN for p in packets
    )
    last = max((p.at - moment for p in after), default=0.0)
    faults = []
    if len(after) > PACKETS:
        faults.append(f"{len(after)} packets")
    if last > LAST_S:
        faults.append(f"the last packet {last:.1f} s after")
    if connections > CONNECTIONS:
        faults.append(f"{connections} new connections")
    what = f"device {patient.number} ({patient.name}, {patient.way} at {patient.after_s:.2f} s)"
    return Tally(
        cases=1,
        bad=int(bool(faults)),
        figures={"packets": len(after), "last_s": last, "connections": connections},
        sums={patient.way: 1},
        faults=tuple(f"{what}: {fault}" for fault in faults),
    )


def noticed(patient: Patient, packets: Sequence[Packet], moment: float) -> float:
    """
    When we first asked for what came changed, or when the first reset came. While nothing is asked
    nothing can be seen, and a port where nobody listens refuses as it did before. A reset of what
    was already said and answered is how many a device says goodbye.
    """
    served = {p.source_port for p in packets if p.source == patient.address and speaks(p)}
    asked = moment
    waiting: set[int] = set()
    """Ports of ours from which something was asked and not answered yet."""
    for packet in packets:
        if packet.at < moment:
            continue
        if packet.source in OWN and packet.counts:
            if patient.way == "silent":
                return packet.at
            asked = packet.at
            if packet.payload or packet.flags & SYN:
                waiting.add(packet.source_port)
        elif packet.source == patient.address and packet.source_port in served:
            late = packet.at - asked > FAULTS["slow"]["delay_s"] * 0.9 and packet.payload
            if patient.way == "slow" and late:
                return asked
            if packet.payload:
                waiting.discard(packet.target_port)
            if patient.way == "resets" and packet.flags & RST and packet.target_port in waiting:
                return packet.at
    return math.inf


def replies(packet: Packet) -> bool:
    return packet.protocol in ("tcp", "udp") and bool(packet.payload)


def speaks(packet: Packet) -> bool:
    return packet.protocol == "udp" or packet.flags & (SYN | ACK) == SYN | ACK


PROMISE = Promise(
    number=15,
    title="Circuit breaker",
    target="at most 8 packets after a device goes silent, resets or slows, the last at most 5 s "
    "after; 0 new connections but the canary's",
    counts={"ci": 26, "full": 2000},  # half of them are struck while they are asked
    measure=measure,
)
