"""
No reusable secret goes to an unproven host.

Devices in scope that are not who they say: SSH servers with another key, with the pinned key and a
forged signature, with keyboard-interactive only or SSH 1; web servers that ask for Basic, Digest or
NTLM, send a redirect or a form; Telnet, SNMP, FTP and MQTT that take everything; SMB that has its
NTLM challenge ready, LDAP and RDP; listeners for mail, WinRM and a proxy. They also claim to be
products with a published default password. The owner's secrets are canaries, new ones in each run:
the password of the login that the site file gives for each device (from a file and from the
environment), and, beside the product, a private key in the home directory, an SSH agent, a .netrc
and a proxy with a password in the environment.

Searched are a capture of all that passed, and what the strangers received as they decrypted it, for
each canary in clear, in hex, in UTF-16, percent-encoded, in base64 at every alignment and as
digests (MD5, NTLM, SHA-1, SHA-256, HTTP Digest), and for NTLM and SASL material: of NTLM only the
first leg may pass, which holds nothing, and only where a server's name is asked by SMB. Of what was
said where such a server is asked, the judge's own grammar has to know every PDU, and none may sign
in but FTP's `anonymous` and an MQTT client without a name. Without consent, published defaults may
not pass in clear text either, and no community but `public`. One device of each run is who it says:
it has to get its secret, or nothing would be proved (one in ten may not, since a busy machine looks
like a device in distress). One run is one scan.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.proof.driver import Driver
from tests.proof.ground import Ground, ground
from tests.proof.judge.grammar import parse
from tests.proof.judge.packets import read
from tests.proof.plants import authorisation
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

SIDE_BY_SIDE = 10
OPERATOR = "walkdown"
PRODUCTS = (("Westermo", "Lynx L110-F2G"), ("APC", "AP7900 Metered Rack PDU"), ("Moxa", "EDS-508A"))
SSH = ("other", "forged", "interactive", "old", "right")
HTTP = ("basic", "digest", "ntlm", "redirect", "form")
ASKED = {21: "ftp", 389: "ldap", 445: "smb", 1883: "mqtt", 3389: "rdp"}
"""TCP ports of strangers at which the product asks, and reads; the protocols are the grammar's."""
FTP_SAYS = (b"USER anonymous", b"PASS walkdown@example.invalid", b"FEAT", b"SYST", b"QUIT")
MET_AT = (22, 80, *ASKED)
"""TCP ports at which every stranger has to be spoken to, or nothing is known of it."""
HANDED_OVER = ("password", "answer")
MATERIAL = (
    b"NTLMSSP", b"TlRMTVNT", b"Authorization: Digest", b"Authorization: N", b"CRAM-MD5",
    b"DIGEST-MD5", b"SCRAM-", b"n,,n=",
)  # fmt: skip
FIRST_LEG = b"NTLMSSP\0\x01\0\0\0"
PUBLIC = (b"westermo", b"apc", b"walkdown-control")
"""What a login over SSH may tell a stranger: published defaults and the control's word."""
DEFAULTS = (b"westermo", base64.b64encode(b"admin:westermo"), base64.b64encode(b"apc:apc"))


@dataclass(slots=True, kw_only=True)
class Run:
    number: int
    folder: Path
    octet: int
    dice: random.Random
    devices: list[dict[str, Any]] = field(default_factory=list)
    secret: str = ""
    """Of the login, in a file. The one in the environment is the same for all runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Canaries beside the product: where they lie, and the words to search for."""

    folder: Path
    environment: dict[str, str]
    canaries: tuple[str, ...]


