"""
The known-fragile list is enforced.

For every entry of the list there are two devices with its example's names. One is declared in the
site file, the other is not and says what it is, by EtherNet/IP where Rockwell Automation makes it,
else by Modbus function 43. An entry by the maker of the network interface has one device on the
local link whose interface carries such an address. All of them have a web page, a Telnet console
and an SNMP agent, too, and are scanned in tier login at the default pace.

Judged from a capture on the device side: from the moment at which the device's names passed the
wire (from the beginning, where they were declared; from the first packet of the device, where only
its interface tells), nothing more may be sent than the rule lets. What an entry's rule means on
the wire is read from the list's file here a second time, without the scanner's code.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab import control
from tests.proof.ground import OWN, Ground, ground
from tests.proof.judge.grammar import grammars
from tests.proof.judge.packets import ACK, FIN, RST, SYN, Packet, read
from tests.proof.plants import authorisation
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

LIST = Path(__file__).resolve().parents[3] / "scanner" / "fragile.yaml"
PORTS = {one.protocol: one.ports[0][1] for one in grammars() if one.ports}
PROBES = ("modbus", "s7", "snmp", "http", "telnet")
FRAGILE_PACKETS = 4
FRAGILE_INTERVAL_S = 5.0
CLOCK_S = 0.05
"""What a capture's stamps and the scanner's clock may differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`how`: declared, told, or link (told by the interface). `rule` as it stands in the file."""

    entry: str
    how: str
    address: str
    names: tuple[bytes, ...]
    rule: Mapping[str, Any]
    also: tuple[str, ...]
    """All entries that fit: their rules hold together."""


def measure(work: Work) -> Measured:
    rows = YAML(typ="safe", pure=True).load(LIST.read_text(encoding="utf-8"))
    cases = lay_out(rows)
    folder = work.folder / "scan"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with ground() as made:
        made.run("device", "ip", "link", "set", "d1", "address", _mac(rows))
        plant, site = write(cases, rows, folder)
        lab = folder / "lab"
        control.up(
            str(plant), lab, now=datetime.now(UTC), base_port_offset=0,
            networks=("10.77.0.0/16", "10.78.0.0/25"), prefix=made.inside("device"), within_s=90,
        )  # fmt: skip
        try:
            with made.captured(folder / "capture") as capture:
                scan(work, made, site, folder)
        finally:
            control.down(lab)
    packets = read(capture.at_devices)
    whole = Tally()
    for case in cases:
        faults, asked, known = judged(case, packets)
        whole += Tally(
            cases=1,
            bad=int(bool(faults)),
            sums={"asked": asked, "known": int(known)},
            faults=tuple(f"{case.entry} ({case.how}): {fault}" for fault in faults),
        )
    known = int(whole.sums["known"])
    ids = {case.entry for case in cases}
    return Measured(
        passed=not whole.bad and known == whole.cases and ids == {row["id"] for row in rows},
        value=f"{len(ids)} of {len(rows)} entries obeyed by {whole.cases} devices; "
        f"{int(whole.sums['asked'])} packets after the identity was known, all within the rule"
        if not whole.bad
        else f"{whole.bad} of {whole.cases} devices were asked beyond the rule",
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
        note="" if known == whole.cases else f"{whole.cases - known} devices never told their name",
    )


# --- the devices ---------------------------------------------------------------------------------


def lay_out(rows: Sequence[Mapping[str, Any]]) -> list[Case]:
    """One case for each entry and way of knowing."""
    cases = []
    for number, row in enumerate(rows):
        example = row.get("example", {})
        names = tuple(
            str(example[key]).encode() for key in ("model", "order_number") if key in example
        )
        for how in ("declared", "told") if "model" in row["match"] else ("link",):
            together = [row] if how == "link" else [one for one in rows if _fits(one, example)]
            address = f"10.77.{len(cases)}.1"
            cases.append(
                Case(
                    entry=row["id"],
                    how=how,
                    address=f"10.78.0.{number + 1}" if how == "link" else address,
                    names=names,
                    rule=_together([one["rule"] for one in together]),
                    also=tuple(one["id"] for one in together),
                )
            )
    return cases


def _fits(row: Mapping[str, Any], example: Mapping[str, str]) -> bool:
    """Whether another entry fits this example, too; read from the file without its scanner."""
    match = row["match"]
    if "model" not in match:
        return False
    said = [str(example[key]) for key in ("model", "order_number", "name") if key in example]
    fits = any(re.search(match["model"], text, re.IGNORECASE) for text in said)
    if "vendor" in match:
        fits = fits and bool(re.search(match["vendor"], example["vendor"], re.IGNORECASE))
    if "firmware_below" in match and example.get("firmware"):
        fits = fits and _number(example["firmware"]) < _number(match["firmware_below"])
    return fits


def _number(text: str) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() or c == "." else " " for c in text).split()[0]
    return tuple(int(part) for part in digits.split(".") if part)


def _together(rules: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"never": []}
    order = ("passive", "identify", "read", "login")
    for rule in rules:
        found["never"] += rule.get("never", [])
        for key in ("profile", "stop_after_identify", "leave_alone"):
            if key in rule:
                found[key] = rule[key]
        if "tier" in rule:
            found["tier"] = min(found.get("tier", "login"), rule["tier"], key=order.index)
        if "connections" in rule:
            found["connections"] = min(found.get("connections", 99), rule["connections"])
        found["reconnect_s"] = max(found.get("reconnect_s", 0), rule.get("reconnect_s", 0))
    return found


def _mac(rows: Sequence[Mapping[str, Any]]) -> str:
    ouis = [oui for row in rows for oui in row["match"].get("oui", [])]
    if not ouis:
        raise Unable("no entry of the list is by the maker of the interface")
    return f"{ouis[0]}:00:00:01"


def write(
    cases: Sequence[Case], rows: Sequence[Mapping[str, Any]], folder: Path
) -> tuple[Path, Path]:
    """(plant file, site file)."""
    examples = {row["id"]: row.get("example", {}) for row in rows}
    now = datetime.now(UTC)
    zones: dict[str, dict[str, Any]] = {}
    devices = []
    for case in cases:
        example = examples[case.entry]
        zone = f"z{case.address.replace('.', '-')}"  # of its own: no other one's signs stop it
        entry = zones.setdefault(
            zone,
            {"id": zone, "networks": [], "sl_t": 1, "tier": "login",
             "ports": {"http": [80], "https": [443]}, "assets": [],
             "probes": ["enip", *PROBES] if _is_rockwell(example) else [*PROBES]},
        )  # fmt: skip
        entry["networks"].append(f"{case.address}/32")
        if case.how == "declared":
            entry["assets"].append({"address": case.address, **example})
        devices.append(
            {
                "name": f"{case.entry}-{case.how}", "zone": zone, "address": case.address,
                "declared": None, "truth": {}, "services": _services(example),
            }
        )  # fmt: skip
    site = {
        "site": "Fragile",
        "authorisation": authorisation(now),
        "zones": list(zones.values()),
    }  # fmt: skip
    plant = {
        "plant": "fragile", "site": "Fragile", "devices": devices,
        "zones": [{"id": z, "networks": one["networks"], "sl_t": 1} for z, one in zones.items()],
    }  # fmt: skip
    paths = folder / "plant.json", folder / "site.yaml"
    for path, content in zip(paths, (plant, site), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths


def _is_rockwell(example: Mapping[str, str]) -> bool:
    return example.get("vendor", "").startswith("Rockwell")


def _services(example: Mapping[str, str]) -> list[dict[str, Any]]:
    model = example.get("model") or example.get("order_number", "Nothing")
    objects = {0: example.get("vendor", "Nobody"), 1: model, 2: example.get("firmware")}
    services: list[dict[str, Any]] = [
        {"protocol": "modbus", "objects": {n: text for n, text in objects.items() if text}},
        {"protocol": "http", "title": "Panel", "server": "s", "login": "none"},
        {"protocol": "telnet", "banner": "console", "users": {"a": "b"}},
        {"protocol": "snmp", "engine_id": "8000000001020304", "communities": ["public"],
         "system": {"descr": "agent"}},
    ]  # fmt: skip
    if _is_rockwell(example):
        major, _, minor = example.get("firmware", "1.1").partition(".")
        services[0]["objects"] = {}
        services.append(
            {"protocol": "enip", "vendor_id": 1, "device_type": 12, "product_code": 58,
             "revision": f"{int(major)}.{int(minor)}", "serial": "00c0ffee", "product_name": model,
             "status": 0, "state": 3}
        )  # fmt: skip
    return services


def scan(work: Work, made: Ground, site: Path, folder: Path) -> None:
    words = [*made.inside("scanner"), *work.setting.walkdown]
    with (folder / "said").open("wb") as said:
        done = subprocess.run(
            [*words, "scan", str(site), "--out", str(folder / "run")],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=900, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise Unable(f"the scan ended with {done.returncode}: {folder / 'said'}")


# --- the judge -----------------------------------------------------------------------------------


def judged(case: Case, packets: Sequence[Packet]) -> tuple[list[str], int, bool]:
    """(what went beyond the rule, packets sent after the identity was known, whether it was)."""
    ours = [p for p in packets if p.target == case.address and p.source in OWN and p.counts]
    ours = [p for p in ours if p.protocol in ("tcp", "udp")]
    since = known_since(case, packets)
    if since is None:
        return [], 0, bool(case.rule.get("leave_alone")) and not ours
    telling = {p.source_port for p in ours if p.at <= since}
    after = [p for p in ours if p.source_port not in telling and p.at > since]
    faults = []
    rule = case.rule
    if rule.get("leave_alone") and after:
        faults.append(f"left alone, and asked {len(after)} packets more")
    if rule.get("stop_after_identify"):
        at = told_at(case, packets)
        if at is not None:
            used = {p.source_port for p in ours if p.at <= at}
            more = [p for p in ours if p.at > at and p.source_port not in used]
            if more:
                faults.append(f"{len(more)} packets after the model was known")
    for service in rule["never"]:
        if sent := [p for p in after if p.target_port == PORTS[service]]:
            faults.append(f"{len(sent)} packets to {service}")
    opened = {(p.source_port, p.target_port) for p in ours if _is_syn(p)}
    new = {pair for pair in opened if pair[0] not in telling}
    taken = {
        (p.target_port, p.source_port)
        for p in packets
        if p.source == case.address and p.protocol == "tcp" and p.flags & (SYN | ACK) == SYN | ACK
    }
    limit = rule.get("connections")
    if limit is not None and new & taken and len(taken) > limit:
        faults.append(f"{len(taken)} connections, {limit} allowed")
    faults += _above_tier(rule.get("tier", "login"), after, opened - new, new)
    interval = max(FRAGILE_INTERVAL_S if "profile" in rule else 0.0, rule["reconnect_s"])
    faults += _pace(ours, since, telling, FRAGILE_PACKETS if "profile" in rule else None, interval)
    return faults, len(after), True


def known_since(case: Case, packets: Sequence[Packet]) -> float | None:
    """When the device's names were known; None: never (it told nothing)."""
    if case.how == "declared":
        return 0.0
    if case.how == "link":
        said = (p.at for p in packets if p.source == case.address and p.protocol != "arp")
        return min(said, default=None)
    return told_at(case, packets)


