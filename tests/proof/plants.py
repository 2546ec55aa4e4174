"""
A plant of the lab in the proving ground, scanned once with the command under test, and judged.

    with ground() as place, standing(place, raw, folder) as lab:
        seen = scan(place, lab, folder, walkdown)
        judgement = judged(seen)

What a device may see comes from the contract (safety.md, section 0) and from `plan --json`; what
it did see from the capture and, for what is encrypted, from the lab's own ledgers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lab import control, proving
from lab.plant import asked_ports
from tests.proof.ground import OWN, Capture, Ground
from tests.proof.judge.grammar import grammars
from tests.proof.judge.verdict import Allowed, Device, Judgement, judge
from tests.proof.promise import Unable

PROFILES: Final = {"fragile": (4, 5.0, 20), "default": (8, 1.0, 50), "robust": (40, 0.25, 1000)}
"""Packets to a device in any second, s between connections, packets in a zone in any second."""
ROUTERS: Final = frozenset({"10.76.0.2", "10.78.0.253"})
"""Neighbours of the scanner that are no devices."""

CONNECTIONS: Final[Mapping[tuple[str, str], int]] = {
    (one.protocol, tier): most for one in grammars() for tier, most in one.connections.items()
}
"""By service and tier, where it is not one: the contract's section 6, promise 8."""

