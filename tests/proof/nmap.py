"""
nmap beside Walkdown: the same devices, the same ground, the same judge, in one run.

    python -m tests.proof.nmap --state DIR

writes DIR/shared/nmap/side_by_side.json: for `nmap -sV`, for nmap's ICS scripts as Debian ships
them, and for Walkdown's identify tier, what the devices saw and what the tool found out. Every tool
meets a plant that was just started. It is the shipped plant `harbour`, moved into the proving
ground, with the truth of its identities; and one controller whose port 502 accepts and stays
silent.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from lab.plant import PLANTS
from tests.proof.ground import OWN, Capture, Ground, ground
from tests.proof.judge.grammar import HARMLESS
from tests.proof.judge.packets import RST, most_within
from tests.proof.judge.services import Sent, sent
from tests.proof.judge.verdict import ICS, PORTS, Allowed, Device, judge_sent
from tests.proof.plants import Lab, standing
from tests.proof.promise import Unable

WALKDOWN: Final = (sys.executable, "-c", "from scanner.cli import main; main()")
TCP: Final = "22,23,80,102,443,502,8080,8443,44818"
SCRIPTS_TCP: Final = "modbus-discover,s7-info,enip-info,fox-info,pcworx-info,omron-info"
SCRIPTS_UDP: Final = "snmp-info,enip-info,bacnet-info,omron-info"
TOOLS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "nmap -sV": (("nmap", "-n", "-Pn", "-sV", "-p", TCP),),
    "nmap ICS scripts": (
        ("nmap", "-n", "-Pn", "-p", "102,502,1911,1962,9600,44818", "--script", SCRIPTS_TCP),
        ("nmap", "-n", "-Pn", "-sU", "-p", "161,9600,44818,47808", "--script", SCRIPTS_UDP),
    ),
}
"""Each a command or several, one after another, on all devices at once; times as nmap chooses."""
FOREIGN: Final = ("not ", "port of no protocol", "on COTP")
"""How the judge names bytes that are not of the port's own protocol (verdict, promise 7)."""
SILENT: Final = "PLC-SILENT"


def plant() -> dict[str, Any]:
    """Harbour in 10.77.0.0/16, asked no further than who it is, and the silent controller."""
    text = (PLANTS / "harbour.yaml").read_text(encoding="utf-8").replace("127.30.", "10.77.")
    raw: dict[str, Any] = json.loads(
        json.dumps(YAML(typ="safe", pure=True).load(text), default=str)
    )
    devices = [one for one in raw["devices"] if one.get("address")]
    for device in devices:
        device["declared"] = None
        device["presence"] = "seen_and_undeclared"
        device.pop("backup", None)
    controller = next(one for one in devices if _speaks(one, "modbus") and not one.get("frailty"))
    silent = {
        **deepcopy(controller), "name": SILENT, "truth": {},
        "address": controller["address"].rpartition(".")[0] + ".250",
        "services": [one for one in controller["services"] if one["protocol"] == "modbus"],
        "faults": [{"name": "silent"}],
    }  # fmt: skip
    devices.append(silent)
    zones = []
    for zone in raw["zones"]:
        mine = [f"{one['address']}/32" for one in devices if one["zone"] == zone["id"]]
        if mine:
            zones.append({"id": zone["id"], "name": zone["name"], "networks": mine, "sl_t": 1})
    return {"plant": "side-by-side", "site": raw["site"], "zones": zones, "devices": devices}