def measure(work: Work) -> Measured:
    shutil.rmtree(work.folder / "home", ignore_errors=True)
    home = furnished(work.folder / "home")
    pinned = asyncssh.generate_private_key("ssh-ed25519")
    with ground() as made, agent(home) as asked:
        with _environment(home.environment):
            driver = Driver(made.inside("device"))

        def part(first: int, n: int) -> Tally:
            folder = work.folder / f"from{first}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            runs = [prepared(work.setting.seed, first + k, folder, 70 + k) for k in range(n)]
            with captured(made, folder / "lo.pcap"):
                carry_out(runs, made, driver, pinned)
            tally = judged(runs, folder / "lo.pcap", home)
            if asked():
                tally += Tally(bad=1, faults=("the SSH agent was asked",))
            if not tally.bad:
                shutil.rmtree(folder)
            return tally

        try:
            whole = work.in_chunks(SIDE_BY_SIDE, part)
        finally:
            driver.close()
    given, rightful = int(whole.sums.get("given", 0)), int(whole.sums.get("rightful", 0))
    strangers = int(whole.sums.get("strangers", 0))
    unmet = {
        port: strangers - int(whole.sums.get(f"met at {port}", 0))
        for port in MET_AT
        if whole.sums.get(f"met at {port}", 0) != strangers
    }
    return Measured(
        passed=not whole.bad and not unmet and 0 < 9 * rightful <= 10 * given,
        value=f"{whole.bad} secrets in {whole.cases:,} runs against {strangers - rightful:,} "
        f"strangers ({given:,} of {rightful:,} true hosts got theirs); "
        f"{int(whole.sums.get('handshakes', 0)):,} SSH key exchanges, "
        f"{int(whole.sums.get('searched', 0)) / 1e6:,.1f} MB searched",
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
        note="; ".join(f"{n} strangers were never spoken to at port {p}" for p, n in unmet.items()),
    )


# --- the house of the canaries -------------------------------------------------------------------


