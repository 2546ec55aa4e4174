"""
Promise 27: secrets stay out of everything written.

A plant with a canary in every place where a secret lives: the operator's own (by file and by
environment), configurations of switches, files of hosts, cookies, addresses and pages of panels
that also echo the operator's password in many spellings, backups, wrong site files. It is scanned,
killed, aborted, resumed, made to fail; then everything that was written is searched, in many
encodings, and the arguments and environment of every process that the scanner started.

The searcher is shown the inputs first: there it has to find every canary, or the proof fails.
"""

from __future__ import annotations

import base64
import html
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ruamel.yaml import YAML

from lab import control
from lab.plant import PLANTS
from scanner import assess
from scanner.facts import Account, DeviceSettings, HttpFace, RunningConfiguration, TelnetFace
from scanner.model import Assessment, Outcome
from tests.proof import talkers
from tests.proof.promise import Measured, Promise, Work

OCTET = 86
OFFSET = 20_000
PANELS = 126
"""Second octet of the panels of our own, beside the lab's plant."""

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
USUAL, LONG = 24, 1000
"""Characters of a canary, and of one whose name begins with long_ (a token of a web service)."""

NEEDLE = 10
"""Characters at the beginning and at the end of a canary that betray it, however it is cut."""

ENVIRONMENT = "WALKDOWN_PROOF_SECRET"

IOS = """\
enable secret 5 $1$mERr${enable_hash}
enable password {enable}
username admin privilege 15 secret 9 $9$nQ3m1kzTq0sWzL${user_hash}
username backup password 0 {user_clear}
username old password 7 {type7}
snmp-server community {community} RO
snmp-server host 10.0.0.9 version 2c {trap}
snmp-server user audit AUDIT v3 auth sha {snmp_auth} priv aes 128 {snmp_priv}
tacacs-server host 10.0.0.8 key {tacacs}
radius-server key {radius}
crypto isakmp key {isakmp} address 10.0.0.7
 ip ospf message-digest-key 1 md5 {ospf}
 neighbor 10.0.0.6 password {bgp}
 key-string {key_string}
 wpa-psk ascii 0 {wpa}
 ppp chap password 0 {chap}
ntp authentication-key 1 md5 {ntp}
"""

HOST = {
    "/etc/rsyslog.conf": ':ompgsql:10.0.0.5,logs,writer,{database}\npassword="{rsyslog}"\n',
    "/etc/profile": "export DB_PASSWORD={profile}\nAPI_KEY={api_key}\n"
    "SERVICE_TOKEN={long_token}\n"
    "-----BEGIN RSA PRIVATE KEY-----\n{private_key}\n-----END RSA PRIVATE KEY-----\n",
    "/etc/chrony/chrony.conf": "server 10.0.0.4\n",
}
PASSWD = "legacy:{old_hash}:0:0:legacy:/:/bin/sh"
HASHED = "root:$6$saltsalt${shadow}:0:0:root:/root:/bin/sh"

PAGES = (
    "HTTP/1.1 200 OK\r\nServer: panel\r\nSet-Cookie: session={cookie}; HttpOnly\r\n"
    "X-Auth-Token: {token}\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    "<html><head><title>Panel {own}</title></head><body>"
    '<form method=post><input type=hidden name=csrf_token value="{csrf}">'
    '<input type=password name=pw value="{prefilled}"></form>'
    '{spelled}<script>var cfg = {{"password": "{json}", "access_token": "{long_json}"}};</script>'
    "<pre>password={long_password}</pre></body></html>",
    "HTTP/1.1 302 Found\r\nLocation: http://service:{userinfo}@127.0.0.1/?password={query}\r\n"
    "Authorization: Basic {basic}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    'HTTP/1.1 500 {own}\r\nServer: {own}\r\nWWW-Authenticate: Basic realm="{env}"\r\n'
    "Authorization: Bearer {long_bearer}\r\nConnection: close\r\n\r\n"
    "trace: login failed with {own}, {env}",
)
BANNER = "Welcome, last login by audit with {own}\r\nPassword: {telnet}\r\n"