def _speaks(device: Mapping[str, Any], protocol: str) -> bool:
    return any(service["protocol"] == protocol for service in device.get("services", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """`found` is what a tool said of each address, as text."""

    seconds: float
    found: dict[str, str]


def with_nmap(place: Ground, lab: Lab, folder: Path, commands: Sequence[Sequence[str]]) -> Work:
    addresses = sorted(lab.names)
    found = dict.fromkeys(addresses, "")
    began = time.monotonic()
    for number, command in enumerate(commands):
        report = folder / f"nmap-{number}.xml"
        done = subprocess.run(
            [*place.inside("scanner"), *command, "-oX", str(report), *addresses],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=3600,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"{command[0]}: {done.stderr.strip()[-300:]}")
        text = report.read_text(encoding="utf-8", errors="replace")
        for host in re.findall(r"<host .*?</host>", text, re.DOTALL):
            address = re.search(r'<address addr="([0-9.]+)"', host)
            if address and address[1] in found:
                found[address[1]] += host
    return Work(seconds=time.monotonic() - began, found=found)


def with_walkdown(place: Ground, lab: Lab, folder: Path) -> Work:
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    began = time.monotonic()
    subprocess.run(
        [*place.inside("scanner"), *WALKDOWN, "scan", str(lab.site), "--out", str(run)],
        capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=3600,
    )  # fmt: skip
    seconds = time.monotonic() - began
    found = dict.fromkeys(lab.names, "")
    assessment = json.loads((run / "assessment.json").read_text(encoding="utf-8"))
    for asset in assessment["assets"]:
        text = json.dumps(asset, ensure_ascii=False)
        for address in found:
            if f'"{address}"' in text:
                found[address] += text
    return Work(seconds=seconds, found=found)


def identified(raw: Mapping[str, Any], found: Mapping[str, str]) -> dict[str, int]:
    """
    How many of the true identity fields stand in what a tool said of that device. A field may be
    said in several ways; any of them will do.
    """
    fields = hits = 0
    for device in raw["devices"]:
        said = found[device["address"]].lower().replace("&quot;", '"').replace("&amp;", "&")
        for value in device.get("truth", {}).get("identity", {}).values():
            readings = value if isinstance(value, list) else [value]
            fields += 1
            hits += any(str(reading).lower() in said for reading in readings)
    devices = sum(bool(text) for text in found.values())
    return {"fields": hits, "of": fields, "devices with an answer": devices}


def figures(what: Sent, raw: Mapping[str, Any], ledgers: Mapping[str, Any]) -> dict[str, Any]:
    """What the devices saw. Rates are the greatest of any one device."""
    devices = {
        str(d["name"]): Device(addresses=(str(d["address"]),), zone="all") for d in raw["devices"]
    }
    scanner = frozenset(OWN)
    findings = judge_sent(what, Allowed(scanner=scanner, devices=devices)).findings
    ours = [p for p in what.packets if p.source in scanner and p.protocol != "arp"]
    counted = [p for p in ours if p.counts]
    times: dict[str, list[float]] = {}
    for packet in counted:
        times.setdefault(packet.target, []).append(packet.at)
    opened = [one for one in what.connections if one.opened_at is not None]
    spoken = {id(a.connection) for a in what.asked if a.connection is not None}
    empty = [one for one in opened if id(one) not in spoken]
    foreign = [
        a for a in what.asked if a.pdu.verdict == "unknown" and a.pdu.service.startswith(FOREIGN)
    ]
    silent = next(str(d["address"]) for d in raw["devices"] if d["name"] == SILENT)
    return {
        "packets": len(counted),
        "pure ACKs": len(ours) - len(counted),
        "peak in 1 s, one device": max(most_within(t, 1.0)[0] for t in times.values()),
        "peak in 100 ms, one device": max(most_within(t, 0.1)[0] for t in times.values()),
        "peak in 1 s, all devices": most_within([p.at for p in counted], 1.0)[0],
        "connections": len(opened),
        "connections to the silent port 502": sum(one.device == silent for one in opened),
        "at once, one device": int(findings[2].most.get("connections at once", 0)),
        "connections without a request": len(empty),
        "without a request on ICS ports": sum(PORTS.get(("tcp", one.port)) in ICS for one in empty),
        "PDUs": len(what.asked),
        "foreign payloads": len(foreign),
        "foreign payloads on ICS ports": sum(a.protocol in ICS for a in foreign),
        "write or control PDUs": sum(a.pdu.verdict == "control" for a in what.asked),
        "PDUs not classified": sum(
            a.pdu.verdict not in HARMLESS and a.pdu.verdict != "control" for a in what.asked
        ),
        "malformed": len(what.complaints),
        "odd packets": sum(bool(p.odd) for p in ours),
        "resets": sum(p.protocol == "tcp" and bool(p.flags & RST) for p in ours),
        "devices that died": sorted(n for n, one in ledgers.items() if not one["alive"]),
        "write or control": sorted(
            {a.pdu.service for a in what.asked if a.pdu.verdict == "control"}
        ),
        "examples of foreign payloads": sorted(
            {f"{a.pdu.service[:60]} on {a.port}" for a in foreign if a.protocol in ICS}
        )[:8],
    }


def measured(tool: str, raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One tool against a plant of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with ground() as place:
        with standing(place, raw, folder) as lab:
            capture: Capture
            with place.captured(folder) as capture:
                commands = TOOLS.get(tool)
                if commands is None:
                    work = with_walkdown(place, lab, folder)
                else:
                    work = with_nmap(place, lab, folder, commands)
        what = sent(capture.at_devices, frozenset(OWN), PORTS, lab.keylog)
    commands = TOOLS.get(tool)
    return {
        "commands": [" ".join(command) for command in commands or (("walkdown", "scan"),)],
        "seconds": round(work.seconds, 1),
        **figures(what, raw, lab.ledgers()),
        "identity": identified(raw, work.found),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.nmap", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder of the proof's run")
    folder = parser.parse_args().state.resolve() / "shared" / "nmap"
    if shutil.which("nmap") is None:
        raise Unable("not installed: nmap (Debian package nmap)")
    version = subprocess.run(["nmap", "--version"], capture_output=True, text=True, check=True)
    raw = plant()
    result: dict[str, Any] = {
        "nmap": version.stdout.splitlines()[0],
        "devices": len(raw["devices"]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "tools": {},
    }
    for tool in (*TOOLS, "Walkdown, identify"):
        print(f"{tool} …", flush=True)
        place = folder / re.sub(r"\W+", "-", tool.lower()).strip("-")
        result["tools"][tool] = measured(tool, raw, place)
        print(json.dumps(result["tools"][tool], indent=2), flush=True)
    path = folder / "side_by_side.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