def told_at(case: Case, packets: Sequence[Packet]) -> float | None:
    said = (
        p.at
        for p in packets
        if p.source == case.address and any(name in p.payload for name in case.names)
    )
    return min(said, default=None)


def _is_syn(packet: Packet) -> bool:
    return packet.protocol == "tcp" and packet.flags & (SYN | RST | FIN) == SYN


def _above_tier(
    tier: str, after: Sequence[Packet], before: set[tuple[int, int]], new: set[tuple[int, int]]
) -> list[str]:
    """
    What no question of the tier would send. Identify: one connection to a port, no session of
    EtherNet/IP (RegisterSession, CIP volume 2 section 2-4.4), no walk of an SNMP table (GetNext
    0xA1, GetBulk 0xA5, RFC 3416 section 3). Below login: nothing typed, no Authorization, no POST.
    """
    faults = []
    if tier == "identify":
        ports = [port for _, port in (*before, *new)]
        again = {port for _, port in new if ports.count(port) > 1}
        if again:
            faults.append(f"asked above identify: port {min(again)} connected to again")
        if any(p.target_port == 44818 and p.payload[:1] == b"\x65" for p in after):
            faults.append("asked above identify: an EtherNet/IP session")
        if any(p.target_port == 161 and _pdu(p.payload) in (0xA1, 0xA5) for p in after):
            faults.append("asked above identify: an SNMP table")
    if tier != "login":
        for p in after:
            if p.target_port == 80 and (b"Authorization" in p.payload or p.payload[:4] == b"POST"):
                faults.append("a login over HTTP")
            if p.target_port == 23 and p.payload and p.payload[0] != 0xFF:
                faults.append("something typed over Telnet")
    return faults