@dataclass(slots=True)
class Canaries:
    """A secret of its own for every place, made from the seed."""

    chance: random.Random
    values: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        if name not in self.values:
            size = LONG if name.startswith("long_") else USUAL
            self.values[name] = "".join(self.chance.choices(LETTERS, k=size))
        return self.values[name]

    def fill(self, text: str) -> str:
        names = re.findall(r"(?<!\{)\{(\w+)\}(?!\})", text)
        return text.format(**{name: self.of(name) for name in names})


TYPE_7 = b"dsfd;kfoA,.iyewrkldJKDHSUBsgvca69834ncxv9873254k;fg87"
"""Source: www.binaria.co.uk/conclusivecreations/ciscot7.html; the test has values of others."""


def type7(clear: str, first: int = 2) -> str:
    """As a switch keeps it: each byte XOR the table's, which is begun at `first`."""
    coded = bytes(byte ^ TYPE_7[(first + n) % len(TYPE_7)] for n, byte in enumerate(clear.encode()))
    return f"{first:02}{coded.hex().upper()}"


# --- the searcher ------------------------------------------------------------------------------


def spellings(secret: str) -> Iterator[bytes]:
    """Both ends of a secret as it may be written; written apart from the product's own list."""
    raw = secret.encode()
    for part in (raw[:NEEDLE], raw[-NEEDLE:]):
        yield part
        yield part[::-1]
        yield part.hex().encode()
        yield part.hex().upper().encode()
        yield part[:6].hex(" ").encode()
        yield part[-6:].hex(" ").encode()
        yield part.decode().encode("utf-16-le")
        yield part.decode().encode("utf-16-be")
        yield "".join(f"%{byte:02X}" for byte in part).encode()
        yield "".join(f"%{byte:02x}" for byte in part).encode()
        yield "".join(f"&#{byte};" for byte in part).encode()
        yield "".join(f"\\u{byte:04x}" for byte in part).encode()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw)
        yield coded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6][:12]
    yield quote(secret).encode()
    yield html.escape(secret).encode()


class Searcher:
    def __init__(self, canaries: Mapping[str, str]) -> None:
        needles: dict[bytes, str] = {}
        for name, secret in canaries.items():
            for spelled in spellings(secret):
                needles.setdefault(spelled, name)
        self._names = needles

    def hits(self, data: bytes) -> set[str]:
        """Names of the canaries in the data, and in what is packed in it."""
        found = {name for needle, name in self._names.items() if needle in data}
        if data[:2] == b"PK":
            with suppress(zipfile.BadZipFile), zipfile.ZipFile(BytesIO(data)) as archive:
                for name in archive.namelist():
                    found |= self.hits(archive.read(name))
        return found

    def in_files(self, folder: Path) -> Iterator[tuple[Path, set[str]]]:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path, self.hits(path.read_bytes()) | self.hits(os.fsencode(str(path)))


# --- the plant ---------------------------------------------------------------------------------


def plant(canaries: Canaries, folder: Path) -> str:
    """Three devices of the harbour plant, with canaries. Returns the name for lab.control.up."""
    raw = YAML(typ="safe", pure=True).load((PLANTS / "harbour.yaml").read_text(encoding="utf-8"))
    by_name = {device["name"]: device for device in raw["devices"]}
    switch, host, other = by_name["SW-SUP"], by_name["HIST-1"], by_name["ENG-1"]
    canaries.values["type7"] = type7(canaries.of("type7_clear"))
    # Accounts of their own: one that several devices know is tried on one after the other only.
    for device, user, name in (
        (switch, "walkdown", "own"), (host, "reader", "own"), (other, "auditor", "env"),
    ):  # fmt: skip
        device["declared"]["login"]["user"] = user
        for service in device["services"]:
            if service["protocol"] == "ssh":
                service["users"] = {user: canaries.of(name)}
    for service in switch["services"]:
        if "running_config" in service:
            service["running_config"] += canaries.fill(IOS)
    for service in host["services"]:
        if service["protocol"] == "ssh":
            service["files"] |= {path: canaries.fill(text) for path, text in HOST.items()}
            service["passwd"] += [canaries.fill(PASSWD), canaries.fill(HASHED)]
    switch["backup"] = {"age_days": 1, "content": canaries.fill("key-string {backup}\n")}
    raw["devices"] = [switch, host, other]
    raw["zones"] = [zone for zone in raw["zones"] if zone["id"] == "supervision"]
    raw["conduits"], raw["attestations"], raw["truth"] = [], [], {}
    path = folder / "canaries.yaml"
    path.write_text(json.dumps(raw), encoding="ascii")
    return str(path.with_suffix(""))