def furnished(folder: Path) -> Home:
    """A home directory and an environment with secrets that are not ours to use."""
    words = [f"canary-{secrets.token_hex(8)}" for _ in range(4)]
    (folder / ".ssh").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519", comment=words[0])
    (folder / ".ssh" / "id_ed25519").write_bytes(key.export_private_key())
    (folder / ".ssh" / "id_ed25519").chmod(0o600)
    (folder / ".ssh" / "config").write_text("Host *\n  User canary\n", encoding="utf-8")
    (folder / ".netrc").write_text(f"default login {OPERATOR} password {words[1]}\n", "utf-8")
    (folder / ".netrc").chmod(0o600)
    proxy = f"http://{OPERATOR}:{words[2]}@127.70.0.1:3128"
    environment = {
        "HOME": str(folder), "NETRC": str(folder / ".netrc"),
        "SSH_AUTH_SOCK": str(folder / "agent"),
        "HTTP_PROXY": proxy, "http_proxy": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy,
        "WALKDOWN_CANARY": words[3],
    }  # fmt: skip
    fingerprint = key.get_fingerprint("sha256")
    return Home(folder=folder, environment=environment, canaries=(*words, fingerprint))


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def agent(home: Home) -> Iterator[Any]:
    """An SSH agent's socket; yields a function that says whether anybody knocked."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(home.environment["SSH_AUTH_SOCK"])
    listening.listen(8)
    listening.setblocking(False)

    def asked() -> bool:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    with listening:
        yield asked


def certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )  # fmt: skip


# --- one run -------------------------------------------------------------------------------------


def prepared(seed: int, number: int, folder: Path, octet: int) -> Run:
    dice = random.Random(f"{seed} {number}")
    run = Run(number=number, folder=folder / f"run{number}", octet=octet, dice=dice)
    run.secret = f"canary-{secrets.token_hex(8)}"
    for n, how in enumerate(SSH):
        product = dice.choice(PRODUCTS)
        run.devices.append(
            {"address": f"127.{octet}.0.{n + 1}", "vendor": product[0], "model": product[1],
             "ssh": how, "http": dice.choice(HTTP)}
        )  # fmt: skip
    return run


def write(run: Run, pinned: asyncssh.SSHKey) -> None:
    run.folder.mkdir()
    own = asyncssh.generate_private_key("ssh-ed25519")
    spec = {
        "devices": run.devices, "host_key": own.export_private_key().decode(),
        "pinned": pinned.export_public_key().decode(),
        "pinned_private": pinned.export_private_key().decode(),
    }  # fmt: skip
    (run.folder / "strangers.json").write_text(json.dumps(spec), encoding="utf-8")
    certificate(run.folder / "tls.pem")
    secret = run.folder / "secret"
    secret.write_text(run.secret + "\n", encoding="utf-8")
    secret.chmod(0o600)
    now = datetime.now(UTC)
    assets = [
        {
            "address": device["address"],
            "login": {
                "platform": run.dice.choice(("linux", "cisco_ios")), "user": OPERATOR,
                "secret": run.dice.choice(("file:secret", "env:WALKDOWN_CANARY")),
                "host_key": pinned.get_fingerprint("sha256"),
            },
        }
        for device in run.devices
    ]  # fmt: skip
    site = {
        "site": "Strangers",
        "authorisation": authorisation(now),
        "zones": [
            {
                "id": "z", "sl_t": 1, "tier": "login", "profile": "lab", "assets": assets,
                "networks": [f"{device['address']}/32" for device in run.devices],
                "ports": {"http": [80], "https": [443]},
            }
        ],
    }  # fmt: skip
    (run.folder / "site.yaml").write_text(json.dumps(site), encoding="utf-8")


@contextmanager
def captured(made: Ground, path: Path) -> Iterator[None]:
    """Everything on the loopback interface of the device side."""
    said = path.with_suffix(".said")
    with said.open("wb") as log:
        process = made.start(
            "device", "tcpdump", "-i", "lo", "-n", "-U", "-s", "0", "-B", "65536", "-Z", "root",
            "-w", str(path), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + 20
        while not path.exists() or path.stat().st_size < 24:
            if process.poll() is not None or time.monotonic() > end:
                raise Unable(f"tcpdump did not start: {said.read_text(encoding='utf-8')}")
            time.sleep(0.02)
        yield
        time.sleep(0.3)
    finally:
        process.terminate()
        process.wait(20)
    if "\n0 packets dropped by kernel" not in said.read_text(encoding="utf-8"):
        raise Unable(f"the capture is not whole: {said.read_text(encoding='utf-8')}")


def carry_out(runs: Sequence[Run], made: Ground, driver: Driver, pinned: asyncssh.SSHKey) -> None:
    root = Path(__file__).resolve().parents[3]
    strangers = []
    try:
        for run in runs:
            write(run, pinned)
            with (run.folder / "strangers.log").open("wb") as log:
                strangers.append(
                    made.start(
                        "device", sys.executable, "-m", "tests.proof.strangers",
                        str(run.folder / "strangers.json"), str(run.folder / "got"),
                        stdout=log, stderr=log, cwd=root,
                    )
                )  # fmt: skip
        end = time.monotonic() + 60
        while not all((run.folder / "strangers.ready").exists() for run in runs):
            if time.monotonic() > end or any(one.poll() is not None for one in strangers):
                raise Unable(f"the strangers did not start: {runs[0].folder / 'strangers.log'}")
            time.sleep(0.05)
        for run in runs:
            words = ("scan", str(run.folder / "site.yaml"), "--out", str(run.folder / "out"))
            driver.start(str(run.number), words, run.folder / "said")
        for run in runs:
            code = driver.join(str(run.number), 240)
            if code not in (0, 3):
                raise Unable(f"a scan ended with {code}: {run.folder / 'said'}")
    finally:
        for process in strangers:
            process.terminate()
        for process in strangers:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# --- the judge -----------------------------------------------------------------------------------


def forms(secret: str, user: str = OPERATOR) -> dict[str, bytes]:
    """How a secret may look on the wire, by the name of the form."""
    plain = secret.encode()
    found = {
        "clear": plain,
        "hex": plain.hex().encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "percent": quote(secret, safe="").encode() if quote(secret, safe="") != secret else plain,
    }
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + plain)
        found[f"base64 at {shift}"] = whole[(0, 2, 3)[shift] : len(whole) - 4].rstrip(b"=")
    found["base64 of user and password"] = base64.b64encode(f"{user}:{secret}".encode())
    realm = hashlib.md5(f"{user}:panel:{secret}".encode(), usedforsecurity=False).hexdigest()
    found["HTTP Digest's HA1"] = realm.encode()
    digests = {
        "MD5": hashlib.md5(plain, usedforsecurity=False).digest(),
        "SHA-1": hashlib.sha1(plain, usedforsecurity=False).digest(),
        "SHA-256": hashlib.sha256(plain).digest(),
        "NTLM": md4(secret.encode("utf-16-le")),
    }  # fmt: skip
    for name, digest in digests.items():
        found[name] = digest
        found[f"{name} in hex"] = digest.hex().encode()
    return found


def md4(data: bytes) -> bytes:
    """RFC 1320; OpenSSL 3 has it no more, and NTLM's hash is made with it."""

    def turned(value: int, by: int) -> int:
        value &= 0xFFFFFFFF
        return (value << by | value >> (32 - by)) & 0xFFFFFFFF

    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    for block in range(0, len(padded), 64):
        words = struct.unpack_from("<16I", padded, block)
        a, b, c, d = state
        for n in range(48):
            step = n // 16
            if step == 0:
                mixed, place, more = (b & c) | (~b & d), n, 0
            elif step == 1:
                place = n % 16 // 4 + n % 4 * 4
                mixed, more = (b & c) | (b & d) | (c & d), 0x5A827999
            else:
                place = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)[n % 16]
                mixed, more = b ^ c ^ d, 0x6ED9EBA1
            by = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))[step][n % 4]
            a, b, c, d = d, turned(a + mixed + words[place] + more, by), b, c
        state = [(x + y) & 0xFFFFFFFF for x, y in zip(state, (a, b, c, d), strict=True)]
    return struct.pack("<4I", *state)


