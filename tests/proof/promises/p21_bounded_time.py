"""
Bounded time.

Every kind of device with every behaviour that takes time (silent, slow, in drops, without end, half
closed, hung) is scanned at once. On the capture: how long a connection was open, how long a request
was left without an answer before we ended it (not inside SSH, where we cannot tell one from its
answer), how long a device was kept. In the scanner: how long one callback held its event loop, by
the time in which it had a processor or waited for something of ours, so that a busy machine does
not count and a busy scanner does; and how long another thread held it between two callbacks. This
counts from the visit to the first device to the end of the last (see tests/proof/watched.py).

The contract's section 6: a request at most 5 s, a connection at most 15 s in identify and 120 s in
read and login sessions, a device at most 10 min (20 from read on). Waiting for our own pacing is
beside those; at the profile `default` it is at most 1.05 s for the packet that ends a connection.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from lab import proving
from lab.faults import FAULTS
from tests.proof.ground import OWN, ground
from tests.proof.judge.packets import ACK, FIN, RST, SYN, Packet, read
from tests.proof.plants import scan, standing
from tests.proof.promise import Measured, Promise, Tally, Work

REQUEST_S, PACING_S = 5.0, 1.05
CONNECTION_S = {"identify": 15.0, "read": 120.0, "login": 120.0}
DEVICE_S = {"identify": 600.0, "read": 1200.0, "login": 1200.0}
CLOSE_S = 2.0
STALL_S = 0.1
SLOW = (
    "silent", "goes_silent", "slow_ramp", "drip", "late", "reply_after_close", "endless",
    "endless_banner", "half_close", "bomb_chunks", "bomb_headers", "slows_at",
)  # fmt: skip


def measure(work: Work) -> Measured:
    missing = [name for name in SLOW if name not in FAULTS]
    if missing:
        raise ValueError(f"the lab has no fault {missing}")
    folder = work.folder
    whole = Tally()
    with ground() as made:
        for number in range(work.count):
            if number and work.is_over:
                work.reached(number)
                break
            raw = plant(work.size, work.setting.seed + number)
            place = folder / f"round{number}"
            with standing(made, raw, place) as lab:
                seen = scan(made, lab, place, work.setting.walkdown)
            watch = json.loads((place / "run.watch.json").read_text(encoding="utf-8"))
            whole += judged(raw, read(seen.capture.at_devices), watch)
            if seen.code not in (0, 3):
                fault = f"the scan ended with {seen.code}: {seen.said[-200:]}"
                whole += Tally(cases=1, bad=1, faults=(fault,))
            work.say(f"round {number}: {whole.cases} devices and connections, {whole.bad} bad")
    f = whole.figures
    return Measured(
        passed=not whole.bad,
        value=f"request at most {f['request_s']:.1f} s, connection {f['identify_s']:.1f} s in "
        f"identify and {f.get('session_s', 0.0):.1f} s in sessions, device {f['device_s']:.0f} s; "
        f"longest hold of the event loop {f['stall_ms']:.0f} ms over "
        f"{int(whole.sums['callbacks']):,} callbacks, {f['between_ms']:.0f} ms between two "
        f"({f['before_ms']:.0f} ms before the first device); {int(whole.sums['devices'])} devices, "
        f"{int(whole.sums['connections'])} connections",
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
    )


def plant(size: str, seed: int) -> dict[str, Any]:
    """All kinds with all slow behaviours; the small size draws one kind for each of them."""
    raw = proving.plant(behaviours=SLOW)
    devices = raw["devices"]
    if size == "ci":
        dice = random.Random(seed)
        chosen = {}
        for device in dice.sample(devices, len(devices)):
            kind, behaviour, _ = device["name"].split("--")
            if "login" not in kind and "read" not in kind and kind != "sshconfig":
                chosen.setdefault((behaviour, len(chosen) % 2), device)
        devices = list(chosen.values())
    zones = {device["zone"] for device in devices}
    kept = [zone for zone in raw["zones"] if zone["id"] in zones]
    return {**raw, "devices": devices, "zones": kept}


def judged(raw: Mapping[str, Any], packets: Sequence[Packet], watch: Mapping[str, Any]) -> Tally:
    zones = {zone["id"]: zone for zone in raw["zones"]}
    whole = stalls(watch)
    for device in raw["devices"]:
        zone = zones[device["zone"]]
        declared = device.get("declared") or {}
        tier = str(declared.get("tier") or zone.get("tier") or "identify")
        mine = [p for p in packets if device["address"] in (p.source, p.target)]
        whole += of_device(str(device["name"]), tier, mine)
    return whole


def stalls(watch: Mapping[str, Any]) -> Tally:
    held, between = float(watch["most_held_s"]), float(watch["most_between_s"])
    what = watch["long"][0]["what"] if watch["long"] else ""
    faults = []
    if held > STALL_S:
        faults.append(f"a callback held the loop for {held * 1000:.0f} ms: {what}")
    if between > STALL_S:
        faults.append(f"another thread held the loop for {between * 1000:.0f} ms")
    if not watch["callbacks"]:
        faults.append("no callback was timed")
    return Tally(
        cases=1, bad=len(faults),
        figures={
            "stall_ms": held * 1000, "between_ms": between * 1000,
            "before_ms": float(watch["most_before_s"]) * 1000,
        },
        sums={"callbacks": watch["callbacks"]}, faults=tuple(faults),
    )  # fmt: skip


def of_device(name: str, tier: str, packets: Sequence[Packet]) -> Tally:
    ours = [p for p in packets if p.source in OWN and p.counts]
    kept = ours[-1].at - ours[0].at if ours else 0.0
    faults = []
    if kept > DEVICE_S[tier]:
        faults.append(f"{name}: asked for {kept:.0f} s")
    connections = _connections(packets)
    figures = {"device_s": kept, "request_s": 0.0, "identify_s": 0.0}
    for connection in connections:
        lasted, unanswered = _times(connection)
        if lasted > CONNECTION_S[tier] + CLOSE_S + PACING_S:
            faults.append(f"{name}: a connection of {lasted:.1f} s")
        key = "identify_s" if tier == "identify" else "session_s"
        figures[key] = max(lasted, figures.get(key, 0.0))
        if not name.startswith("ssh"):
            figures["request_s"] = max(figures["request_s"], unanswered)
            if unanswered > REQUEST_S + PACING_S:
                faults.append(f"{name}: {unanswered:.1f} s without an answer")
    return Tally(
        cases=1 + len(connections), bad=len(faults), figures=figures,
        sums={"devices": 1, "connections": len(connections)}, faults=tuple(faults),
    )  # fmt: skip


def _connections(packets: Sequence[Packet]) -> list[list[Packet]]:
    """The packets of each connection that the device took."""
    found: dict[tuple[int, int], list[Packet]] = {}
    taken: set[tuple[int, int]] = set()
    for p in packets:
        if p.protocol != "tcp":
            continue
        ours = p.source in OWN
        key = (p.source_port, p.target_port) if ours else (p.target_port, p.source_port)
        found.setdefault(key, []).append(p)
        if not ours and p.flags & (SYN | ACK) == SYN | ACK:
            taken.add(key)
    return [found[key] for key in found if key in taken]


def _times(packets: Sequence[Packet]) -> tuple[float, float]:
    """(from SYN to our end, longest wait for an answer that we gave up) in seconds."""
    begun = packets[0].at
    ended = packets[-1].at
    asked: float | None = None
    said: set[int] = set()
    answered = False
    unanswered = 0.0
    for p in packets:
        if p.source not in OWN:
            answered = answered or bool(p.payload)
            continue
        gives_up = bool(p.flags & (FIN | RST))
        if gives_up or (p.payload and p.sequence not in said):
            if asked is not None and not answered:
                unanswered = max(unanswered, p.at - asked)
            asked, answered = p.at, False
            said.add(p.sequence)
        if gives_up:
            ended = p.at
            break
    return ended - begun, unanswered


PROMISE = Promise(
    number=21,
    title="Bounded time",
    target="request at most 5 s, connection 15 s (sessions 120 s), device 10 min (20): 100 % in "
    "time; 0 event-loop stalls over 100 ms",
    counts={"ci": 1, "full": 3},
    measure=measure,
)