def panels(canaries: Canaries) -> list[dict[str, Any]]:
    """Devices of our own that say what no lab device says: pages, and a greeting."""
    own = canaries.of("own")
    echoes = " ".join(
        (own[::-1], own.encode().hex(), base64.b64encode(f"audit:{own}".encode()).decode(),
         "".join(f"%{byte:02x}" for byte in own.encode()), canaries.of("env"))
    )  # fmt: skip
    entries = []
    for number, page in enumerate(PAGES, 1):
        text = canaries.fill(page.replace("{spelled}", "@@")).replace("@@", echoes)
        texts = {"raw": text.encode(), "telnet": canaries.fill(BANNER).encode()}
        entries.append(
            {
                "address": f"127.{PANELS}.0.{number}",
                "ports": {"raw": 80 + OFFSET, "telnet": 23 + OFFSET},
                "texts": {name: content.hex() for name, content in texts.items()},
            }
        )
    return entries


def site(lab_site: Path, canaries: Canaries, entries: Sequence[Mapping[str, Any]]) -> None:
    """The lab's site file with a login by environment and a zone for our panels."""
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(lab_site.read_text(encoding="utf-8"))
    zone = content["zones"][0]
    zone["profile"] = "lab"
    known = {asset["address"] for asset in zone["assets"] if "address" in asset}
    network = zone["networks"][0].rsplit(".", 1)[0]
    zone["exclude"] = [f"{network}.{n}" for n in range(32) if f"{network}.{n}" not in known]
    for asset in zone["assets"]:
        if asset["name"] == "ENG-1":
            asset["login"]["secret"] = f"env:{ENVIRONMENT}"
    content["zones"].append(
        {
            "id": "panels", "networks": [f"127.{PANELS}.0.0/29"], "sl_t": 1, "tier": "read",
            "profile": "lab", "window": "now", "probes": ["http", "telnet"],
            "ports": {"http": 80 + OFFSET, "telnet": 23 + OFFSET},
            "exclude": [f"127.{PANELS}.0.{n}" for n in (0, *range(len(entries) + 1, 8))],
        }
    )  # fmt: skip
    lab_site.write_text(json.dumps(content, default=str), encoding="ascii")
    secret = lab_site.parent / "secrets" / "walkdown-reader"
    secret.write_text(canaries.of("own") + "\n", encoding="ascii")


# --- running -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Stage:
    """Where the product runs and writes; everything in `out` is searched."""

    work: Work
    inputs: Path
    out: Path
    canaries: Canaries
    searcher: Searcher
    faults: list[str] = field(default_factory=list)
    processes: int = 0
    number: int = 0

    def run(
        self,
        arguments: Sequence[str],
        *,
        stop: tuple[float, int, Path] | None = None,
        program: Sequence[str] | None = None,
    ) -> int:
        """One command; `stop` is (seconds, signal, file
        from whose existence the seconds count). Everything it says is kept and searched."""
        self.number += 1
        said = self.out / "said" / f"{self.number:03}.txt"
        said.parent.mkdir(parents=True, exist_ok=True)
        for name in ("home", "tmp", "cwd"):
            (self.out / name).mkdir(exist_ok=True)
        environment = {
            **os.environ, "HOME": str(self.out / "home"), "TMPDIR": str(self.out / "tmp"),
            "WALKDOWN_TRACEBACK": "1", ENVIRONMENT: self.canaries.of("env"),
            "PYTHONFAULTHANDLER": "1",
        }  # fmt: skip
        command = [*(program or self.work.setting.walkdown), *arguments]
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self.out / "cwd", env=environment, preexec_fn=allow_core,
            )  # fmt: skip
            watching = threading.Event()
            watcher = threading.Thread(target=self.watch, args=(process.pid, watching))
            watcher.start()
            try:
                if stop is not None:
                    begun = stop[2]  # from then on the product is what runs
                    while process.poll() is None and not begun.exists():
                        time.sleep(0.02)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(stop[0])
                    if process.poll() is None:
                        process.send_signal(stop[1])
                return process.wait(300)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                watching.set()
                watcher.join()

    def watch(self, pid: int, ended: threading.Event) -> None:
        """Arguments and environment of every process that the scanner starts."""
        seen: set[int] = set()
        while not ended.is_set():
            for child in children_of(pid):
                for name in ("cmdline", "environ"):
                    with suppress(OSError):
                        content = Path(f"/proc/{child}/{name}").read_bytes()
                        for hit in self.searcher.hits(content):
                            what = Path(f"/proc/{child}/cmdline").read_bytes()[:120]
                            fault = f"{hit} in {name} of a process of the scanner's: {what!r}"
                            if fault not in self.faults:
                                self.faults.append(fault)
                seen.add(child)
            ended.wait(0.005)
        self.processes += len(seen)