def judged(runs: Sequence[Run], capture: Path, home: Home) -> Tally:
    """Searches the capture and what the strangers heard."""
    streams: dict[tuple[str, int, int], bytes] = {}
    faults = []
    given: set[str] = set()
    searched = 0
    ours = {device["address"] for run in runs for device in run.devices}
    for packet in read([capture]):
        if packet.payload and packet.target in ours:
            key = (packet.target, packet.target_port, packet.source_port)
            streams[key] = streams.get(key, b"") + packet.payload
            searched += len(packet.payload)
    heard: dict[str, list[tuple[str, bytes]]] = {}
    for run in runs:
        for line in (run.folder / "got").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "got" in row:
                heard.setdefault(row["address"], []).append(
                    (row["service"], bytes.fromhex(row["got"]))
                )
    where = [(f"{a} port {p}", data) for (a, p, _), data in streams.items()]
    where += [(f"{a} {s}, decrypted", data) for a, rows in heard.items() for s, data in rows]
    searched += sum(len(data) for _, data in where)
    right = {d["address"] for run in runs for d in run.devices if d["ssh"] == "right"}
    entitled = {f"{address} ssh {kind}, decrypted" for address in right for kind in HANDED_OVER}
    canaries = [run.secret for run in runs] + list(home.canaries)
    for canary in canaries:
        for name, form in forms(canary).items():
            found = [place for place, data in where if form in data]
            faults += [f"{place}: a secret ({name})" for place in found if place not in entitled]
            if name == "clear":
                given |= {place.split()[0] for place in found if place in entitled}
    for material in MATERIAL:
        faults += [
            f"{place}: {material.decode()}"
            for place, data in where
            if material in (data.replace(FIRST_LEG, b"") if " port 445" in place else data)
        ]
    for (address, port, _), data in streams.items():
        faults += lured(address, port, data)
        if any(default in data for default in DEFAULTS):
            faults.append(f"{address} port {port}: a published default without consent")
        if port == 161 and b"\x02\x01\x03" not in data[:8] and b"\x04\x06public" not in data:
            faults.append(f"{address}: a community that is not public")
    for address, rows in heard.items():
        kinds = {service for service, _ in rows}
        # Where the product asks, what it said was judged above; elsewhere nothing may arrive.
        faults += [
            f"{address}: {kind}"
            for kind in sorted(kinds)
            if kind.startswith("port ") and int(kind[5:]) not in ASKED
        ]
        faults += [f"{address}: a key was offered" for kind in kinds if kind == "ssh key"]
        for service, data in rows:
            if service[4:] in HANDED_OVER and data not in PUBLIC and address not in right:
                faults.append(f"{address}: {service} {data[:8].hex()}…")
    to_ssh = {key: data for key, data in streams.items() if key[1] == 22}
    met = {f"met at {p}": len({key[0] for key in streams if key[1] == p}) for p in MET_AT}
    return Tally(
        cases=len(runs),
        bad=len(faults),
        sums={
            "given": len(given), "rightful": len(right),
            "strangers": len(ours), "searched": searched, **met,
            "handshakes": sum(1 for data in to_ssh.values() if len(data) > 99),
        },
        faults=tuple(faults),
    )  # fmt: skip


def lured(address: str, port: int, said: bytes) -> list[str]:
    """What was said to a stranger, where it answers, that is more than reading."""
    if port not in ASKED:
        return []
    granted = {"read", "session"} | ({"login"} if ASKED[port] in ("ftp", "mqtt") else set())
    faults = [
        f"{address} port {port}: {pdu.service}"
        for pdu in parse(ASKED[port], said)
        if pdu.verdict not in granted
    ]
    if port == 21:
        faults += [
            f"{address} port {port}: {line[:4]!r} and something else"
            for line in said.split(b"\r\n")
            if line and line not in FTP_SAYS
        ]
    return faults


PROMISE = Promise(
    number=26,
    title="No reusable secret goes to an unproven host",
    target="0 in 1,000 runs",
    counts={"ci": 10, "full": 1000},
    measure=measure,
)