READING: Final = frozenset(
    {
        "ssh shell",
        *(
            f"ssh exec {command}"
            for command in (
                "uname -a", "who", "timedatectl show", "ss -ltnuH", "getent passwd",
                "getent group", "cat /etc/os-release", "cat /etc/ssh/sshd_config",
                "cat /etc/pam.d/sshd", "cat /etc/login.defs", "cat /etc/issue.net",
                "cat /etc/systemd/timesyncd.conf", "cat /etc/chrony/chrony.conf",
                "cat /etc/rsyslog.conf", "cat /etc/profile", "cat .ssh/authorized_keys",
            )
        ),
        *(
            f"ssh shell {command}"
            for command in (
                "show version", "show running-config", "show users", "show ntp status",
                "terminal width 511", "terminal length 0", "exit",
            )
        ),
    }
)  # fmt: skip
"""
Commands inside SSH that read, whole; the lab's ledger names every session and command that it was
given, and subsystems too.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    raw: Mapping[str, Any]
    folder: Path
    keylog: Path

    @property
    def site(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def names(self) -> dict[str, str]:
        """Address → name."""
        return {str(d["address"]): str(d["name"]) for d in self.raw["devices"]}

    def ledgers(self) -> dict[str, dict[str, Any]]:
        """By device; whole once the lab is down."""
        told = (
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((self.folder / "ledgers").glob("*.json"))
        )
        return {str(one["device"]): one for one in told if "device" in one}


def authorisation(
    now: datetime,
    *,
    before: timedelta = timedelta(days=1),
    after: timedelta = timedelta(days=1),
) -> dict[str, str]:
    """What a site file of the proof says of who allowed it, for so long around `now`."""
    return {
        "reference": "PROOF", "owner": "the proof", "contact": "none",
        "valid_from": (now - before).isoformat(), "valid_until": (now + after).isoformat(),
    }  # fmt: skip


def harbour_site(path: Path, octet: int, devices: Sequence[int], **zone: Any) -> Path:
    """
    A site file for some devices of the lab's harbour plant on loopback, in profile `lab`, where
    it was started with so high a second octet and `base_port_offset` 2000.
    """
    content = {
        "site": "Harbour",
        "authorisation": authorisation(datetime.now(UTC)),
        "zones": [
            {
                "id": "control", "sl_t": 2, "profile": "lab",
                "networks": [f"127.{octet}.0.{last}/32" for last in devices],
                "ports": {name: port + 2000 for name, port in asked_ports().items()}, **zone,
            }
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@contextmanager
def standing(place: Ground, raw: Mapping[str, Any], folder: Path) -> Iterator[Lab]:
    """The plant is up while the block runs, and nobody else is there. Raises Unable."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Lab(raw=raw, folder=folder / "lab", keylog=folder / "tls.keys")
    shutil.rmtree(made.folder, ignore_errors=True)
    made.keylog.unlink(missing_ok=True)
    path = proving.write(raw, folder / "plant.json")
    control.up(
        str(path), made.folder, now=datetime.now(UTC), networks=["10.76.0.0/14"], within_s=180,
        prefix=(*place.inside("device"), "env", f"SSLKEYLOGFILE={made.keylog}"),
    )  # fmt: skip
    place.nobody_but([str(device["address"]) for device in raw["devices"]])
    try:
        yield made
    finally:
        control.down(made.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A scan of a plant. `said` is what the command printed at its end."""

    plan: dict[str, Any]
    capture: Capture
    run: Path
    code: int
    said: str


def scan(
    place: Ground, lab: Lab, folder: Path, walkdown: Sequence[str], *, leaving: bool = False
) -> Seen:
    """`plan` and `scan`, as a user types them, in the scanner's namespace."""
    plan = planned(place, lab, walkdown)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    with place.captured(folder, leaving=leaving) as capture:
        done = subprocess.run(
            [*place.inside("scanner"), *walkdown, "scan", str(lab.site), "--out", str(run)],
            capture_output=True, text=True, timeout=3600, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if not (run / "walkdown.db").exists():
        raise Unable(f"the scan did not start: {done.stderr.strip()[-500:]}")
    return Seen(
        plan=plan, capture=capture, run=run, code=done.returncode,
        said=(done.stdout + done.stderr)[-2000:],
    )  # fmt: skip


def planned(place: Ground, lab: Lab, walkdown: Sequence[str]) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(
        place.run("scanner", *walkdown, "plan", str(lab.site), "--json")
    )
    return plan


def allowed(
    plan: Mapping[str, Any], names: Mapping[str, str], profiles: Mapping[str, str]
) -> Allowed:
    """
    What the contract and the plan grant. `names` of devices by address, `profiles` by zone: a
    zone has its own cap, also where some device in it is treated more gently.
    """
    devices: dict[str, Device] = {}
    for one in plan["devices"]:
        packets, interval, _ = PROFILES[one["profile"]]
        name = names.get(one["addresses"][0], one["addresses"][0])
        ports = frozenset((each["transport"], each["port"]) for each in one["questions"])
        connections: Counter[int] = Counter()
        for question in one["questions"]:
            if question["transport"] == "tcp":
                kind = (question["service"], question["tier"])
                connections[question["port"]] += CONNECTIONS.get(kind, 1)
        for port in connections:
            connections[port] += one["canaries"]
        devices[name] = Device(
            addresses=tuple(one["addresses"]), zone=one["zone"], packets_per_s=packets,
            connection_interval_s=interval, budget=one["packets"],
            logins=one["tier"] == "login", connections=dict(connections),
            ports=ports, seats=frozenset(one["seats"]),
            measured=one["tier"] == "identify" and "--normal--" in name,
        )  # fmt: skip
    return Allowed(
        scanner=frozenset(OWN), devices=devices, own=ROUTERS,
        zones={zone: PROFILES[profile][2] for zone, profile in profiles.items()},
        networks=tuple(f"{a}/32" for one in plan["devices"] for a in one["addresses"]),
    )  # fmt: skip


def judged(seen: Seen, lab: Lab) -> Judgement:
    """The judge's word on the capture, with the ledgers' word on what it could not read."""
    profiles = {zone["id"]: zone.get("profile", "default") for zone in lab.raw["zones"]}
    rules = allowed(seen.plan, lab.names, profiles)
    judgement = judge(seen.capture.at_devices, rules, lab.keylog)
    if seen.capture.leaving is not None:
        # Beside what reached the devices: whatever went elsewhere.
        outside = judge([seen.capture.leaving], rules, lab.keylog).findings[17]
        judgement.findings[17].bad += outside.bad
        judgement.findings[17].faults += outside.faults
        judgement.findings[17].counts["outside"] += outside.counts["outside"]
    services, goodbyes = judgement.findings[1], judgement.findings[10]
    services.counts["commands inside SSH"] = 0
    for ledger in lab.ledgers().values():
        name = ledger["device"]
        for command, n in ledger["functions"].items():
            if command.startswith("ssh ") and judgement.sealed.get(ledger["address"]):
                services.counts["commands inside SSH"] += n
                if command not in READING:
                    services.fault(f"control: {command} on {name}", n)
        for told in ("writes", "unexpected_commands"):
            for what, n in ledger[told].items():
                services.fault(f"{told} in the ledger of {name}: {what}", n)
        for what in ledger["foreign"]:
            judgement.findings[7].fault(f"foreign in the ledger of {name}: {what}")
        if "--normal--" in name or name.startswith("crowd"):
            # A lab without a processor for a while leaves sound devices silent, too.
            owing = min(ledger["leaked_sessions"], judgement.owing.get(ledger["address"], 0))
            leaked = ledger["leaked_sessions"] - owing
            for what, n in (("leaked sessions", leaked), ("left to devices that owed", owing)):
                goodbyes.counts[what] = goodbyes.counts.get(what, 0) + n
            if leaked:
                goodbyes.fault(f"{name}: {leaked} sessions leaked", leaked)
            if not ledger["alive"]:
                goodbyes.fault(f"{name} died: {ledger['cause_of_death']}")
    return judgement