def allow_core() -> None:
    """As on a machine whose owner wants core files: whatever the product says to that is ours."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def children_of(pid: int) -> Iterator[int]:
    """All descendants. A child just forked still has its parent's memory: only after its exec."""
    try:
        parent = Path(f"/proc/{pid}/cmdline").read_bytes()
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                with suppress(OSError):
                    if Path(f"/proc/{child}/cmdline").read_bytes() != parent:
                        yield child
                yield from children_of(child)
    except (OSError, ValueError):
        return


BROKEN_PROBE = """
import sys
import probes.sshconfig as probe
def broken(*arguments, **keywords):
    told = [one.login.secret.reveal() for one in arguments if getattr(one, "login", None)]
    raise RuntimeError(f"the library broke: {told or arguments}")
probe._read_linux = broken
from scanner.cli import main
main()
"""
"""The product with a bug whose exception tells the secret."""


def scenario(stage: Stage, chance: random.Random, *, rounds: int) -> None:
    run, place = stage.out / "run", str(stage.inputs / "lab" / "site.yaml")
    own = [sys.executable, "-c", BROKEN_PROBE]
    stage.run(["plan", place, "--full"])
    code = stage.run(["scan", place, "--out", str(run)])
    if code != 0:
        stage.faults.append(f"the scan of the plant ended with {code}")
    for number in range(rounds):
        broken = stage.out / f"stopped{number}"
        number_of = (signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT)[number % 4]
        stage.run(
            ["scan", place, "--out", str(broken)],
            stop=(chance.uniform(0.0, 4), number_of, broken / "walkdown.db"),
        )
        if number % 2 == 0:
            stage.run(["scan", place, "--out", str(broken), "--resume"])
    host = ["--only", f"127.{OCTET}.1.20"]
    stage.run(["scan", place, "--out", str(stage.out / "bug"), *host], program=own)
    for arguments in (
        ["inventory", str(run)], ["inventory", str(run), "--csv"],
        ["inventory", str(run), "--json"],
        ["inventory", str(run), "--xlsx", str(stage.out / "i.xlsx")],
        ["evidence", "show", str(run)], ["evidence", "show", str(run), "--json"],
        ["evidence", "verify", str(run)], ["diff", str(run), str(run)],
        ["assess", str(run), "--out", str(stage.out / "again")],
    ):  # fmt: skip
        stage.run(arguments)
    mistakes(stage)


def mistakes(stage: Stage) -> None:
    """Secrets written where they do not belong: told without being repeated."""
    canaries = stage.canaries
    place = stage.inputs / "lab" / "site.yaml"
    content = json.loads(place.read_text(encoding="ascii"))
    direct = json.loads(json.dumps(content))
    for asset in direct["zones"][0]["assets"]:
        asset.get("login", {})["secret"] = canaries.of("direct")
    state = content | {"state": f"postgresql://w:{canaries.of('url')}@127.0.0.1:9/x"}
    for name, wrong in (("direct", direct), ("state", state)):
        path = stage.inputs / "lab" / f"{name}.yaml"
        path.write_text(json.dumps(wrong), encoding="ascii")
        if stage.run(["scan", str(path), "--out", str(stage.out / name)]) != 1:
            stage.faults.append(f"a secret in the site file was accepted ({name})")
    url = f"postgresql://w:{canaries.of('store')}@127.0.0.1:9/x"
    stage.run(["scan", str(place), "--out", str(stage.out / "pg"), "--store", url])
    stage.run(["evidence", "show", url])
    secret = stage.inputs / "lab" / "secrets" / "walkdown-reader"
    secret.chmod(0o644)
    stage.run(["scan", str(place), "--out", str(stage.out / "open")])
    secret.chmod(0o600)
    secret.write_text(f"{canaries.of('two')}\n{canaries.of('lines')}\n", encoding="ascii")
    stage.run(["scan", str(place), "--out", str(stage.out / "lines")])
    secret.write_text(canaries.of("wrong") + "\n", encoding="ascii")
    # Not the panels: they say a secret of before, which this scan has no way to know.
    host = ["--only", f"127.{OCTET}.1.20"]
    stage.run(["scan", str(place), "--out", str(stage.out / "wrong"), *host])


