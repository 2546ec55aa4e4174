"""
No lockouts.

A life is a handful of devices with a fresh ledger, scanned again and again in tier login: broken
off by kill -9 at a random moment, gone on with, scanned anew on the same day, on the next day and
the day after (the wall clock that the product believes in is put forward). The devices lock an
account after 3 or after 5 failures in a row, over all their services, per account, per device or
(the operator's own account, with a wrong secret) over the whole site; they say so, drop the
connection, answer late, or say nothing. None of them ever forgets a failure.

Some SSH servers take a password by keyboard-interactive alone and ask for it again and again, some
want it once more in that way after they refused it.

Judged by what the devices counted: no account may be locked, and no device may have received more
secrets than there are attempts on it in the site's ledger. Each device that has a published
default must have been tried, else nothing was proved; unknown products and safety controllers must
not have been. One run is one scan.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncssh

from tests.proof.driver import Driver
from tests.proof.ground import Ground, ground
from tests.proof.plants import authorisation
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

STEPS = 5
SIDE_BY_SIDE = 4
DAY_S = 86400.0
APC = ("APC", "AP7900 Metered Rack PDU")
WESTERMO = ("Westermo", "Lynx L110-F2G")
RIELLO = ("Riello UPS", "NetMan 204")
DEFAULTS = {APC: ("apc", "apc"), WESTERMO: ("admin", "westermo"), RIELLO: ("admin", "admin")}
TELLS = ("no", "status", "drop", "delay")
ASKS = ("password", "again", "turns")
OPERATOR = "walkdown"


@dataclass(slots=True, kw_only=True)
class Life:
    """One group of devices from its first scan to its last."""

    number: int
    steps: int
    dice: random.Random
    folder: Path
    octet: int
    devices: list[dict[str, Any]] = field(default_factory=list)
    declared: dict[str, dict[str, Any]] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    """Addresses that may not be tried at all."""
    said: list[str] = field(default_factory=list)
    killed: int = 0
    days: list[tuple[float, float]] = field(default_factory=list)
    """(wall time from which on, what the product's clock was put forward by, in s)."""


def measure(work: Work) -> Measured:
    key = asyncssh.generate_private_key("ssh-ed25519")
    with ground() as made:
        driver = Driver(made.inside("device"))

        def part(first: int, n: int) -> Tally:
            folder = work.folder / f"from{first}"
            shutil.rmtree(folder, ignore_errors=True)
            lives = [
                prepared(work.setting.seed, first // STEPS + k, folder, 60 + k, min(STEPS, left))
                for k, left in enumerate(range(n, 0, -STEPS))
            ]
            carry_out(lives, made, driver, key)
            tally = Tally()
            for life in lives:
                tally += judged(life)
            if not tally.bad:
                shutil.rmtree(folder)
            return tally

        try:
            whole = work.in_chunks(STEPS * SIDE_BY_SIDE, part)
        finally:
            driver.close()
    tried, untried = int(whole.sums.get("attempts", 0)), int(whole.sums.get("untried", 0))
    return Measured(
        passed=not whole.bad and not untried and tried > 0,
        value=f"{int(whole.sums.get('locks', 0))} lockouts in {whole.cases:,} runs, "
        f"{int(whole.sums.get('killed', 0)):,} of them ended by kill -9; {tried:,} attempts made "
        f"({int(whole.sums.get('refused', 0)):,} refused) on "
        f"{int(whole.sums.get('devices', 0)):,} devices, "
        f"at most {int(whole.figures.get('failures', 0))} failures on an account",
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
        note=f"{untried} devices that should have been tried never were" if untried else "",
    )


# --- the devices ---------------------------------------------------------------------------------


def prepared(seed: int, number: int, folder: Path, octet: int, steps: int) -> Life:
    life = Life(
        number=number, steps=steps, dice=random.Random(f"{seed} {number}"),
        folder=folder / f"life{number}", octet=octet,
    )  # fmt: skip
    dice = life.dice

    def add(product: tuple[str, str], services: Sequence[str], **more: Any) -> str:
        address = f"127.{octet}.0.{len(life.devices) + 1}"
        user, secret = DEFAULTS.get(product, ("admin", "admin"))
        changed = dice.random() < 0.75
        spec = {
            "address": address, "vendor": product[0], "model": product[1],
            "services": list(services), "users": {user: "changed" if changed else secret},
            "threshold": dice.choice((3, 5)), "scope": dice.choice(("account", "device")),
            "tells": dice.choice(TELLS), "asks": "password",
        }  # fmt: skip
        life.devices.append(spec | more)
        return address

    for _ in range(2):
        add(APC, ("http", "telnet", "ssh"))
        add(WESTERMO, ("http", "ssh"))
        add(RIELLO, ("form",))
    add(APC, ("telnet",), users={})
    add(WESTERMO, ("ssh",), users={})
    for asks in ASKS[1:]:
        add(WESTERMO, ("ssh",), users={"admin": "changed"}, threshold=5, asks=asks)
    never = {add(("Nobody", "Box 1"), ("http", "telnet", "ssh"))}
    safe = add(WESTERMO, ("http", "ssh"), users={})
    life.declared[safe] = {"name": "Burner safety PLC"}
    never.add(safe)
    never.add(add(("HIMA", "HIMatrix F30"), ("http", "telnet", "ssh")))
    right = dice.random() < 0.25
    for _ in range(4):
        where = add(
            ("Debian", "Host"), ("ssh",), scope="site", tells=dice.choice(("no", "drop")),
            users={OPERATOR: "right" if right else "another"}, threshold=3,
            asks=dice.choice(ASKS),
        )  # fmt: skip
        life.declared[where] = {"operator": True}
    life.never = frozenset(never)
    return life


def write(life: Life, key: asyncssh.SSHKey) -> tuple[Path, Path]:
    """(specification of the responders, site file)."""
    life.folder.mkdir(parents=True)
    spec = {"devices": life.devices, "host_key": key.export_private_key().decode()}
    (life.folder / "lockers.json").write_text(json.dumps(spec), encoding="utf-8")
    secret = life.folder / "secret"
    secret.write_text("right\n", encoding="utf-8")
    secret.chmod(0o600)
    now = datetime.now(UTC)
    assets = []
    for device in life.devices:
        asset: dict[str, Any] = {"address": device["address"], "consent": ["cleartext"]}
        more = dict(life.declared.get(device["address"], {}))
        if more.pop("operator", False):
            asset["login"] = {
                "platform": "linux", "user": OPERATOR, "secret": "file:secret",
                "host_key": key.get_fingerprint("sha256"),
            }  # fmt: skip
        assets.append({**asset, **more})
    site = {
        "site": "Lockers",
        "authorisation": authorisation(now, after=timedelta(days=400)),
        "zones": [
            {
                "id": "z", "sl_t": 1, "tier": "login", "profile": "lab", "assets": assets,
                "networks": [f"{device['address']}/32" for device in life.devices],
                "ports": {"http": [80], "https": [443]},
                "probes": ["modbus", "http", "telnet", "ssh"],
            }
        ],
    }  # fmt: skip
    path = life.folder / "site.yaml"
    path.write_text(json.dumps(site), encoding="utf-8")
    return life.folder / "lockers.json", path


# --- the scans -----------------------------------------------------------------------------------


def carry_out(lives: Sequence[Life], made: Ground, driver: Driver, key: asyncssh.SSHKey) -> None:
    """All lives side by side, each with its responders."""
    responders = []
    try:
        for life in lives:
            spec, _ = write(life, key)
            with (life.folder / "lockers.log").open("wb") as log:
                responders.append(
                    made.start(
                        "device", sys.executable, "-m", "tests.proof.lockers", str(spec),
                        str(life.folder / "logins"), stdout=log, stderr=log,
                        cwd=Path(__file__).resolve().parents[3],
                    )
                )  # fmt: skip
        end = time.monotonic() + 60
        while not all((life.folder / "lockers.ready").exists() for life in lives):
            if time.monotonic() > end or any(one.poll() is not None for one in responders):
                raise Unable(f"the responders did not start: {lives[0].folder / 'lockers.log'}")
            time.sleep(0.05)
        running = {life.number: _live(life, driver) for life in lives}
        due = dict.fromkeys(running, 0.0)
        while running:
            for number in list(running):
                if due[number] <= time.monotonic():
                    try:
                        due[number] = next(running[number])
                    except StopIteration:
                        del running[number]
            time.sleep(0.01)
    finally:
        for process in responders:
            process.terminate()
        for process in responders:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _live(life: Life, driver: Driver) -> Iterator[float]:
    """The scans of a life; yields the monotonic time at which it wants to go on."""
    site = life.folder / "site.yaml"
    plan = (
        ("run0", (), 0.0, True),
        ("run0", ("--resume",), 0.0, False),
        ("run1", (), 0.0, life.dice.random() < 0.5),
        ("run2", (), DAY_S + 60, life.dice.random() < 0.3),
        ("run3", (), 2 * DAY_S + 120, False),
    )
    for step, (out, options, ahead, killed) in enumerate(plan[: life.steps]):
        name = f"{life.number} {step}"
        if not (life.folder / out / "walkdown.db").exists():
            options = ()  # it was killed before it had begun: there is nothing to resume
        words = ("scan", str(site), "--out", str(life.folder / out), *options)
        life.days.append((time.time(), ahead))
        clock = {"after": 0.0, "by": ahead} if ahead else None
        driver.start(name, words, life.folder / f"said{step}", clock)
        end = time.monotonic() + 240
        moment = time.monotonic() + life.dice.uniform(0.3, 7.0) if killed else end
        while name not in driver.codes and time.monotonic() < end:
            driver.poll()
            if killed and time.monotonic() >= moment:
                life.killed += driver.signal(name, signal.SIGKILL)
                killed = False
            yield time.monotonic() + 0.05
        code = driver.join(name, 0.1)
        if code not in (0, 3, -signal.SIGKILL):
            life.said.append(f"scan {step} ended with {code}")


# --- the judge -----------------------------------------------------------------------------------


def judged(life: Life) -> Tally:
    """What the devices of a life counted."""
    log = life.folder / "logins"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    faults = list(life.said)
    locks = [row for row in rows if row["locks"]]
    faults += [f"{row['address']}: account {row['account']!r} locked" for row in locks]
    faults += [f"{a}: tried, and must not be" for a in {r["address"] for r in rows} & life.never]
    refused = [row for row in rows if not row["accepted"]]
    most = 0
    per: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in refused:
        per[row["address"], row["account"]].append(row)
        per[row["address"], ""].append(row)
    for (address, account), failures in per.items():
        if account:
            most = max(most, len(failures))
        allowed = 2 if account else 4
        days = [row["at"] + _ahead(life, row["at"]) for row in failures]
        worst = max(sum(1 for d in days if at <= d < at + DAY_S) for at in days)
        if worst > allowed:
            faults.append(f"{address}: {worst} failures of {account or 'all accounts'} in 24 h")
    for address in {row["address"] for row in rows}:
        times = [row["at"] for row in rows if row["address"] == address]
        if any(b - a < 0.9 for a, b in pairwise(times)):
            faults.append(f"{address}: attempts less than a second apart")
    counted = on_record(life.folder / "site.state.db")
    for address, received in Counter(row["address"] for row in rows).items():
        if received > counted[address]:
            faults.append(f"{address}: {received} secrets received, {counted[address]} on record")
    operators = {a for a, more in life.declared.items() if more.get("operator")}
    tried = {row["address"] for row in rows}
    expected = {d["address"] for d in life.devices} - life.never - operators
    untried = len(expected - tried) + (not operators & tried)
    return Tally(
        cases=life.steps,
        bad=len(faults),
        figures={"failures": most},
        sums={
            "locks": len(locks), "attempts": len(rows), "refused": len(refused),
            "devices": len(life.devices), "killed": life.killed, "untried": untried,
        },
        faults=tuple(f"life {life.number}: {fault}" for fault in faults),
    )  # fmt: skip


def on_record(state: Path) -> Counter[str]:
    """Attempts in the site's ledger by address."""
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        return Counter(address for (address,) in connection.execute("SELECT address FROM attempts"))


def _ahead(life: Life, at: float) -> float:
    return next((ahead for begin, ahead in reversed(life.days) if begin <= at), 0.0)


PROMISE = Promise(
    number=25,
    title="No lockouts",
    target="0 lockouts in 1,000 runs, including kill -9 between attempts",
    counts={"ci": 3 * STEPS, "full": 1000},
    measure=measure,
)