def _pdu(message: bytes) -> int:
    """The kind of an SNMPv1 or v2c PDU: behind the version and the community (RFC 3416)."""
    try:
        at = 2 if message[1] < 0x80 else 2 + (message[1] & 0x7F)
        at += 2 + message[at + 1]
        at += 2 + message[at + 1]
        return message[at]
    except IndexError:
        return 0


def _pace(
    ours: Sequence[Packet], since: float, telling: set[int], most: int | None, interval: float
) -> list[str]:
    """Packets in any second and the distance between connections, once the rule was known."""
    faults = []
    ended = max((p.at for p in ours if p.source_port in telling), default=since)
    times = sorted(p.at for p in ours if p.at > ended)
    if most is not None:
        for n, at in enumerate(times):
            window = sum(1 for other in times[n:] if other < at + 1.0)
            if window > most:
                faults.append(f"{window} packets within a second, {most} allowed")
                break
    opened: dict[int, float] = {}
    for p in ours:
        if _is_syn(p):
            opened.setdefault(p.source_port, p.at)
    starts = sorted(opened.values())
    for before, at in pairwise(starts):
        if at > ended and at - before < interval - CLOCK_S:
            faults.append(f"a connection {at - before:.2f} s after the last, {interval:g} s asked")
            break
    return faults


PROMISE = Promise(
    number=14,
    title="Known-fragile list is enforced",
    target="100 % of entries obeyed; 0 packets beyond the rule",
    counts={"ci": 1, "full": 1},
    measure=measure,
)