def met(assessment: Assessment) -> Iterable[str]:
    """Which canaries' places the scan really came by; a place that it missed proves nothing."""
    facts = [fact for o in assessment.observations for fact in o.facts]
    if sum(isinstance(fact, RunningConfiguration) for fact in facts) < 1:
        yield "the switch's configuration was not read"
    if not any(isinstance(fact, Account) and fact.name == "legacy" for fact in facts):
        yield "the host's accounts were not read"
    if sum(isinstance(fact, DeviceSettings) for fact in facts) < 3:
        yield "fewer than three logins of the operator worked"
    if sum(isinstance(fact, HttpFace) for fact in facts) < len(PAGES):
        yield "not every panel's page was read"
    if sum(isinstance(fact, TelnetFace) for fact in facts) < len(PAGES):
        yield "not every greeting was read"
    if any(o.outcome is Outcome.BUG for o in assessment.observations):
        yield "a probe broke"


def measure(work: Work) -> Measured:
    chance = random.Random(work.setting.seed)
    canaries = Canaries(chance)
    inputs, out = work.folder / "in", work.folder / "out"
    for folder in (inputs, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    entries = panels(canaries)
    name = plant(canaries, inputs)
    for extra in ("direct", "url", "store", "two", "lines", "wrong"):
        canaries.of(extra)
    searcher = Searcher(canaries.values)
    stage = Stage(work=work, inputs=inputs, out=out, canaries=canaries, searcher=searcher)
    control.up(
        name, inputs / "lab", now=datetime.now(UTC), base_port_offset=OFFSET, second_octet=OCTET
    )
    try:
        site(inputs / "lab" / "site.yaml", canaries, entries)
        with talkers.talking(entries, inputs / "panels"):
            scenario(stage, chance, rounds=work.count)
    finally:
        control.down(inputs / "lab")
    shown = b"\n".join(
        [
            canaries.of("env").encode(),
            *(bytes.fromhex(t) for e in entries for t in e["texts"].values()),
        ]
    )
    known = searcher.hits(shown)
    for _, hits in searcher.in_files(inputs):
        known |= hits
    unused = set(canaries.values) - known - {"store", "two", "lines", "type7_clear"}
    faults = [f"the searcher does not find {name} where it is" for name in sorted(unused)]
    files = size = 0
    for path, hits in searcher.in_files(out):
        files += 1
        size += path.stat().st_size
        faults += [f"{hit} in {path.relative_to(out)}" for hit in sorted(hits)]
    faults += stage.faults
    faults += met(assess.from_json((out / "run" / "assessment.json").read_bytes()))
    broken = assess.from_json((out / "bug" / "assessment.json").read_bytes())
    if all(o.outcome is not Outcome.BUG for o in broken.observations):
        faults.append("the exception that tells the secret was not raised")
    return Measured(
        passed=not faults and len(canaries.values) >= 20,
        value=(
            f"{len(faults)} hits of {len(canaries.values)} canaries in {files:,} files "
            f"({size / 1e6:.1f} MB) of {stage.number} commands and in {stage.processes} processes"
        ),
        cases=len(canaries.values) * files,
        bad=len(faults),
        faults=tuple(faults[:20]),
    )


PROMISE = Promise(
    number=27,
    title="Secrets stay out of everything written",
    target="0 hits of at least 20 canaries in logs, databases, captures, reports, dumps, arguments",
    counts={"ci": 1, "full": 24},
    measure=measure,
)
